//! The current tree of one binding, shared by all threads.
//!
//! Walks take the tree that is current when they begin, without a lock. Grafts are rare (one for each path never seen
//! before), wait for each other, and replace it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::{Contradiction, Leaf, Outcome, Tree, TreeLimits, Walk};
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
    grafting: Mutex<()>,
    limits: TreeLimits,
    contradiction: OnceLock<Contradiction>,
}

impl Memory {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(limits: TreeLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The outcome that a fresh run on `facts` would have, where one is remembered.
    #[must_use]
    pub fn walk(&self, facts: &dyn Facts) -> Walk {
        self.tree.load().walk(facts)
    }

    /// Remembers what a run came to; its leaf.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn graft(&self, trace: &Trace, outcome: Outcome) -> Result<Arc<Leaf>, NotKept> {
        let outcome = match outcome {
            Err(failure) if !failure.is_deterministic() => return Err(NotKept::Passing(failure)),
            outcome => outcome,
        };
        // Nothing is left half done behind this lock.
        let _grafting = self.grafting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contradiction) = self.contradiction.get() {
            return Err(NotKept::Contradicted(contradiction.clone()));
        }
        match self.tree.load().graft(trace, outcome, &self.limits) {
            Ok((tree, leaf)) => {
                self.tree.store(Arc::new(tree));
                Ok(leaf)
            }
            Err(contradiction) => {
                self.tree.store(Arc::default());
                let contradiction = self.contradiction.get_or_init(|| contradiction);
                Err(NotKept::Contradicted(contradiction.clone()))
            }
        }
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
