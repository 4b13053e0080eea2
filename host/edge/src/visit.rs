//! Who asks for what: the first step of a request, where its text becomes types.
//!
//! In: a request's head and the peer's address. Out: a [`Visit`], or the [`Refusal`] that a malformed request gets.
//! Everything behind this step may rely on it: the host is a host name, the path starts with one slash, the address is
//! the visitor's as far as configured proxies can be believed.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, Version, header, request::Parts};
use ipnet::IpNet;
use wayside_decide::{
    host,
    invalid::Invalid,
    limits::{HEADER_BYTES_MAX, HEADER_COUNT_MAX, URI_BYTES_MAX},
    path,
};

use crate::refusal::Refusal;

/// One request, read. Borrows from the request's head.
#[derive(Debug)]
pub(crate) struct Visit<'r> {
    pub(crate) parts: &'r Parts,
    /// The request's host in normal form, without port.
    pub(crate) host: Cow<'r, str>,
    /// The port the request names, when it names one.
    pub(crate) port: Option<u16>,
    /// The path as it was sent.
    pub(crate) path: &'r str,
    /// The path in the normal form of links.
    pub(crate) key: Cow<'r, str>,
    /// The query as it was sent, without `?`.
    pub(crate) query: Option<&'r str>,
    /// Whether the visitor came by TLS, here or at a trusted proxy.
    pub(crate) is_secure: bool,
    /// The visitor's address.
    pub(crate) address: IpAddr,
    /// When the request arrived. The one instant that everything about it is judged by.
    pub(crate) instant: Instant,
    /// The same instant by the calendar: seconds since 1970 UTC, 0 on a clock before that.
    pub(crate) now_s: u64,
}

impl<'r> Visit<'r> {
    /// Reads the head of a request that came from `peer`.
    ///
    /// # Errors
    /// [`Refusal`] for what no client may send: see DESIGN and RFC 9110 §7.2, RFC 9112 §3.2.
    pub(crate) fn read(parts: &'r Parts, peer: IpAddr, trusted: &[IpNet], instant: Instant) -> Result<Self, Refusal> {
        check_sizes(parts)?;
        let (host, port) = read_host(parts)?;
        let path = parts.uri.path();
        if !path::is_single_slashed(path) {
            return Err(Refusal::Malformed(Invalid::text(
                "path",
                path,
                "a path that starts with exactly one slash",
            )));
        }
        let is_proxied = trusted.iter().any(|network| network.contains(&peer));
        Ok(Self {
            parts,
            host,
            port,
            path,
            key: path::normalise(path),
            query: parts.uri.query(),
            is_secure: is_proxied && is_forwarded_as_https(&parts.headers),
            address: if is_proxied {
                forwarded_address(&parts.headers, peer, trusted)
            } else {
                peer
            },
            instant,
            now_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        })
    }

    /// The scheme as the visitor sees it.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// Whether the connection carries one authority only, so that a wrong one was misdirected (RFC 9110 §15.5.20).
    pub(crate) fn is_authority_bound(&self) -> bool {
        self.parts.version >= Version::HTTP_2
    }
}

fn check_sizes(parts: &Parts) -> Result<(), Refusal> {
    let query_bytes = parts.uri.query().map_or(0, |query| query.len() + 1);
    if parts.uri.path().len() + query_bytes > URI_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    let header_bytes: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if header_bytes > HEADER_BYTES_MAX || parts.headers.len() > HEADER_COUNT_MAX {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// The one host of a request. HTTP/1.1 requires exactly one `Host` field, and an absolute request target or
/// `:authority` must agree with it: two readers of one request may never see two hosts.
fn read_host(parts: &Parts) -> Result<(Cow<'_, str>, Option<u16>), Refusal> {
    let expected = "exactly one `Host` field (RFC 9112 §3.2)";
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Refusal::Malformed(Invalid::other(
            "Host",
            "more than one `Host` field",
            expected,
        )));
    }
    let field = match field {
        Some(value) => {
            let text = value.to_str().map_err(|_| {
                Refusal::Malformed(Invalid::other(
                    "Host",
                    "bytes outside ASCII",
                    "a host name in its `xn--` form",
                ))
            })?;
            Some((
                host::host_of_authority(text).map_err(Refusal::Malformed)?,
                host::port_of_authority(text),
            ))
        }
        None => None,
    };
    let authority = match parts.uri.authority() {
        Some(authority) => {
            let text = authority.as_str();
            Some((
                host::host_of_authority(text).map_err(Refusal::Malformed)?,
                host::port_of_authority(text),
            ))
        }
        None => None,
    };
    match (authority, field) {
        (Some(authority), Some(field)) if authority != field => {
            let found = format!("`Host` {} in a request for {}", field.0, authority.0);
            Err(Refusal::Malformed(Invalid::other(
                "Host",
                found,
                "the host of the request's target",
            )))
        }
        (Some(authority), _) => Ok(authority),
        (None, Some(field)) => Ok(field),
        (None, None) => Err(Refusal::Malformed(Invalid::other("Host", "no `Host` field", expected))),
    }
}

/// The address a chain of trusted proxies saw: from the right, the first that is not one of them. Entries further to
/// the left are the client's own claim. Anything unreadable ends the chain.
fn forwarded_address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer;
    let fields: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
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

fn is_forwarded_as_https(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http::Request;

    use super::Visit;
    use crate::refusal::Refusal;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("request").into_parts().0
    }

    fn read<'r>(parts: &'r http::request::Parts, peer: &str) -> Result<Visit<'r>, Refusal> {
        let trusted = ["10.0.0.0/8".parse().expect("network")];
        Visit::read(parts, peer.parse().expect("address"), &trusted, Instant::now())
    }

    #[test]
    fn the_host_is_one_or_the_request_is_refused() {
        for (uri, headers, expected) in [
            ("/", &[("host", "Go.Example:80")][..], Some("go.example")),
            ("http://go.example/", &[("host", "go.example")], Some("go.example")),
            ("http://go.example/", &[], Some("go.example")),
            ("http://go.example/", &[("host", "other.example")], None),
            ("/", &[], None),
            ("/", &[("host", "a.example"), ("host", "a.example")], None),
            ("/", &[("host", "a b/../x@y")], None),
            ("/", &[("host", "")], None),
        ] {
            let parts = parts(uri, headers);
            let visit = read(&parts, "192.0.2.1");
            assert_eq!(
                visit.ok().map(|visit| visit.host.into_owned()).as_deref(),
                expected,
                "{uri} {headers:?}"
            );
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
            let parts = parts("/", &[("host", "a.example"), ("x-forwarded-for", forwarded)]);
            let visit = read(&parts, peer).expect("visit");
            assert_eq!(visit.address.to_string(), expected, "{peer} {forwarded}");
        }
    }

    #[test]
    fn the_scheme_is_forwarded_by_trusted_proxies_only() {
        let parts = parts("/", &[("host", "a.example"), ("x-forwarded-proto", "https")]);
        assert_eq!(read(&parts, "10.0.0.1").expect("visit").scheme(), "https");
        assert_eq!(read(&parts, "192.0.2.1").expect("visit").scheme(), "http");
    }

    #[test]
    fn what_is_too_long_or_looks_like_an_authority_is_refused() {
        let host = ("host", "a.example");
        let long_path = format!("/{}", "x".repeat(8192));
        assert!(matches!(
            read(&parts(&long_path, &[host]), "192.0.2.1"),
            Err(Refusal::UriTooLong)
        ));
        let long_field = "x".repeat(16 * 1024);
        let fields = [host, ("x-long", &long_field)];
        assert!(matches!(
            read(&parts("/", &fields), "192.0.2.1"),
            Err(Refusal::HeadersTooLarge)
        ));
        assert!(matches!(
            read(&parts("//evil.example/", &[host]), "192.0.2.1"),
            Err(Refusal::Malformed(_))
        ));
    }
}
