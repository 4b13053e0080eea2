//! What the process says on standard error.

use std::{fs::File, path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Process, eventually},
    origins::{edge_command, start_origin},
};

/// A process whose log goes to a file.
pub(crate) struct Logged {
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
}

impl Logged {
    fn dev(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let command = Process::dev_command(folder.path(), more);
        Self::start(folder, command, "ready")
    }

    pub(crate) fn start(folder: TempDir, mut command: Command, last: &str) -> Self {
        let log = File::create(folder.path().join("log")).expect("log");
        // What the tests themselves are run under says nothing about what is tested.
        command.env_remove("RUST_LOG").stderr(log);
        let process = Process::run(command, last);
        Self { process, folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The lines so far of which `is_meant` is true.
    fn lines(&self, is_meant: impl Fn(&Value) -> bool) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).expect("log");
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(is_meant).collect()
    }

    /// The lines about requests so far.
    fn requests(&self) -> Vec<Value> {
        self.lines(|line| line["target"] == "wayside::request")
    }

    /// The errors told so far by messages that begin so.
    pub(crate) fn errors(&self, message: &str) -> Vec<String> {
        let is_meant = |line: &Value| line["message"].as_str().is_some_and(|found| found.starts_with(message));
        let errors = self.lines(is_meant).into_iter().map(|line| line["error"].to_string());
        errors.collect()
    }
}

#[test]
fn every_request_is_a_line_when_that_is_asked_for() {
    let dev = Logged::dev(&["--log-requests"]);
    dev.process.get("/hello?secret=1");
    let refused = dev.process.get("/nowhere");
    eventually("both lines", || dev.requests().len() == 2);
    let [redirect, refusal] = &dev.requests()[..] else {
        panic!("two lines")
    };
    for (name, expected) in [
        ("level", "INFO"),
        ("method", "GET"),
        ("host", "localhost"),
        ("path", "/hello"),
    ] {
        assert_eq!(redirect[name], expected, "{redirect}");
    }
    assert_eq!(redirect["status"], 302, "{redirect}");
    assert!(redirect["duration_us"].is_u64(), "{redirect}");
    assert!(redirect["request_id"].is_string(), "{redirect}");
    assert!(!redirect.to_string().contains("secret"), "{redirect}");
    assert_eq!(
        (&refusal["path"], &refusal["status"]),
        (&"/nowhere".into(), &404.into())
    );
    let told = refused.header("x-request-id").expect("an id");
    assert_eq!(refusal["request_id"], told.as_str(), "{refusal}");
}

#[test]
fn no_request_is_a_line_unless_that_is_asked_for() {
    let dev = Logged::dev(&[]);
    assert_eq!(dev.process.get("/hello").status, 302);
    assert_eq!(dev.process.get("/nowhere").status, 404);
    let log = dev.log();
    let Logged { process, folder } = dev;
    assert_eq!(process.end(), Some(0));
    let text = std::fs::read_to_string(log).expect("log");
    assert!(!text.contains("wayside::request"), "{text}");
    drop(folder);
}

#[test]
fn an_origin_that_is_away_is_told_once_and_why() {
    let folder = tempfile::tempdir().expect("folder");
    let origin = start_origin(folder.path(), "127.0.0.1:0");
    let address = origin.origin.expect("an origin").to_string();
    origin.kill();
    let command = edge_command(folder.path(), &format!("http://{address}"));
    let edge = Logged::start(folder, command, "admin");
    let failed = |kind: &str| {
        let name = format!("wayside_origin_requests_total{{kind=\"{kind}\",outcome=\"failed\"}}");
        edge.process.metric(&name)
    };
    eventually("three attempts", || failed("directory") >= 3.0);
    let directory = edge.errors("the directory stays as it is");
    assert_eq!(directory.len(), 1, "{directory:?}");
    assert_eq!(directory[0].matches("Connection refused").count(), 1, "{directory:?}");

    let origin = start_origin(edge.folder.path(), &address);
    eventually("the edge follows", || {
        edge.process.metric("wayside_feed_connected") >= 1.0
    });
    origin.kill();
    eventually("three attempts", || failed("feed") >= 3.0);
    assert_eq!(edge.errors("the feed broke").len(), 1);
    let feed = edge.errors("the origin's changes do not arrive");
    assert_eq!(feed.len(), 1, "{feed:?}");
    assert!(feed[0].contains("Connection refused"), "{feed:?}");
}
