//! The only place where an answer or a refusal becomes a status, header fields and a body.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use wayside_decide::{status::RedirectStatus, target::Target};

use crate::{pipeline::Answer, refusal::Refusal, request_id::RequestId};

/// The body of every response: empty, or one line of text.
pub(crate) type Body = Full<Bytes>;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// For answers that may differ between visitors: 301 and 308 are kept by shared caches unless told otherwise
/// (RFC 9111 §4.2.2).
const PERSONAL: HeaderValue = HeaderValue::from_static("private, no-cache");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// When to come back after 503, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");

/// The response to an answer.
pub(crate) fn answer(answer: &Answer) -> Response<Body> {
    match answer {
        Answer::Link(plain) => match plain.parts() {
            Some((status, target)) => redirect(status, target, false),
            None => empty(StatusCode::NOT_FOUND),
        },
        Answer::Redirect {
            status,
            target,
            is_personal,
        } => redirect(*status, target, *is_personal),
        Answer::Options => {
            let mut response = empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(header::ALLOW, METHODS);
            response
        }
    }
}

/// The response to a refusal: one line that says what is wrong, and the id under which the log knows it.
pub(crate) fn refuse(refusal: &Refusal, id: RequestId) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(Bytes::from(refusal.public_message() + "\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    headers.insert(header::CACHE_CONTROL, NOT_KEPT);
    headers.insert(RequestId::HEADER, id.to_header());
    if matches!(refusal, Refusal::MethodNotAllowed) {
        headers.insert(header::ALLOW, METHODS);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

fn redirect(status: RedirectStatus, target: &Target, is_personal: bool) -> Response<Body> {
    // A target is ASCII without control characters by its type, so this is a header value.
    let Ok(location) = HeaderValue::from_str(target.as_str()) else {
        return empty(StatusCode::BAD_GATEWAY);
    };
    let mut response = empty(StatusCode::from_u16(status.code()).unwrap_or(StatusCode::FOUND));
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    if is_personal {
        headers.insert(header::CACHE_CONTROL, PERSONAL);
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}
