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

/// Whether that of `message` begins with `tag`, in the same time for any two.
pub(crate) fn begins_hmac_sha256(secret: &Secret, message: &[u8], tag: &[u8]) -> bool {
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret.bytes()) else {
        return false;
    };
    mac.update(message);
    mac.verify_truncated_left(tag).is_ok()
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
