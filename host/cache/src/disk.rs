//! Links on the node's disk: what a restart goes on from, and what does not fit into memory.
//!
//! Two files of buckets (`shelf`), one for links of the usual size and one for large ones. A reader never waits for a
//! writer's queue: what is queued is read from the queue. One thread writes, behind the requests.
//!
//! What may be relied on:
//! - What is read is what was written last for that key, or nothing. Checksums see to damage, the queue to order.
//! - An invalidation holds as soon as `Disk::remove` returns, and on the disk itself once a [`Disk::flush`] that
//!   began after it has returned without an error: only then may a place in the feed behind it be kept.
//! - A full or broken disk costs nothing but what would have been kept there. It is said once, and again after all was
//!   well in between. What was not kept for want of room or time is remembered, so that it can be put again.
//!
//! The files keep themselves good: every bucket stands alone and the header stands twice, so there is no moment at
//! which a crash could leave them unusable, and no second copy of the whole is needed.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
};

use wayside_decide::link::Link;

use self::{shelf::ShelfError, store::Store};
use crate::{
    counts::Counts,
    epochs::Epochs,
    key::{Key, KeyRef},
};

mod open;
mod pending;
mod record;
mod shelf;
mod store;
mod writer;

/// From this many waiting keys on, the disk counts as busy.
const BUSY_KEYS: usize = 1024;

/// Where links are kept, and how much of them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes that the files may take.
    pub bytes_max: u64,
}

/// A link as it was kept.
#[derive(Debug)]
pub(crate) struct OnDisk {
    pub(crate) link: Link,
    pub(crate) loaded_s: u64,
    pub(crate) epoch: u32,
    pub(crate) hits: u16,
}

/// What the disk has for a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// This.
    Link(OnDisk),
    /// Nothing.
    Nothing,
    /// That cannot be said without waiting.
    Unknown,
}

/// The disk tier. Dropping it writes what is queued and ends its thread.
pub struct Disk {
    store: Arc<Store>,
    writer: Option<thread::JoinHandle<()>>,
}

impl Disk {
    /// Opens the links kept in the folder, or begins with none. Files that cannot be read are set aside, which is said.
    /// None when nothing can be kept there; that is said, too.
    #[must_use]
    pub fn open(settings: &Settings) -> Option<Self> {
        let opened = fs::create_dir_all(&settings.folder)
            .map_err(ShelfError::File)
            .and_then(|()| Store::open(settings));
        match opened.and_then(|store| Ok(Self::start(store)?)) {
            Ok(disk) => Some(disk),
            Err(error) => {
                let folder = settings.folder.display();
                tracing::error!(%folder, %error, "no links are kept on disk");
                None
            }
        }
    }

    fn start(store: Store) -> io::Result<Self> {
        let store = Arc::new(store);
        let writer = thread::Builder::new().name("links".to_owned()).spawn({
            let store = Arc::clone(&store);
            move || store.write_queued()
        })?;
        Ok(Self {
            store,
            writer: Some(writer),
        })
    }

    /// What is kept for a key, if that can be told without waiting for the disk.
    pub(crate) fn read_now(&self, key: KeyRef<'_>) -> Found {
        self.store.read_now(key)
    }

    /// What is kept for a key, however long that takes.
    pub(crate) fn read(&self, key: KeyRef<'_>) -> Option<OnDisk> {
        self.store.read(key)
    }

    /// Keeps a link, behind the request.
    pub(crate) fn put(&self, key: &Key, link: &Link, loaded_s: u64, epoch: u32, hits: u32) {
        self.store.put(key, link, loaded_s, epoch, hits, false);
    }

    /// Writes a link over what is kept for its key; does nothing where nothing is.
    pub(crate) fn confirm(&self, key: &Key, link: &Link, loaded_s: u64, epoch: u32) {
        self.store.put(key, link, loaded_s, epoch, 0, true);
    }

    /// Forgets a key: nobody reads it any more once this returns. Never lost, however much is queued.
    pub(crate) fn remove(&self, key: Key) {
        self.store.remove(key);
    }

    /// Waits until everything that came in before is on the disk itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&self) -> io::Result<()> {
        let (done, is_done) = mpsc::sync_channel(1);
        self.store.pending().barrier(done);
        self.store.wake.notify_one();
        is_done
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that writes links has ended")))?;
        // Not on the thread that writes: this may take seconds, in which more is to be written than can wait.
        self.store.sync()
    }

    /// Whether since the last time something was not kept that should have been.
    pub(crate) fn take_lost(&self) -> bool {
        self.store.has_lost.swap(false, Ordering::SeqCst)
    }

    /// As [`Disk::take_lost`], which goes on saying so.
    pub(crate) fn has_lost(&self) -> bool {
        self.store.has_lost.load(Ordering::SeqCst)
    }

    /// Something was not kept that should have been.
    pub(crate) fn note_lost(&self) {
        self.store.note_lost();
    }

    /// Whether something is kept for a key, however long it takes to say so.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn has(&self, key: KeyRef<'_>) -> io::Result<bool> {
        self.store.has(key)
    }

    /// Whether so much waits to be written that whoever can should wait with more.
    pub(crate) fn is_busy(&self) -> bool {
        self.store.pending().len() >= BUSY_KEYS
    }

    /// The epochs that what is kept here belongs to.
    pub(crate) fn epochs(&self) -> Arc<Epochs> {
        Arc::clone(&self.store.epochs)
    }

    /// Begins an epoch: what is put from now on belongs to it. For good once a [`Disk::flush`] has returned.
    pub(crate) fn begin_epoch(&self) {
        self.store.change_epochs(Epochs::begin);
    }

    /// Lets nothing count any more that is of an earlier epoch. For good as the beginning is.
    pub(crate) fn end_earlier_epochs(&self) {
        self.store.change_epochs(Epochs::end_earlier);
    }

    /// The files' own number, by which they are told from others at the same place. It stays over restarts, and when they are
    /// given another size.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.store.usual.header().seed
    }

    /// Whether the files were there before this process, and could be read.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.store.was_there
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.store.counters.read()
    }

    /// What the files take on the disk, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.store.disk_bytes()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.store.pending().is_closed = true;
        self.store.wake.notify_one();
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread that writes links had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
