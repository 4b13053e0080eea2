//! Servers that stand where an origin should: they answer nonsense, hang, break off, or only pass on slowly.

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{Router, body::Body, response::Html, routing::any};
use futures_util::{StreamExt as _, stream};

/// How a server is broken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Broken {
    /// Speaks another protocol.
    OtherProtocol,
    /// Answers 200 with a page.
    Page,
    /// Answers 404 in words that are not an origin's.
    Elsewhere,
    /// Begins an answer and never goes on.
    HangsAfterHeaders,
    /// Breaks an answer off.
    BreaksOff,
}

/// A server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _ends: Ends,
}

enum Ends {
    Runtime(Option<tokio::runtime::Runtime>),
    Thread(Arc<AtomicBool>, SocketAddr),
}

impl Drop for Ends {
    fn drop(&mut self) {
        match self {
            Self::Runtime(runtime) => {
                if let Some(runtime) = runtime.take() {
                    runtime.shutdown_background();
                }
            }
            Self::Thread(is_over, address) => {
                is_over.store(true, Ordering::Relaxed);
                // Wakes the thread that accepts.
                let _ = TcpStream::connect(*address);
            }
        }
    }
}

impl Broken {
    pub(crate) const ALL: [Self; 5] = [
        Self::OtherProtocol,
        Self::Page,
        Self::Elsewhere,
        Self::HangsAfterHeaders,
        Self::BreaksOff,
    ];

    pub(crate) fn serve(self) -> Server {
        let router = match self {
            Self::OtherProtocol => return other_protocol(),
            Self::Page => Router::new().fallback(any(|| async { Html("<h1>It works!</h1>") })),
            Self::Elsewhere => Router::new(),
            Self::HangsAfterHeaders => {
                let body = || Body::from_stream(stream::pending::<Result<&str, Infallible>>());
                Router::new().fallback(any(move || async move { body() }))
            }
            Self::BreaksOff => {
                let parts = || [Ok("{\"cursor\":"), Err(std::io::Error::other("broken"))];
                let body = move || Body::from_stream(stream::iter(parts()).boxed());
                Router::new().fallback(any(move || async move { body() }))
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let socket = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a socket");
        let address = socket.local_addr().expect("an address");
        runtime.spawn(async move { axum::serve(socket, router).await });
        Server {
            address,
            _ends: Ends::Runtime(Some(runtime)),
        }
    }
}

fn other_protocol() -> Server {
    let (address, is_over) = accept(|mut stream, _| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    Server {
        address,
        _ends: Ends::Thread(is_over, address),
    }
}

/// Passes bytes on to an origin, and after a while only slowly.
pub(crate) struct SlowPath {
    pub(crate) address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    _ends: Ends,
}

impl SlowPath {
    pub(crate) fn to(origin: SocketAddr) -> Self {
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        let (address, is_over) = accept(move |visitor, _| {
            let Ok(origin) = TcpStream::connect(origin) else { return };
            let (Ok(to_visitor), Ok(from_origin)) = (visitor.try_clone(), origin.try_clone()) else {
                return;
            };
            let delay = Arc::clone(&delay);
            thread::spawn(move || pass(from_origin, to_visitor, &delay));
            pass(visitor, origin, &AtomicU64::new(0));
        });
        Self {
            address,
            delay_ms,
            _ends: Ends::Thread(is_over, address),
        }
    }

    /// What the origin says from now on waits so long.
    pub(crate) fn delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).expect("milliseconds");
        self.delay_ms.store(ms, Ordering::Relaxed);
    }
}

/// Passes bytes on to an origin, and cuts every connection after a while.
pub(crate) struct CutPath {
    pub(crate) address: SocketAddr,
    _ends: Ends,
}

impl CutPath {
    pub(crate) fn to(origin: SocketAddr, after: Duration) -> Self {
        let (address, is_over) = accept(move |visitor, _| {
            let Ok(origin) = TcpStream::connect(origin) else { return };
            let ends = [visitor.try_clone(), origin.try_clone()];
            let (Ok(to_visitor), Ok(from_origin)) = (visitor.try_clone(), origin.try_clone()) else {
                return;
            };
            thread::spawn(move || pass(from_origin, to_visitor, &AtomicU64::new(0)));
            thread::spawn(move || pass(visitor, origin, &AtomicU64::new(0)));
            thread::sleep(after);
            for end in ends.into_iter().flatten() {
                let _ = end.shutdown(std::net::Shutdown::Both);
            }
        });
        Self {
            address,
            _ends: Ends::Thread(is_over, address),
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay_ms: &AtomicU64) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        thread::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Accepts connections until told to stop, each on a thread of its own.
fn accept(handle: impl Fn(TcpStream, SocketAddr) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicBool>) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, handle) = (Arc::clone(&is_over), Arc::new(handle));
    thread::spawn(move || {
        while let Ok((stream, from)) = socket.accept() {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(stream, from));
        }
    });
    (address, is_over)
}
