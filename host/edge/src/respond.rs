//! The only place where an answer or a refusal becomes a status, header fields and a body.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use wayside_decide::{status::RedirectStatus, target::Target};

use crate::{caching::Caching, pipeline::Answer, refusal::Refusal, request_id::RequestId};

/// The body of every response that hyper writes: empty, or one line of text.
pub(crate) type Body = Full<Bytes>;

const METHODS: &str = "GET, HEAD, OPTIONS";
const NOT_KEPT: &str = "no-store";
const TEXT: &str = "text/plain; charset=utf-8";
/// When to come back after 503, in seconds.
const RETRY_AFTER_S: &str = "5";

/// A response as data. What depends on the protocol (length, date, connection) is its writer's.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: StatusCode,
    location: Option<&'a str>,
    allow: Option<&'static str>,
    cache_control: Option<Cow<'static, str>>,
    vary: Option<&'a str>,
    content_type: Option<&'static str>,
    retry_after: Option<&'static str>,
    request_id: Option<String>,
    body: Cow<'static, str>,
}

impl Reply<'_> {
    const fn empty(status: StatusCode) -> Self {
        Self {
            status,
            location: None,
            allow: None,
            cache_control: None,
            vary: None,
            content_type: None,
            retry_after: None,
            request_id: None,
            body: Cow::Borrowed(""),
        }
    }

    /// The header fields, names in lower case.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("location", self.location),
            ("allow", self.allow),
            ("cache-control", self.cache_control.as_deref()),
            ("vary", self.vary),
            ("content-type", self.content_type),
            ("retry-after", self.retry_after),
            (RequestId::HEADER, self.request_id.as_deref()),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Appends the response as HTTP/1.1 writes it (RFC 9112 §4, §6).
    pub(crate) fn write_http1(&self, out: &mut Vec<u8>, date: &str, is_head: bool, is_last: bool) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
        let mut push = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        for (name, value) in self.fields() {
            push(name, value);
        }
        match self.body.len() {
            // RFC 9110 §8.6: never with 204.
            0 if self.status == StatusCode::NO_CONTENT => {}
            0 => push("content-length", "0"),
            length => push("content-length", &length.to_string()),
        }
        push("date", date);
        if is_last {
            push("connection", "close");
        }
        out.extend_from_slice(b"\r\n");
        if !is_head {
            out.extend_from_slice(self.body.as_bytes());
        }
    }

    /// The response for hyper to write.
    pub(crate) fn to_http(&self) -> Response<Body> {
        let mut response = Response::new(Full::new(Bytes::from(self.body.clone().into_owned())));
        *response.status_mut() = self.status;
        for (name, value) in self.fields() {
            // Every value is text of ours or a target, which is ASCII without control characters by its type.
            match HeaderValue::from_str(value) {
                Ok(value) => response.headers_mut().insert(HeaderName::from_static(name), value),
                Err(_) => return empty_http(StatusCode::BAD_GATEWAY),
            };
        }
        response
    }
}

/// The response to an answer.
pub(crate) fn answer(answer: &Answer) -> Reply<'_> {
    match answer {
        Answer::Link(plain) => match plain.parts() {
            Some((status, target)) => Reply {
                cache_control: plain.caching().cache_control(),
                ..redirect(status, target, None)
            },
            None => Reply::empty(StatusCode::NOT_FOUND),
        },
        Answer::Redirect {
            status,
            target,
            caching,
        } => redirect(*status, target, Some(caching)),
        Answer::Options => Reply {
            allow: Some(METHODS),
            ..Reply::empty(StatusCode::NO_CONTENT)
        },
    }
}

/// The response to a refusal: one line that says what is wrong, and the id under which the log knows it.
pub(crate) fn refuse(refusal: &Refusal, id: RequestId) -> Reply<'static> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply {
        allow: matches!(refusal, Refusal::MethodNotAllowed).then_some(METHODS),
        cache_control: Some(NOT_KEPT.into()),
        content_type: Some(TEXT),
        retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S),
        request_id: Some(id.to_string()),
        body: Cow::Owned(refusal.public_message() + "\n"),
        ..Reply::empty(status)
    }
}

fn redirect<'a>(status: RedirectStatus, target: &'a Target, caching: Option<&'a Caching>) -> Reply<'a> {
    Reply {
        location: Some(target.as_str()),
        cache_control: caching.and_then(Caching::cache_control),
        vary: caching.and_then(Caching::vary),
        ..Reply::empty(StatusCode::from_u16(status.code()).unwrap_or(StatusCode::FOUND))
    }
}

fn empty_http(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}
