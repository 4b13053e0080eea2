//! What a tree throws away when it is too large, and what a question with too many answers may keep.

use std::{
    cmp::Reverse,
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Decided, Inner, LEAF_BYTES, Leaf, Node, Size, Tree, TreeLimits, edge_bytes, edges::Edges, inner_bytes};

/// Which part of the leaves goes at least when there are too many, so that throwing away costs little per graft.
const SHARE_EVICTED: usize = 8;
/// Of how many newcomers one gets a place at a question that has too many answers.
const NEWCOMERS_TAKEN_IN: u64 = 8;

impl Tree {
    /// Throws away what has not been found since the last time, or, when nearly everything has, what is found least.
    pub(super) fn evict(&mut self, limits: &TreeLimits) {
        let mut ranks: Vec<_> = self.leaves().map(|leaf| rank(leaf)).collect();
        ranks.sort_unstable();
        let has_to_go = (ranks.len() / SHARE_EVICTED)
            .max(ranks.len().saturating_sub(limits.leaves_max))
            .max(1);
        let unused = ranks.partition_point(|(is_recent, _)| !is_recent);
        // The best of those that go.
        let Some(last) = ranks.get(has_to_go.max(unused).min(ranks.len()) - 1).copied() else {
            return;
        };
        let mut left = has_to_go.max(unused);
        let mut forgotten = 0;
        self.root = self.root.take().and_then(|root| {
            kept(&root, &mut |leaf| {
                let goes = left > 0 && rank(leaf) <= last;
                left -= usize::from(goes);
                forgotten += if goes { leaf.uses() } else { 0 };
                leaf.is_recent.store(false, Ordering::Relaxed);
                !goes
            })
        });
        self.forgotten += forgotten;
        self.measure();
    }

    /// Counts anew.
    pub(super) fn measure(&mut self) {
        let mut counted = HashSet::new();
        self.size = self
            .root
            .as_ref()
            .map(|root| size(root, &mut counted))
            .unwrap_or_default();
    }

    /// Every leaf.
    pub fn leaves(&self) -> impl Iterator<Item = &Arc<Leaf>> {
        let mut open: Vec<&Node> = self.root.as_ref().into_iter().collect();
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Node::Leaf(leaf) => return Some(leaf),
                    Node::Ask(inner) => open.extend(inner.edges.iter().map(|(_, node)| node)),
                }
            }
        })
    }
}

/// Leaves with a lower rank go first.
fn rank(leaf: &Leaf) -> (bool, u64) {
    (leaf.is_recent(), leaf.uses())
}

/// `node` with only those leaves that `keep` says; none when none is left.
fn kept(node: &Node, keep: &mut impl FnMut(&Leaf) -> bool) -> Option<Node> {
    match node {
        Node::Leaf(leaf) => keep(leaf).then(|| node.clone()),
        Node::Ask(inner) => {
            let edges = inner.edges.iter();
            let edges: Edges = edges
                .filter_map(|(answer, node)| Some((answer.clone(), kept(node, keep)?)))
                .collect();
            (edges.len() > 0).then(|| {
                Node::Ask(Arc::new(Inner {
                    edges,
                    ..inner.without_edges()
                }))
            })
        }
    }
}

/// What a node and all below it take. `counted` are the outcomes that were counted already: leaves share them.
fn size(node: &Node, counted: &mut HashSet<*const Decided>) -> Size {
    match node {
        Node::Leaf(leaf) => {
            let is_first = counted.insert(Arc::as_ptr(&leaf.decided));
            let decided = if is_first { leaf.decided.bytes() } else { 0 };
            Size {
                leaves: 1,
                bytes: LEAF_BYTES + decided,
            }
        }
        Node::Ask(inner) => {
            let own = Size {
                leaves: 0,
                bytes: inner_bytes(&inner.question),
            };
            inner.edges.iter().fold(own, |sum, (answer, node)| {
                let below = size(node, counted);
                Size {
                    leaves: sum.leaves + below.leaves,
                    bytes: sum.bytes + below.bytes + edge_bytes(answer),
                }
            })
        }
    }
}

/// How much in use what lies below an edge is.
fn usage(node: &Node) -> (bool, u64) {
    match node {
        Node::Leaf(leaf) => rank(leaf),
        Node::Ask(inner) => inner.edges.iter().fold((false, 0), |sum, (_, node)| {
            let below = usage(node);
            (sum.0 || below.0, sum.1 + below.1)
        }),
    }
}

impl Inner {
    /// Whether an answer that is not here gets a place. Where there are too many to remember, only each few newcomers
    /// do: one that comes often is soon among them, and the others cost no graft.
    pub(super) fn takes_in(&self, limits: &TreeLimits) -> bool {
        let met = self.met.fetch_add(1, Ordering::Relaxed);
        !self.is_wide || self.edges.len() < limits.answers_kept || met.is_multiple_of(NEWCOMERS_TAKEN_IN)
    }

    fn without_edges(&self) -> Self {
        Self {
            question: Arc::clone(&self.question),
            edges: Edges::Few(Box::default()),
            met: AtomicU64::new(self.met.load(Ordering::Relaxed)),
            is_wide: self.is_wide,
        }
    }

    /// Keeps the answers to this question within the limit; how many requests ended below those that had to go.
    pub(super) fn keep_within(&mut self, limits: &TreeLimits) -> u64 {
        let most = if self.is_wide {
            2 * limits.answers_kept
        } else {
            limits.answers_max
        };
        if self.edges.len() <= most {
            return 0;
        }
        self.is_wide = true;
        let mut edges: Vec<_> = self.edges.iter().collect();
        edges.sort_by_cached_key(|(_, node)| Reverse(usage(node)));
        let going = edges.split_off(limits.answers_kept.min(edges.len()));
        let forgotten = going.into_iter().map(|(_, node)| usage(node).1).sum();
        self.edges = edges
            .into_iter()
            .map(|(answer, node)| (answer.clone(), node.clone()))
            .collect();
        forgotten
    }
}
