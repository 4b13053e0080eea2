//! An entry: a link, or the certainty that there is none, and how long that holds.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use quick_cache::Weighter;
use wayside_decide::link::Link;

use crate::key::Key;

/// What an entry costs in memory besides its link and its path: the table's own record and what the
/// allocator rounds up.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// A link, or the certainty that there is none, as of some instant.
#[derive(Debug)]
pub struct Held {
    /// The link; `None` when there is none.
    pub link: Option<Link>,
    pub(super) fresh_until: Instant,
    pub(super) stale_until: Instant,
    /// No refresh before this, in milliseconds since the cache was made.
    pub(super) refresh_after_ms: AtomicU64,
    pub(super) epoch: u32,
    /// How often it was asked for, in samples.
    hits: AtomicU32,
}

/// When an entry stops being fresh, and when it stops being of use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) fresh: Duration,
    pub(super) stale: Duration,
}

impl Held {
    /// An entry loaded `age` ago; none when it is of no use any more.
    pub(super) fn aged(
        link: Option<Link>,
        lifetime: Lifetime,
        age: Duration,
        epoch: u32,
        now: Instant,
    ) -> Option<Self> {
        let left = (lifetime.fresh + lifetime.stale).checked_sub(age)?;
        Some(Self {
            link,
            fresh_until: now + lifetime.fresh.saturating_sub(age),
            stale_until: now + left,
            refresh_after_ms: AtomicU64::new(0),
            epoch,
            hits: AtomicU32::new(0),
        })
    }

    /// How long ago it was loaded, by the lifetime that it was given then.
    pub(super) fn age(&self, lifetime: Lifetime, now: Instant) -> Duration {
        (now + lifetime.fresh + lifetime.stale).saturating_duration_since(self.stale_until)
    }

    pub(super) fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn with_hits(self, hits: u32) -> Self {
        self.hits.store(hits, Ordering::Relaxed);
        self
    }

    /// Counts a sampled hit. Two at the same time may count as one: it is an estimate.
    pub(super) fn count_hit(&self) -> u32 {
        let hits = self.hits().saturating_add(1);
        self.hits.store(hits, Ordering::Relaxed);
        hits
    }

    /// Lets hits of long ago count for less.
    pub(super) fn fade(&self) {
        self.hits.store(self.hits() / 2, Ordering::Relaxed);
    }
}

/// Weighs entries by what they take in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes;

impl Weighter<Key, std::sync::Arc<Held>> for Bytes {
    fn weight(&self, key: &Key, held: &std::sync::Arc<Held>) -> u64 {
        let link = held.link.as_ref().map_or(0, Link::weight);
        u64::try_from(ENTRY_OVERHEAD_BYTES + size_of::<Held>() + key.path.len() + link).unwrap_or(u64::MAX)
    }
}
