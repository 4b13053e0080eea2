//! Listening: one thread a core, each with its own socket on the same port, its own runtime and its own connections.
//!
//! The kernel spreads connections over the sockets (SO_REUSEPORT), and nothing is shared between the threads on the
//! way of a request but what the pipeline reads. HTTP/1.1 and HTTP/2 without TLS come by the same port; both become
//! the same `http` types here, so that the pipeline knows neither.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::watch,
};

use crate::{degradation::pulse, pipeline::Edge};

mod bodies;
mod buffers;
mod foreign;
mod guard;
mod http1;
mod socket;
mod worker;

use guard::Registry;
use worker::Worker;

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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
            let (edge, draining) = (Arc::clone(edge), draining.clone());
            let thread = std::thread::Builder::new()
                .name(format!("edge-{index}"))
                .spawn(move || run_thread(edge, socket, draining))
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

fn run_thread(edge: Arc<Edge>, socket: std::net::TcpListener, draining: watch::Receiver<bool>) {
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
    let pulse = edge.degradation.pulse();
    runtime.block_on(async {
        tokio::task::spawn_local(pulse::beat(pulse));
        accept(Rc::new(Worker::new(edge)), socket, draining).await;
    });
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
                tokio::task::spawn_local(serve(Rc::clone(&worker), Rc::clone(&registry), stream, peer));
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

async fn serve(worker: Rc<Worker>, registry: Rc<Registry>, mut stream: TcpStream, peer: SocketAddr) {
    // Responses are small and written whole; waiting to fill a packet only adds delay.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    // An IPv4 client of a dual-stack socket is an IPv4 client.
    let peer = peer.ip().to_canonical();
    let watch = registry.enter();
    if worker.is_short_of_everything() {
        watch.answer_one();
    }
    let plain = guard::until_doomed(http1::serve(&worker, &watch, &mut stream, peer), &watch).await;
    if let Some(Ok(http1::Left::Rest(first))) = plain {
        foreign::serve(worker, &watch, stream, first, peer).await;
    }
    registry.leave(&watch);
}
