//! Akamai's EdgeAuth 2.0 tokens.
//!
//! Fields joined by `~` in a fixed order, then an HMAC of them; for one URL the HMAC covers the URL, too, which the token
//! does not repeat.

use wayside_decide::target::Target;

use super::{Error, mac, path, secret::Secret, token::Token, validity::Window};
use wayside_decide::stream::base::BaseUrl;

/// The parameter that EdgeAuth reads.
const PARAMETER: &str = "__token__";

/// The key of a property.
#[derive(Debug, Clone)]
pub struct Akamai {
    key: Secret,
}

impl Akamai {
    /// Signs with this key, which Akamai gives out in hexadecimal digits.
    #[must_use]
    pub const fn new(key: Secret) -> Self {
        Self { key }
    }

    pub(super) fn token(&self, folder: &BaseUrl, window: &Window) -> Result<Token, Error> {
        // An access list is not escaped. What has a meaning in one, in a token or in a query cannot stand in it, nor what
        // players escape on their way.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@$,".contains(c);
        if let Some(found) = folder.path().chars().find(|c| !is_plain(*c)) {
            return Err(Error::Url {
                what: "access list of",
                url: folder.to_string(),
                found: format!("`{found}`"),
                expected: "letters, digits and -._/:@$,",
            });
        }
        let fields = format!("{}~acl={}*", times(window), folder.path());
        let tag = mac::hmac_sha256(&self.key, fields.as_bytes());
        Ok(Token::query(vec![(
            PARAMETER,
            format!("{fields}~hmac={}", mac::hex(&tag)),
        )]))
    }

    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Result<Token, Error> {
        if path(url).contains('~') {
            return Err(Error::Url {
                what: "path of",
                url: url.to_string(),
                found: "`~`".to_owned(),
                expected: "no separator of the token's fields",
            });
        }
        let fields = times(window);
        let tag = mac::hmac_sha256(&self.key, format!("{fields}~url={}", path(url)).as_bytes());
        Ok(Token::query(vec![(
            PARAMETER,
            format!("{fields}~hmac={}", mac::hex(&tag)),
        )]))
    }
}

fn times(window: &Window) -> String {
    match window.starts_s {
        Some(starts_s) => format!("st={starts_s}~exp={}", window.expires_s),
        None => format!("exp={}", window.expires_s),
    }
}
