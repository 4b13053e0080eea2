//! What each tier counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a tier outside memory, since start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) errors: Counter,
    pub(crate) damaged: Counter,
    pub(crate) dropped: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0
            .fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a tier has counted since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Look-ups that it answered.
    pub hits: u64,
    /// Look-ups that it had nothing for.
    pub misses: u64,
    /// Times that it could not be asked or written.
    pub errors: u64,
    /// Values that were not what had been written: dropped.
    pub damaged: u64,
    /// Values that were not written because too many were waiting.
    pub dropped: u64,
    /// Bytes read from it.
    pub bytes_read: u64,
    /// Bytes written to it.
    pub bytes_written: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        Counts {
            hits: self.hits.read(),
            misses: self.misses.read(),
            errors: self.errors.read(),
            damaged: self.damaged.read(),
            dropped: self.dropped.read(),
            bytes_read: self.bytes_read.read(),
            bytes_written: self.bytes_written.read(),
        }
    }
}
