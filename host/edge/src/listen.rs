//! Listening: one thread a core, each with its own socket on the same port, its own runtime and its own connections.
//!
//! The kernel spreads connections over the sockets (SO_REUSEPORT), and nothing is shared between the threads on the
//! way of a request but what the pipeline reads. HTTP/1.1 and HTTP/2 without TLS come by the same port; both become
//! the same `http` types here, so that the pipeline knows neither.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::watch,
};

use crate::{
    metrics::Shard,
    pipeline::{self, Edge},
    request_id::RequestId,
    respond,
};

mod guard;
mod socket;

use guard::{Guarded, Registry};

/// What HTTP/1 reads ahead, in bytes: the request line and the fields, each at its limit, and some more, so that a
/// request that is a little too large gets an answer that says so.
const HTTP1_BUFFER_BYTES: usize = 40 * 1024;
/// Fields HTTP/1 reads; one more than the edge accepts would be answered by hyper itself.
const HTTP1_FIELDS_MAX: usize = 96;
/// Requests at the same time on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 100;
/// HTTP/2 flow control of one stream, in bytes: requests have no bodies worth reading.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// HTTP/2 flow control of one connection, in bytes.
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often an HTTP/2 connection is probed, and how long an answer may take.
const HTTP2_PROBE: Duration = Duration::from_secs(20);
/// How long the accept loop rests after an error such as too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long connections may finish when the node drains.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there.
    #[error("{address}: the port is taken; choose another, or 0 for any free one")]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("{address}: listen: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("start a listening thread: {0}")]
    Thread(io::Error),
}

impl ListenError {
    /// What the system's refusal to listen on `address` means.
    pub(crate) fn explain(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { address },
            _ => Self::Refused { address, source },
        }
    }
}

/// The listening threads of a node.
pub(crate) struct Listeners {
    address: SocketAddr,
    drain: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// Listens on `address` with `threads` threads; port 0 picks a free one.
    pub(crate) fn start(edge: &Arc<Edge>, address: SocketAddr, threads: usize) -> Result<Self, ListenError> {
        let sockets = socket::bind_shared(address, threads)?;
        let address = sockets
            .first()
            .and_then(|socket| socket.local_addr().ok())
            .unwrap_or(address);
        let (drain, draining) = watch::channel(false);
        let mut listeners = Self {
            address,
            drain,
            threads: Vec::new(),
        };
        for (index, socket) in sockets.into_iter().enumerate() {
            let worker = Worker {
                edge: Arc::clone(edge),
                shard: edge.metrics.shard(),
            };
            let draining = draining.clone();
            let thread = std::thread::Builder::new()
                .name(format!("edge-{index}"))
                .spawn(move || run_thread(worker, socket, draining))
                .map_err(ListenError::Thread)?;
            listeners.threads.push(thread);
        }
        Ok(listeners)
    }

    /// Where the threads listen.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, lets every request that has begun finish, and returns when the threads have ended.
    pub(crate) async fn drain(self) {
        self.drain.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a listening thread had panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("waiting for the listening threads failed");
        }
    }
}

struct Worker {
    edge: Arc<Edge>,
    shard: Arc<Shard>,
}

fn run_thread(worker: Worker, socket: std::net::TcpListener, draining: watch::Receiver<bool>) {
    // A local runtime, not a `LocalSet` on another: the latter passes each wake from the network through a locked queue.
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "start the runtime of a listening thread");
            return;
        }
    };
    runtime.block_on(accept(Rc::new(worker), socket, draining));
}

async fn accept(worker: Rc<Worker>, socket: std::net::TcpListener, mut draining: watch::Receiver<bool>) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "hand the socket to the runtime");
            return;
        }
    };
    let registry = Rc::new(Registry::default());
    let sweeper = tokio::task::spawn_local(guard::sweep(Rc::clone(&registry)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(serve(Rc::clone(&worker), Rc::clone(&registry), stream, peer.ip()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    registry.drain();
    let give_up = Instant::now() + DRAIN_MAX;
    while !registry.is_empty() && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sweeper.abort();
}

async fn serve(worker: Rc<Worker>, registry: Rc<Registry>, stream: TcpStream, peer: IpAddr) {
    // Responses are small and written whole; waiting to fill a packet only adds delay.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let watch = registry.enter();
    let service = service_fn({
        let watch = Rc::clone(&watch);
        // An IPv4 client of a dual-stack socket is an IPv4 client.
        let peer = peer.to_canonical();
        move |request| respond_to(Rc::clone(&worker), watch.begin_request(&request), request, peer)
    });
    let builder = connection_builder();
    let connection = builder.serve_connection(Guarded::new(TokioIo::new(stream), Rc::clone(&watch)), service);
    // A connection that breaks is the client's affair; what was answered is counted already.
    guard::drive(connection, &watch).await;
    registry.leave(&watch);
}

fn connection_builder() -> auto::Builder<LocalExecutor> {
    let mut builder = auto::Builder::new(LocalExecutor);
    builder
        .http1()
        // `guard` ends slow heads: hyper's own timer costs an allocation and two timer-wheel changes a request.
        .header_read_timeout(None)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        // No `pipeline_flush`: with it, hyper keeps its 400 for a head it cannot parse to itself.
        .max_headers(HTTP1_FIELDS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HTTP1_BUFFER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PROBE)
        .keep_alive_timeout(HTTP2_PROBE);
    builder
}

/// One request: read the clock, decide, respond, count. Nothing is logged unless something is wrong on this side.
async fn respond_to(
    worker: Rc<Worker>,
    busy: guard::Busy,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<http::Response<respond::Body>, Infallible> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    // No method that is answered has a body with a meaning; hyper reads past a small one and closes after a large one.
    drop(body);
    let response = match pipeline::answer(&worker.edge, &worker.shard, &parts, peer, started).await {
        Ok(answer) => respond::answer(&answer),
        Err(refusal) => {
            let id = RequestId::next();
            worker.shard.count_refusal(&refusal);
            if refusal.is_ours() {
                let reason = refusal.detail().unwrap_or_default();
                tracing::warn!(request_id = %id, kind = refusal.label(), host = ?parts.headers.get("host"),
                    path = parts.uri.path(), reason, "refused a request");
            }
            respond::refuse(&refusal, id)
        }
    };
    worker.shard.count(response.status().as_u16(), started.elapsed());
    drop(busy);
    Ok(response)
}

/// Runs HTTP/2 streams on the thread of their connection.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
