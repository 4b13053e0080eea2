//! What a binding's policy decides for a visitor: remembered, or, on a path never seen before, from a fresh run.
//!
//! In: the facts of a request. Out: the leaf of the decision tree that answers it. Who comes on the same new path at the
//! same time waits for the one run there is.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use wayside_decide::{
    decision::Failure,
    question::Answer,
    tree::{
        Hit, Leaf, TreeLimits, Walk,
        memory::Memory,
        meter::Meter,
        witnesses::{WitnessLimits, Witnesses},
    },
};
use wayside_policy::guest::Cost;

use crate::{
    facts::{OwnedText, RequestFacts, RequestText},
    witness::Witness,
};

mod attempt;
mod rest;

pub(crate) use attempt::Attempt;
use rest::Rest;

/// How often a request waits for somebody else's run before it has one of its own: each may show that it goes another
/// way further down.
const WAITS_MAX: usize = 4;
/// What a node remembers of a binding, and who is finding out more. Belongs to one version and its settings.
pub(crate) struct Remembered {
    pub(crate) memory: Memory,
    /// A few of the requests that it was asked about.
    pub(crate) witnesses: Witnesses<Witness>,
    /// Requests for which there was no decision that could be remembered.
    undecided: AtomicU64,
    runs: Mutex<Runs>,
    rest: Mutex<Rest>,
}

/// Runs under way.
type Runs = HashMap<Place, watch::Receiver<Option<Landed>>>;

/// Where a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    /// The answers that lead to where no run has been.
    answers: Vec<Answer>,
    /// Whether the link is known. Who does not know it may come to nothing where another decides.
    has_link: bool,
}

type Landed = Result<(), Undecided>;

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// The policy gave none.
    Failed(Failure),
    /// It asked for a link that cannot be had: that is nothing of the policy's.
    LacksLink,
}

impl From<Failure> for Undecided {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Decides by a run, this request's or that of another on the same path. What a run decides without a link that it asked
/// for is not remembered, and nobody else's.
pub(crate) async fn decide_anew(attempt: Attempt) -> Result<Hit, Undecided> {
    let remembered = Arc::clone(&attempt.live.remembered);
    let facts = Arc::clone(&attempt.facts);
    for _ in 0..WAITS_MAX {
        if let Err(failure) = remembered.may_run(attempt.now) {
            attempt.count(&Err(failure.clone()), Cost::default());
            return Err(failure.into());
        }
        let place = Place {
            answers: remembered.memory.tree().answers_before_new(&*facts),
            has_link: facts.knows_link(),
        };
        let mut landing = match remembered.board(place) {
            Boarding::First(flight) => {
                // Whoever had this path before has grafted it by now.
                return match remembered.look(&facts) {
                    Some(known) => known,
                    None => attempt.begin(Some(flight)).await,
                };
            }
            Boarding::Another(landing) => landing,
        };
        match landing.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(Undecided::LacksLink))) => return Err(Undecided::LacksLink),
            // The same answers would be cut off again, and this visitor has waited already.
            Ok(Some(Err(Undecided::Failed(failure)))) if !failure.is_deterministic() => {
                return Err(failure.clone().into());
            }
            // Remembered now, unless the paths part further down, or whoever ran it came to nothing.
            Ok(_) | Err(_) => {}
        }
        if let Some(known) = remembered.look(&facts) {
            return known;
        }
    }
    attempt.begin(None).await
}

impl Remembered {
    /// Nothing yet. What it takes is part of what `meter` says.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            memory: Memory::metered(TreeLimits::default(), meter.clone()),
            witnesses: Witnesses::metered(WitnessLimits::default(), meter.clone()),
            undecided: AtomicU64::default(),
            runs: Mutex::default(),
            rest: Mutex::default(),
        }
    }

    /// The memory it takes, in bytes, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.tree().size().bytes + self.witnesses.size().1
    }

    /// Gives up what is used least.
    pub(crate) fn shrink(&self) {
        self.memory.shrink();
        // Which of a leaf's requests go makes no difference to anybody but the estimates.
        self.witnesses.shrink(getrandom::u64().unwrap_or(0));
    }

    /// Keeps a request that was decided, so that another version can be tried on it. Comes seldom.
    #[cold]
    pub(crate) fn keep_witness<T: RequestText>(&self, leaf: &Arc<Leaf>, nth: u64, facts: &RequestFacts<T>) {
        if self.witnesses.is_in_vain(nth) {
            return;
        }
        let Ok(random) = getrandom::u64() else {
            return;
        };
        let asked = self.memory.tree().asked(facts);
        let witness = Witness::of(facts, &asked, random);
        let bytes = witness.bytes();
        self.witnesses.offer(leaf, nth, witness, bytes, !random);
    }

    /// Counts a request for which there was no decision that could be remembered.
    pub(crate) fn count_undecided(&self) {
        self.undecided.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that no leaf counts: they were not decided, or their leaf is no more.
    pub(crate) fn not_remembered(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed) + self.memory.tree().forgotten()
    }

    /// Whether the guest may run now, where nothing is remembered.
    ///
    /// # Errors
    /// [`Failure`] says why it may not.
    pub(crate) fn may_run(&self, now: Instant) -> Result<(), Failure> {
        if let Some(contradiction) = self.memory.contradiction() {
            return Err(Failure::Unavailable(contradiction.to_string()));
        }
        match lock(&self.rest).is_resting(now) {
            true => Err(Failure::Resting),
            false => Ok(()),
        }
    }

    /// How long the guest still rests; not at all when it may run.
    pub(crate) fn rests_for(&self, now: Instant) -> Option<Duration> {
        lock(&self.rest).left(now)
    }

    /// What is remembered, or that nothing can be decided without the link; none where only a run can tell.
    fn look(&self, facts: &RequestFacts<OwnedText>) -> Option<Result<Hit, Undecided>> {
        match self.memory.walk(facts) {
            Walk::Found(hit) => Some(Ok(hit)),
            Walk::Waits => Some(Err(Undecided::LacksLink)),
            Walk::New => None,
        }
    }

    fn board(self: &Arc<Self>, place: Place) -> Boarding {
        let mut runs = lock(&self.runs);
        if let Some(landing) = runs.get(&place) {
            return Boarding::Another(landing.clone());
        }
        let (result, landing) = watch::channel(None);
        runs.insert(place.clone(), landing);
        Boarding::First(Flight {
            remembered: Arc::clone(self),
            place,
            result,
        })
    }
}

enum Boarding {
    /// Nobody runs this path.
    First(Flight),
    /// Somebody does.
    Another(watch::Receiver<Option<Landed>>),
}

/// A run under way. Letting go of it lets others have theirs.
struct Flight {
    remembered: Arc<Remembered>,
    place: Place,
    result: watch::Sender<Option<Landed>>,
}

impl Flight {
    fn land(self, landed: Landed) {
        self.result.send_replace(Some(landed));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.remembered.runs).remove(&self.place);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wayside_decide::{question::Answer, tree::meter::Meter};

    use super::{Boarding, Place, Remembered};

    #[test]
    fn who_knows_the_link_does_not_wait_for_who_does_not() {
        let remembered = Arc::new(Remembered::new(&Meter::default()));
        let board = |answer: &str, has_link| {
            remembered.board(Place {
                answers: vec![Answer::Text(answer.into())],
                has_link,
            })
        };
        let is_first = |boarding: &Boarding| matches!(boarding, Boarding::First(_));
        let without = board("a", false);
        let with = board("a", true);
        assert!(is_first(&without) && is_first(&with) && is_first(&board("b", true)));
        assert!(!is_first(&board("a", false)) && !is_first(&board("a", true)));
        drop(without);
        assert!(is_first(&board("a", false)));
    }
}
