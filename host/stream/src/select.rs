//! Which target serves a session.
//!
//! In: a pool, how its targets do, a plan, who asks, the instant and randomness. Out: a target, or all of them in order,
//! and why. Filters come first: policy, geography, health, capacity. What is left falls into groups, best first: healthy
//! before degraded, a tier of the plan before the next, within what is paid for before past it, near before far. A balancer
//! picks from the best group that is not empty, of sessions that are moved among those that have not had more than their
//! share of these. A session keeps its target while that belongs to a group as good; hashing leads it home when its target
//! is back.
//!
//! A choice among 64 targets allocates nothing; `benches/select.rs` says what it costs.

use std::time::Duration;

use wayside_balance::{
    consistent_hash::{Member, Ring},
    hash::fnv1a,
    least_connections::{self, Busy},
    moment::Moment,
    nearest::{self, Place},
    random::Random,
    round_robin::RoundRobin,
    smooth_weighted::SmoothWeighted,
    two_choices,
};

use wayside_decide::stream::{asset::Balancer, target::Country};

use self::{
    group::{Group, Groups},
    live::Live,
    moves::Among,
    plan::Plan,
    scores::{Scores, Sent},
    set::{TARGETS_MAX, TargetIndex, TargetSet},
    target::Pool,
};

pub mod explain;
mod group;
pub mod live;
mod moves;
pub mod order;
pub mod plan;
mod scores;
pub mod set;
pub mod target;

/// How far above its share of sessions a target may be loaded by hashing.
const HASH_BOUND: f64 = 1.05;
/// Points on a ring, at most: 160 KiB. So many that what a target that dies leaves is spread evenly over the others.
const RING_POINTS: u64 = 20_480;
/// The fewest points for a unit of weight, while there is room for them.
const RING_POINTS_MIN: u64 = 160;
/// Keeps what is drawn for the target to which a session fails over apart from all else that is drawn for it.
const SECOND: u64 = u64::from_be_bytes(*b"failover");
/// Scores that differ by less are equal, and the cost decides. With coarser steps targets of one step would fill by
/// chance: a step of 1/512 is 2 % of the sessions of a target that has as many as is usual.
const SCORE_STEPS: f64 = 512.0;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The session: the same bytes lead to the same target as far as they can.
    pub session: &'a [u8],
    /// Where the visitor is, when known.
    pub country: Option<Country>,
    /// Targets near the visitor: of its coverage zone, or else of its region. Empty when not known.
    pub near: TargetSet,
    /// Where on the globe the visitor is, when known.
    pub place: Option<Place>,
    /// The target that the session plays from; none for a new one.
    pub current: Option<TargetIndex>,
    /// Whether the session plays from a target that the pool does not have any more.
    pub has_lost_its_target: bool,
    /// Targets that the session is to leave, or not to begin on, while there are others:
    /// [`crate::quality::Quality::avoided`].
    pub avoided: TargetSet,
    /// The only targets that can serve what is asked for.
    pub among: TargetSet,
}

impl<'a> Visitor<'a> {
    /// Somebody of whom nothing is known but the session, which begins.
    #[must_use]
    pub const fn new(session: &'a [u8]) -> Self {
        Self {
            session,
            country: None,
            near: TargetSet::EMPTY,
            place: None,
            current: None,
            has_lost_its_target: false,
            avoided: TargetSet::EMPTY,
            among: TargetSet::ALL,
        }
    }

    /// Whether the session has begun: where it does not stay, it is moved.
    const fn plays(&self) -> bool {
        self.current.is_some() || self.has_lost_its_target
    }
}

/// Why a target was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The session is there, and there is none better.
    Kept,
    /// Hashing leads the session there, and there is room again.
    Home,
    /// The balancer took it from the best group.
    Picked,
    /// No target is well: it is the least bad.
    Panic,
}

/// A target that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub target: TargetIndex,
    /// Why.
    pub why: Why,
}

/// A choice, and of which group, where that is one of the moves of which no target gets much more than its share.
struct Chosen {
    choice: Choice,
    moved_among: Option<Among>,
}

/// Chooses among the targets of a pool by one plan.
#[derive(Debug, Clone)]
pub struct Selector {
    plan: Plan,
    /// The targets of the plan's region, when it prefers one.
    preferred: Option<TargetSet>,
    /// Of a plan with weights of its own.
    sent: Option<Sent>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Adaptive,
    RoundRobin(RoundRobin),
    SmoothWeighted(SmoothWeighted),
    LeastConnections,
    PeakEwma,
    ConsistentHash(Ring),
    Nearest,
}

impl Selector {
    /// Chooses by this plan, with this balancer.
    #[must_use]
    pub fn new(pool: &Pool, plan: Plan, balancer: Balancer) -> Self {
        let state = match balancer {
            Balancer::Adaptive => State::Adaptive,
            Balancer::RoundRobin => State::RoundRobin(RoundRobin::default()),
            Balancer::SmoothWeighted => State::SmoothWeighted(SmoothWeighted::new(&plan.weights)),
            Balancer::LeastConnections => State::LeastConnections,
            Balancer::PeakEwma => State::PeakEwma,
            Balancer::ConsistentHash => State::ConsistentHash(ring(pool, &plan.weights)),
            Balancer::Nearest => State::Nearest,
        };
        let preferred = plan.preferred_region.as_ref().map(|region| pool.of_region(region));
        Self {
            sent: plan.has_own_weights.then(Sent::new),
            plan,
            preferred,
            state,
        }
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let ring = match &self.state {
            State::ConsistentHash(ring) => ring.weight(),
            _ => 0,
        };
        size_of::<Self>() + size_of_val(&*self.plan.weights) + size_of_val(&*self.plan.tiers) + ring
    }

    /// Takes a target for a session. None when policy and geography leave none.
    pub fn pick(
        &mut self,
        pool: &Pool,
        live: &mut Live,
        visitor: &Visitor<'_>,
        now: Moment,
        random: &mut Random,
    ) -> Option<Choice> {
        let Chosen { choice, moved_among } = self.choose(pool, live, visitor, now, random)?;
        if let Some(sent) = self.sent.as_mut().filter(|_| choice.why != Why::Kept) {
            sent.count(choice.target);
        }
        if let Some(among) = moved_among {
            live.moves.count(&among, choice.target, now);
        }
        Some(choice)
    }

    /// What [`Selector::pick`] takes, of which nothing is noted yet but whose turn it was.
    fn choose(
        &mut self,
        pool: &Pool,
        live: &Live,
        visitor: &Visitor<'_>,
        now: Moment,
        random: &mut Random,
    ) -> Option<Chosen> {
        let groups = self.groups(pool, live, visitor);
        let (best, least_bad) = match groups.best() {
            Some(best) => (Some(best), TargetSet::EMPTY),
            None => (None, groups.least_bad(live, now)),
        };
        let is_kept = |target: &TargetIndex| groups.keeps(*target, best.as_ref()) || least_bad.has(*target);
        if let Some(current) = visitor.current.filter(is_kept) {
            let home = best.and_then(|best| self.home(live, visitor, &best, current));
            let choice = match home {
                Some(target) => Choice { target, why: Why::Home },
                None => Choice {
                    target: current,
                    why: Why::Kept,
                },
            };
            return Some(Chosen {
                choice,
                moved_among: None,
            });
        }
        let (of, why) = match best {
            Some(best) => (best.targets, Why::Picked),
            None => (least_bad, Why::Panic),
        };
        let is_shared = visitor.plays() && self.takes_the_best(pool, visitor, of);
        let moved_among = is_shared.then(|| Among::new(of, &self.plan.weights));
        let open = moved_among.map_or(of, |among| live.moves.open(&among, now));
        let target = self.balance(pool, live, visitor, open, now, random)?;
        let choice = Choice { target, why };
        Some(Chosen { choice, moved_among })
    }

    /// Where hashing leads a session that is elsewhere, when there is room. One whose target is not of the best group is
    /// left there: whoever is to leave it avoids it.
    fn home(&self, live: &Live, visitor: &Visitor<'_>, best: &Group, current: TargetIndex) -> Option<TargetIndex> {
        let State::ConsistentHash(ring) = &self.state else {
            return None;
        };
        if !best.targets.has(current) {
            return None;
        }
        let is_of = |place: usize| best.targets.has_place(place);
        let home = ring
            .pick(visitor.session, |_| 0, is_of)
            .filter(|home| *home != current.place())?;
        let has_room = by_hash(ring, counts(self.sent.as_ref(), live), visitor, best.targets) == Some(home);
        TargetIndex::new(home).filter(|_| has_room)
    }

    fn groups<'a>(&'a self, pool: &Pool, live: &'a Live, visitor: &Visitor<'_>) -> Groups<'a> {
        let may = self
            .plan
            .permitted
            .and(visitor.among)
            .and(pool.serving(visitor.country))
            .without(live.sets().out);
        Groups {
            tiers: &self.plan.tiers,
            sets: live.sets(),
            may,
            near: self.preferred.unwrap_or(visitor.near),
            not_yet: live.not_yet(may, visitor.session).or(visitor.avoided),
            avoided: visitor.avoided,
        }
    }

    /// How good targets `of` a group are.
    fn scores<'a>(&'a self, live: &'a Live, of: TargetSet) -> Scores<'a> {
        Scores::new(live, self.sent.as_ref(), &self.plan.weights, of)
    }

    /// Picks from a group that is not empty.
    fn balance(
        &mut self,
        pool: &Pool,
        live: &Live,
        visitor: &Visitor<'_>,
        of: TargetSet,
        now: Moment,
        random: &mut Random,
    ) -> Option<TargetIndex> {
        let Self { plan, sent, state, .. } = self;
        let (weights, sent) = (&*plan.weights, sent.as_ref());
        let is_of = |place: usize| of.has_place(place);
        let by_score = |random: &mut Random| by_score(pool, Scores::new(live, sent, weights, of), weights, of, random);
        let place = match state {
            State::Adaptive => by_score(random),
            State::RoundRobin(turn) => turn.pick(pool.count(), is_of),
            State::SmoothWeighted(weighted) => weighted.pick(is_of),
            State::LeastConnections => {
                let busy = busy(counts(sent, live), weights);
                least_connections::pick(&busy[..pool.count()], is_of, random)
            }
            State::PeakEwma => {
                let (counts, weight) = (counts(sent, live), weight_of(weights, of));
                let busy = |place: usize| counts.get(place).copied().unwrap_or_default();
                let cost = |place: usize| live.latency_cost(place, busy(place), now) / f64::from(weight(place).max(1));
                two_choices::pick(pool.count(), &weight, cost, random)
            }
            State::ConsistentHash(ring) => by_hash(ring, counts(sent, live), visitor, of),
            State::Nearest => nearest(pool, visitor, of).or_else(|| by_score(random)),
        };
        place.and_then(TargetIndex::new)
    }

    /// Whether the balancer takes the one `of` a group that does best as of now, which is the same one for everybody. The
    /// others spread sessions by themselves, or go by where the visitor is.
    fn takes_the_best(&self, pool: &Pool, visitor: &Visitor<'_>, of: TargetSet) -> bool {
        match self.state {
            State::Adaptive | State::LeastConnections | State::PeakEwma => true,
            State::RoundRobin(_) | State::SmoothWeighted(_) | State::ConsistentHash(_) => false,
            State::Nearest => nearest(pool, visitor, of).is_none(),
        }
    }

    /// To which `of` a group, which its own target is not in, a session fails over: where hashing or nearness would lead it, or
    /// one that is drawn by weight, the same one each time. By score, all would fail over to the same one.
    fn second(&self, pool: &Pool, live: &Live, visitor: &Visitor<'_>, of: TargetSet) -> Option<TargetIndex> {
        let by_weight = || {
            let mut random = Random::new(session_key(visitor.session) ^ SECOND);
            two_choices::drawn(pool.count(), weight_of(&self.plan.weights, of), &mut random)
        };
        let place = match &self.state {
            State::ConsistentHash(ring) => by_hash(ring, counts(self.sent.as_ref(), live), visitor, of),
            State::Nearest => nearest(pool, visitor, of).or_else(by_weight),
            _ => by_weight(),
        };
        place.and_then(TargetIndex::new)
    }
}

/// The better of two drawn by their weights; scores are rounded, and the cheaper of equals is taken.
fn by_score(pool: &Pool, scores: Scores<'_>, weights: &[u32], of: TargetSet, random: &mut Random) -> Option<usize> {
    let cost = |place| pool.cost_share(place) - (scores.of(place) * SCORE_STEPS).floor();
    two_choices::pick(pool.count(), weight_of(weights, of), cost, random)
}

/// The target that is nearest to the visitor, where that is known.
fn nearest(pool: &Pool, visitor: &Visitor<'_>, of: TargetSet) -> Option<usize> {
    let (places, with_place) = pool.places();
    let known = of.and(with_place);
    let from = visitor.place.filter(|_| !known.is_empty())?;
    nearest::pick(&from, places, |place| known.has_place(place))
}

/// What weights are compared with: sessions, or what the plan sent of late where its weights are its own.
fn counts<'a>(sent: Option<&'a Sent>, live: &'a Live) -> &'a [u32] {
    sent.map_or_else(|| live.all_sessions(), Sent::to_each)
}

/// The weights of those `of` a group; 0 for the others.
fn weight_of(weights: &[u32], of: TargetSet) -> impl Fn(usize) -> u32 {
    move |place| {
        weights
            .get(place)
            .copied()
            .filter(|_| of.has_place(place))
            .unwrap_or_default()
    }
}

/// The target to which the session's place on the ring leads, within the bound.
fn by_hash(ring: &Ring, counts: &[u32], visitor: &Visitor<'_>, of: TargetSet) -> Option<usize> {
    let open = |place: usize| counts.get(place).copied().unwrap_or_default();
    ring.pick(visitor.session, open, |place| of.has_place(place))
}

fn busy(sessions: &[u32], weights: &[u32]) -> [Busy; TARGETS_MAX] {
    let mut busy = [Busy { open: 0, weight: 0 }; TARGETS_MAX];
    for (busy, (open, weight)) in busy.iter_mut().zip(sessions.iter().zip(weights)) {
        *busy = Busy {
            open: *open,
            weight: *weight,
        };
    }
    busy
}

/// A ring on which weights keep their proportions as far as its size allows.
fn ring(pool: &Pool, weights: &[u32]) -> Ring {
    let divisor = weights
        .iter()
        .fold(0, |divisor, weight| common_divisor(divisor, *weight))
        .max(1);
    let all: u64 = weights.iter().map(|weight| u64::from(weight / divisor)).sum();
    // By powers of two, so that one target more seldom changes how many points the others have.
    let unit = RING_POINTS_MIN
        << (RING_POINTS / (RING_POINTS_MIN * all.max(1)))
            .checked_ilog2()
            .unwrap_or_default();
    let points = |weight: u32| {
        let weight = u64::from(weight / divisor);
        let points = if all * unit <= RING_POINTS {
            weight * unit
        } else {
            (weight * RING_POINTS).div_ceil(all)
        };
        points as u32
    };
    let members: Vec<Member<'_>> = pool
        .targets()
        .iter()
        .zip(weights)
        .map(|(target, weight)| Member {
            name: target.name.as_str(),
            weight: *weight,
            points: points(*weight),
        })
        .collect();
    Ring::new(&members, HASH_BOUND)
}

const fn common_divisor(one: u32, other: u32) -> u32 {
    let (mut one, mut other) = (one, other);
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// A number for a session, the same on all nodes (FNV-1a): what its chances are drawn by.
#[must_use]
pub fn session_key(session: &[u8]) -> u64 {
    fnv1a(session)
}

/// A latency in milliseconds, for people.
fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests;
