//! Targets: servers that players fetch segments from. Each has an address of its own on one port, so that a steering
//! manifest can name it by its host alone, and each can be ill.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpSocket, runtime::Runtime};

use super::{media::Live, tokens::Checker};

/// The folder of an asset that is live begins so.
const LIVE: &str = "live";

/// What is wrong with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// It says of itself that it is not well, and serves all the same.
    Ill,
    /// Its port is closed, and so are its connections.
    Dead,
}

/// A request that a target answered.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) at: Instant,
    /// The target's name.
    pub(crate) target: String,
    /// The first part of the path.
    pub(crate) asset: String,
    /// The rest of the path.
    pub(crate) file: String,
    pub(crate) status: u16,
    /// How large the answer is.
    pub(crate) bytes: u64,
}

impl Served {
    /// Whether it is a segment that was there: what a player plays.
    pub(crate) fn is_segment(&self) -> bool {
        self.status == 200 && self.file.ends_with(".m4s") && !self.file.ends_with("-init.m4s")
    }
}

/// All that was asked of all targets, in order.
pub(crate) type Log = Arc<Mutex<Vec<Served>>>;

/// What the handlers of one target share.
#[derive(Clone)]
struct Shared {
    name: String,
    media: PathBuf,
    live: Live,
    health: Arc<Mutex<Health>>,
    /// What it lets through, when not everything.
    checker: Arc<OnceLock<Checker>>,
    log: Log,
}

/// One target. It ends when dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Bound to the address and never listening: while the target is dead nobody else gets its port.
    _held: TcpSocket,
    shared: Shared,
    runtime: Option<Runtime>,
}

impl Target {
    /// Where its files are.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The same on the default port: only the browser finds it there.
    pub(crate) fn base_on_default_port(&self) -> String {
        format!("http://{}/", self.address.ip())
    }

    /// Where the browser finds it.
    pub(crate) fn hosts(&self) -> [(String, SocketAddr); 2] {
        let without = format!("{}:80", self.address.ip());
        [(self.address.to_string(), self.address), (without, self.address)]
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// From now on it is like this.
    pub(crate) fn be(&mut self, health: Health) {
        *self.shared.health.lock().expect("health") = health;
        if health == Health::Dead {
            self.end();
        } else if self.runtime.is_none() {
            self.serve();
        }
    }

    /// From now on it wants a token for everything but for how it is.
    pub(crate) fn want_tokens(&self) {
        self.shared.checker.get_or_init(Checker::default);
    }

    fn serve(&mut self) {
        const BACKLOG: u32 = 1_024;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
        let socket = bound(self.address).expect("its own address");
        let socket = {
            let _guard = runtime.enter();
            socket.listen(BACKLOG).expect("a socket")
        };
        runtime.spawn(async move { axum::serve(socket, router).await });
        self.runtime = Some(runtime);
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // With its connections, and what is under way on them.
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.end();
    }
}

/// Targets with these names on one free port, over this media; what is asked of them.
pub(crate) fn start(names: &[&str], media: &Path) -> (Vec<Target>, Log) {
    const TRIES: usize = 50;
    let log = Log::default();
    let live = Live::begin();
    let sockets = (0..TRIES)
        .find_map(|_| on_one_port(names.len()).ok())
        .expect("a port free on all addresses");
    let targets = names.iter().zip(sockets).map(|(name, socket)| {
        let mut target = Target {
            address: socket.local_addr().expect("an address"),
            _held: socket,
            shared: Shared {
                name: (*name).to_owned(),
                media: media.to_owned(),
                live,
                health: Arc::new(Mutex::new(Health::Well)),
                checker: Arc::default(),
                log: Arc::clone(&log),
            },
            runtime: None,
        };
        target.serve();
        target
    });
    (targets.collect(), log)
}

fn on_one_port(count: usize) -> io::Result<Vec<TcpSocket>> {
    let mut port = 0;
    let mut sockets = Vec::new();
    for index in 0..count {
        let host = u8::try_from(11 + index).expect("few targets");
        let socket = bound((Ipv4Addr::new(127, 0, 0, host), port).into())?;
        port = socket.local_addr()?.port();
        sockets.push(socket);
    }
    Ok(sockets)
}

/// A socket that shares its address with others of this user that want to, as long as nobody else has it.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    // Connections of its life before may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The log, locked.
pub(crate) fn read(log: &Log) -> MutexGuard<'_, Vec<Served>> {
    log.lock().expect("log")
}

async fn answer(State(target): State<Shared>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/health" {
        let is_ill = *target.health.lock().expect("health") == Health::Ill;
        let status = if is_ill {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        return status.into_response();
    }
    let admitted = match target.checker.get() {
        Some(checker) => checker.admit(path),
        None => Some(path),
    };
    let below = admitted.unwrap_or(path).trim_start_matches('/');
    let (asset, file) = below.split_once('/').unwrap_or((below, ""));
    let response = match admitted {
        Some(_) => serve_file(&target, asset, file),
        None => StatusCode::FORBIDDEN.into_response(),
    };
    read(&target.log).push(Served {
        at: Instant::now(),
        target: target.name.clone(),
        asset: asset.to_owned(),
        file: file.to_owned(),
        status: response.status().as_u16(),
        bytes: response.body().size_hint().exact().unwrap_or_default(),
    });
    with_cors(response)
}

fn serve_file(target: &Shared, asset: &str, file: &str) -> Response {
    // A folder has no folders in it.
    let bytes = (!file.contains('/'))
        .then(|| std::fs::read(target.media.join(file)).ok())
        .flatten();
    let shown = bytes.and_then(|bytes| {
        if asset.starts_with(LIVE) {
            target.live.show(file, bytes)
        } else {
            Some(bytes)
        }
    });
    match shown {
        Some(bytes) => ([(header::CONTENT_TYPE, content_type(file))], Body::from(bytes)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The page is of another origin.
fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// By the file's ending.
pub(crate) fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "m4s" | "mp4" => "video/mp4",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        _ => "application/octet-stream",
    }
}
