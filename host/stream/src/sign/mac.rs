//! HMAC-SHA256, and how it is written.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::secret::Secret;

/// HMAC-SHA256 of `message`.
pub(crate) fn hmac_sha256(secret: &Secret, message: &[u8]) -> [u8; 32] {
    // A MAC takes keys of any length; were that to change, the empty tag below would be refused by every CDN.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret.bytes()) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether `tag` is that of `message`, in the same time for any two.
pub(super) fn is_hmac_sha256(secret: &Secret, message: &[u8], tag: &[u8]) -> bool {
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret.bytes()) else {
        return false;
    };
    mac.update(message);
    mac.verify_slice(tag).is_ok()
}

/// A key that is ready for many messages: what HMAC does with the key alone is done.
#[derive(Clone)]
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// None when the system cannot take a key of that length, which it can.
    pub(crate) fn new(secret: &Secret) -> Option<Self> {
        <Hmac<Sha256> as Mac>::new_from_slice(secret.bytes()).ok().map(Self)
    }

    /// HMAC-SHA256 of these parts, one behind the other.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.of(parts).finalize().into_bytes().into()
    }

    /// Whether that begins with `tag`, in the same time for any two.
    pub(crate) fn begins(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.of(parts).verify_truncated_left(tag).is_ok()
    }

    fn of(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Bytes in lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes that hexadecimal digits stand for; none for another text.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
