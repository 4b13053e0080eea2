//! A binding: which policy decides below which path of a site.

use std::{collections::BTreeMap, fmt};

use crate::{digest::Digest, invalid::Invalid, limits::NAME_BYTES_MAX, name::Name, path::LinkPath};

/// What holds when a policy gives no decision. There is no default: whoever binds a policy says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureMode {
    /// Go on as if the policy had said `proceed`.
    Open,
    /// Refuse with 503.
    Closed,
}

impl FailureMode {
    /// Reads `open` or `closed`.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            _ => Err(Invalid::text(
                "failure mode",
                text,
                "`open` (go on without the policy) or `closed` (503)",
            )),
        }
    }

    /// `open` or `closed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for FailureMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What tells one visitor from another in `visitor.bucket`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum VisitorKey {
    /// The address; of IPv6 the first 64 bits, as the rest changes while the visitor stays.
    #[default]
    Address,
    /// The value of this cookie; the address of those who send none.
    Cookie(Box<str>),
    /// The value of this header field, its name in lower case; the address of those who send none.
    Header(Box<str>),
}

impl VisitorKey {
    /// Reads `address`, `cookie:NAME` or `header:NAME`.
    ///
    /// # Errors
    /// [`Invalid`] when it is none of these, or the name cannot be one (RFC 9110 §5.6.2, RFC 6265 §4.1.1).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let expected = "`address`, `cookie:NAME` or `header:NAME`";
        match text.split_once(':') {
            None if text == "address" => Ok(Self::Address),
            Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.into())),
            Some(("header", name)) if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            _ => Err(Invalid::text("visitor key", text, expected)),
        }
    }
}

impl fmt::Display for VisitorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => formatter.write_str("address"),
            Self::Cookie(name) => write!(formatter, "cookie:{name}"),
            Self::Header(name) => write!(formatter, "header:{name}"),
        }
    }
}

fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_token_byte)
}

/// The part of a site a binding covers: a path and everything below it, by whole segments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(LinkPath);

impl Prefix {
    /// Reads `/`, which covers the whole site, or `/geo`, which covers `/geo` and `/geo/…`.
    ///
    /// # Errors
    /// [`Invalid`] when it is no path, ends in a slash and is longer than one, or has a segment `.` or `..`: browsers and
    /// players leave these out before they ask (WHATWG URL, "path state"), so that nothing would ever be below it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > 1 && text.ends_with('/') {
            return Err(Invalid::text(
                "prefix",
                text,
                "a path without a slash at the end, such as `/geo`",
            ));
        }
        let path = LinkPath::parse(text).map_err(|error| Invalid {
            what: "prefix",
            ..error
        })?;
        if path.as_str().split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Invalid::text(
                "prefix",
                text,
                "a path without the segments `.` and `..`",
            ));
        }
        Ok(Self(path))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a request path in normal form lies in this part.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let prefix = self.as_str();
        prefix == "/"
            || path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A policy at work on a part of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The part of the site.
    pub prefix: Prefix,
    /// The policy's name.
    pub policy: Name,
    /// The policy's version.
    pub digest: Digest,
    /// What the policy can read by `settings.get`.
    pub settings: BTreeMap<Box<str>, Box<str>>,
    /// What holds when the policy gives no decision.
    pub on_failure: FailureMode,
    /// What `visitor.bucket` tells visitors apart by.
    pub visitor_key: VisitorKey,
}

#[cfg(test)]
mod tests {
    use super::{Prefix, VisitorKey};

    #[test]
    fn a_visitor_key_reads_as_it_is_written() {
        for text in ["address", "cookie:session", "header:x-user"] {
            assert_eq!(VisitorKey::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(VisitorKey::parse("header:X-User"), VisitorKey::parse("header:x-user"));
        assert_ne!(VisitorKey::parse("cookie:A"), VisitorKey::parse("cookie:a"));
        for text in [
            "",
            "cookie",
            "cookie:",
            "header:two words",
            "query:x",
            "cookie:a;b",
            "Address",
        ] {
            assert!(VisitorKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_that_nobody_asks_below_is_none() {
        for text in ["/..", "/../x", "/a/./b", "/%2e%2e", "/a/%2E"] {
            let refused = Prefix::parse(text).expect_err(text).to_string();
            assert!(
                refused.ends_with("expected a path without the segments `.` and `..`"),
                "{refused}"
            );
        }
        for text in ["/", "/.well-known", "/a..b", "/..."] {
            Prefix::parse(text).expect(text);
        }
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        let geo = Prefix::parse("/geo").expect("prefix");
        assert!(geo.covers("/geo") && geo.covers("/geo/x") && !geo.covers("/geography") && !geo.covers("/"));
        assert!(Prefix::parse("/").expect("prefix").covers("/anything"));
        assert!(Prefix::parse("/geo/").is_err() && Prefix::parse("geo").is_err());
    }
}
