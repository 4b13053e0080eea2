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

/// A question with more answers than are remembered.
#[derive(Debug, Clone)]
pub struct Wide {
    /// The question.
    pub question: Arc<Question>,
    /// How many times an answer was met that was not remembered, at all places together.
    pub answers_met: u64,
    /// At how many places of the tree there are too many answers to it.
    pub places: usize,
}

impl Tree {
    /// The questions with more answers than are remembered, the one with the most first.
    #[must_use]
    pub fn wide(&self) -> Vec<Wide> {
        let mut found: Vec<Wide> = Vec::new();
        // Nearly all trees have none, and need not be looked through.
        let root = self.root.as_ref().filter(|_| self.has_wide);
        let mut open: Vec<&Node> = root.into_iter().collect();
        while let Some(node) = open.pop() {
            let Node::Ask(inner) = node else {
                continue;
            };
            open.extend(inner.edges.iter().map(|(_, node)| node));
            if !inner.is_wide {
                continue;
            }
            let answers_met = inner.met.load(Ordering::Relaxed);
            match found.iter_mut().find(|wide| wide.question == inner.question) {
                Some(known) => {
                    known.answers_met += answers_met;
                    known.places += 1;
                }
                None => found.push(Wide {
                    question: Arc::clone(&inner.question),
                    answers_met,
                    places: 1,
                }),
            }
        }
        found.sort_by_key(|wide| std::cmp::Reverse(wide.answers_met));
        found
    }

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
