//! All targets of a session in order: what a steering manifest lists.
//!
//! In: what a choice is made of. Out: the chosen target, then the one to which its session would fail over, then the others,
//! best first. It must not know how it is written.

use wayside_balance::{moment::Moment, random::Random};

use super::{
    SCORE_STEPS, Selector, Visitor,
    live::Live,
    scores::Scores,
    set::{TARGETS_MAX, TargetIndex},
    target::Pool,
};

/// Players fail over by themselves only along a list of two.
const LISTED_MIN: usize = 2;
/// Where the rank of a target begins in its key.
const RANK_SHIFT: u32 = 40;
/// The place of a target in its key.
const PLACE_MASK: u64 = 0xff;

/// Targets: the chosen one, the one to which its session fails over, and then the best first.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    targets: [Option<TargetIndex>; TARGETS_MAX],
    count: usize,
}

impl Order {
    const EMPTY: Self = Self {
        targets: [None; TARGETS_MAX],
        count: 0,
    };

    /// The targets, the chosen one first.
    pub fn iter(&self) -> impl Iterator<Item = TargetIndex> {
        self.targets[..self.count].iter().flatten().copied()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn push(&mut self, target: TargetIndex) {
        if let Some(free) = self.targets.get_mut(self.count) {
            *free = Some(target);
            self.count += 1;
        }
    }
}

impl Selector {
    /// The chosen target and then others that serve, `most` at most: the second is where the session fails over to by itself,
    /// one of those that stand best; the rest is ordered, best first. Those that are down or draining fill up to two when there
    /// are not so many. Empty when policy and geography leave none.
    pub fn order(
        &mut self,
        pool: &Pool,
        live: &mut Live,
        visitor: &Visitor<'_>,
        most: usize,
        now: Moment,
        random: &mut Random,
    ) -> Order {
        let mut order = Order::EMPTY;
        let Some(choice) = self.pick(pool, live, visitor, now, random) else {
            return order;
        };
        order.push(choice.target);
        if most <= 1 {
            return order;
        }
        let groups = self.groups(pool, live, visitor);
        let scores = self.scores(live, groups.may);
        let mut keys = [u64::MAX; TARGETS_MAX];
        let mut count = 0;
        for target in groups.may.iter().filter(|target| *target != choice.target) {
            keys[count] = key(groups.rank(target).packed(), pool, &scores, target);
            count += 1;
        }
        let keys = &mut keys[..count];
        let best_rank = keys.iter().map(|key| key >> RANK_SHIFT).min();
        let stand_best = keys.iter().filter(|key| Some(*key >> RANK_SHIFT) == best_rank);
        let stand_best = stand_best.filter_map(|key| target_of(*key)).collect();
        let second = self.second(pool, live, visitor, stand_best);
        let of_second = keys
            .iter_mut()
            .find(|key| second.is_some() && target_of(**key) == second);
        if let Some(key) = of_second {
            // Below all others.
            *key &= PLACE_MASK;
        }
        let wanted = most - 1;
        if wanted < count {
            // Only as many as are listed need an order.
            keys.select_nth_unstable(wanted - 1);
        }
        let first = wanted.min(count);
        keys[..first].sort_unstable();
        for key in &keys[..first] {
            let Some(target) = target_of(*key) else {
                break;
            };
            let sets = live.sets();
            let serves = !sets.down.has(target) && !sets.draining.has(target);
            if serves || order.len() < LISTED_MIN {
                order.push(target);
            }
        }
        order
    }
}

/// The target that a key is of.
fn target_of(key: u64) -> Option<TargetIndex> {
    TargetIndex::new((key & PLACE_MASK) as usize)
}

/// Rank, then score, then cost, then place: one number, so that sorting compares nothing else.
fn key(rank: u64, pool: &Pool, scores: &Scores<'_>, target: TargetIndex) -> u64 {
    let place = target.place();
    let steps = (scores.of(place) * SCORE_STEPS).floor();
    // Both below 2¹⁶, for a score is 1 at most and a cost's share below 1, and the first never 0: nobody comes before the
    // one to which the session fails over.
    let behind = (SCORE_STEPS - steps) as u64 + 1;
    let cost = (pool.cost_share(place) * 65_536.0) as u64;
    rank << RANK_SHIFT | behind << 24 | cost << 8 | place as u64
}
