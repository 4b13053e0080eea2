//! What the process says on standard error.

use std::{fs::File, path::PathBuf};

use crate::harness::{Process, eventually};

/// `wayside dev` whose log goes to a file.
struct Logged {
    process: Process,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Logged {
    fn dev(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("log");
        let mut command = Process::dev_command(folder.path(), more);
        // What the tests themselves are run under says nothing about what is tested.
        command.env_remove("RUST_LOG").stderr(File::create(&log).expect("log"));
        let process = Process::run(command, "ready");
        Self {
            process,
            log,
            _folder: folder,
        }
    }

    /// The lines about requests so far.
    fn requests(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.log).expect("log");
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &serde_json::Value| line["target"] == "wayside::request")
            .collect()
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
    let Logged { process, log, .. } = dev;
    assert_eq!(process.end(), Some(0));
    let text = std::fs::read_to_string(log).expect("log");
    assert!(!text.contains("wayside::request"), "{text}");
}
