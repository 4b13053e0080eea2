//! What the node has been told of the origin's changes: how far the feed was followed, and when each key changed last.
//!
//! The table of last changes has a fixed size; keys share its places, and a place holds the latest of theirs. So it may
//! say that a key changed when another did, and never that it did not change when it did.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::load::Seen;

/// Places of the table.
const PLACES: usize = 64 * 1024;

/// What has been seen.
pub(super) struct Horizon {
    followed: Mutex<Followed>,
    last_changes: Box<[AtomicU64]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Followed {
    /// Everything up to here has been told, and forgotten where it changed.
    seen: Option<Seen>,
    /// From here on nothing was missed.
    since: u64,
}

impl Default for Horizon {
    fn default() -> Self {
        Self {
            followed: Mutex::default(),
            last_changes: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Horizon {
    /// How far the feed was followed.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.followed().seen
    }

    /// The feed was followed up to here, without a gap since the last time, unless it is of another record.
    pub(super) fn follow(&self, seen: Seen) {
        let mut followed = self.followed();
        if followed.seen.is_none_or(|before| before.epoch != seen.epoch) {
            *followed = Followed {
                seen: Some(seen),
                since: seen.cursor,
            };
            self.forget();
        }
        followed.seen = Some(seen);
    }

    /// The feed goes on from here, and nothing is known of what changed before.
    pub(super) fn begin(&self, seen: Seen) {
        let mut followed = self.followed();
        self.forget();
        *followed = Followed {
            seen: Some(seen),
            since: seen.cursor,
        };
    }

    /// A key of this hash changed at `cursor`, the last change that was told. What is loaded from here on is as of that.
    pub(super) fn change(&self, hash: u64, cursor: u64) {
        let mut followed = self.followed();
        self.place(hash).fetch_max(cursor, Ordering::SeqCst);
        if let Some(seen) = &mut followed.seen {
            seen.cursor = seen.cursor.max(cursor);
        }
    }

    /// Whether a value of a key of this hash, loaded by whoever had `seen` this much, is surely no older than the key's
    /// last change that this node was told of.
    pub(super) fn covers(&self, hash: u64, seen: Seen) -> bool {
        // Held to the end: whoever begins anew forgets the changes.
        let followed = self.followed();
        followed.seen.is_some_and(|mine| mine.epoch == seen.epoch)
            && seen.cursor >= followed.since
            && seen.cursor >= self.place(hash).load(Ordering::SeqCst)
    }

    fn forget(&self) {
        for place in &self.last_changes {
            place.store(0, Ordering::SeqCst);
        }
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.last_changes[usize::try_from(hash).unwrap_or(0) % PLACES]
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Horizon;
    use crate::load::Seen;

    #[test]
    fn only_what_is_surely_no_older_than_the_last_change_counts() {
        let at = |cursor| Seen { epoch: 1, cursor };
        let horizon = Horizon::default();
        assert!(!horizon.covers(7, at(100)), "nothing was followed yet");
        horizon.follow(at(10));
        assert!(
            !horizon.covers(7, at(9)),
            "it may have changed before this node began to follow"
        );
        assert!(horizon.covers(7, at(10)) && horizon.covers(7, at(11)));
        horizon.change(7, 12);
        horizon.follow(at(12));
        assert!(!horizon.covers(7, at(11)), "loaded before the change");
        assert!(
            horizon.covers(7, at(12)) && horizon.covers(8, at(11)),
            "only that key changed"
        );
        horizon.change(7, 11);
        assert!(!horizon.covers(7, at(11)), "told again");
        assert!(!horizon.covers(7, Seen { epoch: 2, cursor: 99 }), "of another record");
        horizon.follow(Seen { epoch: 2, cursor: 3 });
        assert!(horizon.covers(7, Seen { epoch: 2, cursor: 3 }));
        assert!(!horizon.covers(7, at(99)));
        horizon.begin(Seen { epoch: 2, cursor: 20 });
        assert!(!horizon.covers(9, Seen { epoch: 2, cursor: 19 }), "after a gap");
    }
}
