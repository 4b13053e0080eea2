//! How good targets are for a plan.
//!
//! In: how targets do, and what a plan sent where. Out: scores. A target is as loaded as the largest of three says: how full
//! it is, what its operator reports, and how crowded it is beside the others for its weight. Crowds are those of all sessions
//! where weights are the targets' own. A policy's weights are for those whom it decides about: what others brought to a target
//! says nothing of whether these are spread as it wants.

use super::{
    live::Live,
    set::{TARGETS_MAX, TargetIndex, TargetSet},
};

/// How many choices a plan remembers, at most. It forgets by halves: what it sent to the targets that were up an hour ago
/// is no reason to overrun one that comes back.
const SENT_MAX: u32 = 2_048 * CHOICE;
/// What one choice counts. Balancers compare what there would be with one more: for a small share of few choices a whole one
/// would be too much.
const CHOICE: u32 = 16;
/// What every target counts beside its choices: half of one, as in Webster's method. Without it who has a small share would
/// be rounded up each time that it is due, and again each time that half is forgotten.
const HALF: u32 = CHOICE / 2;

/// Where a plan sent sessions of late.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    to: [u32; TARGETS_MAX],
    all: u32,
}

impl Sent {
    pub(super) const fn new() -> Self {
        Self {
            to: [HALF; TARGETS_MAX],
            all: 0,
        }
    }

    pub(super) fn count(&mut self, target: TargetIndex) {
        self.to[target.place()] += CHOICE;
        self.all += CHOICE;
        if self.all >= SENT_MAX {
            for to in &mut self.to {
                *to = HALF + (*to - HALF) / 2;
            }
            self.all = self.to.iter().map(|to| to - HALF).sum();
        }
    }

    pub(super) const fn to_each(&self) -> &[u32] {
        &self.to
    }
}

/// Scores at a moment, for a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores<'a> {
    live: &'a Live,
    /// Of a plan with weights of its own: what it sent where, its weights, and how much is usual for a unit of weight.
    of_plan: Option<(&'a [u32], &'a [u32], f64)>,
}

impl<'a> Scores<'a> {
    /// Scores by which targets `of` a group are compared. `sent` is there for a plan with `weights` of its own.
    pub(super) fn new(live: &'a Live, sent: Option<&'a Sent>, weights: &'a [u32], of: TargetSet) -> Self {
        let of_plan = sent.map(|sent| {
            let sum = |counts: &[u32]| -> u64 {
                let of_group = counts.iter().enumerate().filter(|(place, _)| of.has_place(*place));
                of_group.map(|(_, count)| u64::from(*count)).sum()
            };
            let to = sent.to_each();
            (to, weights, sum(to) as f64 / sum(weights).max(1) as f64)
        });
        Self { live, of_plan }
    }

    /// How loaded the target at a place is: a half where it is as crowded as is usual, and neither fuller nor said to be more
    /// loaded; 1 when it is full, more past that.
    pub(super) fn load(&self, place: usize) -> f64 {
        let crowd = match self.of_plan {
            Some((sent, weights, usual)) => {
                let at = |counts: &[u32]| counts.get(place).copied().unwrap_or_default();
                crowd(at(sent), at(weights), usual)
            }
            None => self.live.crowd(place),
        };
        self.live.fullness(place).max(crowd)
    }

    /// The score of the target at a place, from 0 to 1.
    pub(super) fn of(&self, place: usize) -> f64 {
        self.live.score(place, self.load(place))
    }
}

/// How crowded a target is that has `count` for its weight, when `usual` is usual for a unit of weight: from 0 to below 1, a
/// half when it has as many as is usual.
pub(super) fn crowd(count: u32, weight: u32, usual: f64) -> f64 {
    let own = f64::from(count) / f64::from(weight.max(1));
    own / (own + usual.max(f64::MIN_POSITIVE))
}
