//! Who asks for what: the first step of a request, where its text becomes types.
//!
//! In: a request's head and the peer's address. Out: a [`Visit`], or the [`Refusal`] that a malformed request gets.
//! Everything behind this step may rely on it: the host is a host name, the path starts with one slash, the address is
//! the visitor's as far as configured proxies can be believed.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use wayside_decide::{
    host,
    invalid::Invalid,
    limits::{HEADER_BYTES_MAX, HEADER_COUNT_MAX, URI_BYTES_MAX},
    path,
};

use crate::{
    clock::Now,
    head::{Fields, Head},
    refusal::Refusal,
};

/// One request, read. Borrows from the request's head.
#[derive(Debug)]
pub(crate) struct Visit<'r> {
    pub(crate) head: &'r Head<'r>,
    /// The request's host in normal form, without port.
    pub(crate) host: Cow<'r, str>,
    /// The port the request names, when it names one.
    pub(crate) port: Option<u16>,
    /// The path in the normal form of links.
    pub(crate) key: Cow<'r, str>,
    /// Whether the visitor came by TLS, here or at a trusted proxy.
    pub(crate) is_secure: bool,
    /// The visitor's address.
    pub(crate) address: IpAddr,
    /// When the request arrived. The one instant that everything about it is judged by.
    pub(crate) now: Now,
}

impl<'r> Visit<'r> {
    /// Reads the head of a request that came from `peer`.
    ///
    /// # Errors
    /// [`Refusal`] for what no client may send: see DESIGN and RFC 9110 §7.2, RFC 9112 §3.2.
    pub(crate) fn read(head: &'r Head<'r>, peer: IpAddr, trusted: &[IpNet], now: Now) -> Result<Self, Refusal> {
        check_sizes(head)?;
        let (host, port) = read_host(head)?;
        // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
        let is_asterisk = head.method == "OPTIONS" && head.path == "*";
        if !is_asterisk && !path::is_single_slashed(head.path) {
            return Err(Refusal::Malformed(Invalid::text(
                "path",
                head.path,
                "a path that starts with exactly one slash",
            )));
        }
        let is_proxied = trusted.iter().any(|network| network.contains(&peer));
        Ok(Self {
            head,
            host,
            port,
            key: path::normalise(head.path),
            is_secure: is_proxied && is_forwarded_as_https(head.fields),
            address: if is_proxied {
                forwarded_address(head.fields, peer, trusted)
            } else {
                peer
            },
            now,
        })
    }

    /// The scheme as the visitor sees it.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }
}

fn check_sizes(head: &Head<'_>) -> Result<(), Refusal> {
    let query_bytes = head.query.map_or(0, |query| query.len() + 1);
    if head.path.len() + query_bytes > URI_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    if head.fields.bytes() > HEADER_BYTES_MAX || head.fields.count() > HEADER_COUNT_MAX {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// The one host of a request. HTTP/1.1 requires exactly one `Host` field, and an absolute request target or
/// `:authority` must agree with it: two readers of one request may never see two hosts.
fn read_host<'r>(head: &Head<'r>) -> Result<Authority<'r>, Refusal> {
    let refuse = |found: String, expected: &str| Err(Refusal::Malformed(Invalid::other("Host", found, expected)));
    let expected = "exactly one `Host` field (RFC 9112 §3.2)";
    let mut fields = head.fields.all("host");
    let field = match fields.next() {
        Some(value) => match str::from_utf8(value) {
            Ok(text) if text.is_ascii() => Some(read_authority(text)?),
            _ => return refuse("bytes outside ASCII".to_owned(), "a host name in its `xn--` form"),
        },
        None => None,
    };
    if fields.next().is_some() {
        return refuse("more than one `Host` field".to_owned(), expected);
    }
    let authority = head.authority.map(read_authority).transpose()?;
    match (authority, field) {
        (Some(authority), Some(field)) if !are_same(&authority, &field) => refuse(
            format!("`Host` {} in a request for {}", shown(&field), shown(&authority)),
            "the host of the request's target",
        ),
        (Some(authority), _) => Ok(authority),
        (None, Some(field)) => Ok(field),
        (None, None) => refuse("no `Host` field".to_owned(), expected),
    }
}

type Authority<'r> = (Cow<'r, str>, Option<u16>);

/// A port left out is one of the two that need not be named.
fn are_same(one: &Authority<'_>, other: &Authority<'_>) -> bool {
    let same_port = match (one.1, other.1) {
        (Some(one), Some(other)) => one == other,
        (None, None) => true,
        (Some(named), None) | (None, Some(named)) => matches!(named, 80 | 443),
    };
    one.0 == other.0 && same_port
}

fn shown((host, port): &Authority<'_>) -> String {
    port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
}

fn read_authority(text: &str) -> Result<Authority<'_>, Refusal> {
    let host = host::host_of_authority(text).map_err(Refusal::Malformed)?;
    Ok((host, host::port_of_authority(text)))
}

/// The address a chain of trusted proxies saw: from the right, the first that is not one of them. Entries further to
/// the left are the client's own claim. Anything unreadable ends the chain.
fn forwarded_address(fields: Fields<'_>, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer;
    let fields: Vec<&str> = fields
        .all("x-forwarded-for")
        .map(|value| str::from_utf8(value).unwrap_or_default())
        .collect();
    for entry in fields.iter().rev().flat_map(|field| field.rsplit(',')) {
        let Some(entry) = read_forwarded(entry.trim()) else {
            break;
        };
        address = entry;
        if !trusted.iter().any(|network| network.contains(&address)) {
            break;
        }
    }
    address
}

/// Proxies write an address bare, with a port, or in brackets with one.
fn read_forwarded(entry: &str) -> Option<IpAddr> {
    let bare = entry.parse().ok();
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.or_else(in_brackets).or_else(with_port)
}

fn is_forwarded_as_https(fields: Fields<'_>) -> bool {
    fields
        .first("x-forwarded-proto")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use httparse::Header;

    use super::Visit;
    use crate::{
        clock::Clock,
        head::{Fields, Head},
        refusal::Refusal,
    };

    type FieldTexts<'t> = &'t [(&'t str, &'t str)];

    /// Reads a request and hands the visit on; `authority` is that of an absolute target.
    fn read<T>(
        authority: Option<&str>,
        path: &str,
        fields: FieldTexts<'_>,
        peer: &str,
        use_visit: impl FnOnce(&Visit<'_>) -> T,
    ) -> Result<T, Refusal> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = Head {
            method: "GET",
            path,
            query: None,
            authority,
            is_authority_bound: false,
            fields: Fields(&fields),
            body: &[],
        };
        let trusted = ["10.0.0.0/8".parse().expect("network")];
        let peer = peer.parse().expect("address");
        Visit::read(&head, peer, &trusted, Clock::new().now()).map(|visit| use_visit(&visit))
    }

    #[test]
    fn the_host_is_one_or_the_request_is_refused() {
        for (authority, fields, expected) in [
            (None, &[("host", "Go.Example:80")][..], Some("go.example")),
            (None, &[("Host", "go.example")], Some("go.example")),
            (Some("go.example"), &[("host", "go.example")], Some("go.example")),
            (Some("go.example"), &[], Some("go.example")),
            (Some("go.example"), &[("host", "other.example")], None),
            (Some("go.example:80"), &[("host", "go.example")], Some("go.example")),
            (Some("go.example:8080"), &[("host", "go.example")], None),
            (None, &[("host", "go.example:65536")], None),
            (None, &[], None),
            (None, &[("host", "a.example"), ("Host", "a.example")], None),
            (None, &[("host", "a b/../x@y")], None),
            (None, &[("host", "bücher.example")], None),
            (None, &[("host", "")], None),
        ] {
            let host = read(authority, "/", fields, "192.0.2.1", |visit| visit.host.to_string());
            assert_eq!(host.ok().as_deref(), expected, "{authority:?} {fields:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_say_who_the_visitor_is() {
        for (peer, forwarded, expected) in [
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7, 10.2.3.4", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
            ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
            ("10.0.0.1", "198.51.100.7, rubbish", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            let fields = [("host", "a.example"), ("x-forwarded-for", forwarded)];
            let address = read(None, "/", &fields, peer, |visit| visit.address.to_string());
            assert_eq!(address.expect("visit"), expected, "{peer} {forwarded}");
        }
    }

    #[test]
    fn the_scheme_is_forwarded_by_trusted_proxies_only() {
        let fields = [("host", "a.example"), ("x-forwarded-proto", "https")];
        for (peer, expected) in [("10.0.0.1", "https"), ("192.0.2.1", "http")] {
            let scheme = read(None, "/", &fields, peer, |visit| visit.scheme());
            assert_eq!(scheme.expect("visit"), expected, "{peer}");
        }
    }

    #[test]
    fn what_is_too_long_or_looks_like_an_authority_is_refused() {
        let refusal = |path: &str, field: &str| {
            let fields = [("host", "a.example"), ("x-long", field)];
            read(None, path, &fields, "192.0.2.1", |_| ()).expect_err("a refusal")
        };
        let long_path = format!("/{}", "x".repeat(8192));
        assert!(matches!(refusal(&long_path, ""), Refusal::UriTooLong));
        let long_field = "x".repeat(16 * 1024);
        assert!(matches!(refusal("/", &long_field), Refusal::HeadersTooLarge));
        assert!(matches!(refusal("//evil.example/", ""), Refusal::Malformed(_)));
    }
}
