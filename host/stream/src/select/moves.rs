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
/// For how long, in seconds, what time gives is not looked at again: thousands are moved in a second, and it gives ten.
const STEP_S: f64 = 0.01;

/// Allowances of the targets of a pool, by place.
#[derive(Debug, Clone)]
pub(super) struct Moves {
    left: [f64; TARGETS_MAX],
    /// As of when, in seconds.
    as_of: [f64; TARGETS_MAX],
    /// Those that had less than one when a move was last counted.
    closed: TargetSet,
    counted_s: f64,
}

/// The targets among which a session is moved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Among {
    targets: TargetSet,
    /// By place; together 1.
    shares: [f64; TARGETS_MAX],
}

impl Among {
    /// These targets, by their weights, of which there is one for each place of the pool.
    pub(super) fn new(targets: TargetSet, weights: &[u32]) -> Self {
        let mut own = [0; TARGETS_MAX];
        for (place, (own, weight)) in own.iter_mut().zip(weights).enumerate() {
            *own = if targets.has_place(place) { *weight as i32 } else { 0 };
        }
        let all: i32 = own.iter().sum();
        let for_weight = 1.0 / f64::from(all.max(1));
        Self {
            targets,
            shares: own.map(|own| f64::from(own) * for_weight),
        }
    }

    pub(super) const fn targets(&self) -> TargetSet {
        self.targets
    }
}

impl Moves {
    pub(super) const fn new() -> Self {
        Self {
            left: [FREE_A_SECOND; TARGETS_MAX],
            as_of: [0.0; TARGETS_MAX],
            closed: TargetSet::EMPTY,
            counted_s: 0.0,
        }
    }

    /// Those of a group that may take one more session that is moved. Of one that is not empty at least one may: the one that
    /// may take most when none has an allowance left.
    pub(super) fn open(&self, among: &Among, now: Moment) -> TargetSet {
        let of = among.targets;
        let now_s = seconds(now);
        let left = |target: TargetIndex| {
            let place = target.place();
            let free = FREE_A_SECOND * among.shares[place];
            self.left[place] + free * (now_s - self.as_of[place])
        };
        let mut closed = self.closed.and(of);
        if now_s - self.counted_s >= STEP_S {
            closed = closed.iter().filter(|target| left(*target) < 1.0).collect();
        }
        let open = of.without(closed);
        if !open.is_empty() {
            return open;
        }
        let most = of.iter().max_by(|one, other| left(*one).total_cmp(&left(*other)));
        most.into_iter().collect()
    }

    /// A session was moved to the target `to`, one of this group.
    pub(super) fn count(&mut self, among: &Among, to: TargetIndex, now: Moment) {
        let now_s = seconds(now);
        // Over all places, without a branch: this is a few instructions for each.
        let allowances = self.left.iter_mut().zip(&mut self.as_of);
        for ((left, as_of), share) in allowances.zip(&among.shares) {
            let free = FREE_A_SECOND * share;
            // Whole sessions are moved, also to the smallest.
            let before = (*left + free * (now_s - *as_of).max(0.0)).min(free.max(1.0));
            let is_of_group = *share > 0.0;
            *left = if is_of_group {
                before + SHARES_MAX * share
            } else {
                *left
            };
            *as_of = if is_of_group { now_s } else { *as_of };
        }
        self.counted_s = now_s;
        self.left[to.place()] -= 1.0;
        self.closed.set(to, true);
        for target in self.closed.iter() {
            self.closed.set(target, self.left[target.place()] < 1.0);
        }
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

    use super::{Among, FREE_A_SECOND, Moves, SHARES_MAX};
    use crate::select::set::{TargetIndex, TargetSet};

    const fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn target(place: usize) -> TargetIndex {
        TargetIndex::new(place).expect("a place")
    }

    #[test]
    fn few_moves_go_where_they_like() {
        let (weights, best) = ([1; 3], target(0));
        let among = Among::new(TargetSet::first(3), &weights);
        let mut moves = Moves::new();
        for number in 1..1_000 {
            let now = at(number * 300);
            assert!(moves.open(&among, now).has(best), "move {number}");
            moves.count(&among, best, now);
        }
    }

    #[test]
    fn who_is_alone_takes_everybody() {
        let among = Among::new(TargetSet::first(1), &[3, 1]);
        let mut moves = Moves::new();
        for _ in 0..10_000 {
            assert!(moves.open(&among, at(0)).has(target(0)));
            moves.count(&among, target(0), at(0));
        }
    }

    #[test]
    fn one_may_take_one_more_when_all_have_had_their_shares() {
        let weights = [1; 64];
        let [all, three] = [64, 3].map(|count| Among::new(TargetSet::first(count), &weights));
        let mut moves = Moves::new();
        // Another group has used up what these had.
        for place in 0..3 {
            for _ in 0..40 + place {
                moves.count(&all, target(place), at(0));
            }
        }
        assert_eq!(moves.open(&three, at(0)), TargetSet::first(1));
        assert_eq!(moves.open(&three, at(20_000)), three.targets(), "time makes it good");
    }

    proptest! {
        /// Whoever is taken of those that may be, nobody gets much more than its share, from any move to any other.
        #[test]
        fn nobody_gets_much_more_than_a_share(
            weights in proptest::collection::vec(1_u32..50, 2..64), likes in any::<u64>(),
            idle_ms in 0_u64..100_000, gap_ms in 0_u64..3,
        ) {
            let of = TargetSet::first(weights.len());
            let among = Among::new(of, &weights);
            let all = f64::from(weights.iter().sum::<u32>());
            let (mut moves, mut random) = (Moves::new(), Random::new(likes));
            let mut taken = Vec::new();
            for number in 0..2_000 {
                let now = at(idle_ms + number * gap_ms);
                let open = moves.open(&among, now);
                prop_assert!(!open.is_empty() && open.without(of).is_empty());
                // Now and then they like another one best.
                let liked = Random::new(likes ^ (number / 97)).below(weights.len());
                let best = open.iter().find(|target| target.place() >= liked);
                let best = best.or_else(|| open.iter().nth(random.below(open.len()))).expect("one is open");
                moves.count(&among, best, now);
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
