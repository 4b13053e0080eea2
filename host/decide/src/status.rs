//! The status codes a decision may carry.

use std::fmt;

use crate::invalid::Invalid;

/// A status that redirects (RFC 9110 §15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RedirectStatus {
    /// 301: for good; a client may change POST to GET.
    MovedPermanently,
    /// 302: for now; a client may change POST to GET.
    #[default]
    Found,
    /// 303: get the answer elsewhere.
    SeeOther,
    /// 307: for now, method kept.
    TemporaryRedirect,
    /// 308: for good, method kept.
    PermanentRedirect,
}

impl RedirectStatus {
    /// Reads a status code.
    ///
    /// # Errors
    /// [`Invalid`] when it is not one of 301, 302, 303, 307 and 308.
    pub fn from_code(code: u16) -> Result<Self, Invalid> {
        match code {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            303 => Ok(Self::SeeOther),
            307 => Ok(Self::TemporaryRedirect),
            308 => Ok(Self::PermanentRedirect),
            _ => Err(Invalid::other("status", code.to_string(), "301, 302, 303, 307 or 308")),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }
}

impl fmt::Display for RedirectStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(formatter)
    }
}

/// A status that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyStatus {
    /// 401: not without credentials.
    Unauthorized,
    /// 403: not for this visitor.
    Forbidden,
    /// 404: as if nothing were there.
    NotFound,
    /// 410: it was here and will not come back.
    Gone,
    /// 451: not here, for legal reasons (RFC 7725).
    UnavailableForLegalReasons,
    /// 503: not now.
    ServiceUnavailable,
}

impl DenyStatus {
    /// Reads a status code.
    ///
    /// # Errors
    /// [`Invalid`] when it is not one of 401, 403, 404, 410, 451 and 503.
    pub fn from_code(code: u16) -> Result<Self, Invalid> {
        match code {
            401 => Ok(Self::Unauthorized),
            403 => Ok(Self::Forbidden),
            404 => Ok(Self::NotFound),
            410 => Ok(Self::Gone),
            451 => Ok(Self::UnavailableForLegalReasons),
            503 => Ok(Self::ServiceUnavailable),
            _ => Err(Invalid::other(
                "status",
                code.to_string(),
                "401, 403, 404, 410, 451 or 503",
            )),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Gone => 410,
            Self::UnavailableForLegalReasons => 451,
            Self::ServiceUnavailable => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DenyStatus, RedirectStatus};

    #[test]
    fn only_the_set_is_accepted() {
        for code in 0..1000 {
            let redirects = RedirectStatus::from_code(code).ok().map(RedirectStatus::code);
            let denies = DenyStatus::from_code(code).ok().map(DenyStatus::code);
            assert_eq!(redirects, [301, 302, 303, 307, 308].contains(&code).then_some(code));
            assert_eq!(denies, [401, 403, 404, 410, 451, 503].contains(&code).then_some(code));
        }
    }
}
