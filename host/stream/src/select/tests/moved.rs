//! Sessions that are moved, and those that fail over by themselves, overrun nobody.

use std::time::Duration;

use wayside_balance::nearest::Place;
use wayside_decide::stream::asset::Balancer;

use super::{Scene, Visitor, Why, visitor};
use crate::{
    samples::spec,
    select::{
        Selector,
        live::Probe,
        set::{TargetIndex, TargetSet},
        target::TargetSpec,
    },
};

const MOVES: u32 = 2_000;

/// Three targets alike, of which the first answers much sooner.
fn one_is_quicker() -> Scene {
    let mut scene = Scene::weighted(&[1, 1, 1]);
    for (called, ms) in [("t0", 20), ("t1", 200), ("t2", 200)] {
        for _ in 0..50 {
            scene.probe(called, Probe::Answered(Duration::from_millis(ms)));
        }
    }
    scene
}

/// How many of the moved went to each target.
fn moved(scene: &mut Scene, balancer: Balancer) -> Vec<u32> {
    let mut selector = scene.selector(balancer);
    let mut got = vec![0; scene.pool.count()];
    for session in 0..MOVES {
        let session = session.to_be_bytes();
        let visitor = Visitor {
            has_lost_its_target: true,
            ..visitor(&session)
        };
        let choice = scene.pick(&mut selector, &visitor).expect("a choice");
        assert_eq!(choice.why, Why::Picked);
        got[choice.target.place()] += 1;
    }
    got
}

#[test]
fn sessions_of_a_target_that_was_removed_are_moved_like_others() {
    let mut scene = one_is_quicker();
    for balancer in [Balancer::Adaptive, Balancer::PeakEwma, Balancer::Nearest] {
        let got = moved(&mut scene, balancer);
        assert!(got.iter().all(|got| *got <= MOVES * 10 / 24), "{balancer:?}: {got:?}");
        assert!(got[0] > MOVES * 9 / 24, "{balancer:?}: the best has most: {got:?}");
    }
}

#[test]
fn what_other_balancers_move_takes_nothing_from_what_a_target_may_get() {
    let mut scene = one_is_quicker();
    let quickest = TargetSet::first(1);
    let mut by_turns = scene.selector(Balancer::RoundRobin);
    for _ in 0..10 * MOVES {
        let visitor = Visitor {
            has_lost_its_target: true,
            among: quickest,
            ..visitor(b"s")
        };
        scene.pick(&mut by_turns, &visitor).expect("a choice");
    }
    let got = moved(&mut scene, Balancer::Adaptive);
    assert!(got[0] > MOVES / 3, "{got:?}");
}

#[test]
fn it_is_said_of_a_target_that_it_has_had_its_share() {
    let mut scene = one_is_quicker();
    moved(&mut scene, Balancer::Adaptive);
    let mut selector = scene.selector(Balancer::Adaptive);
    let with = |has_lost_its_target| Visitor {
        has_lost_its_target,
        ..visitor(b"s")
    };
    let said = |scene: &Scene, selector: &Selector, has_lost_its_target| {
        let visitor = with(has_lost_its_target);
        let told = selector.explain(&scene.pool, &scene.live, &visitor, scene.now, &scene.random);
        let mut targets = told.targets.iter().map(ToString::to_string);
        targets.any(|target| target.ends_with("has had its share of those that are moved"))
    };
    // The next that it takes is one too many for the moment.
    assert!((0..100).any(|_| scene.taken(&mut selector, &with(true)).0 == "t0"));
    assert!(said(&scene, &selector, true));
    assert!(!said(&scene, &selector, false), "who begins goes wherever it does best");
    scene.now = scene.now + Duration::from_secs(2);
    assert!(!said(&scene, &selector, true));
}

/// The second target of each session whose first one is this.
fn seconds(scene: &mut Scene, balancer: Balancer, first: &str, near: TargetSet) -> Vec<u32> {
    let (mut selector, current) = (scene.selector(balancer), Some(scene.at(first)));
    let mut second = vec![0; scene.pool.count()];
    for session in 0..MOVES {
        let session = session.to_be_bytes();
        let visitor = Visitor {
            current,
            near,
            ..visitor(&session)
        };
        let mut listed = || {
            let order = selector.order(&scene.pool, &mut scene.live, &visitor, 9, scene.now, &mut scene.random);
            order.iter().map(TargetIndex::place).collect::<Vec<_>>()
        };
        let first = listed();
        assert_eq!(
            (first.len(), &listed()),
            (scene.pool.count(), &first),
            "the same each time"
        );
        second[first[1]] += 1;
    }
    second
}

#[test]
fn sessions_fail_over_by_weight_also_where_one_is_perfect() {
    // All idle, as quick as can be and near: none has anything against it.
    let mut scene = Scene::weighted(&[1, 1, 3]);
    for called in ["t0", "t1", "t2"] {
        scene.probe(called, Probe::Answered(Duration::ZERO));
    }
    for balancer in [Balancer::Adaptive, Balancer::RoundRobin] {
        let second = seconds(&mut scene, balancer, "t0", TargetSet::ALL);
        assert!(
            second[0] == 0 && second[1].abs_diff(MOVES / 4) < MOVES / 20,
            "{second:?}"
        );
    }
}

#[test]
fn sessions_fail_over_to_where_hashing_and_nearness_would_lead_them() {
    let at = |name: &str, degrees: f64| TargetSpec {
        place: Place::new(50.0, degrees).ok(),
        ..spec(name, "r")
    };
    let mut scene = Scene::new(vec![at("a", 0.0), at("b", 60.0), at("c", 20.0), at("d", 80.0)]);
    for balancer in [Balancer::ConsistentHash, Balancer::Nearest] {
        for session in 0..50_u8 {
            let session = [session];
            let mut selector = scene.selector(balancer);
            let visitor = Visitor {
                place: Place::new(50.0, 1.0).ok(),
                current: TargetIndex::new(0),
                ..visitor(&session)
            };
            let order = selector.order(&scene.pool, &mut scene.live, &visitor, 2, scene.now, &mut scene.random);
            let listed: Vec<_> = order.iter().collect();
            let without_it = Visitor {
                among: TargetSet::ALL.without([listed[0]].into_iter().collect()),
                ..visitor
            };
            let led_to = scene.pick(&mut selector, &without_it).expect("a choice");
            assert_eq!(listed[1], led_to.target, "{balancer:?}");
        }
    }
}
