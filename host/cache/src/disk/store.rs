//! The two files, what waits to be written to them, and how a key is found and replaced in them.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use wayside_decide::link::Link;

use super::{
    Found, OnDisk,
    pending::{self, Op, Pending, Put},
    record::{Kind, Record},
    shelf::Shelf,
};
use crate::{
    codec,
    counts::Counters,
    epochs::Epochs,
    key::{Key, KeyRef},
    trouble::Trouble,
};

/// The size of a usual bucket: what the kernel reads at once anyway.
pub(super) const BUCKET_BYTES: usize = 4096;
/// The size of a bucket for large links: more than the largest link takes.
pub(super) const LARGE_BUCKET_BYTES: usize = 64 * 1024;
/// The largest record of the usual size, in bytes.
const USUAL_BYTES_MAX: usize = BUCKET_BYTES / 3;

/// What readers and the writer share.
pub(super) struct Store {
    pub(super) usual: Shelf,
    pub(super) large: Shelf,
    pub(super) pending: Mutex<Pending>,
    pub(super) wake: Condvar,
    pub(super) epochs: Arc<Epochs>,
    /// Whether the epochs are others than those that are kept.
    pub(super) has_new_epochs: AtomicBool,
    pub(super) was_there: bool,
    pub(super) counters: Counters,
    pub(super) reading: Mutex<Trouble>,
    /// Whether something was not kept that should have been.
    pub(super) has_lost: AtomicBool,
}

/// What the queue says about a key.
enum Queued {
    /// This, whatever the files say.
    Said(Found),
    /// This, if there is something that it will be written over.
    Over(Put),
    /// Nothing: the files say it.
    Nothing,
}

impl Store {
    /// See [`super::Disk::read_now`].
    pub(super) fn read_now(&self, key: KeyRef<'_>) -> Found {
        let over = match self.queued(key) {
            Queued::Said(found) => return found,
            Queued::Over(put) => Some(put),
            Queued::Nothing => None,
        };
        let mut bytes = [0; BUCKET_BYTES];
        for bucket in self.usual.buckets_of(key) {
            if self.usual.read_now(bucket, &mut bytes).is_none() {
                return Found::Unknown;
            }
            if let Some(found) = self.find(&self.usual, bucket, &bytes, key, over.as_ref()) {
                return found;
            }
        }
        self.missed()
    }

    /// See [`super::Disk::read`].
    pub(super) fn read(&self, key: KeyRef<'_>) -> Option<OnDisk> {
        let read = || -> io::Result<Found> {
            let over = match self.queued(key) {
                Queued::Said(found) => return Ok(found),
                Queued::Over(put) => Some(put),
                Queued::Nothing => None,
            };
            for shelf in [&self.usual, &self.large] {
                let mut found = None;
                for bucket in shelf.buckets_of(key) {
                    found = self.find(shelf, bucket, &shelf.read(bucket)?, key, over.as_ref());
                    if found.is_some() {
                        break;
                    }
                }
                match found {
                    Some(Found::Unknown) => {}
                    Some(found) => return Ok(found),
                    None => return Ok(self.missed()),
                }
            }
            Ok(Found::Nothing)
        };
        let found = read();
        self.note_read(found.as_ref().err());
        match found {
            Ok(Found::Link(link)) => Some(link),
            Ok(Found::Nothing | Found::Unknown) | Err(_) => None,
        }
    }

    fn note_read(&self, error: Option<&io::Error>) {
        let mut trouble = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            if trouble.went_well(Instant::now()) {
                tracing::info!("links are read from disk again");
            }
            return;
        };
        self.counters.errors.add(1);
        if trouble.happened(Instant::now()) {
            tracing::error!(%error, "read links from disk; what cannot be read is loaded anew");
        }
    }

    /// See [`super::Disk::has`].
    pub(super) fn has(&self, key: KeyRef<'_>) -> io::Result<bool> {
        match self.pending().op(key) {
            Some(Op::Remove) => return Ok(false),
            Some(Op::Put(put)) if !put.only_over => return Ok(true),
            _ => {}
        }
        let floor = self.epochs.floor();
        for bucket in self.usual.buckets_of(key) {
            let bytes = self.usual.read(bucket)?;
            let mut records = self.usual.records(bucket, &bytes);
            if records.any(|record| record.is_of(key) && record.epoch >= floor) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// See [`super::Disk::remove`].
    pub(super) fn remove(&self, key: Key) {
        let mut pending = self.pending();
        pending.remove(key);
        if pending.len() >= pending::KEYS_MAX {
            tracing::error!("the disk does not keep up with changes; forgetting the links that it keeps");
            pending.clear();
            self.note_lost();
            self.epochs.begin();
            self.epochs.end_earlier();
            self.has_new_epochs.store(true, Ordering::SeqCst);
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Changes the epochs. Nothing that comes in afterwards is written before they are kept.
    pub(super) fn change_epochs(&self, change: impl FnOnce(&Epochs)) {
        let pending = self.pending();
        change(&self.epochs);
        self.has_new_epochs.store(true, Ordering::SeqCst);
        drop(pending);
        self.wake.notify_one();
    }

    /// Keeps the epochs as they are now.
    pub(super) fn keep_epochs(&self) -> io::Result<()> {
        self.usual.write_epochs(self.epochs.current(), self.epochs.floor())
    }

    /// Writes what was written to the disk itself.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.usual.sync()?;
        self.large.sync()
    }

    pub(super) fn note_lost(&self) {
        self.has_lost.store(true, Ordering::SeqCst);
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.usual.disk_bytes() + self.large.disk_bytes()
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        // Never left half changed.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the queue says about a key.
    fn queued(&self, key: KeyRef<'_>) -> Queued {
        let pending = self.pending();
        match pending.op(key) {
            None => Queued::Nothing,
            Some(Op::Remove) => Queued::Said(self.missed()),
            Some(Op::Put(put)) if put.epoch < self.epochs.floor() => Queued::Said(self.missed()),
            Some(Op::Put(put)) if put.only_over => Queued::Over(put.clone()),
            Some(Op::Put(put)) => Queued::Said(self.hit(&put.value, put.loaded_s, put.epoch, put.hits)),
        }
    }

    /// What a bucket has for a key, where `over` is what is about to be written over it. None when it has nothing.
    fn find(&self, shelf: &Shelf, bucket: u64, bytes: &[u8], key: KeyRef<'_>, over: Option<&Put>) -> Option<Found> {
        let mut records = shelf.records(bucket, bytes);
        let found = records.by_ref().find(|record| record.is_of(key));
        if records.is_damaged {
            self.counters.damaged.add(1);
        }
        let record = found.filter(|record| record.epoch >= self.epochs.floor())?;
        Some(match over {
            Some(put) => self.hit(&put.value, put.loaded_s, put.epoch, put.hits.max(record.hits)),
            None if record.kind == Kind::Elsewhere => Found::Unknown,
            None => self.hit(record.value, record.loaded_s, record.epoch, record.hits),
        })
    }

    fn hit(&self, value: &[u8], loaded_s: u64, epoch: u32, hits: u16) -> Found {
        let Some(link) = codec::decode(value) else {
            self.counters.damaged.add(1);
            return self.missed();
        };
        self.counters.hits.add(1);
        self.counters.bytes_read.add(value.len());
        Found::Link(OnDisk {
            link,
            loaded_s,
            epoch,
            hits,
        })
    }

    fn missed(&self) -> Found {
        self.counters.misses.add(1);
        Found::Nothing
    }

    /// See [`super::Disk::put`].
    pub(super) fn put(&self, key: &Key, link: &Link, loaded_s: u64, epoch: u32, hits: u32, only_over: bool) {
        let mut value = Vec::with_capacity(128);
        let is_encoded = codec::encode(link, &mut value).is_some();
        let mut pending = self.pending();
        // What cannot be written must not leave something older behind.
        if !is_encoded || value.len() + key.path.len() > LARGE_BUCKET_BYTES - USUAL_BYTES_MAX {
            pending.remove(key.clone());
            self.counters.dropped.add(1);
            return;
        }
        let put = Put {
            value: value.into(),
            loaded_s,
            epoch,
            hits: u16::try_from(hits).unwrap_or(u16::MAX),
            only_over,
        };
        if !pending.put(key.clone(), put) {
            self.counters.dropped.add(1);
            self.note_lost();
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Does what is to be done about a key; how many bytes that wrote.
    pub(super) fn write(&self, key: &Key, op: &Op) -> io::Result<usize> {
        let Op::Put(put) = op else {
            return self.write_over(&self.usual, key, None, false);
        };
        let record = Record {
            site: key.site,
            path: key.path.as_bytes(),
            kind: Kind::Link,
            epoch: put.epoch,
            loaded_s: put.loaded_s,
            hits: put.hits,
            value: &put.value,
        };
        if record.bytes() <= USUAL_BYTES_MAX {
            return self.write_over(&self.usual, key, Some(record), put.only_over);
        }
        // The link before the note that says where it is.
        self.write_over(&self.large, key, Some(record), false)?;
        let note = Record {
            kind: Kind::Elsewhere,
            value: &[],
            ..record
        };
        let written = self.write_over(&self.usual, key, Some(note), put.only_over)?;
        Ok(written + LARGE_BUCKET_BYTES)
    }

    /// Replaces the record of a key by another, or by none; how many bytes that wrote.
    fn write_over(&self, shelf: &Shelf, key: &Key, new: Option<Record<'_>>, only_over: bool) -> io::Result<usize> {
        let key = key.view();
        // Only this thread writes, so what it finds stays as it is.
        let mut used = [(0, 0); 2];
        let mut old: Option<(u64, usize, u16)> = None;
        for (used, bucket) in used.iter_mut().zip(shelf.buckets_of(key)) {
            let bytes = shelf.read(bucket)?;
            *used = (bucket, 0);
            for record in shelf.records(bucket, &bytes) {
                used.1 += record.bytes();
                if record.is_of(key) {
                    old = old.or_else(|| Some((bucket, record.bytes(), record.hits)));
                }
            }
        }
        if old.is_none() && (new.is_none() || only_over) {
            return Ok(0);
        }
        let new = new.map(|new| Record {
            hits: new.hits.max(old.map_or(0, |(_, _, hits)| hits)),
            ..new
        });
        let target = new.map(|new| target(used, old, new.bytes(), shelf.bucket_bytes()));
        let mut written = 0;
        // The new before the old goes: a crash between leaves one too many rather than none.
        if let (Some(target), Some(new)) = (target, new) {
            written += self.rewrite(shelf, target, key, Some(new))?;
        }
        for (bucket, _) in used {
            if Some(bucket) != target {
                written += self.rewrite(shelf, bucket, key, None)?;
            }
        }
        self.counters.bytes_written.add(written);
        Ok(written)
    }

    /// Takes a key's record out of a bucket and puts another in, if there is one.
    fn rewrite(&self, shelf: &Shelf, bucket: u64, key: KeyRef<'_>, new: Option<Record<'_>>) -> io::Result<usize> {
        let taken = shelf.take(bucket)?;
        let mut found = taken.records();
        let mut records: Vec<Record<'_>> = found.by_ref().collect();
        self.counters.damaged.add(usize::from(found.is_damaged));
        let count = records.len();
        records.retain(|record| !record.is_of(key));
        if new.is_none() && records.len() == count {
            return Ok(0);
        }
        let floor = self.epochs.floor();
        records.retain(|record| record.epoch >= floor);
        make_room(
            &mut records,
            shelf.bucket_bytes().saturating_sub(new.map_or(0, |new| new.bytes())),
        );
        // The newest first: what is behind a damaged record is lost.
        records.splice(0..0, new);
        taken.replace(&records)
    }
}

/// Which of a key's buckets, each given with the bytes that are used, a record of `new_bytes` goes to: the one where the old
/// one is, if there is room, else the emptier.
fn target(used: [(u64, usize); 2], old: Option<(u64, usize, u16)>, new_bytes: usize, room: usize) -> u64 {
    let [first, second] = used;
    let emptier = if second.1 < first.1 { second } else { first };
    let Some((bucket, old_bytes, _)) = old else {
        return emptier.0;
    };
    let in_it = if bucket == first.0 { first.1 } else { second.1 };
    if in_it - old_bytes + new_bytes <= room {
        bucket
    } else {
        emptier.0
    }
}

/// Leaves of `records` what fits into `room` bytes: those asked for most, of equals the newest.
fn make_room(records: &mut Vec<Record<'_>>, room: usize) {
    let mut bytes: usize = records.iter().map(Record::bytes).sum();
    if bytes <= room {
        return;
    }
    records.sort_unstable_by_key(|record| std::cmp::Reverse((record.hits, record.loaded_s)));
    while bytes > room
        && let Some(least) = records.pop()
    {
        bytes -= least.bytes();
    }
}
