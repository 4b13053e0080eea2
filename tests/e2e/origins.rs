//! An origin and edges as processes of their own, each with a folder, and what is written to such an origin.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{BINARY, Process, request, send, text};

/// An origin that keeps its record in `folder`.
pub(crate) fn start_origin(folder: &Path, listen: &str) -> Process {
    Process::run(origin_command(folder, listen), "origin")
}

/// The command of [`start_origin`].
pub(crate) fn origin_command(folder: &Path, listen: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .arg("origin")
        .env("WAYSIDE__ORIGIN__DATA", folder.join("origin"))
        .env("WAYSIDE__ORIGIN__LISTEN", listen);
    command
}

pub(crate) fn start_edge(folder: &Path, origin: &str) -> Process {
    Process::run(edge_command(folder, origin), "admin")
}

/// An edge that follows `origin`, whose folder is beside its own.
pub(crate) fn edge_command(folder: &Path, origin: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .arg("edge")
        .env("WAYSIDE__EDGE__DATA", folder.join("node"))
        .env("WAYSIDE__EDGE__LISTEN", "127.0.0.1:0")
        .env("WAYSIDE__ADMIN__LISTEN", "127.0.0.1:0")
        .env("WAYSIDE__UPSTREAM__URL", origin)
        .env("WAYSIDE__UPSTREAM__TOKEN_FILE", folder.join("origin/token"));
    command
}

/// Runs a command against `origin`, with the first token of its folder.
pub(crate) fn cli(folder: &Path, origin: &str, arguments: &[&str]) {
    let output = Command::new(BINARY)
        .args(["--origin-url", origin])
        .args(arguments)
        .env("WAYSIDE_TOKEN_FILE", folder.join("origin/token"))
        .output()
        .expect("run");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Writes links, some hundred at once.
pub(crate) fn publish(folder: &Path, origin: SocketAddr, site: &str, links: &[Value]) {
    for links in links.chunks(500) {
        let batch = json!({"site": site, "links": links});
        write(folder, origin, "POST", "/v1/links/batch", &batch);
    }
}

/// Asks the origin whose folder is this one for a change; what it answers.
pub(crate) fn write(folder: &Path, origin: SocketAddr, method: &str, path: &str, content: &Value) -> Value {
    let token = fs::read_to_string(folder.join("origin/token")).expect("a token");
    let authorization = format!("Bearer {}", token.trim());
    let fields = [
        ("Authorization", authorization.as_str()),
        ("Wayside-Tenant", "default"),
        ("Content-Type", "application/json"),
    ];
    let written = send(origin, method, "origin", path, &fields, &content.to_string());
    assert!(
        (200..300).contains(&written.status),
        "{method} {path} {content}: {written:?}"
    );
    serde_json::from_str(&written.body).unwrap_or_default()
}

/// Copies what is in a folder, holes included.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    let copied = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args([&*from.join("."), to])
        .status();
    assert!(copied.expect("cp").success());
}

/// An origin with the site `apart.example`, whose link `/7` leads to `https://7.example/`, and the folder it is in.
pub(crate) struct Numbered {
    pub(crate) folder: TempDir,
    pub(crate) origin: Option<Process>,
    pub(crate) url: String,
}

impl Numbered {
    /// With so many links.
    pub(crate) fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let origin = start_origin(folder.path(), "127.0.0.1:0");
        let url = format!("http://{}", origin.origin.expect("an origin"));
        let numbered = Self {
            folder,
            origin: Some(origin),
            url,
        };
        numbered.cli(&["site", "add", "apart", "--host", "apart.example"]);
        for number in 0..count {
            let (path, target) = (format!("/{number}"), format!("https://{number}.example/"));
            numbered.cli(&["link", "add", "apart", &path, &target]);
        }
        numbered
    }

    pub(crate) fn cli(&self, arguments: &[&str]) {
        cli(self.folder.path(), &self.url, arguments);
    }

    /// An edge that keeps what it has in [`Self::kept`].
    pub(crate) fn edge(&self) -> Process {
        start_edge(self.folder.path(), &self.url)
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    pub(crate) fn kill_origin(&mut self) {
        self.origin.take().expect("it runs").kill();
    }
}

/// Where an edge's link of that number leads.
pub(crate) fn leads_to(edge: &Process, number: usize) -> Option<String> {
    request(edge.edge(), "GET", "apart.example", &format!("/{number}"), &[]).location()
}

/// Asks an edge for so many links; every answer is right, or there is none. How many there are.
pub(crate) fn held(edge: &Process, count: usize) -> usize {
    let answers = (0..count).filter_map(|number| Some((number, leads_to(edge, number)?)));
    answers
        .inspect(|(number, location)| assert_eq!(*location, format!("https://{number}.example/")))
        .count()
}
