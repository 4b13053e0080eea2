//! Keeping on disk what memory holds.
//!
//! What was loaded is put on disk at once, behind the request. Where the disk had no time or no room for it, it is in
//! memory alone, and [`LinkCache::keep_what_was_lost`] puts it again. Must not know what the disk does with it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Held, LinkCache, Shared};
use crate::{disk::Disk, key::Key};

/// How long to wait for a disk that has work enough.
const DISK_PAUSE: Duration = Duration::from_millis(2);

impl Shared {
    /// Keeps what was loaded at this second of the node's. To be called under the lock of the flights.
    pub(super) fn keep_on_disk(&self, key: &Key, held: &Held, may_be_there: bool, loaded_s: u64) {
        let Some(disk) = &self.disk else { return };
        match &held.link {
            Some(link) => disk.put(key, link, loaded_s, held.epoch, held.hits()),
            None if may_be_there => disk.remove(key.clone()),
            None => {}
        }
    }
}

impl LinkCache {
    /// Puts on disk what is in memory and is not there, if the disk could not keep something since the last time. Ends at
    /// the first that it cannot keep now. Waits for the disk; the caller calls it from time to time.
    pub fn keep_what_was_lost(&self) {
        let Some(disk) = self.shared.disk.as_ref().filter(|disk| disk.take_lost()) else {
            return;
        };
        for (key, held) in self.shared.memory.iter() {
            if self.keep_again(disk, &key, &held).is_err() {
                disk.note_lost();
            }
            if disk.has_lost() {
                return;
            }
        }
    }

    fn keep_again(&self, disk: &Disk, key: &Key, held: &Arc<Held>) -> io::Result<()> {
        if held.link.is_none() || disk.has(key.view())? {
            return Ok(());
        }
        while disk.is_busy() {
            std::thread::sleep(DISK_PAUSE);
        }
        let shared = &self.shared;
        let flights = shared.flights.lock();
        let is_current = shared
            .memory
            .peek(key)
            .is_some_and(|current| Arc::ptr_eq(&current, held));
        if is_current {
            let now = Instant::now();
            let age = held.age(shared.lifetime(key.view(), true), now);
            let loaded_s = shared.clock.seconds(now).saturating_sub(age.as_secs());
            shared.keep_on_disk(key, held, false, loaded_s);
        }
        drop(flights);
        Ok(())
    }
}
