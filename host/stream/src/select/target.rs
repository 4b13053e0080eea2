//! Targets as their operator describes them, and pools of them.
//!
//! In: descriptions. Out: a [`Pool`], in which targets are numbered and what a request asks of all of them is prepared.
//! It must not know how targets do: that is [`super::live`].

use std::{collections::HashMap, time::Duration};

use wayside_balance::nearest::{self, Place};
use wayside_decide::{limits::TARGET_WEIGHT_MAX, name::Name, stream::target::Country};

use super::set::{TARGETS_MAX, TargetIndex, TargetSet};

/// A CDN or an edge server, as its operator describes it.
#[derive(Debug, Clone)]
pub struct TargetSpec {
    /// What it is called; also its `PATHWAY-ID`.
    pub name: Name,
    /// Where it stands.
    pub region: Name,
    /// Where on the globe, when known.
    pub place: Option<Place>,
    /// How much it carries beside others, [`TARGET_WEIGHT_MAX`] at most; 0 stands for a target that takes nobody.
    pub weight: u32,
    /// Sessions that it can carry.
    pub sessions_max: Option<u32>,
    /// What it can send, in kbit/s: nobody is sent to it past this.
    pub kbit_s_max: Option<u64>,
    /// What is paid for anyhow, in kbit/s: past this it is taken when there is no other.
    pub kbit_s_commit: Option<u64>,
    /// What it costs beside others, in any unit: decides between equals.
    pub cost: u32,
    /// The only countries that it may serve; none when it may serve all.
    pub countries: Option<Vec<Country>>,
    /// Whether anybody asks it how it does. One that is not asked is taken to serve.
    pub is_probed: bool,
    /// From when on an answer to a probe is so late that it serves badly.
    pub late_after: Option<Duration>,
}

impl TargetSpec {
    /// One of which nothing else is said.
    #[must_use]
    pub const fn new(name: Name, region: Name) -> Self {
        Self {
            name,
            region,
            place: None,
            weight: 1,
            sessions_max: None,
            kbit_s_max: None,
            kbit_s_commit: None,
            cost: 0,
            countries: None,
            is_probed: true,
            late_after: None,
        }
    }
}

/// Descriptions that are no pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPool {
    /// None, or too many.
    #[error("targets: found {found}, expected 1 to 64")]
    Count {
        /// How many.
        found: usize,
    },
    /// Two of one name.
    #[error("target {name}: found twice, expected one of each name")]
    Twice {
        /// The name.
        name: Name,
    },
    /// A weight that is too large.
    #[error("weight of target {name}: found {found}, expected 10000 at most")]
    Weight {
        /// Of which target.
        name: Name,
        /// The weight.
        found: u32,
    },
    /// More paid for than can be sent.
    #[error("commit of target {name}: found {found} kbit/s, expected at most its limit of {most}")]
    Commit {
        /// Of which target.
        name: Name,
        /// What is paid for.
        found: u64,
        /// What can be sent.
        most: u64,
    },
}

/// The targets among which one is chosen, in a fixed order.
#[derive(Debug, Clone)]
pub struct Pool {
    targets: Vec<TargetSpec>,
    regions: HashMap<Name, TargetSet>,
    /// Those that serve all countries, and for each country that somebody names those that serve it.
    worldwide: TargetSet,
    countries: HashMap<Country, TargetSet>,
    places: Vec<Place>,
    with_place: TargetSet,
    cost_max: u32,
}

impl Pool {
    /// A pool of these targets.
    ///
    /// # Errors
    /// [`NoPool`] when there are none or too many, a name comes twice, or a number is past its end.
    pub fn new(targets: Vec<TargetSpec>) -> Result<Self, NoPool> {
        if !(1..=TARGETS_MAX).contains(&targets.len()) {
            return Err(NoPool::Count { found: targets.len() });
        }
        for (place, target) in targets.iter().enumerate() {
            check(target, &targets[..place])?;
        }
        let mut regions: HashMap<Name, TargetSet> = HashMap::new();
        let (mut countries, mut worldwide) = (HashMap::<Country, TargetSet>::new(), TargetSet::EMPTY);
        let mut with_place = TargetSet::EMPTY;
        let indices = TargetSet::first(targets.len());
        for (index, target) in indices.iter().zip(&targets) {
            regions.entry(target.region.clone()).or_default().set(index, true);
            with_place.set(index, target.place.is_some());
            worldwide.set(index, target.countries.is_none());
            for country in target.countries.iter().flatten() {
                countries.entry(*country).or_default().set(index, true);
            }
        }
        Ok(Self {
            places: places(&targets),
            cost_max: targets.iter().map(|target| target.cost).max().unwrap_or_default(),
            targets,
            regions,
            worldwide,
            countries,
            with_place,
        })
    }

    /// All targets.
    #[must_use]
    pub fn all(&self) -> TargetSet {
        TargetSet::first(self.targets.len())
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.targets.len()
    }

    /// What is said of a target; none when it is of another pool.
    #[must_use]
    pub fn target(&self, index: TargetIndex) -> Option<&TargetSpec> {
        self.targets.get(index.place())
    }

    /// The targets in their order.
    #[must_use]
    pub fn targets(&self) -> &[TargetSpec] {
        &self.targets
    }

    /// The target of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TargetIndex> {
        let place = self.targets.iter().position(|target| target.name.as_str() == name)?;
        TargetIndex::new(place)
    }

    /// The targets of a region.
    #[must_use]
    pub fn of_region(&self, region: &Name) -> TargetSet {
        self.regions.get(region).copied().unwrap_or_default()
    }

    /// The targets that may serve a visitor from `country`; when that is not known, those that serve all.
    #[must_use]
    pub fn serving(&self, country: Option<Country>) -> TargetSet {
        let named = country.and_then(|country| self.countries.get(&country));
        self.worldwide.or(named.copied().unwrap_or_default())
    }

    /// Whether a choice depends on where the visitor is: some target may not serve all countries, or stands at a place.
    #[must_use]
    pub fn asks_where(&self) -> bool {
        self.worldwide != self.all() || !self.with_place.is_empty()
    }

    /// The targets of the region in which the target nearest to a place stands; none when no target says where it stands.
    #[must_use]
    pub fn nearest_region(&self, place: &Place) -> Option<TargetSet> {
        let nearest = nearest::pick(place, &self.places, |target| self.with_place.has_place(target))?;
        Some(self.of_region(&self.targets.get(nearest)?.region))
    }

    pub(super) fn places(&self) -> (&[Place], TargetSet) {
        (&self.places, self.with_place)
    }

    /// The cost of a target beside the dearest: from 0 to below 1.
    pub(super) fn cost_share(&self, place: usize) -> f64 {
        let cost = self.targets.get(place).map_or(0, |target| target.cost);
        f64::from(cost) / (f64::from(self.cost_max) + 1.0)
    }
}

/// A place for each target. One that has none gets any, for `with_place` leaves it out.
fn places(targets: &[TargetSpec]) -> Vec<Place> {
    let any = targets.iter().find_map(|target| target.place);
    targets.iter().filter_map(|target| target.place.or(any)).collect()
}

fn check(target: &TargetSpec, before: &[TargetSpec]) -> Result<(), NoPool> {
    let name = || target.name.clone();
    if before.iter().any(|other| other.name == target.name) {
        return Err(NoPool::Twice { name: name() });
    }
    if target.weight > TARGET_WEIGHT_MAX {
        return Err(NoPool::Weight {
            name: name(),
            found: target.weight,
        });
    }
    match (target.kbit_s_commit, target.kbit_s_max) {
        (Some(found), Some(most)) if found > most => Err(NoPool::Commit {
            name: name(),
            found,
            most,
        }),
        _ => Ok(()),
    }
}
