//! Signed URLs, each in the way that its target's CDN checks.
//!
//! In: a URL or a folder, a key and a [`Window`]. Out: the URL with its token, or a token for all that stands below the
//! folder. It must not know who asks or when: tokens are the same for everybody within a window, so that they are made
//! once and kept.
//!
//! Players resolve relative URIs of segments without the playlist's query. So a token in a query reaches segments only
//! where a player adds it to each of them, or where the media playlists are rewritten; a token in the path
//! ([`hmac::Placement::Path`]) is inherited by all.

use wayside_decide::target::Target;

use self::{
    akamai::Akamai, cat::Cat, cloudflare::Cloudflare, cloudfront::CloudFront, fastly::Fastly, hmac::PlainHmac,
    token::Token, validity::Window,
};
use wayside_decide::stream::base::BaseUrl;

pub mod akamai;
pub mod cat;
mod cbor;
pub mod cloudflare;
pub mod cloudfront;
pub mod fastly;
pub mod hmac;
pub(crate) mod mac;
pub mod secret;
pub mod token;
pub mod validity;

/// Why a key is no key, or something cannot be signed. What is quoted is never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key, or another setting of a signature.
    #[error("{field}: found {found}, expected {expected}")]
    Setting {
        /// Which setting, by the CDN's name for it.
        field: &'static str,
        /// What there was, without its value if that is secret.
        found: String,
        /// What there should be.
        expected: &'static str,
    },
    /// A URL that this CDN could not check.
    #[error("{what} {url}: found {found}, expected {expected}")]
    Url {
        /// Which part.
        what: &'static str,
        /// The URL.
        url: String,
        /// What there was in it.
        found: String,
        /// What there should be.
        expected: &'static str,
    },
    /// A token for a folder was asked of a CDN whose tokens are for one URL each.
    #[error(
        "{scheme}: found a folder to sign, expected one URL: its tokens hold for one URL each, so that media playlists must be rewritten"
    )]
    OneUrlEach {
        /// The CDN.
        scheme: &'static str,
    },
}

/// What one token holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All that stands below a folder.
    Folder,
    /// One URL.
    Url,
}

/// How a target's URLs are signed.
#[derive(Debug, Clone)]
pub enum Signing {
    /// Amazon CloudFront's canned and custom policies.
    CloudFront(CloudFront),
    /// Akamai's EdgeAuth 2.0.
    Akamai(Akamai),
    /// Fastly's token for one path.
    Fastly(Fastly),
    /// Cloudflare's token for one path.
    Cloudflare(Cloudflare),
    /// The Common Access Token, CTA-5007.
    Cat(Cat),
    /// Wayside's own: an HMAC of path and expiry.
    Hmac(PlainHmac),
}

impl Signing {
    /// What one token holds for.
    #[must_use]
    pub const fn coverage(&self) -> Coverage {
        match self {
            Self::Fastly(_) | Self::Cloudflare(_) => Coverage::Url,
            Self::CloudFront(_) | Self::Akamai(_) | Self::Cat(_) | Self::Hmac(_) => Coverage::Folder,
        }
    }

    /// A token for all that stands below `folder`, to be kept for the window.
    ///
    /// # Errors
    /// [`Error::OneUrlEach`] for the CDNs that sign URLs only; [`Error::Url`] when the folder's path cannot be expressed.
    pub fn token(&self, folder: &BaseUrl, window: &Window) -> Result<Token, Error> {
        match self {
            Self::CloudFront(key) => key.token(folder, window),
            Self::Akamai(key) => key.token(folder, window),
            Self::Cat(key) => Ok(key.token(folder, window)),
            Self::Hmac(key) => Ok(key.token(folder, window)),
            Self::Fastly(_) => Err(Error::OneUrlEach { scheme: "fastly" }),
            Self::Cloudflare(_) => Err(Error::OneUrlEach { scheme: "cloudflare" }),
        }
    }

    /// `url` with a token of its own.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL has a parameter of the token's name already, or cannot be expressed.
    pub fn sign(&self, url: &Target, window: &Window) -> Result<Target, Error> {
        let token = match self {
            Self::CloudFront(key) => key.token_of_url(url, window)?,
            Self::Akamai(key) => key.token_of_url(url, window)?,
            Self::Cat(key) => key.token_of_url(url, window),
            Self::Hmac(key) => key.token_of_url(url, window),
            Self::Fastly(key) => key.token_of_url(url, window),
            Self::Cloudflare(key) => key.token_of_url(url, window)?,
        };
        token.add_to(url)
    }
}

/// `url` without its fragment, which is never sent and so never signed.
fn without_fragment(url: &Target) -> &str {
    let text = url.as_str();
    text.split_once('#').map_or(text, |(sent, _)| sent)
}

/// The path, without query and fragment.
fn path(url: &Target) -> &str {
    let text = url.path_and_query();
    text.split_once('?').map_or(text, |(path, _)| path)
}

#[cfg(test)]
mod tests;
