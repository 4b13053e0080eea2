//! The answers to one question and where each leads.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Node;
use crate::question::Answer;

/// Up to this many, comparing with each is quicker than hashing.
const FEW_MAX: usize = 6;

/// An immutable map. Answers are compared whole, never by their hashes alone.
#[derive(Debug, Clone)]
pub(super) enum Edges {
    Few(Box<[(Answer, Node)]>),
    Many(HashMap<Answer, Node, RandomState>),
}

impl Edges {
    pub(super) fn one(answer: Answer, node: Node) -> Self {
        Self::Few(Box::new([(answer, node)]))
    }

    pub(super) fn get(&self, answer: &Answer) -> Option<&Node> {
        match self {
            Self::Few(edges) => edges.iter().find(|(known, _)| known == answer).map(|(_, node)| node),
            Self::Many(edges) => edges.get(answer),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(edges) => edges.len(),
            Self::Many(edges) => edges.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Answer, &Node)> {
        let (few, many) = match self {
            Self::Few(edges) => (Some(edges.iter().map(|(answer, node)| (answer, node))), None),
            Self::Many(edges) => (None, Some(edges.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// These edges with one more, or with another node at the end of one.
    pub(super) fn with(&self, answer: Answer, node: Node) -> Self {
        match self {
            Self::Many(edges) => {
                let mut edges = edges.clone();
                edges.insert(answer, node);
                Self::Many(edges)
            }
            Self::Few(edges) => {
                let mut next = edges.to_vec();
                next.retain(|(known, _)| *known != answer);
                next.push((answer, node));
                Self::from_iter(next)
            }
        }
    }
}

impl FromIterator<(Answer, Node)> for Edges {
    fn from_iter<I: IntoIterator<Item = (Answer, Node)>>(edges: I) -> Self {
        let edges: Vec<_> = edges.into_iter().collect();
        if edges.len() <= FEW_MAX {
            Self::Few(edges.into())
        } else {
            Self::Many(edges.into_iter().collect())
        }
    }
}
