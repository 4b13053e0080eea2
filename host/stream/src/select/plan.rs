//! A policy's plan over the targets that there are.
//!
//! In: which targets a policy wants, in which tiers, with which weights. Out: a [`Plan`] over a pool. It must not know what
//! state targets are in: a plan is remembered, states change by the moment.

use wayside_decide::{
    invalid::Invalid,
    limits::TARGET_WEIGHT_MAX,
    name::Name,
    stream::plan::{Share, StreamPlan},
};

use super::{
    set::{TargetIndex, TargetSet},
    target::Pool,
};

/// A checked plan over a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) tiers: Vec<TargetSet>,
    /// For each target, [`TARGET_WEIGHT_MAX`] at most.
    pub(super) weights: Vec<u32>,
    /// What is in a tier, allowed, not denied, and has a weight.
    pub(super) permitted: TargetSet,
    pub(super) denied: TargetSet,
    pub(super) preferred_region: Option<Name>,
    /// Whether the weights are the policy's, not the targets' own.
    pub(super) has_own_weights: bool,
}

impl Plan {
    /// The plan without a policy: all targets, by their own weights.
    #[must_use]
    pub fn of_all(pool: &Pool) -> Self {
        let mut plan = Self {
            tiers: vec![pool.all()],
            weights: pool.targets().iter().map(|target| target.weight).collect(),
            permitted: pool.all(),
            denied: TargetSet::EMPTY,
            preferred_region: None,
            has_own_weights: false,
        };
        plan.permitted = plan.permitted.without(plan.weightless());
        plan
    }

    /// What a policy returned, over the targets of `pool`.
    ///
    /// # Errors
    /// [`Invalid`] for a target that is unknown, or a plan that leaves nobody.
    pub fn new(wanted: &StreamPlan, pool: &Pool) -> Result<Self, Invalid> {
        let mut plan = Self::of_all(pool);
        if !wanted.tiers().is_empty() {
            plan.set_tiers(wanted.tiers(), pool)?;
        }
        if let Some(allow) = wanted.allow() {
            plan.permitted = plan.permitted.and(named(allow, "allow", pool)?);
        }
        plan.denied = denied(wanted.deny(), pool);
        plan.permitted = plan.permitted.without(plan.denied).without(plan.weightless());
        if plan.permitted.is_empty() {
            return Err(Invalid::other("plan", "no target that it allows", "one at least"));
        }
        plan.preferred_region = wanted.preferred_region().cloned();
        Ok(plan)
    }

    /// The targets that may be taken.
    #[must_use]
    pub const fn permitted(&self) -> TargetSet {
        self.permitted
    }

    /// The tiers, best first.
    #[must_use]
    pub fn tiers(&self) -> &[TargetSet] {
        &self.tiers
    }

    /// The weight of a target, [`TARGET_WEIGHT_MAX`] at most; 0 for one of another pool.
    #[must_use]
    pub fn weight(&self, place: usize) -> u32 {
        self.weights.get(place).copied().unwrap_or_default()
    }

    /// In which tier a target is, from 0; none when it is in none.
    #[must_use]
    pub fn tier_of(&self, place: usize) -> Option<usize> {
        self.tiers.iter().position(|tier| tier.has_place(place))
    }

    /// Those that take nobody.
    fn weightless(&self) -> TargetSet {
        let mut set = TargetSet::EMPTY;
        for target in TargetSet::first(self.weights.len()).iter() {
            set.set(target, self.weights[target.place()] == 0);
        }
        set
    }

    fn set_tiers(&mut self, tiers: &[Box<[Share]>], pool: &Pool) -> Result<(), Invalid> {
        self.tiers.clear();
        self.permitted = TargetSet::EMPTY;
        self.has_own_weights = true;
        for (place, shares) in tiers.iter().enumerate() {
            let mut tier = TargetSet::EMPTY;
            for (share, weight) in shares.iter().zip(scaled(shares)) {
                let target = find(&share.target, || format!("tier {place}"), pool)?;
                self.weights[target.place()] = weight;
                tier.set(target, true);
                self.permitted.set(target, true);
            }
            self.tiers.push(tier);
        }
        Ok(())
    }
}

/// Weights as whole numbers, the largest [`TARGET_WEIGHT_MAX`]; what is above 0 stays above it.
fn scaled(shares: &[Share]) -> impl Iterator<Item = u32> {
    let largest = shares.iter().map(|share| share.weight.number()).fold(0.0, f64::max);
    shares.iter().map(move |share| match share.weight.number() {
        weight if weight > 0.0 => ((weight / largest * f64::from(TARGET_WEIGHT_MAX)).round() as u32).max(1),
        _ => 0,
    })
}

fn named(names: &[Name], field: &str, pool: &Pool) -> Result<TargetSet, Invalid> {
    let mut set = TargetSet::EMPTY;
    for name in names {
        set.set(find(name, || field.to_owned(), pool)?, true);
    }
    Ok(set)
}

/// What is denied and is not there is denied all the same: a target that went takes nobody's refusals along.
fn denied(names: &[Name], pool: &Pool) -> TargetSet {
    let mut set = TargetSet::EMPTY;
    for target in names.iter().filter_map(|name| pool.find(name.as_str())) {
        set.set(target, true);
    }
    set
}

fn find(name: &Name, field: impl FnOnce() -> String, pool: &Pool) -> Result<TargetIndex, Invalid> {
    pool.find(name.as_str()).ok_or_else(|| {
        let found = format!("{name} in {} of the plan", field());
        Invalid::other("target", found, "one of the tenant's targets")
    })
}
