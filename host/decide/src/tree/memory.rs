//! The current tree of one binding, shared by all threads.
//!
//! Walks take the tree that is current when they begin, without a lock. Grafts are rare (one for each path never seen
//! before), wait for each other, and replace it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::{Contradiction, Decided, Leaf, Outcome, Tree, TreeLimits, Walk, meter::Meter};
use crate::{decision::Failure, facts::Facts, trace::Trace};

/// Why a run's outcome is not remembered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The same answers need not lead to it again: the run was cut off or never began.
    #[error(transparent)]
    Passing(Failure),
    /// The decider has shown itself to be no pure function. From then on nothing is remembered, and this comes for every
    /// graft: whoever runs the decider must rest it.
    #[error(transparent)]
    Contradicted(Contradiction),
}

/// What a binding's decider decided. Belongs to one tenant, binding, version and settings, and is thrown away with any
/// of them.
#[derive(Debug, Default)]
pub struct Memory {
    tree: ArcSwap<Tree>,
    /// Held while a graft is made.
    grafting: Mutex<Known>,
    limits: TreeLimits,
    meter: Meter,
    contradiction: OnceLock<Contradiction>,
}

impl Memory {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(limits: TreeLimits) -> Self {
        Self::metered(limits, Meter::default())
    }

    /// Remembers nothing yet. What it takes is part of what `meter` says.
    #[must_use]
    pub fn metered(limits: TreeLimits, meter: Meter) -> Self {
        Self {
            tree: ArcSwap::default(),
            grafting: Mutex::default(),
            limits,
            meter,
            contradiction: OnceLock::new(),
        }
    }

    /// The outcome that a fresh run on `facts` would have, where one is remembered.
    #[must_use]
    pub fn walk(&self, facts: &dyn Facts) -> Walk {
        self.tree.load().walk(facts)
    }

    /// Remembers what a run came to; its leaf. Settings are no part of the path: with others, the memory is another.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn graft(&self, trace: &Trace, outcome: Outcome) -> Result<Arc<Leaf>, NotKept> {
        let outcome = match outcome {
            Err(failure) if !failure.is_deterministic() => return Err(NotKept::Passing(failure)),
            outcome => outcome,
        };
        let mut known = self.known();
        if let Some(contradiction) = self.contradiction.get() {
            return Err(NotKept::Contradicted(contradiction.clone()));
        }
        let decided = known.shared(Decided::new(trace, outcome));
        match self.tree.load().graft(&trace.varying(), decided, &self.limits) {
            Ok((tree, leaf)) => {
                self.replace(tree);
                Ok(leaf)
            }
            Err(contradiction) => {
                self.replace(Tree::default());
                let contradiction = self.contradiction.get_or_init(|| contradiction);
                Err(NotKept::Contradicted(contradiction.clone()))
            }
        }
    }

    /// Throws away what has not been found since the last time, and an eighth of the leaves at least, as if there was too
    /// much.
    pub fn shrink(&self) {
        let _known = self.known();
        let mut tree = Tree::clone(&self.tree.load());
        if tree.size().leaves > 0 {
            tree.evict(&self.limits);
            self.replace(tree);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is left half done behind this lock.
        self.grafting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only whoever holds the lock may call this.
    fn replace(&self, tree: Tree) {
        self.meter.change(self.tree.load().size().bytes, tree.size().bytes);
        self.tree.store(Arc::new(tree));
    }

    /// How the decider has contradicted itself, when it has.
    #[must_use]
    pub fn contradiction(&self) -> Option<&Contradiction> {
        self.contradiction.get()
    }

    /// The tree as it stands.
    #[must_use]
    pub fn tree(&self) -> Arc<Tree> {
        self.tree.load_full()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.meter.change(self.tree.load().size().bytes, 0);
    }
}

/// What was decided before, so that leaves which decided the same share it. Keeps nothing alive that no leaf holds.
#[derive(Debug, Default)]
struct Known(Vec<Weak<Decided>>);

impl Known {
    /// How many are looked through: most policies decide few things.
    const MAX: usize = 256;

    fn shared(&mut self, decided: Decided) -> Arc<Decided> {
        let mut living = self.0.iter().filter_map(Weak::upgrade);
        if let Some(known) = living.find(|known| **known == decided) {
            return known;
        }
        let decided = Arc::new(decided);
        if self.0.len() == Self::MAX {
            // Those that no leaf holds any more go, or else all: they are only found less often then.
            self.0.retain(|known| known.strong_count() > 0);
            if self.0.len() == Self::MAX {
                self.0.clear();
            }
        }
        self.0.push(Arc::downgrade(&decided));
        decided
    }
}
