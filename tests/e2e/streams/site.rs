//! A site whose assets stand on targets that nobody asks: an origin and edges as processes of their own.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Process, Response, eventually, send},
    origins::{edge_command, start_origin, write},
};

pub(super) const HOST: &str = "films.example";

/// Processes end when dropped.
pub(super) struct Site {
    pub(super) edge: Process,
    origin: Process,
    folder: TempDir,
}

impl Site {
    /// With targets of these names and the asset `film` below `/video`. The edge believes who comes from this machine
    /// about addresses, and has these variables besides.
    pub(super) fn start(targets: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let origin = start_origin(folder.path(), "127.0.0.1:0");
        let url = format!("http://{}", origin.origin.expect("an origin"));
        let mut command = edge_command(folder.path(), &url);
        command.env("WAYSIDE__EDGE__TRUSTED_PROXIES", "127.0.0.0/8");
        command.envs(variables.iter().copied());
        let site = Self {
            edge: Process::run(command, "admin"),
            origin,
            folder,
        };
        let content = json!({"name": "films", "hosts": [HOST], "streams": "/video"});
        site.write("POST", "/v1/sites", &content);
        for name in targets {
            site.write("POST", "/v1/targets", &target(name));
        }
        site.write("POST", "/v1/assets", &json!({"site": "films", "id": "film"}));
        eventually("the edge knows the asset and its targets", || {
            let told = site.ask("GET", "/.wayside/steer/film", &[], "").body;
            let told: Value = serde_json::from_str(&told).unwrap_or_default();
            told["PATHWAY-PRIORITY"].as_array().map(Vec::len) == Some(targets.len())
        });
        site
    }

    /// Another edge of the same origin, with a folder of its own.
    pub(super) fn other_edge(&self) -> Process {
        let url = format!("http://{}", self.origin.origin.expect("an origin"));
        let mut command = edge_command(self.folder.path(), &url);
        command.env("WAYSIDE__EDGE__DATA", self.folder.path().join("other"));
        command.env("WAYSIDE__EDGE__TRUSTED_PROXIES", "127.0.0.0/8");
        Process::run(command, "admin")
    }

    /// Asks the origin for a change; what it answers.
    pub(super) fn write(&self, method: &str, path: &str, content: &Value) -> Value {
        let origin = self.origin.origin.expect("an origin");
        write(self.folder.path(), origin, method, path, content)
    }

    /// Asks the edge.
    pub(super) fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
        send(self.edge.edge(), method, HOST, path, fields, body)
    }

    /// The session that a visitor at this address is given, and the target it begins on.
    pub(super) fn begin(&self, address: &str) -> (String, String) {
        let play = self.ask("GET", "/.wayside/play/film", &[("X-Forwarded-For", address)], "");
        let play: Value = serde_json::from_str(&play.body).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&play["session"]), text(&play["target"]["id"]))
    }
}

/// A target like any other.
pub(super) fn target(name: &str) -> Value {
    json!({"name": name, "region": "eu", "urls": [format!("https://{name}.example/x")]})
}
