//! A site whose assets stand on targets: an origin and an edge as processes of their own, set up by the API.

use std::{
    fs::{self, File},
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::tokens;
use crate::{
    harness::Process,
    origins::{edge_command, start_origin, write},
};

/// The site's host. Only the browser knows where it is.
pub(crate) const HOST: &str = "site.localhost";

/// How often players ask where to play from.
pub(crate) const TTL_S: u64 = 2;

/// A site with an edge before it. Both processes end when dropped.
pub(crate) struct Site {
    edge: Process,
    origin: Process,
    folder: TempDir,
}

impl Site {
    /// A site without assets, of a tenant without targets.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let origin = start_origin(folder.path(), "127.0.0.1:0");
        let url = format!("http://{}", origin.origin.expect("an origin"));
        let mut edge = edge_command(folder.path(), &url);
        edge.env("WAYSIDE__EDGE__REGION", "near")
            // The targets and the folder with the manifests are on this machine.
            .env("WAYSIDE__STREAMS__PRIVATE_NETWORKS", "127.0.0.0/8")
            .env("WAYSIDE__STREAMS__SLOW_START_S", "1")
            .env("WAYSIDE_SECRET_DEFAULT__TARGETS", tokens::KEY)
            // Of which the log tells when players ask.
            .env("WAYSIDE__LOG__FORMAT", "json")
            .env("WAYSIDE__LOG__REQUESTS", "true")
            .stderr(File::create(folder.path().join("log")).expect("a log"));
        let site = Self {
            edge: Process::run(edge, "admin"),
            origin,
            folder,
        };
        site.write(
            "POST",
            "/v1/sites",
            &json!({"name": "films", "hosts": [HOST], "streams": "/video"}),
        );
        site
    }

    /// A target; one of the region `near` is near. Without a probe it is taken to serve.
    pub(crate) fn add_target(&self, name: &str, region: &str, url: &str) {
        self.add(name, region, url, json!({}));
    }

    /// One that leaves within a second when it does not serve.
    pub(crate) fn add_probed_target(&self, name: &str, region: &str, url: &str) {
        let probe = json!({"path": "health", "interval_ms": 250, "timeout_ms": 3_000});
        self.add(name, region, url, json!({"probe": probe}));
    }

    /// One that is probed, and wants tokens.
    pub(crate) fn add_signed_target(&self, name: &str, region: &str, url: &str) {
        let probe = json!({"path": "health", "interval_ms": 250, "timeout_ms": 3_000});
        let signing = json!({"scheme": "hmac", "secret": "targets", "placement": "path"});
        self.add(name, region, url, json!({"probe": probe, "signing": signing}));
    }

    fn add(&self, name: &str, region: &str, url: &str, mut target: Value) {
        target["name"] = name.into();
        target["region"] = region.into();
        target["urls"] = json!([url]);
        self.write("POST", "/v1/targets", &target);
    }

    /// An asset that every target has, with its manifests below `source`.
    pub(crate) fn add_asset(&self, id: &str, source: &str, balancer: &str, ttl_s: u64) {
        let asset = json!({
            "site": "films",
            "id": id,
            "source": format!("{source}{id}/"),
            "hls": "main.m3u8",
            "dash": "main.mpd",
            "balancer": balancer,
            "ttl_s": ttl_s,
        });
        self.write("POST", "/v1/assets", &asset);
    }

    /// What the operator says of a target: `in`, `draining` or `out`.
    pub(crate) fn set_service(&self, target: &str, service: &str) {
        let path = format!("/v1/targets/{target}/service");
        self.write("PUT", &path, &json!({"service": service}));
    }

    fn write(&self, method: &str, path: &str, content: &Value) {
        let origin = self.origin.origin.expect("an origin");
        write(self.folder.path(), origin, method, path, content);
    }

    /// The edge.
    pub(crate) fn edge(&self) -> SocketAddr {
        self.edge.edge()
    }

    /// How many of the players' reports the edge has taken so: `heard`, `malformed`, `no_session`.
    pub(crate) fn reports(&self, outcome: &str) -> f64 {
        self.edge
            .metric(&format!("wayside_stream_reports_total{{outcome=\"{outcome}\"}}"))
    }

    /// When the player of an asset was told where to play from, each time.
    pub(crate) fn steered(&self, asset: &str) -> Vec<Instant> {
        let path = format!("/.wayside/steer/{asset}");
        let log = fs::read_to_string(self.folder.path().join("log")).expect("a log");
        let (now, clock) = (Instant::now(), SystemTime::now());
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_it = lines.filter(|line| line["target"] == "wayside::request" && line["path"] == path);
        let instants = of_it.filter_map(|line| {
            let at: jiff::Timestamp = line["timestamp"].as_str()?.parse().ok()?;
            now.checked_sub(clock.duration_since(at.into()).unwrap_or_default())
        });
        instants.collect()
    }

    /// What a player is given.
    pub(crate) fn url(&self, asset: &str, file: &str) -> String {
        format!("http://{HOST}:{}/video/{asset}/{file}", self.edge().port())
    }
}
