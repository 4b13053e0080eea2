//! Cloudflare's tokens, as `is_timed_hmac_valid_v0` checks them: a time of issue and an HMAC of the request's URI and it.
//!
//! How long they hold is written in the rule at Cloudflare.

use base64::{Engine, prelude::BASE64_STANDARD};
use wayside_decide::target::Target;

use super::{Error, mac, secret::Secret, token::Token, validity::Window};

/// The parameter. With its two separators it has the 8 bytes that the rule must name.
const PARAMETER: &str = "verify";

/// The key of a rule.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    key: Secret,
}

impl Cloudflare {
    /// Signs with this key.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self { key }
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
