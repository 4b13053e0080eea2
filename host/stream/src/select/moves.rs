//! What one target may get of the sessions that are moved.
//!
//! In: which of a group took a session that had to leave another target. Out: those of the group that may take one more.
//! It must not know why a session is moved, or who would be best.
//!
//! The best target is the best for everybody: when one dies, all that were there would run to the quickest of the others.
//! So each target has allowances. A move gives every target of its group its share of one by weight, and a little more, and
//! takes one from the target that it goes to. Time gives allowances too, so that few moves go wherever they do best.

use wayside_balance::moment::Moment;

use super::set::{TARGETS_MAX, TargetIndex, TargetSet};

/// How many times its share of the moves a target may get.
const SHARES_MAX: f64 = 1.15;
/// So many moves a second go wherever they do best: each target may have its share of them besides, and of those of one
/// second ahead.
const FREE_A_SECOND: f64 = 10.0;

/// Allowances of the targets of a pool, by place.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    allowances: [Allowance; TARGETS_MAX],
    /// Those that had less than one when a move was last counted.
    closed: TargetSet,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: f64,
    /// As of when, in seconds.
    as_of_s: f64,
}

impl Allowance {
    /// What a target with this share of its group may take now.
    fn at(self, now_s: f64, share: f64) -> f64 {
        let free = FREE_A_SECOND * share;
        let left = self.left + free * (now_s - self.as_of_s).max(0.0);
        // Whole sessions are moved, also to the smallest.
        left.min(free.max(1.0))
    }
}

impl Moves {
    pub(super) const fn new() -> Self {
        let allowance = Allowance {
            left: FREE_A_SECOND,
            as_of_s: 0.0,
        };
        Self {
            allowances: [allowance; TARGETS_MAX],
            closed: TargetSet::EMPTY,
        }
    }

    /// Those `of` a group with these weights that may take one more session that is moved. Of a group that is not empty at
    /// least one may: the one that may take most when none has an allowance left.
    pub(super) fn open(&self, of: TargetSet, weight: impl Fn(usize) -> u32, now: Moment) -> TargetSet {
        let closed = self.closed.and(of);
        if closed.is_empty() {
            return of;
        }
        let (shares, now_s) = (Shares::new(of, weight), seconds(now));
        let left = |target: TargetIndex| {
            let place = target.place();
            self.allowances[place].at(now_s, shares.of(place))
        };
        let still_closed: TargetSet = closed.iter().filter(|target| left(*target) < 1.0).collect();
        let open = of.without(still_closed);
        if !open.is_empty() {
            return open;
        }
        let most = of.iter().max_by(|one, other| left(*one).total_cmp(&left(*other)));
        most.into_iter().collect()
    }

    /// A session was moved to the target `to`, one `of` a group with these weights.
    pub(super) fn count(&mut self, of: TargetSet, weight: impl Fn(usize) -> u32, to: TargetIndex, now: Moment) {
        let (shares, now_s) = (Shares::new(of, weight), seconds(now));
        for place in of.iter().map(TargetIndex::place) {
            let (allowance, share) = (&mut self.allowances[place], shares.of(place));
            *allowance = Allowance {
                left: allowance.at(now_s, share) + SHARES_MAX * share,
                as_of_s: now_s,
            };
        }
        self.allowances[to.place()].left -= 1.0;
        self.closed.set(to, true);
        for target in self.closed.iter() {
            self.closed.set(target, self.allowances[target.place()].left < 1.0);
        }
    }
}

/// What part of a group's weight each target has.
struct Shares<W> {
    weight: W,
    for_weight: f64,
}

impl<W: Fn(usize) -> u32> Shares<W> {
    fn new(of: TargetSet, weight: W) -> Self {
        let all: u32 = of.iter().map(|target| weight(target.place())).sum();
        Self {
            weight,
            for_weight: 1.0 / f64::from(all.max(1)),
        }
    }

    fn of(&self, place: usize) -> f64 {
        f64::from((self.weight)(place)) * self.for_weight
    }
}

fn seconds(now: Moment) -> f64 {
    now.since(Moment::default()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};
    use wayside_balance::{moment::Moment, random::Random};

    use super::{FREE_A_SECOND, Moves, SHARES_MAX};
    use crate::select::set::{TargetIndex, TargetSet};

    const fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn target(place: usize) -> TargetIndex {
        TargetIndex::new(place).expect("a place")
    }

    #[test]
    fn few_moves_go_where_they_like() {
        let (of, best) = (TargetSet::first(3), target(0));
        let mut moves = Moves::new();
        for number in 1..1_000 {
            let now = at(number * 300);
            assert!(moves.open(of, |_| 1, now).has(best), "move {number}");
            moves.count(of, |_| 1, best, now);
        }
    }

    #[test]
    fn who_is_alone_takes_everybody() {
        let mut moves = Moves::new();
        for _ in 0..10_000 {
            assert!(moves.open(TargetSet::first(1), |_| 3, at(0)).has(target(0)));
            moves.count(TargetSet::first(1), |_| 3, target(0), at(0));
        }
    }

    #[test]
    fn one_may_take_one_more_when_all_have_had_their_shares() {
        let (of, mut moves) = (TargetSet::first(3), Moves::new());
        // Other groups have used up what these had.
        for place in 0..3 {
            for _ in 0..40 + place {
                moves.count(TargetSet::first(64), |_| 1, target(place), at(0));
            }
        }
        assert_eq!(moves.open(of, |_| 1, at(0)), TargetSet::first(1));
        assert_eq!(moves.open(of, |_| 1, at(20_000)), of, "time makes it good");
    }

    proptest! {
        /// Whoever is taken of those that may be, nobody gets much more than its share, from any move to any other.
        #[test]
        fn nobody_gets_much_more_than_a_share(
            weights in proptest::collection::vec(1_u32..50, 2..64), likes in any::<u64>(), gap_ms in 0_u64..3,
        ) {
            let of = TargetSet::first(weights.len());
            let weight = |place: usize| weights[place];
            let all = f64::from(weights.iter().sum::<u32>());
            let (mut moves, mut random) = (Moves::new(), Random::new(likes));
            let mut taken = Vec::new();
            for number in 0..2_000 {
                let now = at(number * gap_ms);
                let open = moves.open(of, weight, now);
                prop_assert!(!open.is_empty() && open.without(of).is_empty());
                // Now and then they like another one best.
                let liked = Random::new(likes ^ (number / 97)).below(weights.len());
                let best = open.iter().find(|target| target.place() >= liked);
                let best = best.or_else(|| open.iter().nth(random.below(open.len()))).expect("one is open");
                moves.count(of, weight, best, now);
                taken.push(best.place());
            }
            for (from, to) in [(0, 2_000), (0, 300), (500, 900), (1_000, 2_000)] {
                let (count, seconds) = ((to - from) as f64, (to - from) as f64 * gap_ms as f64 / 1_000.0);
                for (place, weight) in weights.iter().enumerate() {
                    let got = taken[from..to].iter().filter(|taken| **taken == place).count() as f64;
                    let share = f64::from(*weight) / all;
                    let free = FREE_A_SECOND * share;
                    // The last ones may be those of a move that found none open.
                    let most = count * share * SHARES_MAX + free * seconds + free.max(1.0) + 1.0;
                    prop_assert!(got <= most, "{place} got {got} of {count}, {most} at most");
                }
            }
        }
    }
}
