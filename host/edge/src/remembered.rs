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
    decision::{Decision, Failure},
    facts::Facts as _,
    question::Answer,
    site::Site,
    trace::{Recorder, Trace},
    tree::{
        Hit, Leaf, TreeLimits, Walk,
        memory::{Memory, NotKept},
        meter::Meter,
        witnesses::{WitnessLimits, Witnesses},
    },
};
use wayside_policy::{guest::Cost, pool::PolicyRun};

use crate::{
    directory::LiveBinding,
    facts::{OwnedText, RequestFacts, RequestText},
    pipeline::Edge,
    policy_log::Line,
    witness::Witness,
};

/// How often a request waits for somebody else's run before it has one of its own: each may show that it goes another
/// way further down.
const WAITS_MAX: usize = 4;
/// After this many runs in a row that were cut off, a guest rests.
const CUT_OFFS_MAX: u32 = 3;
/// How long a guest's first rest is; each that follows is twice as long.
const REST_FIRST: Duration = Duration::from_secs(1);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(64);

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

/// Whether a guest that is cut off again and again may run.
#[derive(Debug, Default)]
struct Rest {
    cut_offs: u32,
    until: Option<Instant>,
}

impl Rest {
    /// Whether it rests at `now`. The first to come after a rest tries it.
    fn is_resting(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn note(&mut self, result: &Result<(), Failure>, now: Instant) -> Change {
        match result {
            Err(Failure::DeadlineExceeded { .. }) => {
                self.cut_offs += 1;
                if self.cut_offs < CUT_OFFS_MAX {
                    return Change::None;
                }
                let doublings = (self.cut_offs - CUT_OFFS_MAX).min(6);
                let rest = REST_FIRST.saturating_mul(1 << doublings).min(REST_MAX);
                self.until = Some(now + rest);
                Change::Rests(rest)
            }
            // It never ran: that says nothing of it.
            Err(Failure::Overloaded | Failure::Unavailable(_) | Failure::Resting) => Change::None,
            Ok(()) | Err(_) => match std::mem::take(self).until {
                Some(_) => Change::RunsAgain,
                None => Change::None,
            },
        }
    }
}

/// What a run changed about a guest's rest.
enum Change {
    None,
    /// It rests for so long.
    Rests(Duration),
    RunsAgain,
}

/// A binding, and the site it is of.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'w> {
    pub(crate) site: &'w Site,
    pub(crate) live: &'w LiveBinding,
}

/// Decides by a run, this request's or that of another on the same path. What a run decides without a link that it asked
/// for is not remembered, and nobody else's.
pub(crate) async fn decide_anew(
    edge: &Edge,
    whose: Whose<'_>,
    facts: RequestFacts<OwnedText>,
    now: Instant,
) -> Result<Hit, Undecided> {
    let (facts, live) = (Arc::new(facts), whose.live);
    let remembered = &live.remembered;
    for _ in 0..WAITS_MAX {
        if let Err(failure) = remembered.may_run(now) {
            count(edge, live, &Err(failure.clone()), Cost::default());
            return Err(failure.into());
        }
        let place = Place {
            answers: remembered.memory.tree().answers_before_new(&*facts),
            has_link: facts.knows_link(),
        };
        let mut landing = match remembered.board(place) {
            Boarding::First(flight) => {
                // Whoever had this path before has grafted it by now.
                if let Some(known) = remembered.look(&facts) {
                    return known;
                }
                let fresh = run(edge, whose, &facts, now).await;
                flight.land(fresh.as_ref().map(|_| ()).map_err(Clone::clone));
                return fresh;
            }
            Boarding::Another(landing) => landing,
        };
        match landing.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(Undecided::LacksLink))) => return Err(Undecided::LacksLink),
            // The same answers would be cut off again, and this visitor has waited already.
            Ok(Some(Err(Undecided::Failed(failure)))) if !failure.is_deterministic() => {
                return Err(failure.clone().into());
            }
            // Remembered now, unless the paths part further down, or whoever ran it went away.
            Ok(_) | Err(_) => {}
        }
        if let Some(known) = remembered.look(&facts) {
            return known;
        }
    }
    run(edge, whose, &facts, now).await
}

async fn run(
    edge: &Edge,
    whose: Whose<'_>,
    facts: &Arc<RequestFacts<OwnedText>>,
    now: Instant,
) -> Result<Hit, Undecided> {
    let (live, has_link) = (whose.live, facts.knows_link());
    let loaded = match &live.guest {
        Ok(loadable) => loadable.guest().await,
        Err(reason) => Err(Failure::Unavailable(reason.to_string())),
    };
    let guest = match loaded {
        Ok(guest) => guest,
        Err(failure) => {
            count(edge, live, &Err(failure.clone()), Cost::default());
            return Err(failure.into());
        }
    };
    let now_s = facts.now_s();
    let facts = Arc::clone(facts);
    let run = edge.policies.run(&whose.site.tenant, guest, Recorder::new(facts)).await;
    tell(edge, whose, &run, now_s);
    count(edge, live, &run.result, run.cost);
    let trace = run.recorder.into_trace();
    if !has_link && trace.iter().any(|(question, _)| question.is_about_link()) {
        return Err(Undecided::LacksLink);
    }
    let kept = live.remembered.keep(whose, &trace, run.result, now, now_s);
    edge.metrics.accounts.memories().keep_within();
    Ok(kept?)
}

fn count(edge: &Edge, live: &LiveBinding, result: &Result<Decision, Failure>, cost: Cost) {
    live.account.count_run(result, cost);
    edge.metrics
        .count_policy_run(result.as_ref().map_or_else(Failure::label, |_| "decided"));
}

/// Hands on what a policy said, and why it gave no decision, to those who follow its log.
fn tell(edge: &Edge, whose: Whose<'_>, run: &PolicyRun, now_s: u64) {
    let (site, binding) = (whose.site, &whose.live.binding);
    let line = |level: &str, message: &str| Line {
        at_s: now_s,
        tenant: site.tenant.to_string(),
        site: site.name.to_string(),
        prefix: binding.prefix.to_string(),
        policy: binding.policy.to_string(),
        digest: binding.digest.to_string(),
        level: level.to_owned(),
        message: message.to_owned(),
    };
    for note in &run.log {
        edge.policy_log.push(line(&note.level.to_string(), &note.message));
    }
    if let Err(failure) = &run.result {
        edge.policy_log.push(line("failure", &failure.to_string()));
    }
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

    fn may_run(&self, now: Instant) -> Result<(), Failure> {
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
        let until = lock(&self.rest).until?;
        Some(until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// What is remembered, or that nothing can be decided without the link; none where only a run can tell.
    fn look(&self, facts: &RequestFacts<OwnedText>) -> Option<Result<Hit, Undecided>> {
        match self.memory.walk(facts) {
            Walk::Found(hit) => Some(Ok(hit)),
            Walk::Waits => Some(Err(Undecided::LacksLink)),
            Walk::New => None,
        }
    }

    /// Keeps what a run came to whose facts are those of `now_s`.
    fn keep(
        &self,
        whose: Whose<'_>,
        trace: &Trace,
        result: Result<Decision, Failure>,
        now: Instant,
        now_s: u64,
    ) -> Result<Hit, Failure> {
        let (tenant, policy) = (&whose.site.tenant, &whose.live.binding.policy);
        let (site, prefix) = (&whose.site.name, &whose.live.binding.prefix);
        match lock(&self.rest).note(&result.as_ref().map(|_| ()).map_err(Clone::clone), now) {
            Change::Rests(rest) => {
                let rest_s = rest.as_secs();
                tracing::warn!(%tenant, %site, %prefix, %policy, rest_s, "a policy was cut off again and again and rests");
            }
            Change::RunsAgain => tracing::info!(%tenant, %site, %prefix, %policy, "a policy that rested runs again"),
            Change::None => {}
        }
        let leaf = self.memory.graft(trace, result).map_err(|not_kept| match not_kept {
            NotKept::Passing(failure) => failure,
            NotKept::Contradicted(contradiction) => {
                tracing::error!(%tenant, %site, %prefix, %policy, %contradiction, "a policy contradicts itself; it does not run here again");
                Failure::Unavailable(contradiction.to_string())
            }
        })?;
        let horizons = trace
            .iter()
            .filter_map(|(question, answer)| question.holds_until(answer, now_s));
        Ok(Hit::of_run(leaf, horizons.min()))
    }

    fn board(&self, place: Place) -> Boarding<'_> {
        let mut runs = lock(&self.runs);
        if let Some(landing) = runs.get(&place) {
            return Boarding::Another(landing.clone());
        }
        let (result, landing) = watch::channel(None);
        runs.insert(place.clone(), landing);
        Boarding::First(Flight {
            runs: &self.runs,
            place,
            result,
        })
    }
}

enum Boarding<'r> {
    /// Nobody runs this path.
    First(Flight<'r>),
    /// Somebody does.
    Another(watch::Receiver<Option<Landed>>),
}

/// A run under way. Letting go of it, also when its visitor hangs up, lets others have theirs.
struct Flight<'r> {
    runs: &'r Mutex<Runs>,
    place: Place,
    result: watch::Sender<Option<Landed>>,
}

impl Flight<'_> {
    fn land(self, landed: Landed) {
        self.result.send_replace(Some(landed));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        lock(self.runs).remove(&self.place);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wayside_decide::{decision::Failure, question::Answer, tree::meter::Meter};

    use super::{Boarding, CUT_OFFS_MAX, Place, REST_FIRST, REST_MAX, Remembered, Rest};

    #[test]
    fn who_knows_the_link_does_not_wait_for_who_does_not() {
        let remembered = Remembered::new(&Meter::default());
        let board = |answer: &str, has_link| {
            remembered.board(Place {
                answers: vec![Answer::Text(answer.into())],
                has_link,
            })
        };
        let is_first = |boarding: &Boarding<'_>| matches!(boarding, Boarding::First(_));
        let without = board("a", false);
        let with = board("a", true);
        assert!(is_first(&without) && is_first(&with) && is_first(&board("b", true)));
        assert!(!is_first(&board("a", false)) && !is_first(&board("a", true)));
        drop(without);
        assert!(is_first(&board("a", false)));
    }

    #[test]
    fn a_guest_that_is_cut_off_again_and_again_rests_longer_and_longer() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        let cut_off = Err(Failure::DeadlineExceeded { deadline_ms: 5 });
        for _ in 1..CUT_OFFS_MAX {
            rest.note(&cut_off, now);
            assert!(!rest.is_resting(now));
        }
        let mut longest = Duration::ZERO;
        for doublings in 0..10 {
            rest.note(&cut_off, now);
            assert!(rest.is_resting(now), "{doublings}");
            let expected = REST_FIRST.saturating_mul(1 << doublings.min(6)).min(REST_MAX);
            assert!(rest.is_resting(now + expected - Duration::from_millis(1)));
            now += expected;
            assert!(!rest.is_resting(now), "one may try it");
            longest = expected;
        }
        assert_eq!(longest, REST_MAX);
        rest.note(&Err(Failure::Overloaded), now);
        rest.note(&cut_off, now);
        assert!(rest.is_resting(now), "a run that never began makes nothing good");
        now += REST_MAX;
        rest.note(&Ok(()), now);
        rest.note(&cut_off, now);
        assert!(!rest.is_resting(now), "one good run makes all good");
    }
}
