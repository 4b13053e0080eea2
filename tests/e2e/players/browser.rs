//! Chromium without a window, and the page in it that plays. The page itself says what happens, so nothing else has to
//! drive the browser.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::targets::content_type;
use crate::harness::repository;

/// Chromium as packages call it. The first needs no desktop; Debian's command for it is a script, and whoever kills that
/// leaves the browser behind.
const CHROMIUM: [&str; 5] = [
    "/usr/lib/chromium/chromium-headless-shell",
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];

/// The players' own builds, as npm brings them.
const PLAYERS: [(&str, &str); 4] = [
    ("hls.js", "hls.js/dist/hls.min.js"),
    ("dash.js", "dashjs/dist/modern/umd/dash.all.min.js"),
    ("shaka.js", "shaka-player/dist/shaka-player.compiled.js"),
    ("shaka-debug.js", "shaka-player/dist/shaka-player.compiled.debug.js"),
];

/// Nothing in the browser may wait for a visitor, look for updates, or slow down what nobody looks at.
const ARGUMENTS: [&str; 14] = [
    "--headless",
    "--no-first-run",
    "--disable-gpu",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--window-size=1000,700",
    // Nobody else is on the machine's loopback, and the tests may run as root, where the sandbox cannot.
    "--no-sandbox",
];

/// What the page said.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    /// When it arrived.
    #[serde(skip, default = "Instant::now")]
    pub(crate) at: Instant,
    /// The name of the frame, as it was opened.
    pub(crate) who: String,
    pub(crate) what: String,
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

impl Report {
    pub(crate) fn number(&self, field: &str) -> f64 {
        self.more.get(field).and_then(Value::as_f64).unwrap_or_default()
    }
}

pub(crate) type Reports = Arc<Mutex<Vec<Report>>>;

/// One player on the page.
#[derive(Serialize)]
pub(crate) struct Frame {
    /// What its reports are known by.
    pub(crate) who: String,
    /// One of those in `tests/players/frame.js`.
    pub(crate) player: &'static str,
    /// What it plays.
    pub(crate) url: String,
}

/// A browser with its page open. Both end when dropped.
pub(crate) struct Browser {
    chromium: Child,
    reports: Reports,
    folder: TempDir,
    _server: Runtime,
}

impl Browser {
    /// Opens the page with these players. It reaches no host but `hosts`, each by a name that only this browser knows, with
    /// or without a port.
    pub(crate) fn open(frames: &[Frame], hosts: &[(String, SocketAddr)]) -> Self {
        let reports = Reports::default();
        let (page, server) = serve_page(frames, Arc::clone(&reports));
        let folder = tempfile::tempdir().expect("folder");
        let rules: Vec<String> = hosts
            .iter()
            .map(|(name, address)| format!("MAP {name} {address}"))
            .chain(["EXCLUDE 127.0.0.1".to_owned(), "MAP * ~NOTFOUND".to_owned()])
            .collect();
        let log = File::create(folder.path().join("log")).expect("log");
        // Its children end with it, and it with the test, however that ends.
        let chromium = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(chromium())
            .args(ARGUMENTS)
            .arg(format!("--host-resolver-rules={}", rules.join(",")))
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("--enable-logging=stderr")
            .arg(format!("http://{page}/page/page.html"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start chromium");
        Self {
            chromium,
            reports,
            folder,
            _server: server,
        }
    }

    /// All that the page has said so far.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.reports.lock().expect("reports").clone()
    }

    /// What Chromium itself has to say, for a failure's message.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
    }
}

fn chromium() -> PathBuf {
    let folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let found = CHROMIUM.iter().find_map(|name| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("none of {CHROMIUM:?} is there: tests/setup installs one"))
}

/// The page and the players it loads, and where it posts its reports.
fn serve_page(frames: &[Frame], reports: Reports) -> (SocketAddr, Runtime) {
    let frames = serde_json::to_value(frames).expect("frames");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let router = Router::new()
        .route("/frames", get(async move || Json(frames)))
        .route("/report", post(report))
        .route("/page/{file}", get(page_file))
        .route("/players/{file}", get(player_file))
        .with_state(reports);
    let socket = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a socket");
    let address = socket.local_addr().expect("an address");
    runtime.spawn(async move { axum::serve(socket, router).await });
    (address, runtime)
}

async fn report(State(reports): State<Reports>, Json(report): Json<Report>) {
    reports.lock().expect("reports").push(report);
}

async fn page_file(UrlPath(file): UrlPath<String>) -> Response {
    send(repository().join("tests/players").join(&file))
}

async fn player_file(UrlPath(file): UrlPath<String>) -> Response {
    match PLAYERS.iter().find(|(name, _)| *name == file) {
        Some((_, path)) => send(repository().join("tests/players/node_modules").join(path)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn send(file: PathBuf) -> Response {
    match std::fs::read(&file) {
        Ok(bytes) => ([(header::CONTENT_TYPE, content_type(&file.to_string_lossy()))], bytes).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{}: {error}", file.display())).into_response(),
    }
}
