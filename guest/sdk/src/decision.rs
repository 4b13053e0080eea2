//! What a policy answers.

use crate::bindings::wayside::policy::decisions;

/// What a policy wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on with the site's link, its rules and its not-found action.
    Proceed,
    /// Send the visitor elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// An absolute URL, or a template of one.
        location: String,
    },
    /// Refuse with 401, 403, 404, 410, 451 or 503.
    Deny(u16),
}

impl Decision {
    /// Go on with the site's link, its rules and its not-found action.
    #[must_use]
    pub const fn proceed() -> Self {
        Self::Proceed
    }

    /// Send the visitor to an absolute `http` or `https` URL, with status 302.
    ///
    /// The URL may be a template, which the host fills in for each request: `{path}`, `{?query}`, `{host}`,
    /// `{country}`, `{link.key}`, `{link.target}`. A template is better than the same text put together here: the
    /// decision stays one for all paths.
    #[must_use]
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::Redirect {
            status: 302,
            location: location.into(),
        }
    }

    /// Refuse with 401, 403, 404, 410, 451 or 503.
    #[must_use]
    pub const fn deny(status: u16) -> Self {
        Self::Deny(status)
    }

    /// The same with another status; `proceed` has none and stays as it is.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        match self {
            Self::Proceed => Self::Proceed,
            Self::Redirect { location, .. } => Self::Redirect { status, location },
            Self::Deny(_) => Self::Deny(status),
        }
    }

    pub(crate) fn into_contract(self) -> decisions::Decision {
        match self {
            Self::Proceed => decisions::Decision::Proceed,
            Self::Redirect { status, location } => {
                decisions::Decision::Redirect(decisions::Redirection { status, location })
            }
            Self::Deny(status) => decisions::Decision::Deny(status),
        }
    }
}

impl From<Option<Self>> for Decision {
    /// None is [`Decision::Proceed`].
    fn from(decision: Option<Self>) -> Self {
        decision.unwrap_or(Self::Proceed)
    }
}
