//! A request's head as text, and its body where that means something, whoever read them: the pipeline knows no parser.
//!
//! HTTP/1.1's own loop and hyper both lend what they hold; nothing is copied on the way.

use http::{HeaderMap, Version, request::Parts};
use httparse::Header;

/// The head of one request. Borrows from the buffer it arrived in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'r> {
    pub(crate) method: &'r str,
    /// The path as it was sent.
    pub(crate) path: &'r str,
    /// The query as it was sent, without `?`.
    pub(crate) query: Option<&'r str>,
    /// The authority of an absolute request target, or `:authority`.
    pub(crate) authority: Option<&'r str>,
    /// Whether the connection carries one authority only, so that a wrong one was misdirected (RFC 9110 §15.5.20).
    pub(crate) is_authority_bound: bool,
    pub(crate) fields: Fields<'r>,
    /// The body, of requests that have one with a meaning ([`crate::listen`]); else nothing.
    pub(crate) body: &'r [u8],
}

impl<'r> Head<'r> {
    /// The head that hyper read; `fields` are those of its parts.
    pub(crate) fn of_parts(parts: &'r Parts, fields: &'r [Header<'r>], body: &'r [u8]) -> Self {
        Self {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
            is_authority_bound: parts.version >= Version::HTTP_2,
            fields: Fields(fields),
            body,
        }
    }
}

/// Lends hyper's header fields in the shape of [`Fields`].
pub(crate) fn lend(headers: &HeaderMap) -> Vec<Header<'_>> {
    let lent = headers.iter().map(|(name, value)| Header {
        name: name.as_str(),
        value: value.as_bytes(),
    });
    lent.collect()
}

/// Header fields in the order they were sent. Names match in any case (RFC 9110 §5.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'r>(pub(crate) &'r [Header<'r>]);

impl<'r> Fields<'r> {
    /// Every value of the field.
    pub(crate) fn all(self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The first value of the field.
    pub(crate) fn first(self, name: &str) -> Option<&'r [u8]> {
        self.all(name).next()
    }

    /// How many fields there are.
    pub(crate) const fn count(self) -> usize {
        self.0.len()
    }

    /// What names and values take together, in bytes.
    pub(crate) fn bytes(self) -> usize {
        self.0.iter().map(|field| field.name.len() + field.value.len()).sum()
    }
}
