//! Why a target was chosen, and why the others were not.
//!
//! In: what a choice is made of. Out: for each target the filter that took it out, or its place and the parts of its
//! score. For people, off the path of requests.

use std::{fmt, time::Duration};

use wayside_balance::{moment::Moment, random::Random};
use wayside_decide::name::Name;

use super::{
    Choice, Selector, Visitor, Why,
    group::Rank,
    live::Live,
    milliseconds,
    set::TargetIndex,
    target::{Pool, TargetSpec},
};

/// What took a target out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The plan denies it.
    Denied,
    /// The plan's list of what is allowed, or its tiers, do not name it.
    NotInPlan,
    /// Its weight is 0.
    NoWeight,
    /// It may not serve the visitor's country.
    Country,
    /// It is down, or its operator took it out of service.
    Down,
    /// Its operator drains it.
    Draining,
    /// It can take nobody more.
    Full {
        /// Its sessions.
        sessions: u32,
        /// What is fetched from it, in kbit/s.
        kbit_s: u64,
    },
}

/// What a score is made of. What is used goes from 0 to 1, and past it where more is used than there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// How loaded it is: how full, or how crowded beside the others, a half being usual, or what its operator says.
    pub load: f64,
    /// How long it takes.
    pub latency: Duration,
    /// How much of its bandwidth is used.
    pub bandwidth: f64,
    /// All together, by the weights of the score: 1 is best.
    pub total: f64,
}

/// What is said of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Its name.
    pub name: Name,
    /// The first filter that took it out, if one did.
    pub removed_by: Option<Filter>,
    /// The tier of the plan, from 0; none when it is in none.
    pub tier: Option<usize>,
    /// Whether it is near the visitor, or in the region that the plan prefers.
    pub is_near: bool,
    /// Whether it serves badly.
    pub is_degraded: bool,
    /// Whether more is fetched from it than is paid for anyhow.
    pub is_over_commit: bool,
    /// Its share while it comes back, in percent, when it does not take this session yet.
    pub not_yet_at_percent: Option<u8>,
    /// Whether the session avoids it for its quality.
    pub is_avoided: bool,
    /// Whether the session is moved, and it has had its share of those that are.
    pub has_had_its_share: bool,
    /// Its weight in the plan.
    pub weight: u32,
    /// Its score.
    pub score: Score,
    /// Its cost.
    pub cost: u32,
}

/// What is said of a choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The choice; none when policy and geography leave nobody.
    pub choice: Option<Choice>,
    /// The targets in the order of the pool.
    pub targets: Vec<Explained>,
}

impl Selector {
    /// What [`Selector::pick`] would take, and why. It changes nothing.
    #[must_use]
    pub fn explain(
        &self,
        pool: &Pool,
        live: &Live,
        visitor: &Visitor<'_>,
        now: Moment,
        random: &Random,
    ) -> Explanation {
        let chosen = self.clone().choose(pool, live, visitor, now, &mut random.clone());
        let described = pool.all().iter().zip(pool.targets());
        let mut targets: Vec<_> = described
            .map(|(target, spec)| self.explain_one(pool, live, visitor, target, spec))
            .collect();
        if let Some(among) = chosen.as_ref().and_then(|chosen| chosen.moved_among) {
            let open = live.moves.open(&among, now);
            for (place, explained) in targets.iter_mut().enumerate() {
                explained.has_had_its_share = among.targets().without(open).has_place(place);
            }
        }
        Explanation {
            choice: chosen.map(|chosen| chosen.choice),
            targets,
        }
    }

    fn explain_one(
        &self,
        pool: &Pool,
        live: &Live,
        visitor: &Visitor<'_>,
        target: TargetIndex,
        spec: &TargetSpec,
    ) -> Explained {
        let groups = self.groups(pool, live, visitor);
        let rank = groups.rank(target);
        let place = target.place();
        let signals = live.signals(place);
        let scores = self.scores(live, groups.may);
        let weight = self.plan.weights.get(place).copied().unwrap_or_default();
        Explained {
            name: spec.name.clone(),
            removed_by: self.removed_by(pool, live, visitor, target, &rank),
            tier: self.plan.tier_of(place),
            is_near: !rank.is_far,
            is_degraded: rank.is_degraded,
            is_over_commit: rank.is_over_commit,
            not_yet_at_percent: Some(live.share_percent(target)).filter(|percent| rank.is_not_yet && *percent < 100),
            is_avoided: visitor.avoided.has(target),
            has_had_its_share: false,
            weight,
            score: Score {
                load: scores.load(place),
                latency: signals.map_or(Duration::MAX, |signals| signals.latency),
                bandwidth: signals.map_or(1.0, |signals| signals.bandwidth),
                total: scores.of(place),
            },
            cost: spec.cost,
        }
    }

    /// The first filter that takes a target out, in the order in which they stand.
    fn removed_by(
        &self,
        pool: &Pool,
        live: &Live,
        visitor: &Visitor<'_>,
        target: TargetIndex,
        rank: &Rank,
    ) -> Option<Filter> {
        let plan = &self.plan;
        if plan.denied.has(target) {
            return Some(Filter::Denied);
        }
        if plan.weights.get(target.place()) == Some(&0) {
            return Some(Filter::NoWeight);
        }
        if !plan.permitted.has(target) {
            return Some(Filter::NotInPlan);
        }
        if !pool.serving(visitor.country).has(target) {
            return Some(Filter::Country);
        }
        if rank.is_down {
            return Some(Filter::Down);
        }
        if rank.is_draining {
            return Some(Filter::Draining);
        }
        rank.is_full.then(|| Filter::Full {
            sessions: live.sessions(target),
            kbit_s: live.kbit_s(target),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => formatter.write_str("policy: denied"),
            Self::NotInPlan => formatter.write_str("policy: not in its plan"),
            Self::NoWeight => formatter.write_str("policy: weight 0"),
            Self::Country => formatter.write_str("geography: not for this country"),
            Self::Down => formatter.write_str("health: down"),
            Self::Draining => formatter.write_str("health: draining"),
            Self::Full { sessions, kbit_s } => {
                write!(formatter, "capacity: full with {sessions} sessions, {kbit_s} kbit/s")
            }
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.name)?;
        if let Some(filter) = &self.removed_by {
            return write!(formatter, "{filter}");
        }
        let Score {
            load,
            latency,
            bandwidth,
            total,
        } = self.score;
        let latency_ms = milliseconds(latency);
        write!(
            formatter,
            "score {total:.3} (load {load:.2}, latency {latency_ms:.1} ms, bandwidth {bandwidth:.2}), tier {}, weight {}, cost {}",
            self.tier.unwrap_or_default(),
            self.weight,
            self.cost
        )?;
        for (is_so, said) in [
            (self.is_near, "near"),
            (self.is_degraded, "degraded"),
            (self.is_over_commit, "past its commit"),
            (self.is_avoided, "avoided for its quality"),
            (self.has_had_its_share, "has had its share of those that are moved"),
        ] {
            if is_so {
                write!(formatter, ", {said}")?;
            }
        }
        match self.not_yet_at_percent {
            Some(percent) => write!(formatter, ", coming back at {percent} %, not for this session yet"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kept => "the session is there, and there is none better",
            Self::Home => "hashing leads the session there, and there is room again",
            Self::Picked => "the balancer took it from the best group",
            Self::Panic => "no target is well: it is the least bad",
        })
    }
}
