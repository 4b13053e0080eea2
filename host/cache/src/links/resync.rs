//! Checking everything that is held, when the feed cannot go on from where the node was.
//!
//! What is held goes on being served meanwhile. [`LinkCache::begin_resync`] begins an epoch; the caller reads what the
//! origin has, piece by piece, into [`LinkCache::confirm`]; [`LinkCache::end_resync`] drops what nobody confirmed.
//! What is loaded meanwhile is of the new epoch and needs no confirmation, and the feed that the caller follows next
//! begins before the first piece, so nothing that changes meanwhile is missed.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use wayside_decide::{link::Link, site::SiteId};

use super::{Held, LinkCache};
use crate::{key::KeyRef, load::Seen};

impl LinkCache {
    /// From now on, what is held has to be confirmed. May wait for the disk.
    ///
    /// # Errors
    /// When the disk cannot keep the epoch.
    pub fn begin_resync(&self) -> io::Result<()> {
        let mut flights = self.shared.flights.lock();
        match &self.shared.disk {
            Some(disk) => disk.begin_epoch(),
            None => self.shared.epochs.begin(),
        }
        // What is loaded by now may be older than what is confirmed next, and is not kept in place of that.
        flights.clear();
        drop(flights);
        self.flush()
    }

    /// The origin has this link: what is held for it is that from now on. Nothing is held that was not.
    pub fn confirm(&self, site: SiteId, path: &str, link: &Link, now: Instant) {
        let shared = &self.shared;
        let key = KeyRef { site, path };
        let epoch = shared.epochs.current();
        let flights = shared.flights.lock();
        let held = shared.memory.peek(&key);
        if held.as_ref().is_some_and(|held| held.epoch >= epoch) {
            // Loaded since: newer than what the caller has read.
            return;
        }
        if let Some(before) = held
            && let Some(held) = Held::aged(
                Some(link.clone()),
                shared.lifetime(key, true),
                Duration::ZERO,
                epoch,
                now,
            )
        {
            shared
                .memory
                .insert(key.to_key(), Arc::new(held.with_hits(before.hits())));
        }
        if let Some(disk) = &shared.disk {
            disk.confirm(&key.to_key(), link, shared.clock.seconds(now), epoch);
        }
        drop(flights);
    }

    /// Whether the disk has work enough: whoever confirms should wait a little.
    #[must_use]
    pub fn is_disk_busy(&self) -> bool {
        self.shared.disk.as_ref().is_some_and(|disk| disk.is_busy())
    }

    /// The feed is followed from `seen` on, and what changed before may have been missed.
    pub fn begin_following(&self, seen: Seen) {
        self.shared.horizon.begin(seen);
    }

    /// Drops everything that was not confirmed. May wait for the disk.
    ///
    /// # Errors
    /// When the disk cannot keep the epoch.
    pub fn end_resync(&self) -> io::Result<()> {
        let shared = &self.shared;
        let flights = shared.flights.lock();
        match &shared.disk {
            Some(disk) => disk.end_earlier_epochs(),
            None => shared.epochs.end_earlier(),
        }
        for generation in &shared.generations {
            generation.fetch_add(1, Ordering::SeqCst);
        }
        let floor = shared.epochs.floor();
        shared.memory.retain(|_, held| held.epoch >= floor);
        drop(flights);
        self.flush()
    }

    fn flush(&self) -> io::Result<()> {
        self.shared.disk.as_ref().map_or(Ok(()), |disk| disk.flush())
    }
}
