//! What the disk is told of manifests, and asked for: one after the other, however many there are.
//!
//! Each word to the disk takes a thread until it has heard, and the runtime's are needed to look up names and to read
//! playlists. So one thread writes, a few read, and who waits for its turn is a task. Nobody who plays waits for what is
//! written. A tenant has so many that wait; what finds no place is left out and comes another time.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking, time::sleep};

use super::{
    content::Content,
    seats::{Seat, Seats},
    shelf::{Keeping, Shelf, Shelved},
    slot::Slot,
};

/// Manifests that are read at the same time.
const READS_MAX: usize = 4;

/// A disk for manifests. Clones share it.
#[derive(Clone)]
pub(super) struct Disk(Arc<Inner>);

struct Inner {
    shelf: Shelf,
    writing: Semaphore,
    reading: Semaphore,
    waiting: Seats,
    runtime: Handle,
}

/// What the disk hears of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is another one.
    New,
    /// The origin has confirmed it.
    Confirmed,
}

impl Disk {
    /// Nobody waits. Who will does on the current runtime.
    pub(super) fn new(shelf: Shelf) -> Self {
        Self(Arc::new(Inner {
            shelf,
            writing: Semaphore::new(1),
            reading: Semaphore::new(READS_MAX),
            waiting: Seats::default(),
            runtime: Handle::current(),
        }))
    }

    /// Has the disk have what a slot holds when the turn comes, and again after a while when it was told just before. False
    /// when too many of the tenant wait.
    pub(super) fn tell(&self, slot: &Arc<Slot>, word: Word) -> bool {
        let Some(seat) = self.0.waiting.take(slot.tenant()) else {
            return false;
        };
        // What memory lets go of meanwhile is not held for this.
        self.0
            .runtime
            .spawn(self.clone().keep(Arc::downgrade(slot), word, seat));
        true
    }

    /// What a slot had was taken down: it is not to come back from the disk either. Left out when too many of the tenant
    /// wait: then the next who is told that there is none has it done.
    pub(super) fn remove(&self, slot: &Slot) {
        let Some(seat) = self.0.waiting.take(slot.tenant()) else {
            return;
        };
        let (disk, site, url) = (self.clone(), slot.site(), slot.url.clone());
        self.0.runtime.spawn(async move {
            let _seat = seat;
            let removed = disk.write(move |shelf| shelf.remove(site, url.as_str())).await;
            if let Some(Err(error)) = removed {
                tracing::error!(%error, "remove a manifest from the disk");
            }
        });
    }

    /// What was kept of a slot, and how long ago its origin said that it is so; none when `read` makes nothing of it.
    pub(super) async fn read(
        &self,
        slot: &Arc<Slot>,
        read: impl FnOnce(&Slot, Shelved) -> Option<(Arc<Content>, Duration)> + Send + 'static,
    ) -> Option<(Arc<Content>, Duration)> {
        let _turn = self.0.reading.acquire().await.ok()?;
        let (disk, slot) = (self.clone(), Arc::clone(slot));
        let reading = spawn_blocking(move || {
            let shelved = disk.0.shelf.read(slot.site(), slot.url.as_str())?;
            read(&slot, shelved)
        });
        reading.await.ok().flatten()
    }

    async fn keep(self, slot: Weak<Slot>, word: Word, _seat: Seat) {
        loop {
            let slot = slot.clone();
            let keeping = self.write(move |shelf| slot.upgrade().map_or(Ok(None), |slot| keep(shelf, &slot, word)));
            match keeping.await {
                Some(Ok(Some(wait))) => sleep(wait).await,
                Some(Err(error)) => return tracing::error!(%error, "keep a manifest on disk"),
                _ => return,
            }
        }
    }

    /// Does this when nobody else writes; none when it panicked.
    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&Shelf) -> T + Send + 'static) -> Option<T> {
        let _turn = self.0.writing.acquire().await.ok()?;
        let disk = self.clone();
        spawn_blocking(move || work(&disk.0.shelf)).await.ok()
    }

    #[cfg(test)]
    pub(super) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    #[cfg(test)]
    pub(super) fn set_interval(&mut self, interval: Duration) {
        Arc::get_mut(&mut self.0).expect("nobody waits yet").shelf.interval = interval;
    }
}

/// Has the disk have what a slot holds now. How long to wait before that may be tried again, when it was done just before.
fn keep(shelf: &Shelf, slot: &Slot, word: Word) -> io::Result<Option<Duration>> {
    let (site, url) = (slot.site(), slot.url.as_str());
    // What was put away for want of room, or never came there, is kept whole.
    if word == Word::Confirmed && slot.is_on_disk() && shelf.confirm(site, url)? {
        return Ok(None);
    }
    // Read when nothing else can be kept or removed: what was taken down meanwhile is not there any more.
    Ok(match shelf.keep(site, url, || slot.content())? {
        Keeping::There(id) => {
            slot.note_on_disk(id);
            None
        }
        Keeping::Later(wait) => Some(wait),
        Keeping::Not => None,
    })
}
