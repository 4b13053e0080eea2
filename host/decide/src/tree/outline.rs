//! A tree as a person reads it: what the decider asks, what it was answered, and what became of it.

use std::sync::{Arc, atomic::Ordering};

use super::{Leaf, Node, Tree};
use crate::question::{Answer, Question};

/// A node and all below it.
#[derive(Debug, Clone)]
pub enum Outline {
    /// A question.
    Asks {
        /// The question.
        question: Arc<Question>,
        /// The answers remembered, most used first.
        branches: Vec<Branch>,
        /// How many times an answer was met that was not remembered; each answer once, as long as all are.
        answers_met: u64,
        /// Whether there are too many to remember all.
        is_wide: bool,
    },
    /// An outcome.
    Comes(Arc<Leaf>),
}

/// An answer and what lies below it.
#[derive(Debug, Clone)]
pub struct Branch {
    /// The answer.
    pub answer: Answer,
    /// What follows from it.
    pub below: Outline,
    /// How many walks took it.
    pub uses: u64,
}

impl Tree {
    /// The whole tree; none while nothing is remembered.
    #[must_use]
    pub fn outline(&self) -> Option<Outline> {
        self.root.as_ref().map(outline)
    }
}

fn outline(node: &Node) -> Outline {
    match node {
        Node::Leaf(leaf) => Outline::Comes(Arc::clone(leaf)),
        Node::Ask(inner) => {
            let branches = inner.edges.iter().map(|(answer, node)| {
                let below = outline(node);
                Branch {
                    answer: answer.clone(),
                    uses: below.uses(),
                    below,
                }
            });
            let mut branches: Vec<_> = branches.collect();
            branches.sort_by(|one, other| {
                let by_answer = || one.answer.to_string().cmp(&other.answer.to_string());
                other.uses.cmp(&one.uses).then_with(by_answer)
            });
            Outline::Asks {
                question: Arc::clone(&inner.question),
                branches,
                answers_met: inner.met.load(Ordering::Relaxed),
                is_wide: inner.is_wide,
            }
        }
    }
}

impl Outline {
    /// How many walks came by here.
    #[must_use]
    pub fn uses(&self) -> u64 {
        match self {
            Self::Asks { branches, .. } => branches.iter().map(|branch| branch.uses).sum(),
            Self::Comes(leaf) => leaf.uses(),
        }
    }
}
