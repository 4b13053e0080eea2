//! Host names and the patterns that sites match them with.

use std::{borrow::Cow, fmt};

use crate::{invalid::Invalid, limits::HOST_BYTES_MAX};

const EXPECTED: &str = "a host name or address without scheme, port or path, such as `go.example.com`";

/// A host name or IP address: ASCII, lower case, no port, no trailing dot. International names stand in their
/// `xn--` form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Box<str>);

impl HostName {
    /// Reads a host name as a person or a configuration writes it.
    ///
    /// # Errors
    /// [`Invalid`] when it is empty, too long, or holds a character that no host name has.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let ascii = match url::Host::parse(text.trim_end_matches('.')) {
            Ok(url::Host::Domain(domain)) => domain,
            // `1.1` and `0x7f.1` are addresses to a URL parser, and something else to everybody else.
            Ok(url::Host::Ipv4(address)) if address.to_string() != text.trim_end_matches('.') => {
                return Err(Invalid::text(
                    "host name",
                    text,
                    "an IPv4 address as four decimal numbers",
                ));
            }
            Ok(address) => address.to_string(),
            Err(_) => return Err(Invalid::text("host name", text, EXPECTED)),
        };
        if !is_host(&ascii) {
            return Err(Invalid::text("host name", text, EXPECTED));
        }
        Ok(Self(ascii.into()))
    }

    /// The name in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The host of an authority as it stands in a request (`Host` field or `:authority`), normalised: the port and a
/// trailing dot are cut off, letters are lower case. Borrows when nothing had to change, which is the usual case.
///
/// # Errors
/// [`Invalid`] when the text is not `host` or `host:port` (RFC 9110 §7.2).
pub fn host_of_authority(authority: &str) -> Result<Cow<'_, str>, Invalid> {
    let expected = "`host` or `host:port` (RFC 9110 §7.2)";
    let (host, port) = split_port(authority);
    // An empty port is none (RFC 3986 §3.2.3).
    let port_is_number = port.is_none_or(|port| port.is_empty() || is_port(port));
    let host = host.strip_suffix('.').unwrap_or(host);
    if !port_is_number || !is_host_of_any_case(host) {
        return Err(Invalid::text("Host", authority, expected));
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(host))
}

/// The port of an authority, when it names one.
#[must_use]
pub fn port_of_authority(authority: &str) -> Option<u16> {
    split_port(authority).1.and_then(|port| port.parse().ok())
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    // An IPv6 address has colons of its own and stands in brackets (RFC 3986 §3.2.2).
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_address..].find(':') {
        Some(colon) => (
            &authority[..after_address + colon],
            Some(&authority[after_address + colon + 1..]),
        ),
        None => (authority, None),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_host(text: &str) -> bool {
    is_host_of_any_case(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host_of_any_case(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let mut before = b'.';
    for byte in text.bytes() {
        let is_allowed = match byte {
            // No label is empty.
            b'.' => before != b'.',
            b'-' | b'_' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !is_allowed {
            return false;
        }
        before = byte;
    }
    !text.is_empty() && text.len() <= HOST_BYTES_MAX
}

/// Which hosts a site answers for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(HostName),
    /// Every host below this one, at any depth, but not the host itself: `*.example.com`.
    Below(HostName),
}

impl HostPattern {
    /// Reads `go.example.com` or `*.example.com`, which somebody wants to publish.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither, or the wildcard covers what nobody owns.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let pattern = Self::parse_published(text)?;
        let Self::Below(HostName(parent)) = &pattern else {
            return Ok(pattern);
        };
        let is_address = parent.starts_with('[') || parent.parse::<std::net::Ipv4Addr>().is_ok();
        // Nobody owns a whole top-level domain but `localhost` (RFC 6761 §6.3).
        if is_address || !(parent.contains('.') || &**parent == "localhost") {
            let expected = "`*.` before a domain of two labels or more, such as `*.example.com`, or `*.localhost`";
            return Err(Invalid::text("host name", text, expected));
        }
        Ok(pattern)
    }

    /// Reads a pattern that was published, perhaps when more was allowed: its site goes on.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither a host name nor one after `*.`.
    pub fn parse_published(text: &str) -> Result<Self, Invalid> {
        let Some(parent) = text.strip_prefix("*.") else {
            return HostName::parse(text).map(Self::Exact).map_err(|error| Invalid {
                expected: format!("{}, or `*.` before a host name", error.expected),
                ..error
            });
        };
        let parent = HostName::parse(parent);
        parent
            .map(Self::Below)
            .map_err(|error| Invalid::text("host name", text, error.expected))
    }

    /// The name in the pattern: the host itself, or the one that the hosts are below.
    #[must_use]
    pub const fn name(&self) -> &HostName {
        match self {
            Self::Exact(name) | Self::Below(name) => name,
        }
    }

    /// Every wildcard that covers all that this pattern covers, itself left out; the closest first.
    pub fn wider(&self) -> impl Iterator<Item = String> {
        let mut rest = self.name().as_str();
        std::iter::from_fn(move || {
            let (_, parent) = rest.split_once('.')?;
            rest = parent;
            Some(format!("*.{parent}"))
        })
    }

    /// Whether `host`, in normal form, matches.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::Below(parent) => host
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(formatter),
            Self::Below(parent) => write!(formatter, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HostName, HostPattern, host_of_authority, port_of_authority};

    #[test]
    fn names_are_normalised_or_refused() {
        for (text, expected) in [
            ("Go.Example.COM.", Some("go.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("", None),
            ("a b", None),
            ("a/b", None),
            ("a:80", None),
            ("user@a", None),
            ("a..b", None),
            ("1.1", None),
            ("0x7f.0.0.1", None),
        ] {
            assert_eq!(
                HostName::parse(text).ok().as_ref().map(HostName::as_str),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn authorities_lose_their_port_and_case() {
        for (text, expected) in [
            ("localhost:8080", Some("localhost")),
            ("LOCALHOST", Some("localhost")),
            ("a.example.", Some("a.example")),
            ("[::1]:80", Some("[::1]")),
            ("a:", Some("a")),
            ("a:port", None),
            ("a b/../x@y", None),
            ("", None),
            (":80", None),
            ("a:80:80", None),
            ("[::g]", None),
        ] {
            assert_eq!(host_of_authority(text).ok().as_deref(), expected, "{text:?}");
        }
        assert_eq!(port_of_authority("[::1]:8080"), Some(8080));
        assert_eq!(port_of_authority("[::1]"), None);
    }

    #[test]
    fn a_wildcard_matches_below_only() {
        let pattern = HostPattern::parse("*.example.com").expect("pattern");
        assert!(pattern.matches("a.example.com") && pattern.matches("a.b.example.com"));
        assert!(
            !pattern.matches("example.com") && !pattern.matches("badexample.com") && !pattern.matches(".example.com")
        );
        assert!(HostPattern::parse("a.*.com").is_err());
    }

    #[test]
    fn a_wildcard_over_what_nobody_owns_is_read_but_not_published() {
        for (text, is_publishable) in [
            ("*.com", false),
            ("*.127.0.0.1", false),
            ("*.[::1]", false),
            ("*.localhost", true),
            ("*.t.example", true),
        ] {
            assert_eq!(HostPattern::parse(text).is_ok(), is_publishable, "{text}");
            let published = HostPattern::parse_published(text).expect(text);
            assert_eq!(published.to_string(), text);
        }
    }
}
