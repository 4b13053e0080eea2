//! What a policy wants: which targets, in which tiers, with which weights.
//!
//! In: names and numbers that a policy returned. Out: a [`Plan`] over a pool, checked. It must not know what state targets
//! are in: a plan is remembered, states change by the moment.

use wayside_decide::{limits::TARGET_WEIGHT_MAX, name::Name};

use super::{set::TargetSet, target::Pool};

/// Most tiers of a plan.
pub const TIERS_MAX: usize = 8;

/// A target of a tier, as a policy names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The target's name.
    pub target: String,
    /// How much it carries beside the others of the tier.
    pub weight: f64,
}

/// What a policy returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanSpec {
    /// Targets in order of preference: a tier is taken when none is left in those before. Empty when all targets are one
    /// tier by their own weights.
    pub tiers: Vec<Vec<Share>>,
    /// The only targets allowed; none when all are.
    pub allow: Option<Vec<String>>,
    /// Targets that are never taken.
    pub deny: Vec<String>,
    /// The region to take first, instead of the visitor's.
    pub preferred_region: Option<String>,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A target that there is not.
    #[error("{field} of the plan: found target `{found}`, expected one of the asset's targets")]
    Unknown {
        /// Where it stands.
        field: String,
        /// Its name.
        found: String,
    },
    /// A target in two places.
    #[error("{field} of the plan: found target `{found}` again, expected each once")]
    Twice {
        /// Where it stands the second time.
        field: String,
        /// Its name.
        found: String,
    },
    /// A weight that is none.
    #[error("weight of target `{target}` in {field} of the plan: found {found}, expected a number from 0")]
    Weight {
        /// Where it stands.
        field: String,
        /// The target's name.
        target: String,
        /// The weight.
        found: f64,
    },
    /// More tiers than there may be.
    #[error("tiers of the plan: found {found}, expected 8 at most")]
    Tiers {
        /// How many.
        found: usize,
    },
    /// A region's name that is none.
    #[error("preferred region of the plan: {0}")]
    Region(String),
    /// A plan that leaves nobody.
    #[error("plan: found no target that it allows, expected one at least")]
    Nobody,
}

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
        };
        plan.permitted = plan.permitted.without(plan.weightless());
        plan
    }

    /// Reads what a policy returned.
    ///
    /// # Errors
    /// [`Refused`] for a target that is unknown or twice in tiers, a weight that is negative or no number, too many tiers,
    /// or a plan that leaves nobody.
    pub fn new(spec: &PlanSpec, pool: &Pool) -> Result<Self, Refused> {
        let mut plan = Self::of_all(pool);
        if !spec.tiers.is_empty() {
            plan.set_tiers(&spec.tiers, pool)?;
        }
        if let Some(allow) = &spec.allow {
            plan.permitted = plan.permitted.and(named(allow, "allow", pool)?);
        }
        plan.denied = named(&spec.deny, "deny", pool)?;
        plan.permitted = plan.permitted.without(plan.denied).without(plan.weightless());
        if plan.permitted.is_empty() {
            return Err(Refused::Nobody);
        }
        let region = spec.preferred_region.as_deref();
        let region = region.map(|region| Name::parse("region", region)).transpose();
        plan.preferred_region = region.map_err(|invalid| Refused::Region(invalid.to_string()))?;
        Ok(plan)
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

    fn set_tiers(&mut self, tiers: &[Vec<Share>], pool: &Pool) -> Result<(), Refused> {
        if tiers.len() > TIERS_MAX {
            return Err(Refused::Tiers { found: tiers.len() });
        }
        self.tiers.clear();
        self.permitted = TargetSet::EMPTY;
        for (place, shares) in tiers.iter().enumerate() {
            let field = format!("tier {place}");
            let mut tier = TargetSet::EMPTY;
            for (share, weight) in shares.iter().zip(scaled(shares, &field)?) {
                let Some(target) = pool.find(&share.target) else {
                    let found = share.target.clone();
                    return Err(Refused::Unknown { field, found });
                };
                if tier.has(target) || self.permitted.has(target) {
                    let found = share.target.clone();
                    return Err(Refused::Twice { field, found });
                }
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
fn scaled(shares: &[Share], field: &str) -> Result<Vec<u32>, Refused> {
    for share in shares {
        if !(share.weight.is_finite() && share.weight >= 0.0) {
            return Err(Refused::Weight {
                field: field.to_owned(),
                target: share.target.clone(),
                found: share.weight,
            });
        }
    }
    let largest = shares.iter().map(|share| share.weight).fold(0.0, f64::max);
    let scale = |share: &Share| match share.weight {
        weight if weight > 0.0 => ((weight / largest * f64::from(TARGET_WEIGHT_MAX)).round() as u32).max(1),
        _ => 0,
    };
    Ok(shares.iter().map(scale).collect())
}

fn named(names: &[String], field: &str, pool: &Pool) -> Result<TargetSet, Refused> {
    let mut set = TargetSet::EMPTY;
    for name in names {
        let Some(target) = pool.find(name) else {
            return Err(Refused::Unknown {
                field: field.to_owned(),
                found: name.clone(),
            });
        };
        set.set(target, true);
    }
    Ok(set)
}
