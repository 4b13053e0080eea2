//! Wayside's own tokens, for targets that check what their operator programs: nginx, Varnish, another Wayside.
//!
//! `EXPIRES_DEPTH_TAG`: seconds since 1970; up to which slash of the path the token looks, that one included (0 for the
//! whole path); and an HMAC-SHA256 of `EXPIRES`, `DEPTH` and so much of the path, joined by line feeds, in hexadecimal
//! digits.

use wayside_decide::target::Target;

use super::{mac, path, secret::Secret, token::Token, validity::Window};
use wayside_decide::stream::base::BaseUrl;

/// Where the token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the query, as this parameter.
    Query,
    /// In front of the path: `/TOKEN/live/1.ts`. Relative URIs inherit it.
    Path,
}

/// The parameter of a query.
const PARAMETER: &str = "wayside-token";

/// A key and where its tokens stand.
#[derive(Debug, Clone)]
pub struct PlainHmac {
    key: Secret,
    placement: Placement,
}

/// Why a token does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no token.
    #[error("token: found something else, expected EXPIRES_DEPTH_TAG")]
    Malformed,
    /// It is for another path, or made with another key.
    #[error("token: found one of another path or key, expected this path's")]
    Wrong,
    /// It does not hold any more.
    #[error("token: found one that held until {expires_s}, expected one that holds at {now_s}")]
    Expired {
        /// Until when it held, in seconds since 1970.
        expires_s: u64,
        /// The instant.
        now_s: u64,
    },
}

impl PlainHmac {
    /// Signs with this key.
    #[must_use]
    pub const fn new(key: Secret, placement: Placement) -> Self {
        Self { key, placement }
    }

    /// Whether `token` lets through to `path` (without the token) at `now_s`. No path with dots for segments is let
    /// through, for whoever resolves them would arrive elsewhere.
    ///
    /// # Errors
    /// [`Refused`] when it does not.
    pub fn check(&self, token: &str, path: &str, now_s: u64) -> Result<(), Refused> {
        let mut fields = token.split('_');
        let fields = [fields.next(), fields.next(), fields.next(), fields.next()];
        let [Some(expires), Some(depth), Some(tag), None] = fields else {
            return Err(Refused::Malformed);
        };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (true, true, Some(tag)) = (is_number(expires), is_number(depth), mac::from_hex(tag)) else {
            return Err(Refused::Malformed);
        };
        let (Ok(expires_s), Ok(depth)) = (expires.parse::<u64>(), depth.parse::<usize>()) else {
            return Err(Refused::Malformed);
        };
        if has_dots(path) {
            return Err(Refused::Wrong);
        }
        let covered = up_to_slash(path, depth).ok_or(Refused::Wrong)?;
        if !mac::is_hmac_sha256(&self.key, message(expires_s, depth, covered).as_bytes(), &tag) {
            return Err(Refused::Wrong);
        }
        if now_s >= expires_s {
            return Err(Refused::Expired { expires_s, now_s });
        }
        Ok(())
    }

    pub(super) fn token(&self, folder: &BaseUrl, window: &Window) -> Token {
        self.made(window.expires_s, folder.path().matches('/').count(), folder.path())
    }

    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Token {
        self.made(window.expires_s, 0, path(url))
    }

    fn made(&self, expires_s: u64, depth: usize, covered: &str) -> Token {
        let tag = mac::hmac_sha256(&self.key, message(expires_s, depth, covered).as_bytes());
        let text = format!("{expires_s}_{depth}_{}", mac::hex(&tag));
        match self.placement {
            Placement::Query => Token::query(vec![(PARAMETER, text)]),
            Placement::Path => Token::path(text),
        }
    }
}

fn message(expires_s: u64, depth: usize, covered: &str) -> String {
    format!("{expires_s}\n{depth}\n{covered}")
}

/// The path up to its `depth`th slash, that one included; all of it for 0. None when it has fewer.
fn up_to_slash(path: &str, depth: usize) -> Option<&str> {
    let Some(before) = depth.checked_sub(1) else {
        return Some(path);
    };
    let (at, _) = path.match_indices('/').nth(before)?;
    Some(&path[..=at])
}

/// Whether one of the path's segments is one or two dots, escaped or not.
fn has_dots(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.split(['/', '\\']).any(is_dots)
}
