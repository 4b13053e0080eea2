//! A circuit breaker: one for each target.
//!
//! Closed, it lets everything through, until so many requests in a row fail. Open, it lets nothing through for a while.
//! Half-open, it lets one real request through as a probe: that one closes it, or opens it for longer. An answer counts
//! only for the state in which its request was let through, so that late ones turn nothing round.

use std::time::Duration;

use crate::{moment::Moment, random::Random};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Longest it is open the first time; twice that the next time, and so on.
    pub ejection_base: Duration,
    /// Longest it is ever open.
    pub ejection_max: Duration,
    /// Shortest it is open: jitter may leave next to nothing.
    pub ejection_min: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures: 5,
            ejection_base: Duration::from_secs(30),
            ejection_max: Duration::from_secs(300),
            ejection_min: Duration::from_secs(1),
        }
    }
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One request, which is under way.
    HalfOpen,
}

impl State {
    /// The state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// That a request may go. Handed back with how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
    is_ordinary: bool,
}

/// The breaker of one target.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    state: State,
    /// Of a closed one: failures since the last success.
    failures: u32,
    /// Of one that is open: when the next request may probe.
    until: Moment,
    /// How often it opened without having been closed for long.
    ejections: u32,
    closed_at: Moment,
    /// Counts states, so that a permit tells in which it was given.
    generation: u64,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed,
            failures: 0,
            until: Moment::after_start(Duration::ZERO),
            ejections: 0,
            closed_at: Moment::after_start(Duration::ZERO),
            generation: 0,
        }
    }

    /// What it lets through.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Failures since the last success, while it is closed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long until a request may probe; none unless it is open.
    #[must_use]
    pub fn opens_in(&self, now: Moment) -> Option<Duration> {
        (self.state == State::Open).then(|| self.until.since(now))
    }

    /// A permit for a request, while closed.
    #[must_use]
    pub fn admit(&self) -> Option<Permit> {
        (self.state == State::Closed).then(|| self.permit(true))
    }

    /// Whether [`Self::probe`] would let a request through.
    #[must_use]
    pub fn is_probe_due(&self, now: Moment) -> bool {
        self.state == State::Open && now >= self.until
    }

    /// A permit for the one request that probes, when that is due. The breaker is half-open from then on.
    pub fn probe(&mut self, now: Moment) -> Option<Permit> {
        if !self.is_probe_due(now) {
            return None;
        }
        self.enter(State::HalfOpen);
        Some(self.permit(false))
    }

    /// A permit for a request that goes whatever the breaker says, because everything looks bad. Its success closes the
    /// breaker; its failure says nothing new.
    #[must_use]
    pub const fn force(&self) -> Permit {
        self.permit(matches!(self.state, State::Closed))
    }

    /// The request of `permit` was answered.
    pub fn succeed(&mut self, permit: Permit, now: Moment) {
        if permit.generation != self.generation {
            return;
        }
        self.failures = 0;
        if self.state != State::Closed {
            self.enter(State::Closed);
            self.closed_at = now;
        }
    }

    /// The request of `permit` failed.
    pub fn fail(&mut self, permit: Permit, now: Moment, random: &mut Random) {
        if permit.generation != self.generation {
            return;
        }
        match self.state {
            State::Closed => {
                self.failures += 1;
                if self.failures >= self.settings.failures {
                    // Who was well for as long as the longest ejection begins anew.
                    if now.since(self.closed_at) >= self.settings.ejection_max {
                        self.ejections = 0;
                    }
                    self.open(now, random);
                }
            }
            State::HalfOpen => self.open(now, random),
            State::Open => {}
        }
    }

    /// Nobody knows how the request of `permit` would have ended. A probe is due again at once.
    pub fn abandon(&mut self, permit: Permit, now: Moment) {
        if permit.generation == self.generation && self.state == State::HalfOpen {
            self.enter(State::Open);
            self.until = now;
        }
    }

    fn open(&mut self, now: Moment, random: &mut Random) {
        let Settings {
            ejection_base,
            ejection_max,
            ejection_min,
            ..
        } = self.settings;
        // 2³⁰ times anything is past the longest.
        let longest = ejection_base
            .saturating_mul(1 << self.ejections.min(30))
            .min(ejection_max);
        self.ejections = self.ejections.saturating_add(1);
        self.until = now + random.up_to(longest).max(ejection_min);
        self.enter(State::Open);
    }

    const fn enter(&mut self, state: State) {
        self.state = state;
        self.failures = 0;
        self.generation += 1;
    }

    const fn permit(&self, is_ordinary: bool) -> Permit {
        Permit {
            generation: self.generation,
            is_ordinary,
        }
    }
}

impl Permit {
    /// Whether the breaker was closed, so that the request was one like all others.
    #[must_use]
    pub const fn is_ordinary(&self) -> bool {
        self.is_ordinary
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Breaker, Settings, State};
    use crate::{moment::Moment, random::Random};

    const fn at(s: u64) -> Moment {
        Moment::after_start(Duration::from_secs(s))
    }

    /// A breaker that opened at second 0.
    fn opened(random: &mut Random) -> Breaker {
        let mut breaker = Breaker::new(Settings::default());
        for _ in 0..5 {
            let permit = breaker.admit().expect("closed");
            breaker.fail(permit, at(0), random);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_with_a_success_between_do_not() {
        let mut random = Random::new(1);
        let mut breaker = Breaker::new(Settings::default());
        for index in 0..20 {
            let permit = breaker.admit().expect("closed");
            if index % 5 == 4 {
                breaker.succeed(permit, at(index));
            } else {
                breaker.fail(permit, at(index), &mut random);
            }
        }
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(opened(&mut random).state(), State::Open);
        assert_eq!(opened(&mut random).admit(), None);
    }

    #[test]
    fn one_request_probes_and_decides() {
        let mut random = Random::new(1);
        let mut breaker = opened(&mut random);
        let wait = breaker.opens_in(at(0)).expect("open");
        assert!(wait <= Duration::from_secs(30));
        assert_eq!(breaker.probe(at(0)), None, "too early");
        let due = at(0) + wait;
        let probe = breaker.probe(due).expect("due");
        assert!(!probe.is_ordinary());
        assert_eq!((breaker.probe(due), breaker.admit()), (None, None), "one at a time");
        breaker.succeed(probe, due);
        assert_eq!(breaker.state(), State::Closed);
        assert!(breaker.admit().expect("closed").is_ordinary());
    }

    #[test]
    fn a_probe_that_nobody_waited_for_is_due_again() {
        let mut random = Random::new(1);
        let mut breaker = opened(&mut random);
        let probe = breaker.probe(at(30)).expect("due");
        breaker.abandon(probe, at(31));
        assert!(breaker.probe(at(31)).is_some());
    }

    #[test]
    fn late_answers_turn_nothing_round() {
        let mut random = Random::new(1);
        let mut breaker = Breaker::new(Settings::default());
        let early = breaker.admit().expect("closed");
        breaker = opened(&mut random);
        breaker.succeed(early, at(1));
        assert_eq!(breaker.state(), State::Open, "a success from before");
        let probe = breaker.probe(at(30)).expect("due");
        breaker.succeed(probe, at(30));
        for _ in 0..5 {
            breaker.fail(early, at(31), &mut random);
        }
        assert_eq!(breaker.state(), State::Closed, "failures from before");
    }

    #[test]
    fn in_panic_a_success_closes_and_a_failure_says_nothing() {
        let mut random = Random::new(1);
        let mut breaker = opened(&mut random);
        let wait = breaker.opens_in(at(0));
        breaker.fail(breaker.force(), at(0), &mut random);
        assert_eq!((breaker.state(), breaker.opens_in(at(0))), (State::Open, wait));
        breaker.succeed(breaker.force(), at(0));
        assert_eq!(breaker.state(), State::Closed);
    }

    proptest! {
        #[test]
        fn ejections_grow_to_the_longest_with_full_jitter(seed in any::<u64>()) {
            let mut random = Random::new(seed);
            let mut breaker = opened(&mut random);
            let mut now = at(0);
            for longest_s in [30, 60, 120, 240, 300, 300] {
                let wait = breaker.opens_in(now).expect("open");
                prop_assert!((1..=longest_s).contains(&wait.as_secs()) || wait.as_secs() == longest_s, "{wait:?}");
                now = now + wait;
                let probe = breaker.probe(now).expect("due");
                breaker.fail(probe, now, &mut random);
            }
            // Well for as long as the longest ejection: it begins anew.
            now = now + breaker.opens_in(now).expect("open");
            let probe = breaker.probe(now).expect("due");
            breaker.succeed(probe, now);
            now = now + Duration::from_secs(300);
            for _ in 0..5 {
                let permit = breaker.admit().expect("closed");
                breaker.fail(permit, now, &mut random);
            }
            prop_assert!(breaker.opens_in(now).expect("open") <= Duration::from_secs(30));
        }

        #[test]
        fn whatever_happens_it_probes_one_at_a_time(steps in proptest::collection::vec((any::<u8>(), 0_u64..20), 1..200)) {
            let (mut random, mut breaker) = (Random::new(1), Breaker::new(Settings::default()));
            let (mut now, mut probe) = (at(0), None);
            for (step, pause) in steps {
                now = now + Duration::from_secs(pause);
                prop_assert_eq!(breaker.state() == State::HalfOpen, probe.is_some());
                match (step % 4, probe) {
                    (0, Some(permit)) => { breaker.succeed(permit, now); probe = None; }
                    (1, Some(permit)) => { breaker.fail(permit, now, &mut random); probe = None; }
                    (2, Some(permit)) => { breaker.abandon(permit, now); probe = None; }
                    (_, Some(_)) => prop_assert!(breaker.probe(now).is_none() && breaker.admit().is_none()),
                    (3, None) => if let Some(permit) = breaker.admit() { breaker.succeed(permit, now); },
                    (_, None) => {
                        if let Some(permit) = breaker.admit() { breaker.fail(permit, now, &mut random); }
                        probe = breaker.probe(now);
                    }
                }
            }
        }
    }
}
