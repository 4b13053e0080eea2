//! The accept loop and its connections.

use std::{future::Future, io, pin::pin, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time,
};

use crate::tls::Tls;

/// How long a client may take to shake hands, in TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 client may take to send a request's head.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Requests at the same time on one HTTP/2 connection: a node asks for many links at once when it starts.
const HTTP2_STREAMS_MAX: u32 = 1_000;
/// Requests of one HTTP/2 connection that were given up before their turn. One more ends the connection, and all on it with
/// it, so it is as many as there may be at the same time: a busy server's nodes give up many loads at once.
const HTTP2_GIVEN_UP_MAX: usize = HTTP2_STREAMS_MAX as usize;
/// Largest list of header fields in HTTP/2, in bytes.
const HTTP2_FIELDS_BYTES_MAX: u32 = 32 * 1024;
/// How often an HTTP/2 connection is probed, and how long an answer may take: who is gone without a word holds a
/// connection no longer than both.
const HTTP2_PROBE: Duration = Duration::from_secs(20);
/// How long the loop rests when the system gives no connection, for want of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves `router` on `socket` until `stop` resolves. Then nothing more is accepted, and requests under way have
/// `drain_max` to finish.
pub async fn serve(
    socket: TcpListener,
    router: Router,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
    drain_max: Duration,
) {
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    let mut has_told = false;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                has_told = false;
                // Answers are small and written at once.
                let _ = stream.set_nodelay(true);
                let watcher = connections.watcher();
                let (router, tls) = (router.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, router, watcher).await,
                        Some(tls) => match shake_hands(&tls, stream).await {
                            Ok(stream) => talk(stream, router, watcher).await,
                            // Anybody can send anything.
                            Err(error) => tracing::debug!(%error, "no TLS handshake"),
                        },
                    }
                });
            }
            // The client went away before its turn.
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut has_told, true) {
                    tracing::error!(%error, "accept connections; trying again");
                }
                time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(socket);
    if time::timeout(drain_max, connections.shutdown()).await.is_err() {
        tracing::info!("cut off requests that did not finish in time");
    }
}

async fn shake_hands(tls: &Tls, stream: TcpStream) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    time::timeout(HANDSHAKE_MAX, tls.acceptor().accept(stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How a connection ends is its client's business.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error, "a connection ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_GIVEN_UP_MAX)
        .max_header_list_size(HTTP2_FIELDS_BYTES_MAX)
        .keep_alive_interval(HTTP2_PROBE)
        .keep_alive_timeout(HTTP2_PROBE);
    builder
}

fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
