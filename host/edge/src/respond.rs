//! The only place where an answer or a refusal becomes a status, header fields and a body.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use wayside_decide::{status::RedirectStatus, target::Target};

use crate::{
    caching::Caching,
    pipeline::{Answer, METHODS},
    refusal::Refusal,
    request_id::RequestId,
};

/// The body of every response that hyper writes: empty, one line of text, or what a player asked for.
pub(crate) type Body = Full<Bytes>;

/// What streams are asked with, one way or another.
const STREAM_METHODS: &str = "GET, HEAD, POST, OPTIONS";
const NOT_KEPT: &str = "no-store";
const TEXT: &str = "text/plain; charset=utf-8";
/// When to come back after 503, in seconds.
const RETRY_AFTER_S: &str = "5";

/// Longest body that the loop of HTTP/1.1 writes together with its head, in bytes: a longer one is not copied.
const BODY_BYTES_COPIED: usize = 16 * 1024;

/// For pages of other sites: players are on them (Fetch §3.2).
const READABLE: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "retry-after"),
];
/// The same, in answer to what a browser asks before it sends a report (Fetch §3.2.3).
const PREFLIGHT: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", STREAM_METHODS),
    (
        "access-control-allow-headers",
        "authorization, content-type, range, cmcd-object, cmcd-request, cmcd-session, cmcd-status",
    ),
    // A day.
    ("access-control-max-age", "86400"),
];

/// What stands in a response's body.
#[derive(Debug)]
enum Content<'a> {
    Text(Cow<'static, str>),
    Shared(&'a Bytes),
}

/// A response as data. What depends on the protocol (length, date, connection) is its writer's.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: StatusCode,
    location: Option<&'a str>,
    allow: Option<&'static str>,
    cache_control: Option<Cow<'static, str>>,
    vary: Option<&'a str>,
    content_type: Option<&'static str>,
    retry_after: Option<Cow<'static, str>>,
    authenticate: Option<&'static str>,
    request_id: Option<String>,
    /// What says that pages of other sites may read it; empty when they may not.
    cors: &'static [(&'static str, &'static str)],
    body: Content<'a>,
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
            authenticate: None,
            request_id: None,
            cors: &[],
            body: Content::Text(Cow::Borrowed("")),
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
            ("retry-after", self.retry_after.as_deref()),
            ("www-authenticate", self.authenticate),
            (RequestId::HEADER, self.request_id.as_deref()),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        fields.chain(self.cors.iter().copied())
    }

    fn bytes(&self) -> &[u8] {
        match &self.body {
            Content::Text(text) => text.as_bytes(),
            Content::Shared(bytes) => bytes,
        }
    }

    /// The body, where [`Self::write_http1`] leaves it out: it is to be written behind what that appended.
    pub(crate) fn rest(&self, is_head: bool) -> Option<Bytes> {
        match &self.body {
            Content::Shared(bytes) if self.is_long() && !is_head => Some((*bytes).clone()),
            _ => None,
        }
    }

    const fn is_long(&self) -> bool {
        match &self.body {
            Content::Text(_) => false,
            Content::Shared(bytes) => bytes.len() > BODY_BYTES_COPIED,
        }
    }

    /// Appends the response as HTTP/1.1 writes it (RFC 9112 §4, §6), up to [`Self::rest`].
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
        let body = self.bytes();
        match body.len() {
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
        if !is_head && !self.is_long() {
            out.extend_from_slice(body);
        }
    }

    /// The response for hyper to write.
    pub(crate) fn to_http(&self) -> Response<Body> {
        let body = match &self.body {
            Content::Text(Cow::Borrowed(text)) => Bytes::from_static(text.as_bytes()),
            Content::Text(Cow::Owned(text)) => Bytes::from(text.clone()),
            Content::Shared(bytes) => (*bytes).clone(),
        };
        let mut response = Response::new(Full::new(body));
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
        Answer::StreamRedirect {
            status,
            target,
            caching,
        } => Reply {
            cors: READABLE,
            ..redirect(*status, target, Some(caching))
        },
        Answer::Content { media_type, body } => Reply {
            cache_control: Some(NOT_KEPT.into()),
            content_type: Some(media_type),
            cors: READABLE,
            body: Content::Shared(body),
            ..Reply::empty(StatusCode::OK)
        },
        Answer::Reported => Reply {
            cache_control: Some(NOT_KEPT.into()),
            cors: READABLE,
            ..Reply::empty(StatusCode::NO_CONTENT)
        },
        Answer::StreamOptions { allow } => Reply {
            allow: Some(allow),
            cors: PREFLIGHT,
            ..Reply::empty(StatusCode::NO_CONTENT)
        },
    }
}

/// The response to a refusal: one line that says what is wrong, and the id under which the log knows it.
pub(crate) fn refuse(refusal: &Refusal, id: RequestId) -> Reply<'static> {
    let (refusal, is_of_stream) = match refusal {
        Refusal::OfStream(refusal) => (&**refusal, true),
        other => (other, false),
    };
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply {
        allow: match refusal {
            Refusal::MethodNotAllowed { allow } => Some(*allow),
            _ => None,
        },
        cache_control: Some(NOT_KEPT.into()),
        content_type: Some(TEXT),
        retry_after: match refusal {
            Refusal::NotYet { retry_after_s } => Some(retry_after_s.to_string().into()),
            _ => (status == StatusCode::SERVICE_UNAVAILABLE).then(|| RETRY_AFTER_S.into()),
        },
        authenticate: matches!(refusal, Refusal::NoKey).then_some("Bearer"),
        request_id: Some(id.to_string()),
        cors: if is_of_stream { READABLE } else { &[] },
        body: Content::Text((refusal.public_message() + "\n").into()),
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt as _;

    use super::{BODY_BYTES_COPIED, STREAM_METHODS, answer, refuse};
    use crate::{pipeline::Answer, refusal::Refusal, request_id::RequestId};

    fn content(bytes: usize) -> Answer {
        Answer::Content {
            media_type: "application/json",
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    #[test]
    fn a_long_body_is_written_behind_its_head_and_a_short_one_with_it() {
        for (bytes, is_apart) in [(0, false), (BODY_BYTES_COPIED, false), (BODY_BYTES_COPIED + 1, true)] {
            let content = content(bytes);
            let reply = answer(&content);
            let mut out = Vec::new();
            reply.write_http1(&mut out, "now", false, false);
            let text = String::from_utf8_lossy(&out);
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("\r\ncontent-length: {bytes}\r\n")), "{head}");
            let rest = reply.rest(false);
            assert_eq!(rest.is_some(), is_apart);
            assert_eq!(body.len() + rest.map_or(0, |rest| rest.len()), bytes);
            assert!(reply.rest(true).is_none(), "HEAD has no body");
        }
    }

    #[tokio::test]
    async fn what_is_about_streams_may_be_read_by_pages_of_other_sites() {
        let told = |refusal: Refusal| refuse(&refusal, RequestId::next()).to_http();
        let asked = answer(&Answer::StreamOptions { allow: "GET" }).to_http();
        assert_eq!(asked.headers()["allow"], "GET");
        assert_eq!(asked.headers()["access-control-allow-methods"], STREAM_METHODS);
        let content = content(3);
        let content = answer(&content).to_http();
        assert_eq!(content.headers()["cache-control"], "no-store");
        let refused = told(Refusal::NotYet { retry_after_s: 7 }.of_stream());
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"7".parse().expect("a value"))
        );
        for response in [&asked, &content, &refused] {
            assert_eq!(response.headers()["access-control-allow-origin"], "*");
        }
        assert_eq!(refused.headers()["access-control-expose-headers"], "retry-after");
        let body = content.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "xxx");
        let key = told(Refusal::NoKey.of_stream());
        assert_eq!(
            (key.status().as_u16(), &key.headers()["www-authenticate"]),
            (401, &"Bearer".parse().expect("a value"))
        );
        assert!(
            !told(Refusal::NotFound)
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}
