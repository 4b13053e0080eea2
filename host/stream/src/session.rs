//! Sessions that this operator's nodes gave out, told from those that somebody made up.
//!
//! In: a key that all nodes share, an asset, which of its pathways the player knows, random bytes, the instant. Out: an
//! identifier that fits where players put theirs (CMCD's `sid`, the query of a steering manifest), and later whether it is
//! one of ours and which pathways its player knows. Nothing is kept.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::sign::{
    mac::{self, Keyed},
    secret::Secret,
};

/// Random bytes of an identifier.
pub const NONCE_BYTES: usize = 12;
/// Bytes of its tag: of an HMAC-SHA256 as many as nobody guesses.
const TAG_BYTES: usize = 16;
/// Bytes of its time of issue, in minutes since 1970.
const ISSUED_BYTES: usize = 4;
/// Bytes of the age of the player's pathways, in milliseconds since 1970.
const SINCE_BYTES: usize = 8;
/// Bytes of what an identifier says, before its tag.
const TOLD_BYTES: usize = NONCE_BYTES + ISSUED_BYTES + SINCE_BYTES;
/// How far ahead an identifier may have been given out, in minutes: nodes' clocks differ by less.
const AHEAD_MIN_MAX: u64 = 5;
/// All bytes of an identifier.
const BYTES: usize = TOLD_BYTES + TAG_BYTES;

/// Letters of an identifier: six bits each.
const LETTERS: usize = (BYTES * 8).div_ceil(6);
/// What it is decoded into: decoders want room for whole groups of letters.
const DECODED_BYTES: usize = LETTERS.div_ceil(4) * 3;

/// What an identifier says of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Which generation of pathways the player's playlist has: the latest instant at which one of them became one, in
    /// milliseconds since 1970 UTC. Later ones it does not know.
    pub since_ms: u64,
}

/// Why a session is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// It is no identifier.
    #[error("session: found something else, expected an identifier that a node gave out")]
    Malformed,
    /// It was made with another key, or for another asset.
    #[error("session: found one of another asset or key, expected this asset's")]
    Wrong,
    /// It is too old, or from the future.
    #[error(
        "session: found one given out {issued_min} minutes after 1970, expected one of the last {age_min_max} at {now_min}, \
         or {AHEAD_MIN_MAX} ahead of it"
    )]
    Age {
        /// When it was given out.
        issued_min: u64,
        /// The instant.
        now_min: u64,
        /// How old it may be.
        age_min_max: u64,
    },
}

/// The key of a site's identifiers. It does not show itself.
#[derive(Clone)]
pub struct Key(Keyed);

impl Key {
    /// The key made of another secret that all nodes have of the site. None when that is empty.
    #[must_use]
    pub fn of(secret: &[u8]) -> Option<Self> {
        let secret = Secret::from_bytes(secret).ok()?;
        let secret = Secret::from_bytes(mac::hmac_sha256(&secret, b"sessions of streams")).ok()?;
        Keyed::new(&secret).map(Self)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

/// The identifier of a new session of `asset`, whose player knows the pathways of the generation `since_ms`
/// ([`Session::since_ms`]). `nonce` is random.
#[must_use]
pub fn give_out(key: &Key, asset: &str, nonce: [u8; NONCE_BYTES], since_ms: u64, now_s: u64) -> String {
    let issued_min = u32::try_from(now_s / 60).unwrap_or(u32::MAX);
    let mut bytes = [0; BYTES];
    let (told, tag) = bytes.split_at_mut(TOLD_BYTES);
    told[..NONCE_BYTES].copy_from_slice(&nonce);
    told[NONCE_BYTES..][..ISSUED_BYTES].copy_from_slice(&issued_min.to_be_bytes());
    told[NONCE_BYTES + ISSUED_BYTES..].copy_from_slice(&since_ms.to_be_bytes());
    tag.copy_from_slice(&key.0.tag(&message(told, asset))[..TAG_BYTES]);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What `session` says, when it was given out for `asset`, `age_min_max` minutes ago at most, or by a clock that is a little
/// ahead.
///
/// # Errors
/// [`NoSession`] when it was not.
pub fn check(key: &Key, asset: &str, session: &str, now_s: u64, age_min_max: u64) -> Result<Session, NoSession> {
    let mut bytes = [0; DECODED_BYTES];
    if session.len() != LETTERS || BASE64_URL_SAFE_NO_PAD.decode_slice(session, &mut bytes) != Ok(BYTES) {
        return Err(NoSession::Malformed);
    }
    let (told, tag) = bytes[..BYTES].split_at(TOLD_BYTES);
    if !key.0.begins(&message(told, asset), tag) {
        return Err(NoSession::Wrong);
    }
    let (mut issued, mut since) = ([0; ISSUED_BYTES], [0; SINCE_BYTES]);
    issued.copy_from_slice(&told[NONCE_BYTES..][..ISSUED_BYTES]);
    since.copy_from_slice(&told[NONCE_BYTES + ISSUED_BYTES..]);
    let (issued_min, now_min) = (u64::from(u32::from_be_bytes(issued)), now_s / 60);
    if issued_min > now_min + AHEAD_MIN_MAX || now_min.saturating_sub(issued_min) > age_min_max {
        return Err(NoSession::Age {
            issued_min,
            now_min,
            age_min_max,
        });
    }
    Ok(Session {
        since_ms: u64::from_be_bytes(since),
    })
}

/// What the tag covers: of known length first, so that no two pairs are alike.
const fn message<'m>(told: &'m [u8], asset: &'m str) -> [&'m [u8]; 3] {
    [told, b"session of ", asset.as_bytes()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{Key, Keyed, NoSession, Secret, Session, check, give_out};

    fn key(text: &str) -> Key {
        Key::of(text.as_bytes()).expect("a key")
    }

    #[test]
    fn every_site_has_a_key_of_its_own() {
        let session = give_out(&Key::of(&[1; 32]).expect("a key"), "film", [7; 12], 0, 1_800_000_000);
        let checked = |key: Option<Key>| check(&key.expect("a key"), "film", &session, 1_800_000_000, 60);
        assert_eq!(checked(Key::of(&[1; 32])), Ok(Session { since_ms: 0 }));
        assert_eq!(checked(Key::of(&[2; 32])), Err(NoSession::Wrong));
        let itself = Secret::from_bytes([1; 32]).ok().and_then(|secret| Keyed::new(&secret));
        assert_eq!(
            checked(itself.map(Key)),
            Err(NoSession::Wrong),
            "the secret is not the key"
        );
        assert!(Key::of(&[]).is_none());
    }

    #[test]
    fn a_session_is_of_its_asset_key_and_time() {
        let session = give_out(&key("a"), "film", [7; 12], 1_799_999_000_123, 1_800_000_000);
        assert_eq!(session.len(), 54, "CMCD allows 64");
        let told = Ok(Session {
            since_ms: 1_799_999_000_123,
        });
        let checked = |of: &str, asset, now_s| check(&key(of), asset, &session, now_s, 60);
        assert_eq!(checked("a", "film", 1_800_000_000), told);
        assert_eq!(checked("a", "film", 1_800_003_600), told);
        // Of a node whose clock is some minutes ahead.
        assert_eq!(checked("a", "film", 1_799_999_700), told);
        assert_eq!(checked("b", "film", 1_800_000_000), Err(NoSession::Wrong));
        assert_eq!(checked("a", "films", 1_800_000_000), Err(NoSession::Wrong));
        for now_s in [1_800_003_660, 1_799_999_640, 0] {
            assert!(
                matches!(checked("a", "film", now_s), Err(NoSession::Age { .. })),
                "{now_s}"
            );
        }
        for text in [
            "",
            "abc",
            &session[1..],
            &format!("{session}A"),
            &session.replace(|_| true, "!"),
        ] {
            assert_eq!(
                check(&key("a"), "film", text, 1_800_000_000, 60),
                Err(NoSession::Malformed),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_change_goes_unnoticed(nonce in any::<[u8; 12]>(), since_ms in any::<u64>(), at in 0_usize..54, to in any::<u8>()) {
            const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let session = give_out(&key("a"), "film", nonce, since_ms, 1_800_000_000);
            let mut changed = session.clone().into_bytes();
            changed[at] = LETTERS[usize::from(to % 64)];
            let changed = String::from_utf8(changed).expect("text");
            let is_ours = check(&key("a"), "film", &changed, 1_800_000_000, 60).is_ok();
            prop_assert_eq!(is_ours, changed == session);
        }
    }
}
