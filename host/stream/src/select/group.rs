//! Which targets may be taken at all, and which of them come first.
//!
//! In: sets of targets. Out: groups, best first. It must not know how one of a group is picked.

use wayside_balance::moment::Moment;

use super::{
    live::{Live, Sets},
    set::{TargetIndex, TargetSet},
};

/// The targets among which one is chosen, by state.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    pub(super) tiers: &'a [TargetSet],
    pub(super) sets: &'a Sets,
    /// What policy and geography allow.
    pub(super) may: TargetSet,
    /// What is near the visitor.
    pub(super) near: TargetSet,
    /// What is coming back and does not take this session yet, and what it is to avoid.
    pub(super) not_yet: TargetSet,
    /// What it is to avoid.
    pub(super) avoided: TargetSet,
}

/// Targets that are as good as each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) targets: TargetSet,
    pub(super) tier: usize,
    pub(super) is_near: bool,
}

/// How far behind the best a target stands: the less, the better. Fields in the order in which they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) is_down: bool,
    pub(super) is_draining: bool,
    pub(super) is_full: bool,
    pub(super) is_not_yet: bool,
    pub(super) is_degraded: bool,
    pub(super) tier: usize,
    pub(super) is_over_commit: bool,
    pub(super) is_far: bool,
}

impl Groups<'_> {
    /// The best group that is not empty.
    pub(super) fn best(&self) -> Option<Group> {
        let Sets {
            down,
            out: _,
            draining,
            degraded,
            full,
            over_commit,
            returning: _,
        } = *self.sets;
        let open = self.may.without(down).without(draining).without(full);
        for open in [open.without(self.not_yet), open] {
            for open in [open.without(degraded), open] {
                for (tier, targets) in self.tiers.iter().enumerate() {
                    let open = open.and(*targets);
                    for open in [open.without(over_commit), open] {
                        if !open.is_empty() {
                            return Some(self.nearest(open, tier));
                        }
                    }
                }
            }
        }
        None
    }

    fn nearest(&self, targets: TargetSet, tier: usize) -> Group {
        let near = targets.and(self.near);
        let is_near = !near.is_empty();
        Group {
            targets: if is_near { near } else { targets },
            tier,
            is_near,
        }
    }

    /// Whether a session stays on `current`: it serves, and the best group is in no better tier and not nearer. One that
    /// is full, past its commit or degraded keeps its sessions, or all of them would run at once; those that are to leave
    /// avoid it.
    pub(super) fn keeps(&self, current: TargetIndex, best: Option<&Group>) -> bool {
        let serves = self
            .may
            .without(self.sets.down)
            .without(self.sets.draining)
            .has(current);
        let Some(best) = best else { return serves };
        let in_better = self.tiers.iter().take(best.tier + 1).any(|tier| tier.has(current));
        let stays = !self.avoided.has(current) || best.targets.has(current);
        serves && stays && in_better && (self.near.has(current) || !best.is_near)
    }

    /// Those that are the least bad when no group has anybody: full before draining before down, and of those that are down
    /// who went down last. It may be this node that cannot reach them, so that all that went with the last one are as good.
    pub(super) fn least_bad(&self, live: &Live, now: Moment) -> TargetSet {
        let up = self.may.without(self.sets.down);
        let sets = [up.without(self.sets.draining), up, live.down_last(self.may, now)];
        let mut some = sets.into_iter().filter(|set| !set.is_empty());
        some.next().unwrap_or_default()
    }

    /// Where a target stands among those allowed.
    pub(super) fn rank(&self, target: TargetIndex) -> Rank {
        Rank {
            is_down: self.sets.down.has(target),
            is_draining: self.sets.draining.has(target),
            is_full: self.sets.full.has(target),
            is_not_yet: self.not_yet.has(target),
            is_degraded: self.sets.degraded.has(target),
            tier: self
                .tiers
                .iter()
                .position(|tier| tier.has(target))
                .unwrap_or(self.tiers.len()),
            is_over_commit: self.sets.over_commit.has(target),
            is_far: !self.near.has(target),
        }
    }
}

impl Rank {
    /// As a number that sorts alike. A tier has four bits, for there are 8 at most.
    pub(super) const fn packed(self) -> u64 {
        let states = (self.is_down as u64) << 4
            | (self.is_draining as u64) << 3
            | (self.is_full as u64) << 2
            | (self.is_not_yet as u64) << 1
            | self.is_degraded as u64;
        let tier = if self.tier > 15 { 15 } else { self.tier as u64 };
        states << 6 | tier << 2 | (self.is_over_commit as u64) << 1 | self.is_far as u64
    }
}
