//! Keys that show themselves to nobody.
//!
//! In: what a file or a variable held. Out: bytes for a MAC. It must not know where keys are kept.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Error, mac};

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// The key of a MAC. Neither `Debug` nor an error shows it, and there is no `Display`.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A key whose bytes are these.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is empty or too long.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if (1..=KEY_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            let found = format!("{} bytes", bytes.len());
            Err(setting(found, "1 to 1024 bytes"))
        }
    }

    /// A key written in hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is no such text, empty or too long.
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let bytes = mac::from_hex(text);
        Self::from_bytes(bytes.ok_or_else(|| setting(described(text), "an even number of hexadecimal digits"))?)
    }

    /// A key written in base64, with its padding.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is no such text, empty or too long.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let decoded = BASE64_STANDARD.decode(text);
        Self::from_bytes(decoded.map_err(|_| setting(described(text), "base64 with its padding"))?)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(not shown)")
    }
}

/// What may be said of text that is secret.
fn described(text: &str) -> String {
    format!("{} bytes that are not", text.len())
}

fn setting(found: String, expected: &'static str) -> Error {
    Error::Setting {
        field: "key",
        found,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_key_is_shown_by_nothing() {
        let secret = Secret::from_bytes(*b"hunter2").expect("a key");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)).matches("hunter").count(), 0);
        for refused in [
            Secret::from_hex("c0ffee0"),
            Secret::from_hex("zz"),
            Secret::from_base64("hunter2 hunter2"),
        ] {
            let text = refused.expect_err("no key").to_string();
            assert!(
                text.starts_with("key: found ") && !text.contains("hunter") && !text.contains("c0ffee"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_is_read_in_three_forms_and_has_a_length() {
        for secret in [Secret::from_hex("00ffA1"), Secret::from_base64("AP+h")] {
            assert_eq!(secret.expect("a key").bytes(), [0, 0xff, 0xa1]);
        }
        let text = Secret::from_hex("").expect_err("no key").to_string();
        assert_eq!(text, "key: found 0 bytes, expected 1 to 1024 bytes");
        Secret::from_bytes(vec![0; 1025]).expect_err("too long");
    }
}
