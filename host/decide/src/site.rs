//! A site: the hosts it answers for and everything small about it. Its links are many and live elsewhere.

use std::fmt;

use crate::{
    binding::{Binding, Prefix},
    host::HostPattern,
    invalid::Invalid,
    name::Name,
    rule::RuleSet,
    target::Target,
};

/// The number the origin gave a site; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u64);

impl fmt::Display for SiteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a node may keep of the requests that its policies answered, to try another version on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Privacy {
    /// All that was sent, and the visitor's address.
    Full,
    /// Neither the address nor what only one visitor might send.
    #[default]
    Redacted,
}

impl Privacy {
    /// Reads `full` or `redacted`.
    ///
    /// # Errors
    /// [`Invalid`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "full" => Ok(Self::Full),
            "redacted" => Ok(Self::Redacted),
            _ => Err(Invalid::text(
                "privacy",
                text,
                "`redacted` (nodes keep no addresses, cookies or queries) or `full`",
            )),
        }
    }

    /// `full` or `redacted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Redacted => "redacted",
        }
    }
}

/// One site of one tenant.
#[derive(Debug, Clone)]
pub struct Site {
    /// The site's number.
    pub id: SiteId,
    /// Whose it is.
    pub tenant: Name,
    /// What its owner calls it.
    pub name: Name,
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// The policies at work on it, longest prefix first.
    pub bindings: Vec<Binding>,
    /// Its rules.
    pub rules: RuleSet,
    /// Where a visitor is sent whose path leads nowhere; 404 when absent.
    pub not_found: Option<Target>,
    /// How long caches may keep a redirect at most, in seconds; 0 for not at all. When absent, decisions of policies are
    /// kept for a minute, and of links and rules nothing is said.
    pub max_age_s: Option<u32>,
    /// What may be kept of its visitors' requests.
    pub privacy: Privacy,
    /// Below which path its assets are: what stands below `/video/film` belongs to the asset `film` when this is
    /// `/video`. Its assets have no paths of their own when absent.
    pub streams: Option<Prefix>,
    /// The key of `visitor.bucket`: secret, the same on every node, different for every site.
    pub bucket_key: [u8; 32],
}

impl Site {
    /// The binding that covers a request path in normal form: the one with the longest prefix.
    #[must_use]
    pub fn binding_for(&self, path: &str) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.prefix.covers(path))
    }

    /// Brings the bindings into the order [`Site::binding_for`] relies on.
    pub fn order_bindings(&mut self) {
        self.bindings
            .sort_by_key(|binding| std::cmp::Reverse(binding.prefix.as_str().len()));
    }
}
