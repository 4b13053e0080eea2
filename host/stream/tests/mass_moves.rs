//! Tens of thousands of sessions that ask again and again while a target dies and returns, in virtual time and from seeds:
//! how soon they are moved, and that nobody is overrun by them.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, and these functions are no tests of their own"
)]

use std::time::Duration;

use wayside_balance::{adaptive::Adaptive, moment::Moment, random::Random};
use wayside_decide::{name::Name, stream::asset::Balancer};
use wayside_stream::{
    quality::Speaker,
    select::{
        Selector, Visitor, Why,
        live::{Live, Probe},
        plan::Plan,
        session_key,
        set::TargetIndex,
        target::{Pool, TargetSpec},
    },
    sessions::{PARTS, Player, Seen, Sessions},
};

/// How often a player asks, in seconds.
const TTL_S: u64 = 10;
/// How often a target is probed, in seconds.
const PROBE_S: u64 = 5;
const SLOW_START: Duration = Duration::from_secs(20);
const SESSIONS: u64 = 100_000;
/// So many moves a second are a mass of them, of which no target gets much more than its share.
const MASS: u32 = 1_000;
const DIES_S: u64 = 62;
const RETURNS_S: u64 = 120;
const ENDS_S: u64 = 260;

struct World {
    pool: Pool,
    live: Live,
    selector: Selector,
    sessions: Sessions,
    random: Random,
    now_s: u64,
    /// Whether the target that dies is dead.
    is_dead: bool,
    /// How much longer each target takes to answer than the one before it.
    slower_by: Duration,
}

impl World {
    fn new(weights: &[u32], balancer: Balancer, seed: u64) -> Self {
        let name = |text: &str| Name::parse("name", text).expect("a name");
        let spec = |(place, weight): (usize, &u32)| TargetSpec {
            weight: *weight,
            ..TargetSpec::new(name(&format!("t{place}")), name("r"))
        };
        let pool = Pool::new(weights.iter().enumerate().map(spec).collect()).expect("a pool");
        Self {
            live: Live::new(&pool, Adaptive::default(), SLOW_START, Moment::default()),
            selector: Selector::new(&pool, Plan::of_all(&pool), balancer),
            sessions: Sessions::new(Duration::from_secs(3 * TTL_S), u32::MAX),
            random: Random::new(seed),
            pool,
            now_s: 0,
            is_dead: false,
            slower_by: Duration::ZERO,
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(Duration::from_secs(self.now_s))
    }

    /// A second passes. Returns how many sessions were moved to each target.
    fn second(&mut self) -> Vec<u32> {
        self.is_dead = (DIES_S..RETURNS_S).contains(&self.now_s);
        if self.now_s.is_multiple_of(PROBE_S) {
            for target in self.pool.all().iter() {
                let is_dead = self.is_dead && target.place() == 0;
                let slower = self.slower_by * u32::try_from(target.place()).expect("few");
                let answered = Probe::Answered(Duration::from_millis(20) + slower);
                let probe = if is_dead { Probe::Failed } else { answered };
                self.live.probe(&self.pool, target, probe, self.now());
            }
        }
        let mut moved = vec![0; self.pool.count()];
        // Players ask at their own times, spread over the TTL.
        let asks = self.now_s % TTL_S;
        for session in (0..SESSIONS).filter(|session| session % TTL_S == asks) {
            if let Some(target) = self.ask(session) {
                moved[target.place()] += 1;
            }
        }
        let now = self.now();
        (0..PARTS).for_each(|part| self.sessions.forget_silent_in(part, now));
        self.now_s += 1;
        moved
    }

    /// A session asks. Returns where it was moved, if it was.
    fn ask(&mut self, session: u64) -> Option<TargetIndex> {
        let id = session.to_be_bytes();
        let key = session_key(&id);
        let visitor = Visitor {
            current: self.playing(session),
            ..Visitor::new(&id)
        };
        let now = self.now();
        let choice = self
            .selector
            .pick(&self.pool, &mut self.live, &visitor, now, &mut self.random);
        let choice = choice.expect("a choice");
        assert_ne!(choice.why, Why::Panic, "others are well");
        let player = Player {
            speaker: Speaker {
                session: key,
                home: key,
            },
            ttl: Duration::from_secs(TTL_S),
            needed_kbit_s: None,
        };
        let seen = self.sessions.see(&player, choice.target, None, self.now());
        let left = match seen {
            Seen::Moved { from } => Some(from),
            Seen::New | Seen::Stayed | Seen::NoRoom => None,
        };
        for target in left.into_iter().chain([choice.target]) {
            let count = self.sessions.count(target);
            self.live.set_counted(&self.pool, target, count.sessions, count.kbit_s);
        }
        left.map(|_| choice.target)
    }

    /// From where a session plays.
    fn playing(&self, session: u64) -> Option<TargetIndex> {
        let playing = self.sessions.playing(session_key(&session.to_be_bytes()));
        playing.map(|playing| playing.target)
    }

    fn on(&self, place: usize) -> u32 {
        let target = TargetIndex::new(place).expect("a place");
        let sessions = self.live.sessions(target);
        assert_eq!(sessions, self.sessions.count(target).sessions, "both count alike");
        sessions
    }
}

/// Lets the first target die and return. `comes_home` says whether running sessions come back to it.
fn check(weights: &[u32], balancer: Balancer, seed: u64, comes_home: bool) {
    check_in(World::new(weights, balancer, seed), weights, balancer, seed, comes_home);
}

fn check_in(mut world: World, weights: &[u32], balancer: Balancer, seed: u64, comes_home: bool) {
    while world.now_s < DIES_S {
        world.second();
    }
    let before = world.on(0);
    let others: u32 = weights[1..].iter().sum();
    while world.now_s < DIES_S + TTL_S + 2 * PROBE_S {
        let moved = world.second();
        let all: u32 = moved.iter().sum();
        let is_mass = all >= MASS;
        for (moved, weight) in moved[1..].iter().zip(&weights[1..]).filter(|_| is_mass) {
            let share = f64::from(all) * f64::from(*weight) / f64::from(others);
            assert!(
                f64::from(*moved) <= 1.25 * share,
                "{balancer:?}, {seed}: {moved} of {all} for {share}"
            );
        }
    }
    for (place, weight) in weights.iter().enumerate().skip(1).filter(|_| comes_home) {
        let share = SESSIONS as f64 * f64::from(*weight) / f64::from(others);
        let found = world.on(place);
        assert!(
            f64::from(found) <= 1.06 * share,
            "{balancer:?}, {seed}: {found} at {place} for {share}"
        );
    }
    let left = world.on(0);
    assert!(
        f64::from(left) <= 0.01 * f64::from(before),
        "{balancer:?}, {seed}: {left} of {before} are still there"
    );
    while world.now_s < ENDS_S {
        let moved = world.second();
        // A step of slow start is a quarter of what it had; they ask over a TTL.
        let most = f64::from(before) * 0.25 / TTL_S as f64 * 1.5;
        assert!(
            f64::from(moved[0]) <= most,
            "{balancer:?}, {seed}: {} came back in a second",
            moved[0]
        );
    }
    let after = f64::from(world.on(0));
    if comes_home {
        assert!(
            after > 0.9 * f64::from(before),
            "{balancer:?}, {seed}: {after} of {before} came back"
        );
    } else {
        assert!(after <= 0.01 * f64::from(before), "sessions stay where they are well");
    }
}

#[test]
fn sessions_of_a_dead_target_are_moved_in_time_and_overrun_nobody() {
    for balancer in [Balancer::SmoothWeighted, Balancer::LeastConnections] {
        check(&[2, 1, 3, 2], balancer, 1, false);
    }
    for seed in 0..3 {
        check(&[1, 1, 1, 1], Balancer::Adaptive, seed, false);
    }
    check(&[3, 8, 1, 1], Balancer::Adaptive, 1, false);
    check(&[2, 1, 3, 2], Balancer::PeakEwma, 1, false);
}

#[test]
fn hashed_sessions_are_moved_as_soon_and_come_home_step_by_step() {
    check(&[1, 1, 1, 1], Balancer::ConsistentHash, 1, true);
    check(&[2, 1, 3, 2], Balancer::ConsistentHash, 1, true);
}

#[test]
fn targets_that_are_better_than_others_are_overrun_by_nobody_either() {
    for balancer in [Balancer::Adaptive, Balancer::PeakEwma] {
        let weights = [2, 1, 3, 2];
        let mut world = World::new(&weights, balancer, 1);
        world.slower_by = Duration::from_millis(60);
        check_in(world, &weights, balancer, 1, false);
    }
    // Also one of which little is expected.
    let weights = [100, 2, 49, 49];
    let mut world = World::new(&weights, Balancer::Adaptive, 1);
    world.slower_by = Duration::from_millis(60);
    check_in(world, &weights, Balancer::Adaptive, 1, false);
}

#[test]
fn who_fails_over_before_being_told_overruns_nobody_either() {
    let weights = [3, 2, 4, 1];
    let mut world = World::new(&weights, Balancer::Adaptive, 1);
    world.slower_by = Duration::from_millis(60);
    while world.now_s < DIES_S {
        world.second();
    }
    let mut second = [0; 4];
    for session in 0..SESSIONS {
        let (id, current) = (session.to_be_bytes(), world.playing(session));
        let visitor = Visitor {
            current,
            ..Visitor::new(&id)
        };
        let now = world.now();
        let order = world
            .selector
            .order(&world.pool, &mut world.live, &visitor, 4, now, &mut world.random);
        let listed: Vec<_> = order.iter().collect();
        assert_eq!(
            (listed.len(), Some(listed[0])),
            (4, current),
            "nobody has a reason to move"
        );
        if listed[0].place() == 0 {
            second[listed[1].place()] += 1;
        }
    }
    let all: u32 = second.iter().sum();
    assert!(all > MASS && second[0] == 0, "{second:?}");
    for (second, weight) in second.iter().zip(weights).skip(1) {
        let share = f64::from(all) * f64::from(weight) / 7.0;
        assert!(
            (f64::from(*second) - share).abs() <= 0.05 * share,
            "{second} for {share}"
        );
    }
}
