//! What is still to be written: a queue in which each key stands once, and which readers look into first.
//!
//! The last word about a key counts, and what it replaces need not be written at all. A key that is in here is never
//! read from the disk, so an invalidation holds from the moment it comes in.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::mpsc::SyncSender,
};

use foldhash::fast::RandomState;

use crate::key::{Key, KeyRef};

/// Beyond this many keys nothing more is put, only removed.
const PUTS_MAX: usize = 16 * 1024;
/// Beyond this many the disk does not keep up with invalidations, and is given up for the time being.
pub(super) const KEYS_MAX: usize = 256 * 1024;

/// What is to be done about a key.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Put(Put),
    Remove,
}

/// A link to be kept.
#[derive(Debug, Clone)]
pub(super) struct Put {
    /// The encoded link.
    pub(super) value: Box<[u8]>,
    pub(super) loaded_s: u64,
    pub(super) epoch: u32,
    pub(super) hits: u16,
    /// Whether it is only written over what is there.
    pub(super) only_over: bool,
}

/// What the writer does next.
pub(super) enum Step {
    Key(Key, Op, u64),
    /// Everything that came in before it has been written: tells so.
    Barrier(SyncSender<io::Result<()>>),
    /// The epochs are others, and are to be kept before anything else is written.
    Epochs,
}

enum Queued {
    Key(Key),
    Barrier(SyncSender<io::Result<()>>),
}

struct Entry {
    op: Op,
    /// The number of the last word about the key, by which the writer sees that what it wrote is not that any more.
    word: u64,
    is_queued: bool,
    /// Whether an attempt to write it failed.
    has_failed: bool,
}

/// The queue.
#[derive(Default)]
pub(super) struct Pending {
    entries: HashMap<Key, Entry, RandomState>,
    queue: VecDeque<Queued>,
    words: u64,
    /// Keys of which something older may still be on the disk, since the disk refused to change it.
    pub(super) failed: usize,
    pub(super) is_closed: bool,
}

impl Pending {
    /// What is about to be done about a key.
    pub(super) fn op(&self, key: KeyRef<'_>) -> Option<&Op> {
        self.entries.get(&key.to_key()).map(|entry| &entry.op)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Queues a put, unless too much is queued: then the key is removed, for an older value must not come back. Whether
    /// it was queued.
    pub(super) fn put(&mut self, key: Key, mut put: Put) -> bool {
        // What is queued is what it would be written over.
        match self.entries.get(&key).map(|entry| &entry.op) {
            Some(Op::Put(queued)) => put.only_over &= queued.only_over,
            Some(Op::Remove) if put.only_over => return true,
            _ => {}
        }
        let has_room = self.entries.len() < PUTS_MAX || self.entries.contains_key(&key);
        self.set(key, if has_room { Op::Put(put) } else { Op::Remove });
        has_room
    }

    /// Queues a removal, always.
    pub(super) fn remove(&mut self, key: Key) {
        self.set(key, Op::Remove);
    }

    pub(super) fn barrier(&mut self, done: SyncSender<io::Result<()>>) {
        self.queue.push_back(Queued::Barrier(done));
    }

    /// Lets nobody wait any longer: what was to be written cannot be.
    pub(super) fn refuse_barriers(&mut self, error: &io::Error) {
        self.queue.retain(|queued| {
            let Queued::Barrier(done) = queued else { return true };
            // Who asked may have gone.
            let _ = done.send(Err(io::Error::new(error.kind(), error.to_string())));
            false
        });
    }

    /// Forgets every key. Barriers stay.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.failed = 0;
        self.queue.retain(|queued| matches!(queued, Queued::Barrier(_)));
    }

    /// Takes the next step. Its key stays readable until [`Pending::done`].
    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            match self.queue.pop_front()? {
                Queued::Barrier(done) => return Some(Step::Barrier(done)),
                Queued::Key(key) => {
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.is_queued = false;
                        return Some(Step::Key(key, entry.op.clone(), entry.word));
                    }
                }
            }
        }
    }

    /// A step was taken. Whether it could be written; else its key is queued again.
    pub(super) fn done(&mut self, key: Key, word: u64, is_written: bool) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if !is_written {
            // Also when something newer was said: until that is written, what is older is still there.
            self.failed += usize::from(!entry.has_failed);
            entry.has_failed = true;
        }
        if entry.word != word {
            // It is queued.
            return;
        }
        if is_written {
            self.failed -= usize::from(entry.has_failed);
            self.entries.remove(&key);
            return;
        }
        entry.is_queued = true;
        self.queue.push_back(Queued::Key(key));
    }

    fn set(&mut self, key: Key, op: Op) {
        self.words += 1;
        let entry = self.entries.entry(key.clone()).or_insert(Entry {
            op: Op::Remove,
            word: 0,
            is_queued: false,
            has_failed: false,
        });
        entry.op = op;
        entry.word = self.words;
        if !entry.is_queued {
            entry.is_queued = true;
            self.queue.push_back(Queued::Key(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::site::SiteId;

    use super::{Op, Pending, Put, Step};
    use crate::key::Key;

    fn step(pending: &mut Pending) -> (Key, u64) {
        match pending.next() {
            Some(Step::Key(key, _, word)) => (key, word),
            _ => panic!("a key is queued"),
        }
    }

    #[test]
    fn a_removal_that_failed_counts_until_something_newer_is_written() {
        let key = Key {
            site: SiteId(1),
            path: "/a".into(),
        };
        let mut pending = Pending::default();
        pending.remove(key.clone());
        let (_, removal) = step(&mut pending);
        let put = Put {
            value: Box::default(),
            loaded_s: 0,
            epoch: 1,
            hits: 0,
            only_over: false,
        };
        assert!(pending.put(key.clone(), put));
        pending.done(key.clone(), removal, false);
        assert_eq!(pending.failed, 1, "what was to be removed is still there");
        let (_, word) = step(&mut pending);
        assert!(matches!(pending.op(key.view()), Some(Op::Put(_))));
        pending.done(key.clone(), word, false);
        assert_eq!(pending.failed, 1, "counted once");
        let (_, word) = step(&mut pending);
        pending.done(key, word, true);
        assert_eq!((pending.failed, pending.len()), (0, 0));
    }
}
