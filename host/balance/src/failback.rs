//! The share of traffic that a region gets back after it was bad: in steps, each guarded by its health.
//!
//! A bad region is left at once. When it no longer looks bad it gets a tenth of its traffic, then more, as long as what it
//! gets is answered; when a step is lost it is left again, for longer each time.

use std::time::Duration;

use crate::moment::Moment;

/// The steps, in percent.
pub const STEPS: [u8; 5] = [10, 25, 50, 75, 100];
/// Failures in one step that are chance.
const FAILURES_BY_CHANCE: u32 = 1;
/// Failures that lose a step, for each request answered in it.
const FAILED_SHARE: f64 = 0.1;
/// How often the rest after a lost step doubles.
const DOUBLINGS_MAX: u32 = 5;

/// The share of one region.
#[derive(Debug, Clone)]
pub struct Share {
    step_length: Duration,
    state: State,
    /// Steps lost since it last had everything.
    losses: u32,
    /// Counts states, so that an answer is counted for the step in which its request was sent.
    epoch: u32,
}

#[derive(Debug, Clone)]
enum State {
    /// All of it.
    Full,
    /// None of it, and no step before then.
    Away { until: Moment },
    /// The share of one step.
    Step {
        index: usize,
        since: Moment,
        asked: u32,
        answered: u32,
        failed: u32,
    },
}

/// A share that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it was, in percent.
    pub from: u8,
    /// What it is.
    pub to: u8,
}

impl Share {
    /// A region that has all of its traffic. Each step on the way back takes `step_length`, or longer.
    #[must_use]
    pub const fn new(step_length: Duration) -> Self {
        Self {
            step_length,
            state: State::Full,
            losses: 0,
            epoch: 0,
        }
    }

    /// The share in percent: 0, or one of [`STEPS`].
    #[must_use]
    pub fn percent(&self) -> u8 {
        match self.state {
            State::Full => 100,
            State::Away { .. } => 0,
            State::Step { index, .. } => STEPS.get(index).copied().unwrap_or(100),
        }
    }

    /// Which state this is: requests are counted for the one in which they were sent.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether this step has not had its request yet, by which it is checked.
    #[must_use]
    pub const fn wants_check(&self) -> bool {
        matches!(self.state, State::Step { asked: 0, .. })
    }

    /// Counts a request sent to the region.
    pub const fn count_asked(&mut self) {
        if let State::Step { asked, .. } = &mut self.state {
            *asked = asked.saturating_add(1);
        }
    }

    /// Counts how an ordinary request ended that was sent in `epoch`.
    pub const fn count_ended(&mut self, epoch: u32, is_answered: bool) {
        if let State::Step { answered, failed, .. } = &mut self.state
            && epoch == self.epoch
        {
            let count = if is_answered { answered } else { failed };
            *count = count.saturating_add(1);
        }
    }

    /// Goes on to what follows from the region's health at `now`; at most one step at a time.
    pub fn update(&mut self, is_bad: bool, now: Moment) -> Option<Change> {
        let from = self.percent();
        let next = match self.state {
            State::Away { until } if !is_bad && now >= until => Self::step(0, now),
            State::Full if is_bad => State::Away { until: now },
            State::Step { .. } if is_bad => self.lose(now),
            State::Step { answered, failed, .. } if is_lost(answered, failed) => self.lose(now),
            State::Step {
                index,
                since,
                asked,
                answered,
                ..
            } => {
                if answered > 0 && now.since(since) >= self.step_length {
                    self.won(index, now)
                } else {
                    // Whoever was asked for the check and never answered is asked again in the next step's time.
                    let is_silent = answered == 0 && asked > 0 && now.since(since) >= self.step_length;
                    if is_silent {
                        self.state = Self::step(index, now);
                        self.epoch = self.epoch.wrapping_add(1);
                    }
                    return None;
                }
            }
            State::Full | State::Away { .. } => return None,
        };
        self.state = next;
        self.epoch = self.epoch.wrapping_add(1);
        Some(Change {
            from,
            to: self.percent(),
        })
    }

    const fn step(index: usize, since: Moment) -> State {
        State::Step {
            index,
            since,
            asked: 0,
            answered: 0,
            failed: 0,
        }
    }

    fn won(&mut self, index: usize, now: Moment) -> State {
        if index + 2 < STEPS.len() {
            Self::step(index + 1, now)
        } else {
            self.losses = 0;
            State::Full
        }
    }

    fn lose(&mut self, now: Moment) -> State {
        let rest = self.step_length.saturating_mul(1 << self.losses.min(DOUBLINGS_MAX));
        self.losses = self.losses.saturating_add(1);
        State::Away { until: now + rest }
    }
}

fn is_lost(answered: u32, failed: u32) -> bool {
    failed > FAILURES_BY_CHANCE && f64::from(failed) > FAILED_SHARE * (f64::from(answered) + f64::from(failed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Change, STEPS, Share};
    use crate::moment::Moment;

    const STEP: Duration = Duration::from_secs(10);

    /// A share whose region was bad and is not any more.
    fn healed() -> Share {
        let mut share = Share::new(STEP);
        assert_eq!(
            share.update(true, Moment::default()),
            Some(Change { from: 100, to: 0 }),
            "at once"
        );
        assert_eq!(share.update(true, Moment::default() + STEP), None);
        assert_eq!(
            share.update(false, Moment::default() + STEP),
            Some(Change { from: 0, to: 10 })
        );
        share
    }

    fn answer(share: &mut Share, answered: u32, failed: u32) {
        for index in 0..answered + failed {
            share.count_asked();
            share.count_ended(share.epoch(), index < answered);
        }
    }

    #[test]
    fn a_region_that_answers_gets_everything_back_step_by_step() {
        let mut share = healed();
        let mut now = Moment::default() + STEP;
        for (from, to) in [(10, 25), (25, 50), (50, 75), (75, 100)] {
            assert!(share.wants_check());
            assert_eq!(share.update(false, now + STEP), None, "nobody asked it, nobody knows");
            answer(&mut share, 1, 1);
            assert!(!share.wants_check());
            assert_eq!(share.update(false, now + STEP / 2), None, "too early");
            now = now + STEP;
            assert_eq!(share.update(false, now), Some(Change { from, to }));
        }
        assert_eq!(share.update(false, now + STEP), None);
    }

    #[test]
    fn a_lost_step_goes_back_to_nothing_for_longer_each_time() {
        let mut share = healed();
        let mut now = Moment::default() + STEP;
        for rests in [1, 2, 4, 8, 16, 32, 32] {
            answer(&mut share, 10, 2);
            assert_eq!(share.update(false, now), Some(Change { from: 10, to: 0 }));
            assert_eq!(share.update(false, now + (STEP * rests - STEP / 2)), None);
            now = now + STEP * rests;
            assert_eq!(share.update(false, now), Some(Change { from: 0, to: 10 }));
        }
    }

    #[test]
    fn answers_of_an_earlier_step_do_not_count() {
        let mut share = healed();
        let epoch = share.epoch();
        answer(&mut share, 1, 0);
        let now = Moment::default() + STEP * 2;
        assert!(share.update(false, now).is_some());
        for _ in 0..10 {
            share.count_ended(epoch, false);
        }
        assert_eq!(share.update(false, now), None);
    }

    #[test]
    fn who_never_answers_its_check_is_asked_again() {
        let mut share = healed();
        share.count_asked();
        assert_eq!(share.update(false, Moment::default() + STEP * 2), None);
        assert!(share.wants_check());
    }

    proptest! {
        #[test]
        fn no_step_is_ever_jumped(
            events in proptest::collection::vec((any::<bool>(), 0_u64..15, 0_u32..20, 0_u32..4), 1..200),
        ) {
            let mut share = Share::new(STEP);
            let mut now = Moment::default();
            for (is_bad, pause_s, answered, failed) in events {
                now = now + Duration::from_secs(pause_s);
                let before = share.percent();
                let change = share.update(is_bad, now);
                prop_assert!(!is_bad || share.percent() == 0, "left at once");
                if let Some(Change { from, to }) = change {
                    prop_assert_eq!((from, to), (before, share.percent()));
                    let place = STEPS.iter().position(|step| *step == from).map_or(0, |place| place + 1);
                    prop_assert!(to == 0 || STEPS.get(place) == Some(&to), "{from} to {to}");
                }
                answer(&mut share, answered, failed);
            }
        }
    }
}
