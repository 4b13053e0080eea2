//! How a target's URLs are signed, as its operator describes it: never the key itself, only what it is called.

use crate::{
    invalid::Invalid,
    limits::{KEY_ID_BYTES_MAX, TOKEN_VALID_S_MAX},
    name::Name,
};

/// A way of signing, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigningSpec {
    /// Whose way.
    pub scheme: Scheme,
    /// What the key is called where nodes keep their secrets.
    pub secret: Name,
    /// How long a token holds at least from when a player gets it, in seconds.
    pub valid_s: u32,
    /// How long the same token is given out, in seconds.
    pub window_s: u32,
    /// How far clocks may differ, in seconds.
    pub skew_s: u32,
    /// Whether tokens also say from when on they hold.
    pub has_start: bool,
}

/// Ways of signing URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Amazon CloudFront; the key is an RSA key in PEM.
    CloudFront {
        /// What CloudFront calls the key's public half.
        key_pair_id: Box<str>,
        /// Whether SHA-256 is signed instead of SHA-1.
        is_sha256: bool,
    },
    /// Akamai EdgeAuth 2.0; the key is in hexadecimal digits.
    Akamai,
    /// Fastly; the key is in base64. Each URL has a token of its own.
    Fastly,
    /// Cloudflare's `is_timed_hmac_valid_v0`; the key is text. Each URL has a token of its own.
    Cloudflare,
    /// The Common Access Token (CTA-5007); the key is in hexadecimal digits.
    Cat {
        /// What the key is called in tokens.
        key_id: Box<str>,
        /// Who gives tokens out.
        issuer: Box<str>,
    },
    /// Wayside's own: an HMAC of path and expiry; the key is in hexadecimal digits.
    Hmac {
        /// Whether the token stands in front of the path, instead of in the query.
        is_in_path: bool,
    },
}

impl Scheme {
    /// Its word in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::CloudFront { .. } => "cloudfront",
            Self::Akamai => "akamai",
            Self::Fastly => "fastly",
            Self::Cloudflare => "cloudflare",
            Self::Cat { .. } => "cat",
            Self::Hmac { .. } => "hmac",
        }
    }

    /// Whether a token holds for one URL only, so that playlists below the first cannot be fetched with it.
    #[must_use]
    pub const fn is_for_one_url(&self) -> bool {
        matches!(self, Self::Fastly | Self::Cloudflare)
    }
}

impl SigningSpec {
    /// How long tokens hold when nothing else is said: six hours.
    pub const VALID_S: u32 = 6 * 3_600;
    /// How long the same one is given out when nothing else is said: an hour.
    pub const WINDOW_S: u32 = 3_600;
    /// How far clocks differ when nothing else is said.
    pub const SKEW_S: u32 = 60;

    pub(super) fn check(&self) -> Result<(), Invalid> {
        for (what, found) in [("signing valid_s", self.valid_s), ("signing window_s", self.window_s)] {
            if found == 0 {
                return Err(Invalid::other(what, "0", "1 s or more"));
            }
        }
        let longest = u64::from(self.valid_s) + u64::from(self.window_s) + 2 * u64::from(self.skew_s);
        if longest > TOKEN_VALID_S_MAX {
            let expected = format!("at most {TOKEN_VALID_S_MAX} s (a week)");
            return Err(Invalid::other(
                "signing valid_s, window_s and skew_s together",
                format!("{longest} s"),
                expected,
            ));
        }
        let ids = match &self.scheme {
            Scheme::CloudFront { key_pair_id, .. } => [("signing key_pair_id", key_pair_id)].to_vec(),
            Scheme::Cat { key_id, issuer } => [("signing key_id", key_id), ("signing issuer", issuer)].to_vec(),
            _ => Vec::new(),
        };
        for (what, id) in ids {
            let is_plain = (1..=KEY_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_plain {
                let expected = format!("1 to {KEY_ID_BYTES_MAX} printable characters of ASCII");
                return Err(Invalid::text(what, id, expected));
            }
        }
        Ok(())
    }
}
