//! Redirect targets: the one checker of everything that can become a `Location`.

use std::{fmt, fmt::Write as _, net::Ipv4Addr};

use url::Url;

use crate::{
    invalid::Invalid,
    limits::{TARGET_BYTES_MAX, TARGET_BYTES_PUBLISH},
};

/// An absolute `http` or `https` URL in its normal form: ASCII, a host, no user, no control characters, so that it
/// can stand in a header field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target(Box<str>);

impl Target {
    /// Reads a target that somebody wants to publish.
    ///
    /// # Errors
    /// [`Invalid`] when it is no absolute `http` or `https` URL, names a user, or is too long to publish.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::parse_up_to(text, TARGET_BYTES_PUBLISH)
    }

    /// Reads a target that is about to be sent: already published, or rendered from a template.
    ///
    /// # Errors
    /// As [`Target::parse`], with the edge's larger limit.
    pub fn parse_at_edge(text: &str) -> Result<Self, Invalid> {
        Self::parse_up_to(text, TARGET_BYTES_MAX)
    }

    /// The URL of these parts: a host in lower case without port, and what path and query are made of, one behind the
    /// other. Cheap where all of it is so plain that a parser would leave it as it is.
    ///
    /// # Errors
    /// As [`Target::parse_at_edge`].
    pub fn of_parts(is_secure: bool, host: &str, port: Option<u16>, path_and_query: &[&str]) -> Result<Self, Invalid> {
        let (scheme, own_port) = if is_secure { ("https", 443) } else { ("http", 80) };
        let behind: usize = path_and_query.iter().map(|part| part.len()).sum();
        let port = port.filter(|port| *port != own_port);
        let port_bytes = port.map_or(0, |port| 2 + port.checked_ilog10().unwrap_or_default() as usize);
        // Exactly as long as it gets, for what is left over would be given back.
        let mut text = String::with_capacity(scheme.len() + "://".len() + host.len() + port_bytes + behind);
        text.extend([scheme, "://", host]);
        if let Some(port) = port {
            // Writing to a string does not fail.
            let _ = write!(text, ":{port}");
        }
        let begins = text.len();
        text.extend(path_and_query.iter().copied());
        let (path, query) = text[begins..].split_once('?').unwrap_or_else(|| (&text[begins..], ""));
        let is_plain = path.starts_with('/') && is_plain_path(path) && is_plain_query(query) && is_plain_host(host);
        if is_plain && text.len() <= TARGET_BYTES_MAX {
            return Ok(Self::of_normal(text));
        }
        Self::parse_at_edge(&text)
    }

    /// A URL that is in its normal form already: one that was parsed, with plain text behind its path.
    pub(crate) fn of_normal(text: String) -> Self {
        Self(text.into())
    }

    fn parse_up_to(text: &str, bytes_max: usize) -> Result<Self, Invalid> {
        let url = parse_url(text, bytes_max)?;
        let normal = String::from(url);
        if normal.len() > bytes_max {
            return Err(Invalid::text(
                "target",
                text,
                format!("at most {bytes_max} bytes once normalised"),
            ));
        }
        Ok(Self(normal.into()))
    }

    /// The URL in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host the target leads to, in normal form (IPv6 addresses in brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        authority[after_address..]
            .find(':')
            .map_or(authority, |colon| &authority[..after_address + colon])
    }

    /// Whether the target leads to `host`, in normal form; cheaper than taking it out.
    #[must_use]
    pub fn leads_to(&self, host: &str) -> bool {
        let behind = self.after_scheme().strip_prefix(host);
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with([':', '/', '?', '#']))
    }

    /// The scheme, `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        if self.0.starts_with("https:") { "https" } else { "http" }
    }

    /// Host and, where it is not the scheme's own, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.after_scheme();
        &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
    }

    /// Path and query, without the fragment, which browsers never send.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        let rest = self.after_scheme();
        let path = &rest[self.authority().len()..];
        path.split_once('#').map_or(path, |(path, _)| path)
    }

    /// This target with a request's query added: after the target's own query, before its fragment. Parameters the
    /// target already names are left out, so that a visitor cannot override what the owner fixed.
    ///
    /// # Errors
    /// [`Invalid`] when the result is longer than the edge sends.
    pub fn with_query(&self, query: &str) -> Result<Self, Invalid> {
        let has_empty = query.is_empty() || query.starts_with('&') || query.ends_with('&') || query.contains("&&");
        // Most queries are plain, and most targets have none: then there is nothing to look for.
        if !has_empty && is_plain_query(query) && !self.0.contains(['?', '#']) && self.has_room_for(query) {
            return Ok(Self::of_normal([&*self.0, "?", query].concat()));
        }
        let (base, fragment) = match self.0.split_once('#') {
            Some((base, fragment)) => (base, Some(fragment)),
            None => (&*self.0, None),
        };
        let own = base.split_once('?').map_or("", |(_, own)| own);
        let names_own = |pair: &str| own.split('&').any(|mine| name_of(mine) == name_of(pair));
        let mut text = base.to_owned();
        let mut joint = match base.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        for pair in query
            .split('&')
            .filter(|pair| !pair.is_empty() && (own.is_empty() || !names_own(pair)))
        {
            text.push_str(joint);
            text.push_str(pair);
            joint = "&";
        }
        if let Some(fragment) = fragment {
            text.push('#');
            text.push_str(fragment);
        }
        Self::parse_at_edge(&text)
    }

    /// This target with parameters behind its own query and before its fragment; none when that is longer than the edge
    /// sends. Cheap: for tokens that are put on every URL.
    #[must_use]
    pub fn with_plain_query(&self, parameters: &PlainQuery) -> Option<Self> {
        let PlainQuery(parameters) = parameters;
        if !self.has_room_for(parameters) {
            return None;
        }
        let (sent, fragment) = self.0.split_at(self.0.find('#').unwrap_or(self.0.len()));
        // A query that is there but empty, or ends with its separator, needs no other.
        let joint = match sent.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        Some(Self::of_normal([sent, joint, parameters, fragment].concat()))
    }

    /// This target with a segment in front of its path.
    ///
    /// # Errors
    /// As [`Target::parse_at_edge`].
    pub fn behind_segment(&self, segment: &str) -> Result<Self, Invalid> {
        let (origin, tail) = self.0.split_at(self.0.len() - self.tail().len());
        let text = [origin, "/", segment, tail].concat();
        if is_plain_segment(segment) && text.len() <= TARGET_BYTES_MAX {
            return Ok(Self::of_normal(text));
        }
        Self::parse_at_edge(&text)
    }

    /// Path, query and fragment.
    pub(crate) fn tail(&self) -> &str {
        &self.after_scheme()[self.authority().len()..]
    }

    /// Whether a query and its joint are not too long for the edge to send.
    const fn has_room_for(&self, query: &str) -> bool {
        self.0.len() + query.len() < TARGET_BYTES_MAX
    }

    fn after_scheme(&self) -> &str {
        // One of the two, by the type; tried in the order of how common they are.
        let rest = self
            .0
            .strip_prefix("https://")
            .or_else(|| self.0.strip_prefix("http://"));
        rest.unwrap_or_default()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Parameters of a query that are so plain that a parser of URLs leaves them as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainQuery(Box<str>);

impl PlainQuery {
    /// Takes parameters; none when a parser has to look at them.
    #[must_use]
    pub fn new(parameters: &str) -> Option<Self> {
        is_plain_query(parameters).then(|| Self(parameters.into()))
    }

    /// The parameters.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a parser of URLs leaves a query as it is.
fn is_plain_query(query: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'*' | b'=' | b'&' | b'%' | b'+' | b'/'
            )
    };
    query.bytes().all(is_plain)
}

/// Whether a parser of URLs leaves a path, or a part of one, as it is: nothing in it is escaped, to be escaped, or a
/// segment of dots.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let has_dots = |segment: &str| segment == "." || segment == "..";
    path.bytes().all(is_of_plain_path) && !path.split('/').any(has_dots)
}

/// Whether a parser of URLs leaves a segment of a path as it is.
pub(crate) fn is_plain_segment(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains('/') && is_plain_path(segment)
}

const fn is_of_plain_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        )
}

/// Whether a parser of URLs leaves a host as it is: a name of which no label stands for another, and that it does not take
/// for an address, or an address as it writes it.
fn is_plain_host(host: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| !label.is_empty() && !label.starts_with("xn--") && label.bytes().all(is_of_name);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_name = last.starts_with(|first: char| first.is_ascii_lowercase());
    host.split('.').all(is_label) && (is_name || host.parse::<Ipv4Addr>().is_ok())
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// Everything a URL parser forgives is refused first: browsers forgive differently, and what one skips (a tab, a
/// backslash, a third slash) another takes for an authority.
fn parse_url(text: &str, bytes_max: usize) -> Result<Url, Invalid> {
    let refuse = |expected: &str| Err(Invalid::text("target", text, expected));
    if text.len() > bytes_max {
        return refuse(&format!("at most {bytes_max} bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("a URL without white space or control characters");
    }
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let Some(rest) = ["https://", "http://"]
        .iter()
        .find_map(|prefix| lower.starts_with(prefix).then(|| &text[prefix.len()..]))
    else {
        return refuse("an absolute URL that starts with `http://` or `https://`");
    };
    if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']) {
        return refuse("a host after the scheme");
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('\\') {
        return refuse("a URL without a backslash in its authority");
    }
    if authority.contains('@') {
        return refuse("a URL without a user before the host");
    }
    match Url::parse(text) {
        Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url),
        Ok(_) => refuse("a host after the scheme"),
        Err(error) => refuse(&format!("an absolute URL ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{PlainQuery, Target};

    #[test]
    fn targets_are_normalised_or_refused() {
        for (text, expected) in [
            ("https://example.com", Some("https://example.com/")),
            ("HTTPS://EXAMPLE.com:443/a?b#c", Some("https://example.com/a?b#c")),
            ("https://bücher.example/ü", Some("https://xn--bcher-kva.example/%C3%BC")),
            ("https://example。com/", Some("https://example.com/")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("ftp://example.com/", None),
            ("/relative", None),
            ("//evil.example", None),
            ("http://", None),
            ("http:///evil", None),
            ("https:/evil", None),
            ("https://?x", None),
            ("https://\\evil", None),
            ("https://good.example\\evil", None),
            ("https://good@evil.example/", None),
            ("https://a.example/\r\nSet-Cookie: x", None),
            ("https://a.example/\tb", None),
            ("https://a.example/\u{0}", None),
            (" https://a.example/", None),
            ("https://a.example:99999/", None),
        ] {
            assert_eq!(
                Target::parse(text).ok().as_ref().map(Target::as_str),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_edge_sends_a_little_more_than_can_be_published() {
        let text = format!("https://a.example/{}", "x".repeat(9_000));
        assert!(Target::parse(&text).is_err());
        assert!(Target::parse_at_edge(&text).is_ok());
    }

    #[test]
    fn parts_are_where_they_stand() {
        let target = Target::parse("https://[2001:db8::1]:8443/a/b?c=d#e").expect("target");
        assert_eq!(target.scheme(), "https");
        assert_eq!(target.authority(), "[2001:db8::1]:8443");
        assert_eq!(target.host(), "[2001:db8::1]");
        assert_eq!(target.path_and_query(), "/a/b?c=d");
        assert!(target.leads_to("[2001:db8::1]") && !target.leads_to("[2001:db8::1") && !target.leads_to("a.example"));
    }

    #[test]
    fn a_query_is_added_without_overriding_the_owner() {
        for (target, query, expected) in [
            ("https://a.example/", "x=1", "https://a.example/?x=1"),
            (
                "https://a.example/?id=7#top",
                "id=8&x=1",
                "https://a.example/?id=7&x=1#top",
            ),
            ("https://a.example/?", "x=1", "https://a.example/?x=1"),
            ("https://a.example/", "", "https://a.example/"),
            ("https://a.example/", "&&", "https://a.example/"),
        ] {
            let joined = Target::parse(target)
                .and_then(|target| target.with_query(query))
                .expect("target");
            assert_eq!(joined.as_str(), expected, "{target} + {query}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_query_is_what_a_parser_leaves_as_it_is(
            tail in "[a-c/]{0,5}(\\?[a-c=&%]{0,6})?(#[a-c?]{0,4})?", parameters in "[a-cA%=&~*!'\" é+/._-]{1,10}",
        ) {
            let target = Target::parse(&format!("https://a.example/{tail}")).expect("a target");
            let with = PlainQuery::new(&parameters).and_then(|parameters| target.with_plain_query(&parameters));
            if let Some(with) = with {
                let parsed = Target::parse(with.as_str());
                prop_assert_eq!(parsed.as_ref(), Ok(&with));
                prop_assert!(with.path_and_query().ends_with(&parameters));
            }
        }

        #[test]
        fn what_is_made_of_parts_is_what_a_parser_makes_of_them(
            is_secure in any::<bool>(),
            host in "(xn--)?[a-c0-9x_-]{1,4}(\\.[a-c0-9x_-]{1,4}){0,4}|\\[::1?\\]",
            port in proptest::option::of(prop_oneof![Just(80_u16), Just(443), any::<u16>()]),
            path in "/[a-c./:@~ %\\\\]{0,12}(\\?[a-c=&%' ]{0,6})?",
        ) {
            let scheme = if is_secure { "https" } else { "http" };
            let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
            let parsed = Target::parse_at_edge(&format!("{scheme}://{host}{port_text}{path}"));
            let (one, other) = path.split_at(1);
            let made = Target::of_parts(is_secure, &host, port, &[one, other]);
            prop_assert_eq!(made.ok(), parsed.ok());
        }

        #[test]
        fn a_query_and_a_segment_are_joined_as_a_parser_joins_them(
            tail in "[a-c/]{0,5}(\\?[a-c=&]{0,6})?(#[a-c]{0,4})?", query in "[a-c=&%'é]{0,8}", segment in "[a-c./_%é-]{1,8}",
        ) {
            let target = Target::parse(&format!("https://a.example:81/{tail}")).expect("a target");
            let with = target.with_query(&query).expect("a target");
            prop_assert_eq!(Target::parse(with.as_str()), Ok(with.clone()));
            prop_assert!(!target.as_str().contains(['?', '#']) || with.as_str().starts_with(target.as_str().split('#').next().expect("a part")));
            let behind = target.behind_segment(&segment).expect("a target");
            let parsed = Target::parse(&format!("https://a.example:81/{segment}/{tail}"));
            prop_assert_eq!(Ok(behind), parsed);
        }
    }
}
