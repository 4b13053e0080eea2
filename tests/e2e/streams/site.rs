//! A site whose assets stand on targets that nobody asks: an origin and edges as processes of their own.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    thread,
};

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
    variables: Vec<(String, String)>,
}

impl Site {
    /// With targets of these names and the asset `film` below `/video`. The edge believes who comes from this machine
    /// about addresses, and has these variables besides.
    pub(super) fn start(targets: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let origin = start_origin(folder.path(), "127.0.0.1:0");
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = variables.collect();
        let site = Self {
            edge: Process::run(command(&folder, &origin, &variables), "admin"),
            origin,
            folder,
            variables,
        };
        let content = json!({"name": "films", "hosts": [HOST], "streams": "/video"});
        site.write("POST", "/v1/sites", &content);
        for name in targets {
            site.write("POST", "/v1/targets", &target(name));
        }
        site.write("POST", "/v1/assets", &json!({"site": "films", "id": "film"}));
        eventually("the edge knows the asset and its targets", || {
            let answer = site.ask("GET", "/.wayside/steer/film", &[], "");
            let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let listed = told["PATHWAY-PRIORITY"].as_array().map_or(0, Vec::len);
            answer.status != 404 && listed == targets.len()
        });
        site
    }

    /// Another edge of the same origin, with a folder of its own and the same variables.
    pub(super) fn other_edge(&self) -> Process {
        let mut command = command(&self.folder, &self.origin, &self.variables);
        command.env("WAYSIDE__EDGE__DATA", self.folder.path().join("other"));
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

    /// What the node says of a visitor at this address and of the choice for it.
    pub(super) fn explained(edge: &Process, address: &str) -> Value {
        let path = format!("/streams/explain?tenant=default&site=films&asset=film&ip={address}");
        serde_json::from_str(&edge.admin(&path).body).unwrap_or_default()
    }

    /// The session that a visitor at this address is given, and the target it begins on.
    pub(super) fn begin(&self, address: &str) -> (String, String) {
        self.begin_of("film", address)
    }

    /// The same of this asset.
    pub(super) fn begin_of(&self, asset: &str, address: &str) -> (String, String) {
        let path = format!("/.wayside/play/{asset}");
        let play = self.ask("GET", &path, &[("X-Forwarded-For", address)], "");
        let play: Value = serde_json::from_str(&play.body).unwrap_or_else(|error| panic!("{error}: {play:?}"));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&play["session"]), text(&play["target"]["id"]))
    }
}

/// The command of an edge.
fn command(folder: &TempDir, origin: &Process, variables: &[(String, String)]) -> Command {
    let url = format!("http://{}", origin.origin.expect("an origin"));
    let mut command = edge_command(folder.path(), &url);
    command.env("WAYSIDE__EDGE__TRUSTED_PROXIES", "127.0.0.0/8");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

/// The target to which a visitor at this address is sent for a file; the whole answer when it is sent to none.
pub(super) fn sent(edge: &Process, address: &str) -> String {
    let fields = [("X-Forwarded-For", address)];
    let sent = send(edge.edge(), "GET", HOST, "/video/film/1.ts", &fields, "");
    let location = sent.location().unwrap_or_default();
    let host = location
        .strip_prefix("https://")
        .and_then(|rest| rest.split('.').next());
    host.map_or_else(|| format!("{sent:?}"), str::to_owned)
}

/// A target like any other.
pub(super) fn target(name: &str) -> Value {
    json!({"name": name, "region": "eu", "urls": [format!("https://{name}.example/x")]})
}

/// A server of a playlist whose best rendition takes 10 Mbit/s: the URL of its folder. It serves until the test ends.
pub(super) fn source() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/film/", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let playlist =
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=10000000\nbest.m3u8\n";
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}",
            playlist.len()
        );
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.read(&mut [0; 4_096]);
            let _ = socket.write_all(format!("{head}\r\n\r\n{playlist}").as_bytes());
        }
    });
    url
}
