//! What a policy wants of a stream: which targets, in which tiers, with which weights.
//!
//! In: names and numbers that a policy or a person wrote, which may be anything. Out: a plan in one form, that can be
//! compared and remembered. It must not know which targets there are, nor how they do: a plan is remembered, they change.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::{
    invalid::Invalid,
    limits::{STREAM_PLAN_TIERS_MAX, STREAM_TARGETS_MAX},
    name::Name,
};

/// How much a target carries beside the others of its tier: a finite number from 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Weight(f64);

impl Weight {
    /// The weight of this number; none for what is negative, infinite or no number.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        // Adding 0 makes one of the two zeros that there are.
        (number.is_finite() && number >= 0.0).then_some(Self(number + 0.0))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> f64 {
        self.0
    }
}

// A weight is never NaN, so that each equals itself.
impl Eq for Weight {}

impl Hash for Weight {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// A target of a tier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Share {
    /// The target's name.
    pub target: Name,
    /// How much it carries beside the others of the tier.
    pub weight: Weight,
}

/// A plan as somebody wrote it: nothing of it is checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanSpec {
    /// Targets with their weights, in order of preference: a tier is taken when none is left in those before. Empty when
    /// all targets are one tier by their own weights.
    pub tiers: Vec<Vec<(String, f64)>>,
    /// The only targets allowed; none when all are.
    pub allow: Option<Vec<String>>,
    /// Targets that are never taken.
    pub deny: Vec<String>,
    /// The region to take first, instead of the visitor's.
    pub preferred_region: Option<String>,
}

/// What a policy wants of a stream. Two plans that mean the same are equal: of targets in a tier, in `allow` and in
/// `deny` the order says nothing, and they are kept by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StreamPlan {
    tiers: Box<[Box<[Share]>]>,
    allow: Option<Box<[Name]>>,
    deny: Box<[Name]>,
    preferred_region: Option<Name>,
}

impl StreamPlan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`Invalid`] for a weight that is no number from 0, a target that no target can be called or that is in two places
    /// of the tiers, a region likewise, or more of them than there can be.
    pub fn new(spec: PlanSpec) -> Result<Self, Invalid> {
        let tiers = tiers(spec.tiers)?;
        let region = spec.preferred_region.map(|region| Name::parse("region", &region));
        Ok(Self {
            tiers,
            allow: spec.allow.map(|names| targets("allow", names)).transpose()?,
            deny: targets("deny", spec.deny)?,
            preferred_region: region.transpose()?,
        })
    }

    /// Targets in order of preference; none when all targets are one tier by their own weights.
    #[must_use]
    pub const fn tiers(&self) -> &[Box<[Share]>] {
        &self.tiers
    }

    /// The only targets allowed; none when all are.
    #[must_use]
    pub fn allow(&self) -> Option<&[Name]> {
        self.allow.as_deref()
    }

    /// Targets that are never taken.
    #[must_use]
    pub const fn deny(&self) -> &[Name] {
        &self.deny
    }

    /// The region to take first, instead of the visitor's.
    #[must_use]
    pub const fn preferred_region(&self) -> Option<&Name> {
        self.preferred_region.as_ref()
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let named = |name: &Name| size_of::<Name>() + name.as_str().len();
        let share = |share: &Share| size_of::<Weight>() + named(&share.target);
        let tier = |tier: &[Share]| size_of::<Box<[Share]>>() + tier.iter().map(share).sum::<usize>();
        let tiers: usize = self.tiers.iter().map(|shares| tier(shares)).sum();
        let listed = self.allow.iter().flatten().chain(&self.deny);
        let region = self.preferred_region.as_ref().map_or(0, |region| region.as_str().len());
        tiers + listed.map(named).sum::<usize>() + region
    }
}

fn tiers(written: Vec<Vec<(String, f64)>>) -> Result<Box<[Box<[Share]>]>, Invalid> {
    let count = written.len();
    if count > STREAM_PLAN_TIERS_MAX {
        let expected = format!("at most {STREAM_PLAN_TIERS_MAX}");
        return Err(Invalid::other("tiers", count.to_string(), expected));
    }
    check_count("targets in tiers", written.iter().map(Vec::len).sum())?;
    let mut tiers: Vec<Box<[Share]>> = Vec::with_capacity(count);
    for (number, shares) in written.into_iter().enumerate() {
        let share = |share: (String, f64)| self::share(number, &share);
        let mut tier = shares.into_iter().map(share).collect::<Result<Vec<_>, _>>()?;
        tier.sort_by(|one, other| one.target.cmp(&other.target));
        for (place, share) in tier.iter().enumerate() {
            let is_same = |known: &Share| known.target == share.target;
            let before = place.checked_sub(1).and_then(|place| tier.get(place));
            if before.is_some_and(is_same) || tiers.iter().flatten().any(is_same) {
                let found = format!("{} again, in tier {number}", share.target);
                return Err(Invalid::other("target", found, "each target once in all tiers"));
            }
        }
        tiers.push(tier.into());
    }
    Ok(tiers.into())
}

/// A share of the tier of this number, counted from 0.
fn share(tier: usize, (target, weight): &(String, f64)) -> Result<Share, Invalid> {
    let name = target_name(target)?;
    let weight = Weight::new(*weight).ok_or_else(|| {
        let found = format!("{weight} of target {name} in tier {tier}");
        Invalid::other("weight", found, "a finite number from 0")
    })?;
    Ok(Share { target: name, weight })
}

fn targets(list: &'static str, names: Vec<String>) -> Result<Box<[Name]>, Invalid> {
    check_count(list, names.len())?;
    let mut names = names
        .iter()
        .map(|name| target_name(name))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    Ok(names.into())
}

fn target_name(text: &str) -> Result<Name, Invalid> {
    Name::parse("target", text)
}

fn check_count(what: &'static str, found: usize) -> Result<(), Invalid> {
    if found <= STREAM_TARGETS_MAX {
        return Ok(());
    }
    let expected = format!("at most {STREAM_TARGETS_MAX}");
    Err(Invalid::other(what, found.to_string(), expected))
}

impl fmt::Display for StreamPlan {
    /// On one line: `plan: a 0.7, b 0.3; then c 1; deny d; prefer eu`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let share = |share: &Share| format!("{} {}", share.target, share.weight.number());
        let tier = |shares: &[Share]| match shares {
            [] => "nobody".to_owned(),
            shares => shares.iter().map(share).collect::<Vec<_>>().join(", "),
        };
        let mut parts = vec![match &*self.tiers {
            [] => "all targets".to_owned(),
            tiers => tiers
                .iter()
                .map(|shares| tier(shares))
                .collect::<Vec<_>>()
                .join("; then "),
        }];
        parts.extend(self.allow().map(|allow| match allow {
            [] => "allow nobody".to_owned(),
            allow => format!("allow {}", names(allow)),
        }));
        parts.extend((!self.deny.is_empty()).then(|| format!("deny {}", names(&self.deny))));
        parts.extend(self.preferred_region.as_ref().map(|region| format!("prefer {region}")));
        write!(formatter, "plan: {}", parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

    use super::{PlanSpec, StreamPlan, Weight};
    use crate::limits::{STREAM_PLAN_TIERS_MAX, STREAM_TARGETS_MAX};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn tiers(tiers: &[&[(&str, f64)]]) -> PlanSpec {
        let share = |(target, weight): &(&str, f64)| ((*target).to_owned(), *weight);
        PlanSpec {
            tiers: tiers.iter().map(|tier| tier.iter().map(share).collect()).collect(),
            ..PlanSpec::default()
        }
    }

    fn refused(spec: PlanSpec) -> String {
        StreamPlan::new(spec).expect_err("no plan").to_string()
    }

    #[test]
    fn a_weight_is_a_finite_number_from_0() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE] {
            assert_eq!(Weight::new(bad), None, "{bad}");
            assert_eq!(
                refused(tiers(&[&[("a", 1.0)], &[("b", 0.0), ("c", bad)]])),
                format!("weight: found {bad} of target c in tier 1, expected a finite number from 0")
            );
        }
        let zeros = [0.0, -0.0].map(|zero| Weight::new(zero).expect("a weight"));
        let hasher = RandomState::new();
        assert_eq!(
            (zeros[0], hasher.hash_one(zeros[0])),
            (zeros[1], hasher.hash_one(zeros[1]))
        );
    }

    #[test]
    fn what_no_plan_can_be_is_named() {
        assert_eq!(
            refused(tiers(&[&[("a", 1.0), ("b", 1.0), ("a", 2.0)]])),
            "target: found a again, in tier 0, expected each target once in all tiers"
        );
        assert!(refused(tiers(&[&[("b", 0.0)], &[("a", 1.0), ("b", 1.0)]])).contains("found b again, in tier 1"));
        assert!(refused(tiers(&[&[("two words", 1.0)]])).starts_with("target: found \"two words\""));
        let tiers_max: Vec<&[(&str, f64)]> = vec![&[]; STREAM_PLAN_TIERS_MAX];
        assert!(StreamPlan::new(tiers(&tiers_max)).is_ok());
        assert_eq!(
            refused(tiers(&[&tiers_max[..], &[&[]]].concat())),
            "tiers: found 9, expected at most 8"
        );
        let many: Vec<String> = (0..=STREAM_TARGETS_MAX).map(|number| format!("t{number}")).collect();
        let deny = PlanSpec {
            deny: many.clone(),
            ..PlanSpec::default()
        };
        assert_eq!(refused(deny), "deny: found 65, expected at most 64");
        let allow = PlanSpec {
            allow: Some(many.clone()),
            ..PlanSpec::default()
        };
        assert_eq!(refused(allow), "allow: found 65, expected at most 64");
        let shares = many
            .into_iter()
            .map(|name| vec![(name, 1.0)])
            .fold(Vec::new(), |all, one| [all, one].concat());
        let tier = PlanSpec {
            tiers: vec![shares],
            ..PlanSpec::default()
        };
        assert_eq!(refused(tier), "targets in tiers: found 65, expected at most 64");
        let region = PlanSpec {
            preferred_region: Some(String::new()),
            ..PlanSpec::default()
        };
        assert!(refused(region).starts_with("region: found \"\""));
    }

    #[test]
    fn plans_that_mean_the_same_are_equal() {
        let plan = |deny: &[&str], shares: &[(&str, f64)]| {
            let spec = PlanSpec {
                deny: names(deny),
                ..tiers(&[shares])
            };
            StreamPlan::new(spec).expect("a plan")
        };
        let one = plan(&["x", "y"], &[("a", 1.0), ("b", 2.0)]);
        let other = plan(&["y", "x", "y"], &[("b", 2.0), ("a", 1.0)]);
        let hasher = RandomState::new();
        assert_eq!((&one, hasher.hash_one(&one)), (&other, hasher.hash_one(&other)));
        assert_ne!(one, plan(&["x", "y"], &[("a", 2.0), ("b", 1.0)]));
        assert_ne!(one, plan(&["x"], &[("a", 1.0), ("b", 2.0)]));
        assert_ne!(
            StreamPlan::default(),
            StreamPlan::new(PlanSpec {
                allow: Some(Vec::new()),
                ..PlanSpec::default()
            })
            .expect("a plan")
        );
        assert!(
            one.heap_bytes() > 40 && StreamPlan::default().heap_bytes() == 0,
            "{}",
            one.heap_bytes()
        );
    }

    #[test]
    fn a_plan_is_told_on_one_line() {
        let spec = PlanSpec {
            allow: Some(names(&["b", "a"])),
            deny: names(&["d"]),
            preferred_region: Some("eu".to_owned()),
            ..tiers(&[&[("b", 0.3), ("a", 70.0)], &[], &[("c", 1.0)]])
        };
        let nobody = PlanSpec {
            allow: Some(Vec::new()),
            ..PlanSpec::default()
        };
        for (spec, expected) in [
            (
                spec,
                "plan: a 70, b 0.3; then nobody; then c 1; allow a, b; deny d; prefer eu",
            ),
            (PlanSpec::default(), "plan: all targets"),
            (nobody, "plan: all targets; allow nobody"),
        ] {
            assert_eq!(StreamPlan::new(spec).expect("a plan").to_string(), expected);
        }
    }
}
