//! Which target a running session stays on, leaves, and comes back to.

use wayside_balance::adaptive::Adaptive;
use wayside_decide::stream::{asset::Balancer, plan::PlanSpec, target::Service};

use super::{QUICK, STEP, Scene, name, properties::ALL, share, spec, stream_plan, visitor};
use crate::samples::LATE;
use crate::select::{
    Choice, Selector, Visitor, Why,
    live::{Health, Live, Probe},
    plan::Plan,
    set::{TargetIndex, TargetSet},
    target::{Pool, TargetSpec},
};

#[test]
fn a_session_stays_until_its_target_is_worse_and_goes_back_when_a_nearer_one_returns() {
    let mut scene = Scene::new(vec![spec("a", "eu"), spec("b", "us"), spec("c", "us")]);
    let mut selector = scene.selector(Balancer::RoundRobin);
    let on = |scene: &Scene, current: &str| Visitor {
        near: scene.pool.of_region(&name("eu")),
        current: Some(scene.at(current)),
        ..visitor(b"session")
    };
    let at_a = on(&scene, "a");
    assert_eq!(scene.taken(&mut selector, &at_a), ("a".to_owned(), Why::Kept));
    let target = scene.at("a");
    scene.probe("a", Probe::Answered(LATE));
    assert_eq!(scene.live.health(target), Health::Degraded);
    assert_eq!(
        scene.taken(&mut selector, &at_a).1,
        Why::Kept,
        "who moves sessions away does so a few at a time"
    );
    scene.probe("a", QUICK);
    assert_eq!(scene.live.health(target), Health::Healthy);
    scene.fail("a");
    assert_eq!(scene.taken(&mut selector, &at_a), ("b".to_owned(), Why::Picked));
    let at_b = on(&scene, "b");
    assert_eq!(scene.taken(&mut selector, &at_b).1, Why::Kept);
    scene.serve("b", Service::Draining);
    assert_eq!(
        scene.taken(&mut selector, &at_b),
        ("c".to_owned(), Why::Picked),
        "an operator drains it"
    );
    // The near one comes back step by step; at the end this session is there again.
    let at_c = on(&scene, "c");
    let mut was = Why::Kept;
    for _ in 0..20 {
        scene.now = scene.now + STEP;
        scene.probe("a", QUICK);
        was = scene.taken(&mut selector, &at_c).1;
    }
    assert_eq!((scene.live.share_percent(target), was), (100, Why::Picked));
}

#[test]
fn a_session_leaves_what_it_avoids_while_there_are_others() {
    let mut scene = Scene::weighted(&[1, 1]);
    let mut selector = scene.selector(Balancer::RoundRobin);
    let mut avoided = TargetSet::EMPTY;
    avoided.set(scene.at("t0"), true);
    let visitor = Visitor {
        current: Some(scene.at("t0")),
        avoided,
        ..visitor(b"s")
    };
    for _ in 0..3 {
        assert_eq!(scene.taken(&mut selector, &visitor), ("t1".to_owned(), Why::Picked));
    }
    let order = selector.order(&scene.pool, &mut scene.live, &visitor, 9, scene.now, &mut scene.random);
    assert_eq!(order.iter().map(TargetIndex::place).collect::<Vec<_>>(), [1, 0]);
    let told = selector.explain(&scene.pool, &scene.live, &visitor, scene.now, &scene.random);
    assert!(told.targets[0].to_string().ends_with(", avoided for its quality"));
    scene.fail("t1");
    assert_eq!(scene.taken(&mut selector, &visitor), ("t0".to_owned(), Why::Kept));
}

#[test]
fn a_session_goes_back_to_a_better_tier_when_that_is_well() {
    let mut scene = Scene::weighted(&[1, 1]);
    let plan = PlanSpec {
        tiers: vec![vec![share("t0", 1.0)], vec![share("t1", 1.0)]],
        ..PlanSpec::default()
    };
    let plan = Plan::new(&stream_plan(plan), &scene.pool).expect("a plan");
    let mut selector = Selector::new(&scene.pool, plan, Balancer::Adaptive);
    let on = |called| Visitor {
        current: scene.pool.find(called),
        ..visitor(b"s")
    };
    let (first, second) = (on("t0"), on("t1"));
    assert_eq!(scene.taken(&mut selector, &second), ("t0".to_owned(), Why::Picked));
    assert_eq!(scene.taken(&mut selector, &first), ("t0".to_owned(), Why::Kept));
}

#[test]
fn two_failed_probes_take_a_target_out_and_it_comes_back_in_steps() {
    let mut scene = Scene::weighted(&[1, 1]);
    let target = scene.at("t0");
    assert!(!scene.probe("t0", Probe::Failed), "one is chance");
    assert_eq!(scene.live.health(target), Health::Healthy);
    assert!(scene.probe("t0", Probe::Failed));
    assert_eq!(scene.live.health(target), Health::Down);
    let mut selector = scene.selector(Balancer::LeastConnections);
    let mut shares = Vec::new();
    while scene.live.share_percent(target) < 100 {
        scene.now = scene.now + STEP;
        scene.probe("t0", QUICK);
        let percent = scene.live.share_percent(target);
        let mut of_step = Vec::new();
        for session in 0..2_000_u32 {
            if scene.taken(&mut selector, &visitor(&session.to_be_bytes())).0 == "t0" {
                of_step.push(session);
            }
        }
        // Of two equals it gets the half of what it is let have.
        let expected = 1_000 * usize::from(percent) / 100;
        assert!(
            of_step.len().abs_diff(expected) <= 150,
            "{} at {percent} %",
            of_step.len()
        );
        shares.push(percent);
    }
    shares.dedup();
    assert_eq!(shares, [10, 25, 50, 75, 100]);
}

#[test]
fn a_target_that_nobody_probes_comes_back_by_time_alone() {
    let unprobed = |called| TargetSpec {
        is_probed: false,
        ..spec(called, "r")
    };
    let mut scene = Scene::new(vec![unprobed("a"), unprobed("b")]);
    let target = scene.at("a");
    scene.serve("a", Service::Out);
    scene.live.tend(&scene.pool, scene.now + STEP);
    assert_eq!(scene.live.health(target), Health::Down, "its operator says so");
    scene.serve("a", Service::In);
    let mut shares = vec![scene.live.share_percent(target)];
    for _ in 0..10 {
        scene.now = scene.now + STEP / 2;
        scene.live.tend(&scene.pool, scene.now);
        shares.push(scene.live.share_percent(target));
    }
    shares.dedup();
    assert_eq!(shares, [10, 25, 50, 75, 100]);
}

#[test]
fn what_a_probe_said_goes_with_the_probe() {
    let mut scene = Scene::new(vec![spec("dead", "r"), spec("late", "r"), spec("well", "r")]);
    scene.fail("dead");
    scene.probe("late", Probe::Answered(LATE));
    let to = |change: fn(TargetSpec) -> TargetSpec| {
        Pool::new(scene.pool.targets().iter().cloned().map(change).collect()).expect("a pool")
    };
    let healths = |live: &Live| {
        scene
            .pool
            .all()
            .iter()
            .map(|target| live.health(target))
            .collect::<Vec<_>>()
    };
    let alike = to(|spec| spec);
    let moved = scene.live.moved(&scene.pool, &alike, scene.now);
    assert_eq!(healths(&moved), [Health::Down, Health::Degraded, Health::Healthy]);
    let without = to(|spec| TargetSpec {
        is_probed: false,
        ..spec
    });
    let mut moved = scene.live.moved(&scene.pool, &without, scene.now);
    assert_eq!(healths(&moved), [Health::Healthy; 3], "nobody could ever take it back");
    assert_eq!(moved.share_percent(scene.at("dead")), 10, "step by step all the same");
    for step in 1..=4 {
        moved.tend(&without, scene.now + STEP * step);
    }
    assert_eq!(moved.share_percent(scene.at("dead")), 100);
    let never_late = to(|spec| TargetSpec {
        late_after: None,
        ..spec
    });
    let moved = scene.live.moved(&scene.pool, &never_late, scene.now);
    assert_eq!(healths(&moved), [Health::Down, Health::Healthy, Health::Healthy]);
}

#[test]
fn hashing_leads_a_session_home_when_there_is_room() {
    let mut scene = Scene::weighted(&[1, 1]);
    let mut selector = scene.selector(Balancer::ConsistentHash);
    let home = scene.pick(&mut selector, &visitor(b"s")).expect("a choice").target;
    let away = scene.pool.all().iter().find(|target| *target != home).expect("another");
    let fled = Visitor {
        current: Some(away),
        ..visitor(b"s")
    };
    scene.begin(home, 100);
    let choice = scene.pick(&mut selector, &fled);
    assert_eq!(
        choice,
        Some(Choice {
            target: away,
            why: Why::Kept
        }),
        "home is full"
    );
    scene.begin(away, 100);
    let choice = scene.pick(&mut selector, &fled);
    assert_eq!(
        choice,
        Some(Choice {
            target: home,
            why: Why::Home
        })
    );
}

#[test]
fn only_those_that_may_be_taken_are_whatever_turn_it_is() {
    let mut scene = Scene::weighted(&[1, 1, 1, 1]);
    let two: TargetSet = [scene.at("t1"), scene.at("t3")].into_iter().collect();
    let few = Visitor {
        among: two,
        ..visitor(b"s")
    };
    for balancer in ALL {
        let mut selector = scene.selector(balancer);
        for _ in 0..20 {
            scene.pick(&mut selector, &visitor(b"s")).expect("a choice");
            let choice = scene.pick(&mut selector, &few).expect("a choice");
            assert!(two.has(choice.target), "{balancer:?}: {choice:?}");
            let order = selector.order(&scene.pool, &mut scene.live, &few, 9, scene.now, &mut scene.random);
            assert!(order.len() == 2 && order.iter().all(|target| two.has(target)));
        }
        // Where a session plays from a target that it may not get, it leaves it.
        let on_another = Visitor {
            current: Some(scene.at("t0")),
            ..few
        };
        let choice = scene.pick(&mut selector, &on_another).expect("a choice");
        assert!(two.has(choice.target), "{balancer:?}: {choice:?}");
        let nobody = Visitor {
            among: TargetSet::EMPTY,
            ..few
        };
        assert_eq!(scene.pick(&mut selector, &nobody), None);
    }
}

#[test]
fn what_is_known_of_targets_outlives_a_change_of_the_pool() {
    let mut scene = Scene::new(vec![spec("a", "r"), spec("b", "r"), spec("c", "r")]);
    scene.fail("b");
    scene.serve("c", Service::Draining);
    for called in ["a", "c", "c"] {
        let target = scene.at(called);
        scene.begin(target, 1);
    }
    let to = Pool::new(vec![spec("c", "r"), spec("new", "r"), spec("b", "r")]).expect("a pool");
    let moved = scene.live.moved(&scene.pool, &to, scene.now);
    let known: Vec<_> = to
        .all()
        .iter()
        .map(|target| (moved.health(target), moved.sessions(target)))
        .collect();
    assert_eq!(known, [(Health::Draining, 2), (Health::Healthy, 0), (Health::Down, 0)]);
    // Whoever is left with what is known of another pool gets some answer.
    for balancer in [
        Balancer::ConsistentHash,
        Balancer::LeastConnections,
        Balancer::Nearest,
        Balancer::Adaptive,
    ] {
        let one = Pool::new(vec![spec("a", "r")]).expect("a pool");
        let mut live = Live::new(&one, Adaptive::default(), STEP, scene.now);
        let mut selector = scene.selector(balancer);
        let taken = selector.pick(&scene.pool, &mut live, &visitor(b"s"), scene.now, &mut scene.random);
        assert!(taken.is_some(), "{balancer:?}");
    }
}
