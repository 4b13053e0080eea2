//! Who a node is: a number, and a key that never leaves it.
//!
//! A node shows who it is by an *assertion*: its id and the time, signed (Ed25519, RFC 8032). The origin keeps the public
//! key and no secret. An assertion holds for [`ASSERTION_S`] seconds, so that one that was overheard is soon worth
//! nothing; the origin's certificate is what keeps it from being overheard at all.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use wayside_decide::invalid::Invalid;

/// The scheme of the `Authorization` field that carries an assertion.
pub const SCHEME: &str = "Wayside-Node";
/// How long an assertion holds, and how far the clocks of a node and its origin may differ, in seconds.
pub const ASSERTION_S: u64 = 60;

/// What is signed begins with this, so that a signature means nothing anywhere else.
const CONTEXT: &str = "wayside node assertion 1";
const ID_PREFIX: &str = "node_";
const ID_DIGITS: usize = 16;
const PUBLIC_KEY_BYTES: usize = 32;

/// A node's number: `node_` and 16 hexadecimal digits. Given by the origin, never twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Box<str>);

impl NodeId {
    /// The id made of these random bytes.
    #[must_use]
    pub fn of(random: [u8; ID_DIGITS / 2]) -> Self {
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{ID_PREFIX}{digits}").into())
    }

    /// Reads an id.
    ///
    /// # Errors
    /// [`Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(ID_PREFIX).unwrap_or_default();
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == ID_DIGITS && digits.bytes().all(is_digit) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::text("node id", text, "`node_` and 16 hexadecimal digits"))
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What tells a node's assertions from all others.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// A key as it is recorded.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a key as it travels: 32 bytes in base64url.
    ///
    /// # Errors
    /// [`Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| Invalid::text("public key", text, "32 bytes in base64url, an Ed25519 key"))
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

/// The key of a node.
pub struct NodeKey {
    pair: Ed25519KeyPair,
    document: Vec<u8>,
}

impl NodeKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, Invalid> {
        let nothing = |_| Invalid::other("node key", "no randomness", "some of the system's");
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(nothing)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads what [`NodeKey::to_text`] wrote.
    ///
    /// # Errors
    /// [`Invalid`] when it is something else.
    pub fn from_text(text: &str) -> Result<Self, Invalid> {
        let document = URL_SAFE_NO_PAD.decode(text.trim_end()).unwrap_or_default();
        Self::from_pkcs8(&document)
    }

    /// The key's text: PKCS #8 in base64url. Nobody else may read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.document)
    }

    fn from_pkcs8(document: &[u8]) -> Result<Self, Invalid> {
        let pair = Ed25519KeyPair::from_pkcs8(document);
        let pair = pair.map_err(|_| Invalid::other("node key", "something else", "an Ed25519 key in PKCS #8"))?;
        Ok(Self {
            pair,
            document: document.to_owned(),
        })
    }

    /// What the origin keeps of it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        // An Ed25519 public key has this length (RFC 8032 §5.1.5).
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }
}

/// A node as it knows itself.
pub struct Identity {
    id: NodeId,
    key: NodeKey,
}

/// An identity in its file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    node: String,
    /// As [`NodeKey::to_text`]. Secret.
    key: String,
}

impl Identity {
    /// The node `id`, which has `key`.
    #[must_use]
    pub const fn new(id: NodeId, key: NodeKey) -> Self {
        Self { id, key }
    }

    /// Reads what [`Identity::to_text`] wrote.
    ///
    /// # Errors
    /// [`Invalid`] when it is something else.
    pub fn from_text(text: &str) -> Result<Self, Invalid> {
        let unfit = || {
            Invalid::other(
                "node identity",
                "something else",
                "the file that enrolling a node writes",
            )
        };
        let kept: Kept = serde_json::from_str(text).map_err(|_| unfit())?;
        Ok(Self {
            id: NodeId::parse(&kept.node)?,
            key: NodeKey::from_text(&kept.key)?,
        })
    }

    /// The identity's text. It holds the key: nobody else may read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (node, key) = (&self.id, self.key.to_text());
        // Two strings without a character that JSON would escape.
        format!("{{\"node\":\"{node}\",\"key\":\"{key}\"}}\n")
    }

    /// Who this is.
    #[must_use]
    pub const fn id(&self) -> &NodeId {
        &self.id
    }

    /// An assertion made at `now_s`, in seconds since 1970 UTC by the origin's clock: what follows [`SCHEME`].
    #[must_use]
    pub fn assert_at(&self, now_s: u64) -> String {
        let signature = self.key.pair.sign(signed(&self.id, now_s).as_bytes());
        format!("{}.{now_s}.{}", self.id, URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({}, …)", self.id)
    }
}

/// What somebody says who claims to be a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The node it claims to be.
    pub node: NodeId,
    made_at_s: u64,
    signature: Vec<u8>,
}

/// Why an assertion is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// The signature is not the node's.
    #[error("the signature is not this node's")]
    Signature,
    /// It was made too long ago, or not yet.
    #[error("the assertion was made at another time: the clocks of node and origin differ by more than a minute")]
    Time,
}

impl Assertion {
    /// Reads what follows [`SCHEME`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (node, rest) = text.split_once('.')?;
        let (made_at_s, signature) = rest.split_once('.')?;
        Some(Self {
            node: NodeId::parse(node).ok()?,
            made_at_s: made_at_s.parse().ok()?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether it is the node's whose key this is, and of now.
    ///
    /// # Errors
    /// [`Disbelief`] when not.
    pub fn check(&self, key: &PublicKey, now_s: u64) -> Result<(), Disbelief> {
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(signed(&self.node, self.made_at_s).as_bytes(), &self.signature)
            .map_err(|_| Disbelief::Signature)?;
        if self.made_at_s.abs_diff(now_s) > ASSERTION_S {
            return Err(Disbelief::Time);
        }
        Ok(())
    }
}

fn signed(node: &NodeId, at_s: u64) -> String {
    format!("{CONTEXT}\n{node}\n{at_s}")
}

#[cfg(test)]
mod tests {
    use super::{ASSERTION_S, Assertion, Disbelief, Identity, NodeId, NodeKey, PublicKey};

    fn identity(number: u8) -> (Identity, PublicKey) {
        let key = NodeKey::generate().expect("randomness");
        let public = key.public();
        (Identity::new(NodeId::of([number; 8]), key), public)
    }

    #[test]
    fn an_assertion_is_believed_of_its_node_alone_and_for_a_minute() {
        let (node, public) = identity(1);
        let (_, other) = identity(1);
        let assertion = Assertion::parse(&node.assert_at(1_000)).expect("an assertion");
        assert_eq!(assertion.node, *node.id());
        assert_eq!(assertion.check(&public, 1_000 + ASSERTION_S), Ok(()));
        assert_eq!(assertion.check(&public, 1_000 - ASSERTION_S), Ok(()));
        assert_eq!(assertion.check(&public, 1_001 + ASSERTION_S), Err(Disbelief::Time));
        assert_eq!(assertion.check(&public, 0), Err(Disbelief::Time));
        assert_eq!(assertion.check(&other, 1_000), Err(Disbelief::Signature));
    }

    #[test]
    fn nothing_in_an_assertion_can_be_changed() {
        let (node, public) = identity(2);
        let text = node.assert_at(1_000);
        let good = Assertion::parse(&text).expect("an assertion");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).expect("text");
            if let Some(read) = Assertion::parse(&changed)
                && read != good
            {
                assert_eq!(read.check(&public, 1_000), Err(Disbelief::Signature), "{changed}");
            }
        }
        for bad in [
            "",
            ".",
            "..",
            "node_0101010101010101",
            "node_0101010101010101.x.y",
            "node_01.1.aa",
        ] {
            assert_eq!(Assertion::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_identity_reads_as_written_and_says_nothing_of_its_key() {
        let (node, public) = identity(3);
        let read = Identity::from_text(&node.to_text()).expect("an identity");
        let assertion = Assertion::parse(&read.assert_at(7)).expect("an assertion");
        assert_eq!(assertion.check(&public, 7), Ok(()));
        assert_eq!(format!("{node:?}"), "Identity(node_0303030303030303, …)");
        assert_eq!(PublicKey::parse(&public.to_string()), Ok(public));
        for bad in [
            "",
            "{}",
            r#"{"node":"node_1","key":"AA"}"#,
            r#"{"node":"node_0303030303030303","key":"AA"}"#,
        ] {
            assert!(Identity::from_text(bad).is_err(), "{bad}");
        }
    }
}
