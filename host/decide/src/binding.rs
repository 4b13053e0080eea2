//! A binding: which policy decides below which path of a site.

use std::{collections::BTreeMap, fmt};

use crate::{digest::Digest, invalid::Invalid, name::Name, path::LinkPath};

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

/// The part of a site a binding covers: a path and everything below it, by whole segments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(LinkPath);

impl Prefix {
    /// Reads `/`, which covers the whole site, or `/geo`, which covers `/geo` and `/geo/…`.
    ///
    /// # Errors
    /// [`Invalid`] when it is no path, or ends in a slash and is longer than one.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > 1 && text.ends_with('/') {
            return Err(Invalid::text(
                "prefix",
                text,
                "a path without a slash at the end, such as `/geo`",
            ));
        }
        LinkPath::parse(text).map(Self).map_err(|error| Invalid {
            what: "prefix",
            ..error
        })
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
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn a_prefix_covers_whole_segments() {
        let geo = Prefix::parse("/geo").expect("prefix");
        assert!(geo.covers("/geo") && geo.covers("/geo/x") && !geo.covers("/geography") && !geo.covers("/"));
        assert!(Prefix::parse("/").expect("prefix").covers("/anything"));
        assert!(Prefix::parse("/geo/").is_err() && Prefix::parse("geo").is_err());
    }
}
