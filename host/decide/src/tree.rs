//! The decision tree: what deciders decided, remembered by exactly what they asked.
//!
//! Each inner node is a question, each edge an answer, each leaf an outcome. A walk asks the questions anew about the
//! request at hand and follows the answers; it finds the outcome that a fresh run would have, because a decider knows
//! nothing but the answers (see [`crate::trace`]). A path that no run has taken ends in nothing, and the run that then
//! takes it is grafted on.
//!
//! A tree never changes: a graft makes the next one, which shares all but the path it changed. Walks therefore need no
//! lock, and a property that holds of each tree holds of every history. [`memory::Memory`] keeps the current one, and
//! [`witnesses::Witnesses`] a few of the requests that ended at each leaf.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    decision::{Decision, Failure},
    dependence::Dependence,
    facts::Facts,
    question::{Answer, Question},
    stream::plan::StreamPlan,
    target::Target,
    trace::Trace,
};

mod edges;
mod eviction;
pub mod memory;
pub mod meter;
mod outline;
pub mod witnesses;

use edges::Edges;
pub use outline::{Branch, Outline, Wide};

/// What a run came to: a decision, or a failure that the same answers would lead to again.
pub type Outcome = Result<Decision, Failure>;

/// How large a tree may be.
#[derive(Debug, Clone, Copy)]
pub struct TreeLimits {
    /// Leaves.
    pub leaves_max: usize,
    /// Memory of nodes, edges, answers and what was decided, in bytes.
    pub bytes_max: usize,
    /// Answers to one question at one place. A question with more has too many to remember; only those most in use are
    /// kept from then on.
    pub answers_max: usize,
    /// How many answers are kept to such a question.
    pub answers_kept: usize,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self {
            leaves_max: 20_000,
            bytes_max: 8 * 1024 * 1024,
            answers_max: 1_024,
            answers_kept: 64,
        }
    }
}

/// An outcome and what follows from it whoever asks. Leaves with the same share it.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    outcome: Outcome,
    dependence: Dependence,
    /// Where a redirect leads whose location leaves nothing open.
    target: Option<Target>,
}

impl Decided {
    /// What a run came to.
    #[must_use]
    pub fn new(trace: &Trace, outcome: Outcome) -> Self {
        Self {
            dependence: Dependence::of(trace, &outcome),
            target: match &outcome {
                Ok(Decision::Redirect { location, .. }) => {
                    location.as_fixed().and_then(|text| Target::parse_at_edge(text).ok())
                }
                Ok(Decision::Proceed | Decision::Deny(_) | Decision::Plan(_)) | Err(_) => None,
            },
            outcome,
        }
    }

    /// The memory it takes, in bytes, by estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let outcome = match &self.outcome {
            Ok(Decision::Redirect { location, .. }) => location.heap_bytes(),
            Ok(Decision::Proceed | Decision::Deny(_)) => 0,
            // Nobody else holds it for long, and it is counted with the two counts before it.
            Ok(Decision::Plan(plan)) => size_of::<StreamPlan>() + 2 * size_of::<usize>() + plan.heap_bytes(),
            Err(failure) => failure.heap_bytes(),
        };
        let target = self.target.as_ref().map_or(0, |target| target.as_str().len());
        // With the two counts before it.
        size_of::<Self>() + 2 * size_of::<usize>() + outcome + self.dependence.heap_bytes() + target
    }

    /// The outcome.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Where a redirect leads whose location leaves nothing open: checked once, not for each visitor.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// What the outcome depends on, as caches need to know it.
    #[must_use]
    pub const fn dependence(&self) -> &Dependence {
        &self.dependence
    }
}

/// A remembered outcome and how often it was found.
#[derive(Debug)]
pub struct Leaf {
    decided: Arc<Decided>,
    uses: AtomicU64,
    /// The use from which on a request is wanted as a witness: see [`witnesses`].
    next_witness: AtomicU64,
    /// Whether it was found since leaves were last thrown away.
    is_recent: AtomicBool,
}

impl Leaf {
    const fn new(decided: Arc<Decided>) -> Self {
        Self {
            decided,
            // The run's own request.
            uses: AtomicU64::new(1),
            next_witness: AtomicU64::new(1),
            is_recent: AtomicBool::new(true),
        }
    }

    /// What was decided.
    #[must_use]
    pub fn decided(&self) -> &Decided {
        &self.decided
    }

    /// How many requests have ended here.
    #[must_use]
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    fn is_recent(&self) -> bool {
        self.is_recent.load(Ordering::Relaxed)
    }

    /// Counts a request that ended here; its number, the first being 1, where it is wanted as a witness.
    fn note_use(&self) -> Option<u64> {
        let nth = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        // While the line is here: other threads write it, too.
        let wanted = self.if_wanted(nth);
        // A line that all threads read is written only when it says something new.
        if !self.is_recent() {
            self.is_recent.store(true, Ordering::Relaxed);
        }
        wanted
    }

    fn if_wanted(&self, nth: u64) -> Option<u64> {
        (nth >= self.next_witness.load(Ordering::Relaxed)).then_some(nth)
    }
}

/// Where a walk ended.
#[derive(Debug, Clone)]
pub enum Walk {
    /// At an outcome.
    Found(Hit),
    /// Where no run has been: only a run can tell what comes of these answers.
    New,
    /// At a question that the facts cannot answer yet: see [`Facts::can_answer`].
    Waits,
}

/// An outcome that was remembered.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The leaf it ended at.
    pub leaf: Arc<Leaf>,
    /// From when on a fresh run might decide otherwise although nothing but the clock has moved, in seconds since 1970
    /// UTC; never when absent. It belongs to this walk: another to the same leaf has another.
    pub horizon: Option<u64>,
    /// Where the request is wanted as a witness of its leaf, its number among those that ended there, the first being 1.
    /// Seldom, and the less often the more there were.
    pub wanted: Option<u64>,
}

impl Hit {
    /// What a run found whose outcome is remembered at `leaf`: its request was the last to be counted there.
    #[must_use]
    pub fn of_run(leaf: Arc<Leaf>, horizon: Option<u64>) -> Self {
        // A leaf that nobody else holds was given no place in the tree, and will not be found again.
        let is_kept = Arc::strong_count(&leaf) > 1;
        let wanted = leaf.if_wanted(leaf.uses()).filter(|_| is_kept);
        Self { leaf, horizon, wanted }
    }
}

#[derive(Debug, Clone)]
enum Node {
    Ask(Arc<Inner>),
    Leaf(Arc<Leaf>),
}

#[derive(Debug)]
struct Inner {
    question: Arc<Question>,
    edges: Edges,
    /// How many times a run brought an answer that was not here.
    met: AtomicU64,
    /// Whether there were once more answers than are remembered.
    is_wide: bool,
}

/// A graft that contradicts the tree: the decider asked something else, or decided otherwise, after the same answers.
/// It is not the pure function that a decider must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after the same {} answers it {found}, where it {remembered} before", .position)]
pub struct Contradiction {
    /// How many answers were the same.
    pub position: usize,
    /// What the tree holds there.
    pub remembered: String,
    /// What the run did there.
    pub found: String,
}

/// Outcomes by what was asked.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    root: Option<Node>,
    size: Size,
    /// Requests that were counted at leaves which are no more.
    forgotten: u64,
    /// Whether there was once a question with too many answers.
    has_wide: bool,
}

/// How much a tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Leaves.
    pub leaves: usize,
    /// Memory of nodes, edges, answers and what was decided, in bytes, by estimate.
    pub bytes: usize,
}

impl Tree {
    /// What is remembered for `facts`, for people: nobody was decided about, and nothing is counted.
    #[must_use]
    pub fn peek(&self, facts: &dyn Facts) -> Option<Arc<Decided>> {
        let mut next = self.root.as_ref()?;
        loop {
            match next {
                Node::Leaf(leaf) => return Some(Arc::clone(&leaf.decided)),
                Node::Ask(inner) if !facts.can_answer(&inner.question) => return None,
                Node::Ask(inner) => next = inner.edges.get(&facts.answer(&inner.question))?,
            }
        }
    }

    /// Asks `facts` the way down.
    #[must_use]
    pub fn walk(&self, facts: &dyn Facts) -> Walk {
        let mut next = self.root.as_ref();
        let mut horizon = None;
        while let Some(node) = next {
            let inner = match node {
                Node::Ask(inner) => inner,
                Node::Leaf(leaf) => {
                    let wanted = leaf.note_use();
                    let leaf = Arc::clone(leaf);
                    return Walk::Found(Hit { leaf, horizon, wanted });
                }
            };
            if !facts.can_answer(&inner.question) {
                return Walk::Waits;
            }
            let answer = facts.answer(&inner.question);
            horizon = earlier(horizon, inner.question.holds_until(&answer, facts.now_s()));
            next = inner.edges.get(&answer);
        }
        Walk::New
    }

    /// The answers along which a walk goes before it ends where no run has been, or waits: who has the same will take the
    /// same run from there.
    #[must_use]
    pub fn answers_before_new(&self, facts: &dyn Facts) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut next = self.root.as_ref();
        while let Some(Node::Ask(inner)) = next
            && facts.can_answer(&inner.question)
        {
            let answer = facts.answer(&inner.question);
            next = inner.edges.get(&answer);
            answers.push(answer);
        }
        answers
    }

    /// What a walk asks about `facts`, and what it is answered, as far as it comes.
    #[must_use]
    pub fn asked(&self, facts: &dyn Facts) -> Vec<(Arc<Question>, Answer)> {
        let mut asked = Vec::new();
        let mut next = self.root.as_ref();
        while let Some(Node::Ask(inner)) = next
            && facts.can_answer(&inner.question)
        {
            let answer = facts.answer(&inner.question);
            next = inner.edges.get(&answer);
            asked.push((Arc::clone(&inner.question), answer));
        }
        asked
    }

    /// This tree with a run's outcome added, and without what then is too much; and the outcome's leaf.
    ///
    /// # Errors
    /// [`Contradiction`] when the run and the tree cannot both be of one pure function.
    pub fn graft(
        &self,
        trace: &Trace,
        decided: Arc<Decided>,
        limits: &TreeLimits,
    ) -> Result<(Self, Arc<Leaf>), Contradiction> {
        // What others hold too is counted where they are.
        let decided_bytes = match Arc::strong_count(&decided) {
            1 => decided.bytes(),
            _ => 0,
        };
        let leaf = Arc::new(Leaf::new(decided));
        let mut graft = Graft {
            trace,
            leaf,
            decided_bytes,
            limits,
            added: Size::default(),
            has_pruned: false,
            forgotten: 0,
        };
        let root = graft.onto(self.root.as_ref(), 0)?;
        let forgotten = self.forgotten + graft.forgotten;
        let Some(root) = root else {
            let tree = Self {
                forgotten,
                ..self.clone()
            };
            return Ok((tree, graft.leaf));
        };
        let mut tree = Self {
            root: Some(root),
            size: Size {
                leaves: self.size.leaves + graft.added.leaves,
                bytes: self.size.bytes + graft.added.bytes,
            },
            forgotten,
            has_wide: self.has_wide || graft.has_pruned,
        };
        if graft.has_pruned {
            tree.measure();
        }
        // Each time at least one leaf goes; the last may stay whatever it takes.
        while tree.size.leaves > 1 && (tree.size.leaves > limits.leaves_max || tree.size.bytes > limits.bytes_max) {
            tree.evict(limits);
        }
        Ok((tree, graft.leaf))
    }

    /// How much it holds.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// How many requests ended at leaves that are no more, or were given none.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The earlier of two instants, where never is the latest.
#[must_use]
pub const fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one < other { one } else { other }),
        (Some(one), None) => Some(one),
        (None, other) => other,
    }
}

/// A graft under way.
struct Graft<'g> {
    trace: &'g Trace,
    leaf: Arc<Leaf>,
    /// What the leaf's outcome takes that no other leaf shares.
    decided_bytes: usize,
    limits: &'g TreeLimits,
    added: Size,
    has_pruned: bool,
    forgotten: u64,
}

impl Graft<'_> {
    /// The node that takes the place of `node`, `position` answers down; none when everything is there already.
    fn onto(&mut self, node: Option<&Node>, position: usize) -> Result<Option<Node>, Contradiction> {
        match (node, self.trace.get(position)) {
            (None, _) => Ok(Some(self.fresh(position))),
            (Some(Node::Leaf(known)), None) if known.decided.outcome == self.leaf.decided.outcome => {
                known.note_use();
                self.leaf = Arc::clone(known);
                Ok(None)
            }
            (Some(Node::Ask(inner)), Some((question, answer))) if *inner.question == *question => {
                let below = self.onto(inner.edges.get(answer), position + 1)?;
                Ok(below.and_then(|below| self.extended(inner, answer, below)))
            }
            (Some(known), step) => Err(Contradiction {
                position,
                remembered: match known {
                    Node::Ask(inner) => format!("asked {}", inner.question),
                    Node::Leaf(leaf) => described(leaf.decided.outcome()),
                },
                found: step.map_or_else(
                    || described(self.leaf.decided.outcome()),
                    |(question, _)| format!("asked {question}"),
                ),
            }),
        }
    }

    /// The rest of the trace as a path of its own.
    fn fresh(&mut self, position: usize) -> Node {
        let Some((question, answer)) = self.trace.get(position) else {
            self.added.leaves += 1;
            self.added.bytes += LEAF_BYTES + self.decided_bytes;
            return Node::Leaf(Arc::clone(&self.leaf));
        };
        let below = self.fresh(position + 1);
        self.added.bytes += inner_bytes(question) + edge_bytes(answer);
        Node::Ask(Arc::new(Inner {
            question: Arc::new(question.clone()),
            edges: Edges::one(answer.clone(), below),
            met: AtomicU64::new(1),
            is_wide: false,
        }))
    }

    /// `inner` with another edge, or another node at the end of one; none when it takes nobody in now.
    fn extended(&mut self, inner: &Inner, answer: &Answer, below: Node) -> Option<Node> {
        let is_new = inner.edges.get(answer).is_none();
        if is_new && !inner.takes_in(self.limits) {
            self.forgotten += 1;
            return None;
        }
        if is_new {
            self.added.bytes += edge_bytes(answer);
        }
        let mut next = Inner {
            question: Arc::clone(&inner.question),
            edges: inner.edges.with(answer.clone(), below),
            met: AtomicU64::new(inner.met.load(Ordering::Relaxed)),
            is_wide: inner.is_wide,
        };
        if is_new {
            let before = self.forgotten;
            self.forgotten += next.keep_within(self.limits);
            self.has_pruned |= self.forgotten > before;
        }
        Some(Node::Ask(Arc::new(next)))
    }
}

/// What a decider did at its end, for an error.
fn described(outcome: &Outcome) -> String {
    match outcome {
        Ok(decision) => format!("decided {decision}"),
        Err(failure) => format!("failed ({})", failure.label()),
    }
}

/// A leaf with the counts before it, as allocators round it. What was decided is counted once for all that share it.
const LEAF_BYTES: usize = 48;

fn inner_bytes(question: &Question) -> usize {
    // The node and its question, the two counts of each, and the first edge's table.
    size_of::<Inner>() + size_of::<Question>() + 6 * size_of::<usize>() + question.heap_bytes()
}

fn edge_bytes(answer: &Answer) -> usize {
    // Tables are at most seven eighths full, and two thirds as a mean.
    size_of::<(Answer, Node)>() * 3 / 2 + answer.heap_bytes().next_multiple_of(16)
}

#[cfg(test)]
mod tests;
