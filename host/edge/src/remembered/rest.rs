//! When a policy that is cut off again and again rests, and how it comes back.
//!
//! In: what runs came to, what they took, and when. Out: whether another may begin. It must not know what runs a policy.

use std::time::{Duration, Instant};

use wayside_decide::decision::Failure;

/// A policy rests when so many runs have been cut off of late: three in some five seconds, or one every seven.
const CUT_OFFS_MAX: f64 = 2.5;
/// And when this share of its processor time went into them: one that is seldom slow serves all others.
const SHARE_MAX: f64 = 0.5;
/// After this time a run counts for half.
const HALF_LIFE_S: f64 = 10.0;
/// How long a policy's first rest is; each that follows soon is twice as long.
const REST_FIRST: Duration = Duration::from_secs(1);
/// The longest. After as much time without another, the next is a first one again.
const REST_MAX: Duration = Duration::from_secs(64);
/// A trial of which nothing was heard for so long has come to nothing.
const TRIAL_MAX: Duration = Duration::from_secs(5);

/// Whether a policy may run.
#[derive(Debug, Default)]
pub(super) struct Rest {
    state: State,
    recent: Recent,
    /// How many times in a row it was sent to rest, and until when the last time.
    rests: u32,
    last_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Runs,
    RestsUntil(Instant),
    /// One run shows whether it goes on.
    TriedSince(Instant),
}

/// What a run changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It rests for so long.
    Rests(Duration),
    RunsAgain,
}

/// Sums over runs, the older counting for less.
#[derive(Debug, Default)]
struct Recent {
    cut_offs: f64,
    cut_off_cpu_s: f64,
    cpu_s: f64,
    at: Option<Instant>,
}

impl Rest {
    /// Whether it would be in vain to begin a run at `now`.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        match self.state {
            State::Runs => false,
            State::RestsUntil(until) => now < until,
            State::TriedSince(since) => now.saturating_duration_since(since) < TRIAL_MAX,
        }
    }

    /// Begins a run at `now`, which [`Rest::note`] must follow. After a rest, the first that comes is a trial, and no
    /// other begins before it has ended.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Failure> {
        if self.is_resting(now) {
            return Err(Failure::Resting);
        }
        if !matches!(self.state, State::Runs) {
            self.state = State::TriedSince(now);
        }
        Ok(())
    }

    /// How long it still rests at `now`; not at all when it may run.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::RestsUntil(until) => Some(until.saturating_duration_since(now)).filter(|rest| !rest.is_zero()),
            State::Runs | State::TriedSince(_) => None,
        }
    }

    /// What a run came to at `now` that took `cpu`.
    pub(super) fn note(&mut self, result: &Result<(), Failure>, cpu: Duration, now: Instant) -> Change {
        let is_cut_off = match result {
            // It never ran: that says nothing of it.
            Err(Failure::Overloaded | Failure::Unavailable(_) | Failure::Resting) => {
                if matches!(self.state, State::TriedSince(_)) {
                    self.state = State::RestsUntil(now);
                }
                return Change::None;
            }
            Err(Failure::DeadlineExceeded { .. }) => true,
            Ok(()) | Err(_) => false,
        };
        self.recent.add(is_cut_off, cpu, now);
        match self.state {
            // It had begun before.
            State::RestsUntil(_) => Change::None,
            State::TriedSince(_) if !is_cut_off => {
                self.state = State::Runs;
                self.recent = Recent::default();
                Change::RunsAgain
            }
            State::Runs if !(is_cut_off && self.recent.is_too_much()) => Change::None,
            State::TriedSince(_) | State::Runs => self.rest(now),
        }
    }

    fn rest(&mut self, now: Instant) -> Change {
        let is_first = |until: Instant| now.saturating_duration_since(until) > REST_MAX;
        if self.last_until.is_none_or(is_first) {
            self.rests = 0;
        }
        let rest = REST_FIRST.saturating_mul(1 << self.rests.min(16)).min(REST_MAX);
        self.rests += 1;
        self.last_until = Some(now + rest);
        self.state = State::RestsUntil(now + rest);
        self.recent = Recent::default();
        Change::Rests(rest)
    }
}

impl Recent {
    fn add(&mut self, is_cut_off: bool, cpu: Duration, now: Instant) {
        let age = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let left = (-age.as_secs_f64() / HALF_LIFE_S).exp2();
        for sum in [&mut self.cut_offs, &mut self.cut_off_cpu_s, &mut self.cpu_s] {
            *sum *= left;
        }
        self.cpu_s += cpu.as_secs_f64();
        if is_cut_off {
            self.cut_offs += 1.0;
            self.cut_off_cpu_s += cpu.as_secs_f64();
        }
        self.at = Some(now);
    }

    fn is_too_much(&self) -> bool {
        self.cut_offs >= CUT_OFFS_MAX && self.cut_off_cpu_s >= SHARE_MAX * self.cpu_s
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wayside_decide::decision::Failure;

    use super::{Change, REST_FIRST, REST_MAX, Rest, TRIAL_MAX};

    const CUT_OFF: (Result<(), Failure>, Duration) = (
        Err(Failure::DeadlineExceeded { deadline_ms: 10 }),
        Duration::from_millis(10),
    );
    const GOOD: (Result<(), Failure>, Duration) = (Ok(()), Duration::from_micros(30));

    /// Runs once at `now`, if it may.
    fn run(rest: &mut Rest, (result, cpu): (Result<(), Failure>, Duration), now: Instant) -> Option<Change> {
        rest.begin(now).ok()?;
        Some(rest.note(&result, cpu, now))
    }

    #[test]
    fn a_guest_that_is_cut_off_again_and_again_rests_longer_and_longer() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        assert_eq!(run(&mut rest, CUT_OFF, now), Some(Change::None));
        assert_eq!(run(&mut rest, CUT_OFF, now), Some(Change::None));
        for doublings in 0..10 {
            let expected = REST_FIRST.saturating_mul(1 << doublings.min(6)).min(REST_MAX);
            assert_eq!(
                run(&mut rest, CUT_OFF, now),
                Some(Change::Rests(expected)),
                "{doublings}"
            );
            assert_eq!(run(&mut rest, GOOD, now + expected - Duration::from_millis(1)), None);
            assert_eq!(rest.left(now), Some(expected));
            now += expected;
            assert_eq!(rest.left(now), None);
        }
        assert_eq!(run(&mut rest, GOOD, now), Some(Change::RunsAgain));
        // Good for as long as the longest rest, and all is forgotten.
        now += 2 * REST_MAX;
        let changes = [(); 3].map(|()| run(&mut rest, CUT_OFF, now));
        assert_eq!(
            changes,
            [Some(Change::None), Some(Change::None), Some(Change::Rests(REST_FIRST))]
        );
    }

    #[test]
    fn quick_runs_between_slow_ones_make_nothing_good() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        let mut cut_offs = 0;
        for _ in 0..600 {
            now += Duration::from_millis(50);
            run(&mut rest, GOOD, now);
            cut_offs += usize::from(run(&mut rest, CUT_OFF, now).is_some());
        }
        // In 30 s: three, a rest of a second, three, one of two, and so on.
        assert!((9..=15).contains(&cut_offs), "{cut_offs}");
    }

    #[test]
    fn one_that_is_seldom_slow_does_not_rest() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        for round in 0..20_000 {
            now += Duration::from_millis(1);
            let ran = if round % 1_000 == 0 { CUT_OFF } else { GOOD };
            assert_eq!(run(&mut rest, ran, now), Some(Change::None), "{round}");
        }
    }

    #[test]
    fn after_a_rest_one_tries_it_and_the_others_wait_for_what_comes_of_it() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        let rested = [(); 3].map(|()| run(&mut rest, CUT_OFF, now));
        assert_eq!(rested[2], Some(Change::Rests(REST_FIRST)));
        // It had begun before the rest.
        assert_eq!(rest.note(&Ok(()), GOOD.1, now), Change::None);
        let mut now = now + REST_FIRST;
        assert_eq!((rest.begin(now), rest.begin(now)), (Ok(()), Err(Failure::Resting)));
        // It found no place to run: the next may try.
        assert_eq!(rest.note(&Err(Failure::Overloaded), Duration::ZERO, now), Change::None);
        assert_eq!((rest.begin(now), rest.begin(now)), (Ok(()), Err(Failure::Resting)));
        // Nobody says what came of it.
        now += TRIAL_MAX;
        assert_eq!((rest.begin(now), rest.begin(now)), (Ok(()), Err(Failure::Resting)));
        assert_eq!(rest.note(&CUT_OFF.0, CUT_OFF.1, now), Change::Rests(2 * REST_FIRST));
        now += 2 * REST_FIRST;
        assert_eq!(run(&mut rest, GOOD, now), Some(Change::RunsAgain));
        assert_eq!((rest.begin(now), rest.begin(now)), (Ok(()), Ok(())));
    }
}
