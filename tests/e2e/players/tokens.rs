//! A target's check of the tokens in front of its paths: what its operator would program, by openssl rather than by us.

use std::{collections::HashMap, sync::Mutex, time::SystemTime};

use crate::openssl::hmac_sha256;

/// The key of all targets that check, in hexadecimal digits.
pub(crate) const KEY: &str = "52a152a152a152a152a152a152a152a152a152a152a152a1";

/// What has been worked out: tags by what they are of.
#[derive(Default)]
pub(crate) struct Checker {
    tags: Mutex<HashMap<String, String>>,
}

impl Checker {
    /// The path behind a token that lets through to it; none when there is no such token.
    pub(crate) fn admit<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (token, _) = path.strip_prefix('/')?.split_once('/')?;
        let rest = &path[1 + token.len()..];
        let [expires, depth, tag] = token.split('_').collect::<Vec<_>>()[..] else {
            return None;
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let holds = expires.parse::<u64>().ok()? > now.as_secs();
        let last = depth.parse::<usize>().ok()?.checked_sub(1)?;
        let (end, _) = rest.match_indices('/').nth(last)?;
        let is_right = self.tag(&format!("{expires}\n{depth}\n{}", &rest[..=end])) == tag;
        (holds && is_right).then_some(rest)
    }

    fn tag(&self, message: &str) -> String {
        let mut tags = self.tags.lock().expect("tags");
        tags.entry(message.to_owned())
            .or_insert_with(|| hmac_sha256(&format!("hexkey:{KEY}"), message.as_bytes()))
            .clone()
    }
}
