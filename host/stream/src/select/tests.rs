//! Properties of choices, and what people are told of them.

use std::time::Duration;

use wayside_balance::{
    adaptive::{Adaptive, Weights},
    moment::Moment,
    nearest::Place,
    random::Random,
};
use wayside_decide::{
    name::Name,
    stream::{
        asset::Balancer,
        plan::{PlanSpec, StreamPlan},
        target::{Country, Service},
    },
};

use super::{
    Choice, Selector, Visitor, Why,
    live::{Health, Live, Probe, Report},
    plan::Plan,
    set::TargetIndex,
    target::{NoPool, Pool, TargetSpec},
};
use crate::samples::{LATE, spec};

const STEP: Duration = Duration::from_secs(10);
fn name(text: &str) -> Name {
    Name::parse("name", text).expect(text)
}

/// Targets and what is known of them, in virtual time.
struct Scene {
    pool: Pool,
    live: Live,
    now: Moment,
    random: Random,
}

impl Scene {
    fn new(specs: Vec<TargetSpec>) -> Self {
        let pool = Pool::new(specs).expect("a pool");
        let live = Live::new(&pool, Adaptive::default(), STEP, Moment::default());
        Self {
            pool,
            live,
            now: Moment::default(),
            random: Random::new(1),
        }
    }

    /// The order in which a visitor is told of targets.
    fn order(&mut self, selector: &mut Selector) -> Vec<usize> {
        let visitor = visitor(b"s");
        let order = selector.order(&self.pool, &mut self.live, &visitor, 9, self.now, &mut self.random);
        order.iter().map(TargetIndex::place).collect()
    }

    /// Targets `t0`, `t1` and so on in region `r`, with these weights.
    fn weighted(weights: &[u32]) -> Self {
        let spec = |(place, weight): (usize, &u32)| TargetSpec {
            weight: *weight,
            ..spec(&format!("t{place}"), "r")
        };
        Self::new(weights.iter().enumerate().map(spec).collect())
    }

    fn at(&self, called: &str) -> TargetIndex {
        self.pool.find(called).expect(called)
    }

    fn selector(&self, balancer: Balancer) -> Selector {
        Selector::new(&self.pool, Plan::of_all(&self.pool), balancer)
    }

    fn pick(&mut self, selector: &mut Selector, visitor: &Visitor<'_>) -> Option<Choice> {
        selector.pick(&self.pool, &mut self.live, visitor, self.now, &mut self.random)
    }

    /// What is taken, by name.
    fn taken(&mut self, selector: &mut Selector, visitor: &Visitor<'_>) -> (String, Why) {
        let choice = self.pick(selector, visitor).expect("a choice");
        (self.pool.targets()[choice.target.place()].name.to_string(), choice.why)
    }

    fn probe(&mut self, called: &str, probe: Probe) -> bool {
        let target = self.at(called);
        self.live.probe(&self.pool, target, probe, self.now)
    }

    fn fail(&mut self, called: &str) {
        self.probe(called, Probe::Failed);
        self.probe(called, Probe::Failed);
    }

    /// So many more sessions of this node play from a target.
    fn begin(&mut self, target: TargetIndex, sessions: u32) {
        let sessions = self.live.sessions(target) + sessions;
        self.count(target, sessions);
    }

    fn count(&mut self, target: TargetIndex, sessions: u32) {
        let kbit_s = self.live.kbit_s(target);
        self.live.set_counted(&self.pool, target, sessions, kbit_s);
    }

    fn serve(&mut self, called: &str, service: Service) {
        let target = self.at(called);
        self.live.set_service(&self.pool, target, service, self.now);
    }
}

const fn visitor(session: &[u8]) -> Visitor<'_> {
    Visitor::new(session)
}

const QUICK: Probe = Probe::Answered(Duration::from_millis(10));

#[test]
fn pools_that_are_none_are_named() {
    let text = |specs| Pool::new(specs).expect_err("no pool").to_string();
    assert_eq!(text(vec![]), "targets: found 0, expected 1 to 64");
    let many = (0..65).map(|place| spec(&format!("t{place}"), "r")).collect();
    assert_eq!(text(many), "targets: found 65, expected 1 to 64");
    assert_eq!(
        text(vec![spec("a", "r"), spec("a", "q")]),
        "target a: found twice, expected one of each name"
    );
    let heavy = TargetSpec {
        weight: 10_001,
        ..spec("a", "r")
    };
    assert_eq!(
        text(vec![heavy]),
        "weight of target a: found 10001, expected 10000 at most"
    );
    let paid = TargetSpec {
        kbit_s_commit: Some(9),
        kbit_s_max: Some(8),
        ..spec("a", "r")
    };
    assert_eq!(
        Pool::new(vec![paid]).expect_err("no pool"),
        NoPool::Commit {
            name: name("a"),
            found: 9,
            most: 8
        }
    );
}

/// A plan, as far as it is one without a pool.
fn stream_plan(spec: PlanSpec) -> StreamPlan {
    StreamPlan::new(spec).expect("a plan")
}

fn share(target: &str, weight: f64) -> (String, f64) {
    (target.to_owned(), weight)
}

#[test]
fn a_plan_that_cannot_be_is_refused_by_name() {
    let pool = Scene::weighted(&[1, 1, 0]).pool;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let tiers = |tiers| PlanSpec {
        tiers,
        ..PlanSpec::default()
    };
    let refused = |spec| Plan::new(&stream_plan(spec), &pool).expect_err("refused").to_string();
    assert_eq!(
        refused(tiers(vec![vec![share("cdn", 1.0)]])),
        "target: found cdn in tier 0 of the plan, expected one of the tenant's targets"
    );
    let deny = |deny: &[&str]| PlanSpec {
        deny: names(deny),
        ..PlanSpec::default()
    };
    let denied = Plan::new(&stream_plan(deny(&["nobody", "t0"])), &pool).expect("what is not there is denied already");
    assert!(!denied.permitted().is_empty() && !denied.permitted().has_place(0));
    let allow = PlanSpec {
        allow: Some(names(&["nobody"])),
        ..PlanSpec::default()
    };
    assert!(refused(allow).starts_with("target: found nobody in allow of the plan"));
    for nobody in [
        deny(&["t0", "t1"]),
        tiers(vec![vec![]]),
        tiers(vec![vec![share("t0", 0.0)]]),
    ] {
        assert_eq!(
            refused(nobody),
            "plan: found no target that it allows, expected one at least"
        );
    }
}

#[test]
fn near_targets_come_first_and_then_any_that_is_healthy() {
    let mut scene = Scene::new(vec![spec("a", "eu"), spec("b", "us"), spec("c", "us")]);
    let mut selector = scene.selector(Balancer::RoundRobin);
    let european = Visitor {
        near: scene.pool.of_region(&name("eu")),
        ..visitor(b"s")
    };
    for _ in 0..3 {
        assert_eq!(scene.taken(&mut selector, &european), ("a".to_owned(), Why::Picked));
    }
    scene.fail("a");
    assert_eq!(
        [0; 3].map(|_| scene.taken(&mut selector, &european).0).concat(),
        "bcb",
        "the far ones are alike"
    );
    // A plan's region is stronger than the visitor's.
    let plan = PlanSpec {
        preferred_region: Some("us".to_owned()),
        ..PlanSpec::default()
    };
    scene.now = scene.now + STEP;
    scene.probe("a", QUICK);
    let plan = Plan::new(&stream_plan(plan), &scene.pool).expect("a plan");
    let mut american = Selector::new(&scene.pool, plan, Balancer::RoundRobin);
    assert_ne!(scene.taken(&mut american, &european).0, "a");
}

#[test]
fn tiers_are_taken_in_order_and_degraded_targets_after_all_tiers() {
    let mut scene = Scene::weighted(&[1, 1, 1]);
    let plan = PlanSpec {
        tiers: vec![vec![share("t0", 1.0)], vec![share("t1", 1.0), share("t2", 1.0)]],
        ..PlanSpec::default()
    };
    let plan = Plan::new(&stream_plan(plan), &scene.pool).expect("a plan");
    let mut selector = Selector::new(&scene.pool, plan, Balancer::RoundRobin);
    assert_eq!(scene.taken(&mut selector, &visitor(b"s")).0, "t0");
    scene.probe("t0", Probe::Answered(LATE));
    let target = scene.at("t0");
    assert_eq!(scene.live.health(target), Health::Degraded);
    assert_eq!(scene.taken(&mut selector, &visitor(b"s")).0, "t1");
    scene.serve("t1", Service::Out);
    scene.serve("t2", Service::Draining);
    assert_eq!(
        scene.taken(&mut selector, &visitor(b"s")),
        ("t0".to_owned(), Why::Picked)
    );
}

#[test]
fn a_target_past_its_commit_is_taken_last_and_one_at_its_limit_not_at_all() {
    let limited = TargetSpec {
        kbit_s_commit: Some(800),
        kbit_s_max: Some(1_000),
        ..spec("a", "r")
    };
    let mut scene = Scene::new(vec![limited, spec("b", "r")]);
    let mut selector = scene.selector(Balancer::RoundRobin);
    let target = scene.at("a");
    let names =
        |scene: &mut Scene, selector: &mut Selector| [0, 1].map(|_| scene.taken(selector, &visitor(b"s")).0).concat();
    scene.live.set_counted(&scene.pool, target, 0, 799);
    assert_eq!(names(&mut scene, &mut selector), "ab");
    scene.live.set_counted(&scene.pool, target, 0, 800);
    assert_eq!(
        names(&mut scene, &mut selector),
        "bb",
        "what others fetch is paid for anyhow"
    );
    scene.serve("b", Service::Out);
    assert_eq!(names(&mut scene, &mut selector), "aa", "there is no other");
    let elsewhere = Report {
        kbit_s: 200,
        ..Report::default()
    };
    scene.live.report(&scene.pool, target, elsewhere).expect("a report");
    assert_eq!(
        scene.taken(&mut selector, &visitor(b"s")),
        ("a".to_owned(), Why::Panic),
        "full, and nobody else is up"
    );
}

#[test]
fn capacity_counts_sessions_of_all_nodes_and_what_the_operator_reports() {
    let small = TargetSpec {
        sessions_max: Some(2),
        ..spec("a", "r")
    };
    let mut scene = Scene::new(vec![small, spec("b", "r")]);
    let mut selector = scene.selector(Balancer::RoundRobin);
    let target = scene.at("a");
    scene.begin(target, 1);
    scene
        .live
        .report(
            &scene.pool,
            target,
            Report {
                sessions: 1,
                ..Report::default()
            },
        )
        .expect("a report");
    assert_eq!(scene.live.sessions(target), 2);
    assert_eq!(
        [0; 4].map(|_| scene.taken(&mut selector, &visitor(b"s")).0).concat(),
        "bbbb"
    );
    scene.count(target, 0);
    assert!(
        [0; 4]
            .map(|_| scene.taken(&mut selector, &visitor(b"s")).0)
            .concat()
            .contains('a')
    );
    scene
        .live
        .report(
            &scene.pool,
            target,
            Report {
                load: Some(1.0),
                ..Report::default()
            },
        )
        .expect("a report");
    assert_eq!(
        [0; 4].map(|_| scene.taken(&mut selector, &visitor(b"s")).0).concat(),
        "bbbb"
    );
    for load in [f64::NAN, -0.1, f64::INFINITY] {
        let text = scene.live.report(
            &scene.pool,
            target,
            Report {
                load: Some(load),
                ..Report::default()
            },
        );
        assert!(
            text.expect_err("no load")
                .to_string()
                .starts_with("load of target a: found ")
        );
    }
}

#[test]
fn the_cost_decides_between_equals_only() {
    let dear = TargetSpec {
        cost: 10,
        ..spec("dear", "r")
    };
    let mut scene = Scene::new(vec![dear, spec("cheap", "r")]);
    let mut selector = scene.selector(Balancer::Adaptive);
    for _ in 0..50 {
        assert_eq!(scene.taken(&mut selector, &visitor(b"s")).0, "cheap");
    }
    scene.probe("cheap", Probe::Answered(Duration::from_millis(500)));
    for _ in 0..50 {
        assert_eq!(
            scene.taken(&mut selector, &visitor(b"s")).0,
            "dear",
            "it is the quicker by far"
        );
    }
}

#[test]
fn a_target_serves_only_the_countries_that_it_may() {
    let country = |text| Country::parse(text).expect("a country");
    let german = TargetSpec {
        countries: Some(vec![country("de"), country("AT")]),
        ..spec("a", "r")
    };
    let mut scene = Scene::new(vec![german]);
    let mut selector = scene.selector(Balancer::Adaptive);
    let from = |country| Visitor {
        country,
        ..visitor(b"s")
    };
    assert!(scene.pick(&mut selector, &from(Some(country("at")))).is_some());
    assert_eq!(scene.pick(&mut selector, &from(Some(country("fr")))), None);
    assert_eq!(scene.pick(&mut selector, &from(None)), None, "nobody knows from where");
    let order = selector.order(
        &scene.pool,
        &mut scene.live,
        &from(None),
        9,
        scene.now,
        &mut scene.random,
    );
    assert!(order.is_empty());
    assert_eq!(
        (Country::parse("d"), Country::parse("d1"), Country::parse("deu")),
        (None, None, None)
    );
}

#[test]
fn when_all_are_down_those_that_went_last_share_what_comes_and_two_are_listed() {
    let mut scene = Scene::weighted(&[1, 1, 1, 1]);
    scene.fail("t0");
    scene.now = scene.now + 10 * STEP;
    // What goes within moments goes for one reason, which may be this node's.
    for called in ["t1", "t2", "t3"] {
        scene.fail(called);
        scene.now = scene.now + Duration::from_secs(2);
    }
    let mut selector = scene.selector(Balancer::Adaptive);
    let mut had = [0; 4];
    for _ in 0..300 {
        let choice = scene.pick(&mut selector, &visitor(b"s")).expect("a choice");
        assert_eq!(choice.why, Why::Panic);
        had[choice.target.place()] += 1;
        scene.begin(choice.target, 1);
    }
    assert!(
        had[0] == 0 && had[1..].iter().all(|had| (95..=105).contains(had)),
        "{had:?}"
    );
    let order = scene.order(&mut selector);
    assert!(order.len() == 2 && order[0] > 0, "{order:?}");
    // Nobody moves from one that looks dead to another, whichever was asked last.
    for called in ["t1", "t2", "t3"] {
        let playing = Visitor {
            current: Some(scene.at(called)),
            ..visitor(b"s")
        };
        scene.probe("t2", Probe::Failed);
        assert_eq!(scene.taken(&mut selector, &playing), (called.to_owned(), Why::Kept));
    }
    let long_dead = Visitor {
        current: Some(scene.at("t0")),
        ..visitor(b"s")
    };
    assert_eq!(scene.pick(&mut selector, &long_dead).expect("a choice").why, Why::Panic);
    // One that is draining still answers.
    let mut draining = Scene::weighted(&[1, 1]);
    draining.fail("t0");
    draining.serve("t1", Service::Draining);
    let mut selector = draining.selector(Balancer::Adaptive);
    assert_eq!(
        draining.taken(&mut selector, &visitor(b"s")),
        ("t1".to_owned(), Why::Panic)
    );
}

#[test]
fn who_is_down_or_draining_is_listed_only_to_make_two() {
    let mut scene = Scene::weighted(&[1, 1, 1, 1]);
    scene.fail("t0");
    scene.serve("t1", Service::Draining);
    let mut selector = scene.selector(Balancer::RoundRobin);
    assert_eq!(scene.order(&mut selector), [2, 3]);
    scene.serve("t2", Service::Out);
    assert_eq!(scene.order(&mut selector), [3, 1]);
}

#[test]
fn the_nearest_on_the_globe_is_taken_when_somebody_knows_where() {
    let place = |north, east| Place::new(north, east).ok();
    let mut scene = Scene::new(vec![
        spec("nowhere", "r"),
        TargetSpec {
            place: place(50.0, 8.0),
            ..spec("frankfurt", "r")
        },
        TargetSpec {
            place: place(40.0, -74.0),
            ..spec("new-york", "r")
        },
    ]);
    let mut selector = scene.selector(Balancer::Nearest);
    let from = |place| Visitor { place, ..visitor(b"s") };
    assert_eq!(scene.taken(&mut selector, &from(place(42.0, -71.0))).0, "new-york");
    assert_eq!(scene.taken(&mut selector, &from(place(48.0, 2.0))).0, "frankfurt");
    assert!(scene.pick(&mut selector, &from(None)).is_some());
}

#[test]
fn an_explanation_names_each_filter_and_the_parts_of_the_score() {
    let fr = Country::parse("fr").expect("a country");
    let mut scene = Scene::new(vec![
        spec("denied", "r"),
        spec("left-out", "r"),
        TargetSpec {
            weight: 0,
            ..spec("weightless", "r")
        },
        TargetSpec {
            countries: Some(vec![fr]),
            ..spec("french", "r")
        },
        spec("dead", "r"),
        spec("draining", "r"),
        TargetSpec {
            sessions_max: Some(1),
            ..spec("full", "r")
        },
        TargetSpec {
            sessions_max: Some(10),
            kbit_s_max: Some(1_000),
            cost: 3,
            ..spec("good", "r")
        },
    ]);
    scene.fail("dead");
    scene.serve("draining", Service::Draining);
    for called in ["full", "good"] {
        let target = scene.at(called);
        scene.begin(target, 1);
    }
    let good = scene.at("good");
    scene
        .live
        .set_counted(&scene.pool, good, scene.live.sessions(good), 250);
    scene.probe("good", QUICK);
    let names = ["denied", "weightless", "french", "dead", "draining", "full", "good"];
    let plan = PlanSpec {
        allow: Some(names.map(str::to_owned).to_vec()),
        deny: vec!["denied".to_owned()],
        ..PlanSpec::default()
    };
    let plan = Plan::new(&stream_plan(plan), &scene.pool).expect("a plan");
    let selector = Selector::new(&scene.pool, plan, Balancer::Adaptive);
    let near = scene.pool.of_region(&name("r"));
    let visitor = Visitor { near, ..visitor(b"s") };
    let told = selector.explain(&scene.pool, &scene.live, &visitor, scene.now, &scene.random);
    let lines: Vec<String> = told.targets.iter().map(ToString::to_string).collect();
    // The latency believes bad news at once and good news over its decay time; no time has passed.
    assert_eq!(
        lines,
        [
            "denied: policy: denied",
            "left-out: policy: not in its plan",
            "weightless: policy: weight 0",
            "french: geography: not for this country",
            "dead: health: down",
            "draining: health: draining",
            "full: capacity: full with 1 sessions, 0 kbit/s",
            "good: score 0.614 (load 0.78, latency 100.0 ms, bandwidth 0.25), tier 0, weight 1, cost 3, near",
        ]
    );
    assert_eq!(
        told.choice,
        Some(Choice {
            target: good,
            why: Why::Picked
        })
    );
}

#[test]
fn the_weights_of_a_score_can_be_set() {
    let by_bandwidth = Adaptive::new(Weights {
        load: 0.0,
        latency: 0.0,
        bandwidth: 1.0,
    })
    .expect("weights");
    let pool = Pool::new(vec![
        TargetSpec {
            kbit_s_max: Some(100),
            ..spec("a", "r")
        },
        TargetSpec {
            kbit_s_max: Some(100),
            ..spec("b", "r")
        },
    ]);
    let pool = pool.expect("a pool");
    let mut live = Live::new(&pool, by_bandwidth, STEP, Moment::default());
    let (a, b) = (pool.find("a").expect("a"), pool.find("b").expect("b"));
    live.set_counted(&pool, b, live.sessions(b), 50);
    live.set_counted(&pool, a, 100, 0);
    let mut selector = Selector::new(&pool, Plan::of_all(&pool), Balancer::Adaptive);
    let taken = selector.pick(&pool, &mut live, &visitor(b"s"), Moment::default(), &mut Random::new(1));
    assert_eq!(taken.map(|choice| choice.target), Some(a));
}

#[test]
fn a_load_that_the_operator_reports_counts_when_it_is_more_than_what_is_counted() {
    let mut scene = Scene::weighted(&[1, 1]);
    let mut selector = scene.selector(Balancer::Adaptive);
    let target = scene.at("t0");
    let report = Report {
        load: Some(0.9),
        ..Report::default()
    };
    scene.live.report(&scene.pool, target, report).expect("a report");
    for _ in 0..20 {
        assert_eq!(scene.taken(&mut selector, &visitor(b"s")).0, "t1");
    }
    let other = scene.at("t1");
    scene.begin(other, 100);
    let told = selector.explain(&scene.pool, &scene.live, &visitor(b"s"), scene.now, &scene.random);
    assert!((told.targets[0].score.load - 0.9).abs() < 1e-9 && told.targets[1].score.load > 0.5);
}

mod moved;
mod properties;
mod sessions;
