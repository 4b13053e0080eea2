//! Which entries still count after everything had to be checked.
//!
//! Each entry carries the epoch in which its loading began. A resync begins an epoch; when all has been checked, what
//! is of an earlier one and was not confirmed counts no more.

use std::sync::atomic::{AtomicU32, Ordering};

/// The epoch of what is loaded now, and the earliest that still counts.
#[derive(Debug)]
pub(crate) struct Epochs {
    current: AtomicU32,
    floor: AtomicU32,
}

impl Epochs {
    pub(crate) const fn new(current: u32, floor: u32) -> Self {
        Self {
            current: AtomicU32::new(current),
            floor: AtomicU32::new(floor),
        }
    }

    pub(crate) fn current(&self) -> u32 {
        self.current.load(Ordering::SeqCst)
    }

    pub(crate) fn floor(&self) -> u32 {
        self.floor.load(Ordering::SeqCst)
    }

    /// Begins an epoch.
    pub(crate) fn begin(&self) {
        self.current.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets nothing count any more that is of an earlier epoch.
    pub(crate) fn end_earlier(&self) {
        self.floor.store(self.current(), Ordering::SeqCst);
    }
}
