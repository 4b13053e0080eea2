//! Who watches a fleet from outside and says what must never happen.

use std::{ops::AddAssign, time::Duration};

use wayside_balance::{
    breaker::State,
    failback::STEPS,
    fleet::{
        Fleet, OriginIndex, RegionIndex,
        attempt::{Attempt, Kind, Transition},
        settings::{RegionSpec, Settings},
    },
    moment::Moment,
};

use crate::world::{Condition, TIMEOUT as ANSWERS_WITHIN};

/// What happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) requests: u32,
    pub(crate) failed: u32,
    pub(crate) retries: u32,
    pub(crate) hedges: u32,
    pub(crate) probes: u32,
    pub(crate) panics: u32,
    /// Breakers that opened.
    pub(crate) opened: u32,
    /// Regions that were left.
    pub(crate) left: u32,
    pub(crate) steps_lost: u32,
    /// Longest wait for an answer, or for knowing that there is none.
    pub(crate) slowest: Duration,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.retries += other.retries;
        self.hedges += other.hedges;
        self.probes += other.probes;
        self.panics += other.panics;
        self.opened += other.opened;
        self.left += other.left;
        self.steps_lost += other.steps_lost;
        self.slowest = self.slowest.max(other.slowest);
    }
}

pub(crate) struct Observer {
    pub(crate) seen: Seen,
    seed: u64,
    settings: Settings,
    regions: Vec<usize>,
    /// What each breaker said before the fleet was asked.
    before: Vec<(State, bool)>,
    refused_before: u64,
    now: Moment,
    /// By transitions alone.
    shares: Vec<u8>,
    probing: Vec<bool>,
    /// When an origin died, and the ordinary requests it got once its answers from before had all come.
    dead: Vec<Option<(Moment, u32)>>,
    last_failed: u32,
}

impl Observer {
    pub(crate) fn new(seed: u64, specs: &[RegionSpec], settings: Settings) -> Self {
        let regions: Vec<usize> = specs.iter().map(|spec| spec.origins).collect();
        let origins = regions.iter().sum();
        Self {
            seen: Seen::default(),
            seed,
            settings,
            before: Vec::new(),
            refused_before: 0,
            now: Moment::default(),
            shares: vec![100; regions.len()],
            regions,
            probing: vec![false; origins],
            dead: vec![None; origins],
            last_failed: 0,
        }
    }

    pub(crate) fn note_condition(&mut self, origin: usize, condition: Condition, now: Moment) {
        let dead = self.dead[origin].unwrap_or((now, 0));
        self.dead[origin] = (condition == Condition::Dead).then_some(dead);
    }

    /// Before the fleet is asked for anything.
    pub(crate) fn before(&mut self, fleet: &Fleet, now: Moment) {
        self.now = now;
        self.refused_before = fleet.counts().retries_refused;
        let origins = 0..self.probing.len();
        self.before.clear();
        self.before.extend(origins.map(|index| {
            let view = fleet.origin(OriginIndex(index), now);
            (view.state, view.opens_in.is_some_and(|wait| wait.is_zero()))
        }));
    }

    pub(crate) fn first(&mut self, fleet: &Fleet, attempt: &Attempt) {
        self.seen.requests += 1;
        self.sent(fleet, attempt);
    }

    pub(crate) fn retry(&mut self, fleet: &Fleet, tried: &[OriginIndex], attempt: Option<&Attempt>) {
        if let Some(attempt) = attempt {
            self.seen.retries += 1;
            assert!(
                !tried.contains(&attempt.origin()),
                "seed {}: another origin is asked",
                self.seed
            );
            // In panic anybody may be asked, and one that is due is then probed.
            let is_probe = attempt.kind() == Kind::Probe;
            assert!(
                !is_probe || self.is_panic(),
                "seed {}: a retry does not probe",
                self.seed
            );
            self.sent(fleet, attempt);
            return;
        }
        self.seen.failed += 1;
        self.last_failed = self.seen.requests;
        // Nobody gives up who could still be helped.
        let is_refused = fleet.counts().retries_refused > self.refused_before;
        let is_able = |index: &usize| {
            let is_well = self.before[*index].0 == State::Closed;
            (is_well || self.is_panic()) && !tried.contains(&OriginIndex(*index))
        };
        let is_alone = !(0..self.before.len()).any(|index| is_able(&index));
        let is_spent = tried.len() >= self.settings.attempts_max;
        assert!(
            is_refused || is_alone || is_spent,
            "seed {}: gave up on {tried:?}: {fleet:?}",
            self.seed
        );
    }

    pub(crate) fn hedge(&mut self, fleet: &Fleet, tried: &[OriginIndex], attempt: &Attempt) {
        self.seen.hedges += 1;
        assert!(
            !tried.contains(&attempt.origin()),
            "seed {}: another origin is asked",
            self.seed
        );
        let is_any_open = self.before.iter().any(|(state, _)| *state != State::Closed);
        assert!(!is_any_open, "seed {}: hedged while something was broken", self.seed);
        assert!(
            self.seen.hedges * 20 <= self.seen.requests,
            "seed {}: too many hedges",
            self.seed
        );
        self.sent(fleet, attempt);
    }

    /// What holds of every request that is sent.
    fn sent(&mut self, fleet: &Fleet, attempt: &Attempt) {
        let index = attempt.origin().0;
        let (state, is_due) = self.before[index];
        match attempt.kind() {
            Kind::Ordinary => {
                assert_eq!(
                    state,
                    State::Closed,
                    "seed {}: sent to a broken origin: {fleet:?}",
                    self.seed
                );
                if let Some((since, count)) = &mut self.dead[index]
                    && self.now.since(*since) > ANSWERS_WITHIN
                {
                    *count += 1;
                    // As many as it takes to notice, and one that was under way.
                    assert!(
                        *count <= 6,
                        "seed {}: a dead origin goes on getting requests",
                        self.seed
                    );
                }
            }
            Kind::Probe => {
                self.seen.probes += 1;
                assert!(state == State::Open && is_due, "seed {}: probed too early", self.seed);
                assert!(!self.probing[index], "seed {}: two probes", self.seed);
            }
            Kind::Panic => {
                self.seen.panics += 1;
                assert!(
                    self.is_panic() && fleet.is_in_panic(),
                    "seed {}: panic without reason",
                    self.seed
                );
            }
        }
        let allowed = self.settings.retries;
        let reserve = allowed.per_second * (self.now.since(Moment::default()).as_secs_f64() + 10.0);
        let extra = f64::from(self.seen.retries + self.seen.hedges);
        let most = allowed.share * f64::from(self.seen.requests) + reserve;
        assert!(extra <= most, "seed {}: {extra} extra requests, of {most}", self.seed);
    }

    /// Whether more than half of every region is broken.
    fn is_panic(&self) -> bool {
        let mut rest = &self.before[..];
        self.regions.iter().all(|count| {
            let (region, others) = rest.split_at(*count);
            rest = others;
            region.iter().filter(|(state, _)| *state != State::Closed).count() * 2 > *count
        })
    }

    /// An attempt ended of a request that arrived then; what comes after an answer nobody waits for.
    pub(crate) fn waited(&mut self, arrived: Moment, was_answered: bool, now: Moment) {
        if !was_answered {
            self.seen.slowest = self.seen.slowest.max(now.since(arrived));
        }
    }

    /// What holds of every change.
    pub(crate) fn note(&mut self, fleet: &mut Fleet) {
        for transition in fleet.take_transitions() {
            match transition {
                Transition::Share {
                    region: RegionIndex(region),
                    change,
                } => {
                    assert_eq!(self.shares[region], change.from, "seed {}: told in order", self.seed);
                    let place = STEPS
                        .iter()
                        .position(|step| *step == change.from)
                        .map_or(0, |place| place + 1);
                    let is_next = STEPS.get(place) == Some(&change.to);
                    assert!(
                        change.to == 0 || is_next,
                        "seed {}: jumped a step: {change:?}",
                        self.seed
                    );
                    self.seen.left += u32::from(change.from == 100);
                    self.seen.steps_lost += u32::from(change.to == 0 && change.from < 100);
                    self.shares[region] = change.to;
                }
                Transition::Breaker { origin, to, wait, .. } => {
                    self.probing[origin.0] = to == State::HalfOpen;
                    if to != State::Open {
                        continue;
                    }
                    let longest = self.settings.breaker.ejection_max;
                    assert!(wait.is_some_and(|wait| wait <= longest), "seed {}: {wait:?}", self.seed);
                    self.seen.opened += 1;
                }
                Transition::Panic { .. } => {}
            }
        }
    }

    /// Whether every origin is asked as before, every region has everything back, and nothing failed lately.
    pub(crate) fn is_as_it_was(&self, fleet: &Fleet, now: Moment) -> bool {
        let is_well = |index| fleet.origin(OriginIndex(index), now).state == State::Closed;
        let is_quiet = self.seen.requests >= self.last_failed + 20;
        let is_so = (0..self.probing.len()).all(is_well) && self.shares.iter().all(|share| *share == 100) && is_quiet;
        assert!(
            !is_so || !fleet.is_in_panic(),
            "seed {}: panic while all is well",
            self.seed
        );
        is_so
    }
}
