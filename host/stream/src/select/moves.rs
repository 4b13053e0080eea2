//! What one target may get of the sessions that are moved.
//!
//! In: which of a group took a session that had to leave another target. Out: those of the group that may take one more.
//! It must not know why a session is moved, or who would be best.
//!
//! The best target is the best for everybody: when one dies, all that were there would run to the quickest of the others.
//! So each target has allowances. A move gives every target of its group its share of one by weight, and a little more, and
//! takes one from the target that it goes to. Time gives allowances too, so that few moves go wherever they do best.

use std::time::Duration;

use wayside_balance::moment::Moment;

use super::set::{TARGETS_MAX, TargetIndex, TargetSet};

/// How many times its share of the moves a target may get.
const SHARES_MAX: f64 = 1.15;
/// Moves that a target may get ahead of its share.
const AHEAD_MAX: f64 = 4.0;
/// In how long one of them comes back.
const AHEAD_EVERY: Duration = Duration::from_secs(1);

/// Allowances of the targets of a pool, by place.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    allowed: [f64; TARGETS_MAX],
    as_of: Moment,
    /// Those that had less than one allowance then.
    closed: TargetSet,
}

impl Moves {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            allowed: [AHEAD_MAX; TARGETS_MAX],
            as_of: now,
            closed: TargetSet::EMPTY,
        }
    }

    /// Those `of` a group that may take one more session that is moved; all of them when none may.
    pub(super) fn open(&self, of: TargetSet, now: Moment) -> TargetSet {
        let since = self.since(now);
        let mut closed = self.closed.and(of);
        for target in closed.iter() {
            closed.set(target, self.allowed[target.place()] + since < 1.0);
        }
        let open = of.without(closed);
        if open.is_empty() { of } else { open }
    }

    /// A session was moved to the target `to`, one `of` a group with these weights.
    pub(super) fn count(&mut self, of: TargetSet, weight: impl Fn(usize) -> u32, to: TargetIndex, now: Moment) {
        let since = self.since(now);
        if since > 0.0 {
            for allowed in &mut self.allowed {
                *allowed = (*allowed + since).min(AHEAD_MAX);
            }
            self.as_of = now;
        }
        let all: u32 = of.iter().map(|target| weight(target.place())).sum();
        let for_weight = SHARES_MAX / f64::from(all.max(1));
        for place in of.iter().map(TargetIndex::place) {
            let allowed = &mut self.allowed[place];
            *allowed = (*allowed + for_weight * f64::from(weight(place))).min(AHEAD_MAX);
        }
        self.allowed[to.place()] -= 1.0;
        self.closed.set(to, true);
        for target in self.closed.iter() {
            self.closed.set(target, self.allowed[target.place()] < 1.0);
        }
    }

    /// What time has given since the last move.
    fn since(&self, now: Moment) -> f64 {
        now.since(self.as_of).as_secs_f64() / AHEAD_EVERY.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};
    use wayside_balance::{moment::Moment, random::Random};

    use super::{AHEAD_MAX, Moves, SHARES_MAX};
    use crate::select::set::TargetSet;

    const fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn few_moves_go_where_they_like() {
        let of = TargetSet::first(3);
        let best = of.iter().next().expect("a target");
        let mut moves = Moves::new(at(0));
        for second in 1..100 {
            assert!(moves.open(of, at(second * 1_000)).has(best), "in second {second}");
            moves.count(of, |_| 1, best, at(second * 1_000));
        }
    }

    #[test]
    fn who_is_alone_takes_everybody() {
        let of = TargetSet::first(1);
        let only = of.iter().next().expect("a target");
        let mut moves = Moves::new(at(0));
        for _ in 0..10_000 {
            assert!(moves.open(of, at(0)).has(only));
            moves.count(of, |_| 3, only, at(0));
        }
    }

    proptest! {
        /// Whoever is taken of those that may be, nobody gets much more than its share, from any move to any other.
        #[test]
        fn nobody_gets_much_more_than_a_share(
            weights in proptest::collection::vec(1_u32..20, 2..64), likes in any::<u64>(), gap_ms in 0_u64..3,
        ) {
            let of = TargetSet::first(weights.len());
            let weight = |place: usize| weights[place];
            let all = f64::from(weights.iter().sum::<u32>());
            let (mut moves, mut random) = (Moves::new(at(0)), Random::new(likes));
            let mut taken = Vec::new();
            for number in 0..2_000 {
                let now = at(number * gap_ms);
                let open = moves.open(of, now);
                // Now and then they like another one best.
                let liked = Random::new(likes ^ (number / 97)).below(weights.len());
                let best = open.iter().find(|target| target.place() >= liked);
                let best = best.or_else(|| open.iter().nth(random.below(open.len()))).expect("one is open");
                moves.count(of, weight, best, now);
                taken.push(best.place());
            }
            for (from, to) in [(0, 2_000), (0, 300), (500, 900), (1_000, 2_000)] {
                for (place, weight) in weights.iter().enumerate() {
                    let got = taken[from..to].iter().filter(|taken| **taken == place).count() as f64;
                    let ahead = AHEAD_MAX + 1.0 + (to - from) as f64 * gap_ms as f64 / 1_000.0;
                    let most = (to - from) as f64 * f64::from(*weight) / all * SHARES_MAX + ahead;
                    prop_assert!(got <= most, "{place} got {got} of {}, {most} at most", to - from);
                }
            }
        }
    }
}
