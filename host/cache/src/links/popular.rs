//! Which links are asked for most: estimated from samples, kept for the next start, renewed before they expire.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use wayside_balance::level::Level;
use wayside_decide::site::SiteId;

use super::{Held, LinkCache};
use crate::key::KeyRef;

/// Sampled hits from which on a link is renewed before it expires.
const AHEAD_HITS_MIN: u32 = 2;
/// The last part of its time to live in which a popular link is renewed: one in so many.
const AHEAD_SHARE: u32 = 10;

/// A link that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Popular {
    /// How often, in samples; older ones count for less.
    pub hits: u32,
    /// Its site.
    pub site: SiteId,
    /// Its path.
    pub path: Box<str>,
}

impl LinkCache {
    /// Counts a look-up that found `held`. The caller samples: not every look-up needs to be counted. A popular link
    /// that expires soon is renewed behind the request.
    pub fn sample(&self, site: SiteId, path: &str, held: &Held, now: Instant) {
        let hits = held.count_hit();
        let ahead = self.shared.settings.ttl / AHEAD_SHARE;
        let is_due = held.fresh_until.saturating_duration_since(now) < ahead;
        let may_renew = self.shared.level.get() == Level::Full;
        if is_due && may_renew && hits >= AHEAD_HITS_MIN && held.link.is_some() {
            self.refresh(KeyRef { site, path }.to_key(), held, now);
        }
    }

    /// The links in memory that are asked for most, the most popular first. Walks all of memory.
    #[must_use]
    pub fn popular(&self, count_max: usize) -> Vec<Popular> {
        let mut most = BinaryHeap::with_capacity(count_max + 1);
        for (key, held) in self.shared.memory.iter() {
            let hits = held.hits();
            if hits == 0 || held.link.is_none() {
                continue;
            }
            most.push(Reverse(Popular {
                hits,
                site: key.site,
                path: key.path,
            }));
            if most.len() > count_max {
                most.pop();
            }
        }
        most.into_sorted_vec()
            .into_iter()
            .map(|Reverse(popular)| popular)
            .collect()
    }

    /// Lets what was counted so far count for half.
    pub fn fade(&self) {
        for (_, held) in self.shared.memory.iter() {
            held.fade();
        }
    }

    /// Takes a link from disk into memory, if there is one that can be used, and says whether memory has room for
    /// more. Waits for the disk.
    pub fn warm(&self, popular: &Popular, now: Instant) -> bool {
        let key = KeyRef {
            site: popular.site,
            path: &popular.path,
        };
        let shared = &self.shared;
        let generation = shared.generation(key).load(std::sync::atomic::Ordering::SeqCst);
        if let Some(mut on_disk) = shared.disk.as_ref().and_then(|disk| disk.read(key)) {
            // What was popular before counts for half, so that it can be overtaken.
            on_disk.hits = u16::try_from(popular.hits / 2).unwrap_or(u16::MAX);
            drop(self.adopt(key, on_disk, generation, now));
        }
        shared.memory.weight() < shared.settings.bytes_max / 10 * 9
    }
}
