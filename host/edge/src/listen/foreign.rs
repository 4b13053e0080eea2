//! What the HTTP/1.1 loop does not read, through hyper: HTTP/2, and HTTP/1 requests of other methods, with a body, with
//! something to ask of the connection, or malformed.
//!
//! In: a connection and what it has sent already. Out: answers from the same pipeline. A connection stays here to its end.

use std::{convert::Infallible, net::IpAddr, rc::Rc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::{Body as _, Incoming},
    server::conn,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{
    HTTP2_PREFACE,
    guard::{self, Guarded, Watch},
    worker::Worker,
};
use crate::{
    head::{self, Head},
    respond::Body,
};

/// What HTTP/1 reads ahead, in bytes: the request line and the fields, each at its limit, and some more, so that a
/// request that is a little too large gets an answer that says so.
const HTTP1_BUFFER_BYTES: usize = 40 * 1024;
/// Fields HTTP/1 reads; one more than the edge accepts would be answered by hyper itself.
const HTTP1_FIELDS_MAX: usize = 96;
/// Requests at the same time on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 100;
/// HTTP/2 flow control of one stream, in bytes: requests have small bodies, if any.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// HTTP/2 flow control of one connection, in bytes.
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often an HTTP/2 connection is probed, and how long an answer may take.
const HTTP2_PROBE: Duration = Duration::from_secs(20);

/// Serves the rest of a connection that has sent `first`, which is not empty.
pub(super) async fn serve(worker: Rc<Worker>, watch: &Rc<Watch>, stream: TcpStream, first: Vec<u8>, peer: IpAddr) {
    let is_http2 = first.starts_with(HTTP2_PREFACE);
    let service = service_fn({
        let watch = Rc::clone(watch);
        move |request| answer(Rc::clone(&worker), watch.begin_request(is_http2), request, peer)
    });
    let transport = Guarded::new(TokioIo::new(stream), first.into(), Rc::clone(watch));
    if is_http2 {
        let connection = http2().serve_connection(transport, service);
        guard::drive(connection, watch, |connection| connection.graceful_shutdown()).await;
    } else {
        let connection = http1().serve_connection(transport, service);
        guard::drive(connection, watch, |connection| connection.graceful_shutdown()).await;
    }
}

fn http1() -> conn::http1::Builder {
    let mut builder = conn::http1::Builder::new();
    builder
        // `guard` ends slow heads: hyper's own timer costs an allocation and two timer-wheel changes a request.
        .header_read_timeout(None)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        // No `pipeline_flush`: with it, hyper keeps its 400 for a head it cannot parse to itself.
        .max_headers(HTTP1_FIELDS_MAX);
    builder
}

fn http2() -> conn::http2::Builder<LocalExecutor> {
    let mut builder = conn::http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HTTP1_BUFFER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PROBE)
        .keep_alive_timeout(HTTP2_PROBE);
    builder
}

async fn answer(
    worker: Rc<Worker>,
    busy: guard::Busy,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let fields = head::lend(&parts.headers);
    let head = Head::of_parts(&parts, &fields, &[]);
    let sender = match body.is_end_stream() {
        true => None,
        false => worker.sender(&head, peer).await,
    };
    let response = match sender {
        Some((kind, address)) => match worker.bodies.read(body, kind, address).await {
            Ok(body) => {
                let head = Head { body: &body, ..head };
                worker.answer(&head, peer, |reply| reply.to_http()).await
            }
            Err(refusal) => worker.refuse(&refusal, Some(&head), |reply| reply.to_http()),
        },
        None => {
            // None, or one without a meaning; hyper reads past a small one and closes after a large one.
            drop(body);
            worker.answer(&head, peer, |reply| reply.to_http()).await
        }
    };
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
