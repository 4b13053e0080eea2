//! How much memory several trees take together.
//!
//! In: what each says it takes, as it changes. Out: the sum. Whoever holds it decides what is too much.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A sum that many add to. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// What all take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One that took `before` now takes `after`, both in bytes.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after > before {
            self.0.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.0.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}
