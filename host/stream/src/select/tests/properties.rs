//! What holds of choices whatever state targets are in.

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use wayside_balance::random::Random;
use wayside_decide::stream::{
    asset::Balancer,
    plan::PlanSpec,
    target::{Country, Service},
};

use super::{QUICK, STEP, Scene, name, share, spec, stream_plan, visitor};
use crate::samples::LATE;
use crate::select::{
    Selector, Visitor, Why,
    explain::Filter,
    live::Probe,
    plan::Plan,
    set::{TargetIndex, TargetSet},
    target::TargetSpec,
};

pub(super) const ALL: [Balancer; 7] = [
    Balancer::Adaptive,
    Balancer::RoundRobin,
    Balancer::SmoothWeighted,
    Balancer::LeastConnections,
    Balancer::PeakEwma,
    Balancer::ConsistentHash,
    Balancer::Nearest,
];

/// Those by which weights say who gets how much.
const BY_WEIGHT: [Balancer; 5] = [
    Balancer::Adaptive,
    Balancer::SmoothWeighted,
    Balancer::LeastConnections,
    Balancer::PeakEwma,
    Balancer::ConsistentHash,
];

/// Sessions begun one after another; how many each target got.
fn spread(scene: &mut Scene, selector: &mut Selector, sessions: u32) -> Vec<u32> {
    let mut had = vec![0; scene.pool.count()];
    for session in 0..sessions {
        let choice = scene
            .pick(selector, &visitor(&session.to_be_bytes()))
            .expect("a choice");
        scene.begin(choice.target, 1);
        had[choice.target.place()] += 1;
    }
    had
}

fn states() -> impl Strategy<Value = Vec<(u8, u8, bool, u32, u8)>> {
    proptest::collection::vec((0_u8..4, 0_u8..4, any::<bool>(), 0_u32..4, 0_u8..3), 1..10)
}

/// A scene in which targets are in all sorts of states, regions and countries.
fn mixed(states: &[(u8, u8, bool, u32, u8)]) -> Scene {
    let fr = Country::parse("fr").expect("a country");
    let specs = states
        .iter()
        .enumerate()
        .map(|(place, (_, sessions, is_french, weight, region))| TargetSpec {
            weight: *weight + 1,
            sessions_max: Some(u32::from(*sessions) + 1),
            countries: is_french.then(|| vec![fr]),
            ..spec(&format!("t{place}"), &format!("r{region}"))
        });
    let mut scene = Scene::new(specs.collect());
    for (place, (state, sessions, ..)) in states.iter().enumerate() {
        let called = format!("t{place}");
        let target = scene.at(&called);
        match state {
            1 => scene.fail(&called),
            2 => scene.serve(&called, Service::Draining),
            3 => {
                scene.probe(&called, Probe::Answered(LATE));
            }
            _ => {}
        }
        scene.begin(target, u32::from(sessions % 3) + 1);
    }
    scene
}

proptest! {
    // Each case plays thousands of sessions.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn load_is_spread_within_a_twentieth_of_the_weights(
        weights in proptest::collection::vec(1_u32..40, 2..8), is_policys in any::<bool>(), seed in any::<u64>(),
    ) {
        let all: u32 = weights.iter().sum();
        let sessions = 200 * all;
        for balancer in BY_WEIGHT {
            // A policy's weights hold among those that it decides about, however the others are spread.
            let own = if is_policys { vec![1; weights.len()] } else { weights.clone() };
            let mut scene = Scene::weighted(&own);
            scene.random = Random::new(seed);
            let plan = is_policys.then(|| {
                let shares = weights.iter().enumerate().map(|(place, weight)| share(&format!("t{place}"), f64::from(*weight)));
                let plan = stream_plan(PlanSpec { tiers: vec![shares.collect()], ..PlanSpec::default() });
                Plan::new(&plan, &scene.pool).expect("a plan")
            });
            if is_policys {
                let crowded = scene.at("t0");
                scene.begin(crowded, sessions);
            }
            let plan = plan.unwrap_or_else(|| Plan::of_all(&scene.pool));
            let mut selector = Selector::new(&scene.pool, plan, balancer);
            let had = spread(&mut scene, &mut selector, sessions);
            // Of what a plan remembers, the smallest share is a dozen choices, of which chance takes or adds one each time that half
            // is forgotten: some thirty times here.
            let by_chance = if is_policys { 15.0 } else { 1.0 };
            for (had, weight) in had.iter().zip(&weights) {
                let share = f64::from(200 * weight);
                prop_assert!(f64::from(*had) <= share * 1.05 + by_chance, "{balancer:?}: {had} for {share} of {weights:?}");
                // Hashing fills the lightest last; it is bounded from above, by which nobody is crushed.
                let is_exact = balancer != Balancer::ConsistentHash;
                prop_assert!(!is_exact || f64::from(*had) >= share * 0.95 - by_chance, "{balancer:?}: {had} for {share} of {weights:?}");
            }
        }
    }

    #[test]
    fn only_the_sessions_of_a_target_that_dies_move_and_they_come_back(count in 2_usize..12, dies in any::<usize>()) {
        let mut scene = Scene::weighted(&vec![1; count]);
        let dies = format!("t{}", dies % count);
        let mut selector = scene.selector(Balancer::ConsistentHash);
        let map = |scene: &mut Scene, selector: &mut Selector| {
            let of = |session: u32| scene.taken(selector, &visitor(&session.to_be_bytes())).0;
            (0..500).map(of).collect::<Vec<_>>()
        };
        let before = map(&mut scene, &mut selector);
        scene.fail(&dies);
        let without = map(&mut scene, &mut selector);
        for (before, without) in before.iter().zip(&without) {
            prop_assert!(*without != dies && (before == without || *before == dies));
        }
        for _ in 0..20 {
            scene.now = scene.now + STEP;
            scene.probe(&dies, QUICK);
            for (now, before) in map(&mut scene, &mut selector).iter().zip(&before) {
                prop_assert!(now == before || *before == dies, "who was elsewhere stays there");
            }
        }
        prop_assert_eq!(map(&mut scene, &mut selector), before);
    }
}

proptest! {
    #[test]
    fn whoever_is_denied_is_never_taken_nor_listed(
        states in states(), denied in any::<u16>(), avoids in any::<u16>(), current in any::<usize>(), is_french in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut scene = mixed(&states);
        scene.random = Random::new(seed);
        let count = states.len();
        let is_denied = |place: usize| denied >> place & 1 == 1;
        let deny = (0..count).filter(|place| is_denied(*place)).map(|place| format!("t{place}")).collect();
        let Ok(plan) = Plan::new(&stream_plan(PlanSpec { deny, ..PlanSpec::default() }), &scene.pool) else {
            prop_assert!((0..count).all(is_denied));
            return Ok(());
        };
        let mut avoided = TargetSet::EMPTY;
        for target in scene.pool.all().iter() {
            avoided.set(target, avoids >> target.place() & 1 == 1);
        }
        let country = is_french.then(|| Country::parse("fr").expect("a country"));
        for balancer in ALL {
            let mut selector = Selector::new(&scene.pool, plan.clone(), balancer);
            let visitor = Visitor {
                near: scene.pool.of_region(&name("r1")),
                country,
                current: TargetIndex::new(current % (2 * count)),
                avoided,
                ..visitor(b"some session")
            };
            let may = |place: usize| !is_denied(place) && (is_french || !states[place].2);
            let told = selector.explain(&scene.pool, &scene.live, &visitor, scene.now, &scene.random);
            let (mut random, mut live) = (scene.random.clone(), scene.live.clone());
            let choice = scene.pick(&mut selector, &visitor);
            prop_assert_eq!(choice, told.choice, "what is explained is what happens");
            prop_assert_eq!(choice.is_some(), (0..count).any(may));
            for (place, told) in told.targets.iter().enumerate() {
                let is_hard = matches!(told.removed_by, Some(Filter::Denied | Filter::Country));
                prop_assert_eq!(is_hard, !may(place));
            }
            let Some(choice) = choice else { continue };
            let removed = &told.targets[choice.target.place()].removed_by;
            prop_assert!(may(choice.target.place()));
            let nobody_is_well = told.targets.iter().all(|target| target.removed_by.is_some());
            match choice.why {
                Why::Picked | Why::Home => prop_assert_eq!(removed, &None),
                // Who plays from one that looks dead stays where all do.
                Why::Kept => prop_assert!(matches!(removed, None | Some(Filter::Full { .. })) || nobody_is_well, "kept"),
                Why::Panic => prop_assert!(nobody_is_well),
            }
            let mut again = Selector::new(&scene.pool, plan.clone(), balancer);
            let order = again.order(&scene.pool, &mut live, &visitor, 5, scene.now, &mut random);
            let listed: Vec<usize> = order.iter().map(TargetIndex::place).collect();
            prop_assert_eq!(listed[0], choice.target.place());
            prop_assert!(listed.iter().all(|place| may(*place)) && listed.len() <= 5);
            prop_assert!(listed.len() >= 2 || (0..count).filter(|place| may(*place)).count() < 2);
            let distinct: std::collections::BTreeSet<_> = listed.iter().collect();
            prop_assert_eq!(distinct.len(), listed.len());
        }
    }
}
