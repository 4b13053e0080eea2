//! The Common Access Token, CTA-5007: claims in CBOR (CWT, RFC 8392) under a COSE MAC (RFC 9052 §6.2).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use wayside_decide::target::Target;

use super::{Error, cbor::Writer, mac, path, secret::Secret, token::Token, validity::Window};
use wayside_decide::stream::base::BaseUrl;

/// The parameter of a query.
const PARAMETER: &str = "CAT";
/// Longest name of a key or an issuer, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// The protected header `{alg: HMAC 256/256}`.
const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x05];
/// The header in which the key is named.
const KID: u64 = 4;
/// CWT and COSE_Mac0.
const TAGS: [u64; 2] = [61, 17];
/// Claims: who made it, until and from when, which version, which URLs.
const ISS: u64 = 1;
const EXP: u64 = 4;
const NBF: u64 = 5;
const CATV: u64 = 310;
const CATU: u64 = 312;
/// The parts of a URL in `catu`, and how they match.
const SCHEME: u64 = 0;
const HOST: u64 = 1;
const PATH: u64 = 3;
const EXACT: u64 = 0;
const PREFIX: u64 = 1;

/// A key with its name, and who signs with it.
#[derive(Debug, Clone)]
pub struct Cat {
    key: Secret,
    kid: Box<str>,
    issuer: Box<str>,
}

impl Cat {
    /// Signs with this key, which the CDN knows as `kid`, as `issuer`.
    ///
    /// # Errors
    /// [`Error::Setting`] when a name is empty or too long.
    pub fn new(key: Secret, kid: &str, issuer: &str) -> Result<Self, Error> {
        for (field, name) in [("kid", kid), ("issuer", issuer)] {
            if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
                return Err(Error::Setting {
                    field,
                    found: format!("{} bytes", name.len()),
                    expected: "1 to 256 bytes",
                });
            }
        }
        Ok(Self {
            key,
            kid: kid.into(),
            issuer: issuer.into(),
        })
    }

    pub(super) fn token(&self, folder: &BaseUrl, window: &Window) -> Token {
        self.made(folder.scheme(), folder.host(), (PREFIX, folder.path()), window)
    }

    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Token {
        self.made(url.scheme(), url.host(), (EXACT, path(url)), window)
    }

    fn made(&self, scheme: &str, host: &str, (matching, path): (u64, &str), window: &Window) -> Token {
        let claims = 4 + u64::from(window.starts_s.is_some());
        let mut payload = Writer::default().map(claims).unsigned(ISS).text(&self.issuer);
        payload = payload.unsigned(EXP).unsigned(window.expires_s);
        if let Some(starts_s) = window.starts_s {
            payload = payload.unsigned(NBF).unsigned(starts_s);
        }
        payload = payload.unsigned(CATV).unsigned(1).unsigned(CATU).map(3);
        for (part, matching, text) in [(SCHEME, EXACT, scheme), (HOST, EXACT, host), (PATH, matching, path)] {
            payload = payload.unsigned(part).map(1).unsigned(matching).text(text);
        }
        let payload = payload.finish();
        let covered = Writer::default()
            .array(4)
            .text("MAC0")
            .bytes(&PROTECTED)
            .bytes(&[])
            .bytes(&payload);
        let tag = mac::hmac_sha256(&self.key, &covered.finish());
        let message = Writer::default().tag(TAGS[0]).tag(TAGS[1]).array(4).bytes(&PROTECTED);
        let message = message.map(1).unsigned(KID).bytes(self.kid.as_bytes());
        let message = message.bytes(&payload).bytes(&tag).finish();
        Token::query(vec![(PARAMETER, BASE64_URL_SAFE_NO_PAD.encode(message))])
    }
}
