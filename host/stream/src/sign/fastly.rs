//! Fastly's tokens: an expiry and an HMAC of path and expiry, checked in VCL.

use wayside_decide::target::Target;

use super::{mac, path, secret::Secret, token::Token, validity::Window};

/// The key of a service.
#[derive(Debug, Clone)]
pub struct Fastly {
    key: Secret,
}

impl Fastly {
    /// Signs with this key, which VCL keeps in base64.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self { key }
    }

    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Token {
        let expires_s = window.expires_s;
        let tag = mac::hmac_sha256(&self.key, format!("{}{expires_s}", path(url)).as_bytes());
        Token::query(vec![("token", format!("{expires_s}_{}", mac::hex(&tag)))])
    }
}
