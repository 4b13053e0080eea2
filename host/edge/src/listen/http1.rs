//! HTTP/1.1 for the requests that visitors send: a head in one piece, no body.
//!
//! In: a connection. Out: its answers; or, at the first request that is more than that, the connection and what it has
//! sent so far, for hyper to go on with. This file must not know what bodies and upgrades mean.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
};

use httparse::Header;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};
use wayside_decide::{invalid::Invalid, limits::HEADER_COUNT_MAX};

use super::{HTTP2_PREFACE, buffers::READ_BYTES, guard::Watch, worker::Worker};
use crate::{
    head::{Fields, Head},
    refusal::Refusal,
    respond::Reply,
};

/// What a client may send behind a request that cannot be read, in bytes, before it is cut off.
const LINGER_BYTES: usize = 256 * 1024;
/// Output that is written at the latest before the next request of a pipeline is answered, in bytes.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Why the loop ended with the connection still open.
pub(super) enum Left {
    /// It has ended, or is to be closed.
    Over,
    /// It goes on with these bytes, the start of something that is not read here.
    Rest(Vec<u8>),
}

/// Answers the requests of a connection, as far as they are plain.
pub(super) async fn serve(
    worker: &Worker,
    watch: &Rc<Watch>,
    stream: &mut TcpStream,
    peer: IpAddr,
) -> io::Result<Left> {
    let mut connection = Connection {
        worker,
        watch,
        stream,
        peer,
        rest: Vec::new(),
    };
    loop {
        let Some((input, length)) = connection.read().await? else {
            return Ok(Left::Over);
        };
        let mut output = worker.buffers.take_write();
        let end = connection.answer_all(&input[..length], &mut output).await?;
        connection.write(&output).await?;
        worker.buffers.put_write(output);
        worker.buffers.put_read(input);
        match end {
            End::NeedsMore => {}
            End::IsLast => return Ok(Left::Over),
            End::IsUnreadable => {
                connection.linger().await?;
                return Ok(Left::Over);
            }
            End::IsForeign => return Ok(Left::Rest(connection.rest)),
        }
    }
}

struct Connection<'c> {
    worker: &'c Worker,
    watch: &'c Rc<Watch>,
    stream: &'c mut TcpStream,
    peer: IpAddr,
    /// The start of a head whose end has not arrived.
    rest: Vec<u8>,
}

/// Why there is nothing more to answer in what was read.
enum End {
    NeedsMore,
    /// The client said, or the node drains: this was the connection's last answer.
    IsLast,
    /// What follows has been refused: it is no request, and where the next one begins nobody can say.
    IsUnreadable,
    /// What follows is not for this loop.
    IsForeign,
}

impl Connection<'_> {
    /// Waits for input: what was left over and what has arrived behind it. None at the end of the connection.
    async fn read(&mut self) -> io::Result<Option<(Box<[u8]>, usize)>> {
        let worker = self.worker;
        let Self {
            watch, stream, rest, ..
        } = self;
        let (buffer, length) = poll_fn(|context| {
            if watch.is_draining() && rest.is_empty() {
                return Poll::Ready(Ok((Box::default(), 0)));
            }
            let mut buffer = worker.buffers.take_read();
            let kept = rest.len();
            buffer[..kept].copy_from_slice(rest);
            let mut unread = ReadBuf::new(&mut buffer[kept..]);
            match Pin::new(&mut **stream).poll_read(context, &mut unread) {
                Poll::Ready(Ok(())) => {
                    let arrived = unread.filled().len();
                    let length = if arrived == 0 { 0 } else { kept + arrived };
                    Poll::Ready(Ok((buffer, length)))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    worker.buffers.put_read(buffer);
                    Poll::Pending
                }
            }
        })
        .await?;
        if length == 0 {
            return Ok(None);
        }
        watch.note_read();
        rest.clear();
        Ok(Some((buffer, length)))
    }

    /// Answers every plain request in `input`; what is left of it is kept as the rest.
    async fn answer_all(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<End> {
        let mut unread = input;
        while !unread.is_empty() {
            // Filled in by the parser: zeroing them would cost more than reading most heads.
            let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADER_COUNT_MAX];
            let request = match parse(unread, &mut fields) {
                Parsed::Plain(request) => request,
                Parsed::Unfinished => break,
                Parsed::Foreign => {
                    self.rest = unread.to_vec();
                    return Ok(End::IsForeign);
                }
                Parsed::Unreadable(refusal) => {
                    let write = |reply: &Reply<'_>| {
                        self.worker
                            .clock
                            .with_date(|date| reply.write_http1(output, date, false, true));
                    };
                    self.worker.refuse(&refusal, None, write);
                    return Ok(End::IsUnreadable);
                }
            };
            unread = &unread[request.length..];
            let busy = self.watch.begin_request(false);
            let is_head = request.head.method == "HEAD";
            // Known before the reply is written, so that the client hears that it is the last.
            let is_last = request.is_last || self.watch.is_draining();
            let clock = &self.worker.clock;
            let write = |reply: &Reply<'_>| {
                clock.with_date(|date| reply.write_http1(output, date, is_head, is_last));
                reply.rest(is_head)
            };
            if let Some(rest) = self.worker.answer(&request.head, self.peer, write).await {
                self.write(output).await?;
                output.clear();
                self.write(&rest).await?;
            }
            drop(busy);
            if is_last {
                return Ok(End::IsLast);
            }
            if output.len() >= OUTPUT_BYTES {
                self.write(output).await?;
                output.clear();
            }
        }
        if !unread.is_empty() {
            self.rest.extend_from_slice(unread);
            // The client has begun another request, and its time runs.
            self.watch.note_read();
        }
        Ok(End::NeedsMore)
    }

    /// Closes our side and reads on for a while: a connection closed over unread input is reset, and the client would
    /// never read the answer (RFC 9112 §9.6).
    async fn linger(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut *self.stream).poll_shutdown(context)).await?;
        self.rest.clear();
        let mut unread = LINGER_BYTES;
        while let Some((buffer, length)) = self.read().await? {
            self.worker.buffers.put_read(buffer);
            unread = unread.saturating_sub(length);
            if unread == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn write(&mut self, output: &[u8]) -> io::Result<()> {
        let mut written = 0;
        poll_fn(|context| {
            while written < output.len() {
                let polled = Pin::new(&mut *self.stream).poll_write(context, &output[written..]);
                self.watch.note_write(polled.is_pending());
                match ready!(polled)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => written += count,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// What a connection has sent.
enum Parsed<'b> {
    Plain(Plain<'b>),
    /// The start of a head.
    Unfinished,
    /// A request of another kind.
    Foreign,
    /// No request.
    Unreadable(Refusal),
}

/// A request without a body that asks nothing of the connection but, perhaps, to end it.
struct Plain<'b> {
    head: Head<'b>,
    /// How many bytes it is long.
    length: usize,
    /// Whether the client sends no other.
    is_last: bool,
}

fn parse<'b>(bytes: &'b [u8], fields: &'b mut [MaybeUninit<Header<'b>>]) -> Parsed<'b> {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Parsed::Foreign;
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return Parsed::Unfinished;
    }
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < READ_BYTES => return Parsed::Unfinished,
        Ok(httparse::Status::Partial) => return Parsed::Unreadable(too_large(bytes)),
        Err(httparse::Error::TooManyHeaders) => return Parsed::Unreadable(Refusal::HeadersTooLarge),
        Err(error) => {
            let expected = "an HTTP/1.1 request (RFC 9112 §3)";
            return Parsed::Unreadable(Refusal::Malformed(Invalid::other(
                "request",
                error.to_string(),
                expected,
            )));
        }
    };
    let (Some(method @ ("GET" | "HEAD" | "OPTIONS")), Some(target), Some(1)) =
        (request.method, request.path, request.version)
    else {
        return Parsed::Foreign;
    };
    // RFC 9112 §3.2: a path, the asterisk of `OPTIONS *`, or an absolute URL, which is hyper's to take apart.
    if !target.starts_with('/') && target != "*" {
        return Parsed::Foreign;
    }
    if target.contains('#') {
        let invalid = Invalid::text("path", target, "a path without a fragment");
        return Parsed::Unreadable(Refusal::Malformed(invalid));
    }
    let fields: &'b [Header<'b>] = request.headers;
    let mut is_last = false;
    for field in fields {
        match role(field) {
            Role::Nothing => {}
            Role::Close => is_last = true,
            Role::Foreign => return Parsed::Foreign,
        }
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let head = Head {
        method,
        path,
        query,
        authority: None,
        is_authority_bound: false,
        fields: Fields(fields),
        body: &[],
    };
    Parsed::Plain(Plain { head, length, is_last })
}

/// Which limit a head has passed whose end is further than a buffer holds.
fn too_large(bytes: &[u8]) -> Refusal {
    let first_line_ends = bytes.iter().take(READ_BYTES / 2).any(|byte| *byte == b'\n');
    if first_line_ends {
        Refusal::HeadersTooLarge
    } else {
        Refusal::UriTooLong
    }
}

/// What a field means for the connection and for the request's body.
enum Role {
    Nothing,
    /// The connection ends after this request (RFC 9112 §9.6).
    Close,
    /// More than this loop knows.
    Foreign,
}

fn role(field: &Header<'_>) -> Role {
    let is_named = |name: &str| field.name.eq_ignore_ascii_case(name);
    match field.name.len() {
        6 if is_named("expect") => Role::Foreign,
        7 if is_named("upgrade") => Role::Foreign,
        10 if is_named("connection") => match field.value {
            value if value.eq_ignore_ascii_case(b"keep-alive") => Role::Nothing,
            value if value.eq_ignore_ascii_case(b"close") => Role::Close,
            _ => Role::Foreign,
        },
        14 if is_named("content-length") => Role::Foreign,
        17 if is_named("transfer-encoding") => Role::Foreign,
        _ => Role::Nothing,
    }
}
