//! Cloudflare's tokens, as `is_timed_hmac_valid_v0` checks them: a time of issue and an HMAC of the request's URI and it.
//!
//! How long they hold is written in the rule at Cloudflare; here it is told so that it can be compared with what is
//! promised.

use base64::{Engine, prelude::BASE64_STANDARD};
use wayside_decide::target::Target;

use super::{
    Error, mac,
    secret::Secret,
    token::Token,
    validity::{Validity, Window},
};

/// The parameter. With its two separators it has the 8 bytes that the rule must name.
const PARAMETER: &str = "verify";

/// The key of a rule.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    key: Secret,
    lifetime_s: u64,
}

impl Cloudflare {
    /// Signs with this key for a rule that lets tokens live for `lifetime_s`.
    ///
    /// # Errors
    /// [`Error::Setting`] when that is less than what `validity` promises.
    pub fn new(key: Secret, lifetime_s: u64, validity: &Validity) -> Result<Self, Error> {
        if lifetime_s < validity.lifetime_s() {
            return Err(Error::Setting {
                field: "lifetime",
                found: format!("{lifetime_s} s"),
                expected: "at least the validity, the window and the skew together",
            });
        }
        Ok(Self { key, lifetime_s })
    }

    /// How long the rule lets tokens live, in seconds.
    #[must_use]
    pub const fn lifetime_s(&self) -> u64 {
        self.lifetime_s
    }

    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Result<Token, Error> {
        let issued_s = window.issued_s;
        let uri = url.path_and_query();
        // The rule counts from the end of the URI, so that the token's separator must be a byte of its own.
        if uri.contains('?') && uri.ends_with(['?', '&']) {
            return Err(Error::Url {
                what: "query of",
                url: url.to_string(),
                found: "a separator at its end".to_owned(),
                expected: "parameters, or no query",
            });
        }
        let tag = mac::hmac_sha256(&self.key, format!("{uri}{issued_s}").as_bytes());
        let escaped = BASE64_STANDARD
            .encode(tag)
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        Ok(Token::query(vec![(PARAMETER, format!("{issued_s}-{escaped}"))]))
    }
}
