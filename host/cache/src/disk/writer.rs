//! The thread that writes what is queued, and what it does about a disk that refuses.
//!
//! A link that cannot be written is given up, and what was kept for its key is removed, so that nothing older comes
//! back. A removal that cannot be written stays queued, where readers see it, and no flush succeeds until it is done.

use std::{
    io,
    sync::{PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    pending::{Op, Step},
    store::Store,
};
use crate::trouble::Trouble;

/// How long the writer rests after the disk has refused a removal.
const REST: Duration = Duration::from_millis(100);
/// How long nothing is put after the disk has refused something.
const PUT_REST: Duration = Duration::from_secs(1);

impl Store {
    /// Writes until the queue is closed and empty.
    pub(super) fn write_queued(&self) {
        let mut trouble = Trouble::default();
        while let Some(step) = self.next_step() {
            match step {
                Step::Barrier(done) => {
                    // Who asked may have gone; the next one asks again.
                    let _ = done.send(self.check_removed());
                }
                Step::Epochs => {
                    if let Err(error) = self.keep_epochs() {
                        note(&mut trouble, &error);
                        self.wait_to_keep_epochs(&error);
                    }
                }
                Step::Key(key, op, word) => {
                    let written = self.write_or_remove(&key, op, &mut trouble);
                    let mut pending = self.pending();
                    let is_closed = pending.is_closed;
                    // At the end nobody waits for a broken disk: the kept place in the feed is before this change.
                    pending.done(key, word, written || is_closed);
                    drop(pending);
                    if !written && !is_closed {
                        thread::sleep(REST);
                    }
                }
            }
        }
    }

    fn next_step(&self) -> Option<Step> {
        let mut pending = self.pending();
        loop {
            // Nothing of a new epoch may be on the disk before the disk knows the epoch.
            if self.has_new_epochs.swap(false, Ordering::SeqCst) {
                return Some(Step::Epochs);
            }
            match pending.next() {
                Some(step) => return Some(step),
                None if pending.is_closed => return None,
                None => pending = self.wake.wait(pending).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Nobody's place in the feed is kept before the epochs are, and at the end nothing more is.
    fn wait_to_keep_epochs(&self, error: &io::Error) {
        let mut pending = self.pending();
        pending.refuse_barriers(error);
        if pending.is_closed {
            pending.clear();
            return;
        }
        self.has_new_epochs.store(true, Ordering::SeqCst);
        drop(pending);
        self.counters.errors.add(1);
        thread::sleep(REST);
    }

    /// Whether nothing older than `op` is left on the disk.
    fn write_or_remove(&self, key: &crate::key::Key, op: Op, trouble: &mut Trouble) -> bool {
        let is_put = matches!(op, Op::Put(_));
        if !is_put || !trouble.is_within(PUT_REST, Instant::now()) {
            match self.write(key, &op) {
                Ok(written) => {
                    if written > 0 && trouble.went_well(Instant::now()) {
                        tracing::info!("links are written to disk again");
                    }
                    return true;
                }
                Err(error) => {
                    self.counters.errors.add(1);
                    note(trouble, &error);
                }
            }
        }
        if !is_put {
            return false;
        }
        self.counters.dropped.add(1);
        self.note_lost();
        self.write(key, &Op::Remove).is_ok()
    }

    fn check_removed(&self) -> io::Result<()> {
        if self.pending().failed > 0 {
            return Err(io::Error::other(
                "links that changed could not be removed from the disk",
            ));
        }
        Ok(())
    }
}

fn note(trouble: &mut Trouble, error: &io::Error) {
    if trouble.happened(Instant::now()) {
        tracing::error!(%error, "write links to disk; going on without, until that works again");
    }
}
