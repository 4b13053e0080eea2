//! Amazon CloudFront's signed URLs: a policy in JSON, signed with RSA.
//!
//! A canned policy is for one URL and is not sent along, for CloudFront writes the same one again. A custom policy is sent,
//! may name a start, and may stand for all below a folder. CloudFront knows which hash was taken by a parameter; without it
//! SHA-1 is meant.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use rsa::{
    RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::DecodePrivateKey,
    sha2::Sha256,
    signature::{SignatureEncoding, Signer},
    traits::PublicKeyParts,
};
use sha1::Sha1;
use wayside_decide::target::Target;

use super::{Error, token::Token, validity::Window, without_fragment};
use wayside_decide::stream::base::BaseUrl;

/// Bits of a key that is not too weak, and of one that does not take seconds.
const KEY_BITS: std::ops::RangeInclusive<u32> = 2048..=4096;
/// Longest identifier of a key pair, in bytes.
const KEY_PAIR_ID_BYTES_MAX: usize = 64;

/// What CloudFront reads of a query, whichever policy is meant.
const RESERVED: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// Which hash the signature is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: what CloudFront assumes unless told otherwise.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// The key of a key group, and what CloudFront calls it.
#[derive(Clone)]
pub struct CloudFront {
    key_pair_id: Box<str>,
    key: Key,
}

/// Boxed: a key is over a kilobyte.
#[derive(Clone)]
enum Key {
    Sha1(Box<SigningKey<Sha1>>),
    Sha256(Box<SigningKey<Sha256>>),
}

impl fmt::Debug for CloudFront {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CloudFront")
            .field("key_pair_id", &self.key_pair_id)
            .finish_non_exhaustive()
    }
}

impl CloudFront {
    /// Signs with the private key in `pem` (PKCS#1 or PKCS#8), whose public half CloudFront knows as `key_pair_id`.
    ///
    /// # Errors
    /// [`Error::Setting`] when that is no RSA key, too short or too long, or the identifier is no name.
    pub fn new(key_pair_id: &str, pem: &str, hash: Hash) -> Result<Self, Error> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=KEY_PAIR_ID_BYTES_MAX).contains(&key_pair_id.len()) || !key_pair_id.chars().all(is_name) {
            return Err(Error::Setting {
                field: "key pair ID",
                found: format!("{key_pair_id:?}"),
                expected: "1 to 64 letters, digits, hyphens and underscores",
            });
        }
        let read = RsaPrivateKey::from_pkcs8_pem(pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem));
        // What the parser says could quote the key.
        let key = read.map_err(|_| Error::Setting {
            field: "private key",
            found: format!("{} bytes that are not", pem.len()),
            expected: "an RSA key in PEM, PKCS#1 or PKCS#8",
        })?;
        let bits = key.n().bits_vartime();
        if !KEY_BITS.contains(&bits) {
            return Err(Error::Setting {
                field: "private key",
                found: format!("{bits} bits"),
                expected: "2048 to 4096 bits",
            });
        }
        Ok(Self {
            key_pair_id: key_pair_id.into(),
            key: match hash {
                Hash::Sha1 => Key::Sha1(Box::new(SigningKey::new(key))),
                Hash::Sha256 => Key::Sha256(Box::new(SigningKey::new(key))),
            },
        })
    }

    pub(super) fn token(&self, folder: &BaseUrl, window: &Window) -> Result<Token, Error> {
        no_wildcard(folder.as_str())?;
        self.custom(&format!("{folder}*"), window)
    }

    /// A canned policy, unless a start is to be named.
    pub(super) fn token_of_url(&self, url: &Target, window: &Window) -> Result<Token, Error> {
        let url = without_fragment(url);
        if window.starts_s.is_some() {
            no_wildcard(url)?;
            return self.custom(url, window);
        }
        let signature = self.signature(&policy(url, window)?)?;
        Ok(self.canned(window, &signature))
    }

    fn canned(&self, window: &Window, signature: &[u8]) -> Token {
        let mut parameters = vec![("Expires", window.expires_s.to_string())];
        parameters.extend(self.proof(signature));
        Token::query_beside(parameters, &RESERVED)
    }

    fn custom(&self, resource: &str, window: &Window) -> Result<Token, Error> {
        let policy = policy(resource, window)?;
        let signature = self.signature(&policy)?;
        let mut parameters = vec![("Policy", url_safe(policy.as_bytes()))];
        parameters.extend(self.proof(&signature));
        Ok(Token::query_beside(parameters, &RESERVED))
    }

    /// What follows a policy, in the order of CloudFront's own examples.
    fn proof(&self, signature: &[u8]) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("Signature", url_safe(signature)),
            ("Key-Pair-Id", self.key_pair_id.to_string()),
        ];
        if matches!(self.key, Key::Sha256(_)) {
            parameters.push(("Hash-Algorithm", "SHA256".to_owned()));
        }
        parameters
    }

    /// RSASSA-PKCS1-v1_5. Without blinding, for there is no randomness here; the arithmetic takes constant time.
    fn signature(&self, policy: &str) -> Result<Box<[u8]>, Error> {
        let signed = match &self.key {
            Key::Sha1(key) => key.try_sign(policy.as_bytes()),
            Key::Sha256(key) => key.try_sign(policy.as_bytes()),
        };
        let signature = signed.map_err(|_| Error::Setting {
            field: "private key",
            found: "one that cannot sign".to_owned(),
            expected: "an RSA key whose parts belong together",
        })?;
        Ok(signature.to_bytes())
    }
}

/// The policy, byte for byte as CloudFront writes it for a canned one.
fn policy(resource: &str, window: &Window) -> Result<String, Error> {
    // URLs in normal form have no quotation mark; a backslash would begin an escape.
    if let Some(found) = resource.chars().find(|c| matches!(c, '"' | '\\')) {
        return Err(unsigned_character(
            resource,
            found,
            "a URL without characters that JSON escapes",
        ));
    }
    let start = window
        .starts_s
        .map(|starts_s| format!(r#","DateGreaterThan":{{"AWS:EpochTime":{starts_s}}}"#));
    Ok(format!(
        r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{}}}{}}}}}]}}"#,
        window.expires_s,
        start.unwrap_or_default()
    ))
}

/// In a custom policy an asterisk stands for anything. So does a question mark for one character, itself among them.
fn no_wildcard(resource: &str) -> Result<(), Error> {
    match resource.find('*') {
        Some(_) => Err(unsigned_character(resource, '*', "a URL without wildcards")),
        None => Ok(()),
    }
}

fn unsigned_character(url: &str, found: char, expected: &'static str) -> Error {
    Error::Url {
        what: "resource",
        url: url.to_owned(),
        found: format!("`{found}`"),
        expected,
    }
}

/// Base64 whose characters CloudFront's documentation exchanges for what is safe in a query.
fn url_safe(bytes: &[u8]) -> String {
    BASE64_STANDARD
        .encode(bytes)
        .replace('+', "-")
        .replace('=', "_")
        .replace('/', "~")
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};
    use wayside_decide::target::Target;

    use super::{CloudFront, Hash, policy};
    use crate::sign::{mac::hex, validity::Window};

    const fn until(expires_s: u64) -> Window {
        Window {
            issued_s: 0,
            starts_s: None,
            expires_s,
            next_s: 0,
        }
    }

    #[test]
    fn a_canned_policy_is_byte_for_byte_what_cloudfront_writes_again() {
        let url = "https://d111111abcdef8.cloudfront.net/live/m.m3u8?x=1";
        let policy = policy(url, &until(1_767_290_400)).expect("a policy");
        assert_eq!(hex(&Sha1::digest(policy)), "0ece713c795fb9bf70d45e617bb79f309e09a4cc");
    }

    #[test]
    fn parameters_stand_in_the_order_of_the_published_example() {
        let rsa = include_str!("../../tests/keys/rsa-2048.pem");
        let key = CloudFront::new("MY_KEY_ID", rsa, Hash::Sha1).expect("a key");
        let url = Target::parse("http://test.com/foo.txt").expect("a URL");
        let signed = key
            .canned(&until(1_451_606_400), b"signed")
            .add_to(&url)
            .expect("signed");
        let expected = "http://test.com/foo.txt?Expires=1451606400&Signature=c2lnbmVk&Key-Pair-Id=MY_KEY_ID";
        assert_eq!(signed.as_str(), expected);
    }
}
