//! Policies of streams: what they plan is checked, and asked of them in their own words.

use std::{collections::BTreeMap, sync::Arc};

use wayside_decide::{
    decision::{Decision, Failure},
    question::Answer,
    trace::Recorder,
    tree::{Hit, Walk, memory::Memory},
};
use wayside_policy::{facts::MapFacts, world::World};

use crate::{admission, component, load, with_settings};

fn outcome(mode: &str) -> Result<Decision, Failure> {
    load("hostile-stream").run(with_settings(&[("mode", mode)])).result
}

#[test]
fn what_cannot_be_a_plan_is_refused_by_name() {
    for (mode, expected) in [
        (
            "nan",
            "weight: found NaN of target c in tier 1, expected a finite number from 0",
        ),
        (
            "negative",
            "weight: found -1 of target c in tier 1, expected a finite number from 0",
        ),
        (
            "infinite",
            "weight: found inf of target c in tier 1, expected a finite number from 0",
        ),
        (
            "twice",
            "target: found a again, in tier 1, expected each target once in all tiers",
        ),
        ("many-tiers", "tiers: found 9, expected at most 8"),
        ("many-targets", "allow: found 65, expected at most 64"),
        ("unnameable-target", "target: found \"two words\""),
        ("status-200", "status: found 200"),
    ] {
        let Err(Failure::InvalidDecision(invalid)) = outcome(mode) else {
            panic!("{mode}: not an invalid decision");
        };
        assert!(invalid.to_string().starts_with(expected), "{mode}: {invalid}");
    }
    assert!(matches!(outcome("big-plan"), Err(Failure::Trapped(_))));
    assert!(matches!(outcome("panic"), Err(Failure::Trapped(reason)) if reason.contains("as told")));
    assert_eq!(outcome("nothing"), Ok(Decision::Proceed));
}

/// Which targets there are, only the edge knows.
#[test]
fn a_plan_for_targets_that_nobody_knows_is_a_plan() {
    for (mode, expected) in [("unknown-target", "plan: nowhere 1"), ("nobody", "plan: a 0")] {
        assert_eq!(outcome(mode).map(|plan| plan.to_string()), Ok(expected.to_owned()));
    }
}

#[test]
fn each_world_is_told_by_what_is_exported() {
    for (name, world) in [("hostile-stream", World::Stream), ("hostile", World::Redirect)] {
        let (admitted, _) = admission().admit(&component(name)).expect(name);
        assert_eq!(admitted.world, world, "{name}");
    }
}

/// A plan is remembered by what was asked, as a redirect is: two that mean the same are one.
#[test]
fn what_is_remembered_of_a_plan_is_what_the_policy_would_plan_afresh() {
    let guest = load("two-cdns");
    let memory = Memory::default();
    let settings = [
        ("first", "cdn-a"),
        ("second", "cdn-b"),
        ("country", "DE"),
        ("percent", "20"),
        ("behind", "own"),
        ("eu", "europe"),
    ];
    let mut runs = 0;
    for (country, continent) in [
        ("DE", "EU"),
        ("FR", "EU"),
        ("US", "NA"),
        ("DE", "EU"),
        ("FR", "EU"),
        ("AT", "EU"),
    ] {
        let world = MapFacts {
            answers: BTreeMap::from([
                ("visitor.country".to_owned(), Answer::text(Some(country))),
                ("visitor.continent".to_owned(), Answer::text(Some(continent))),
            ]),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            now: None,
        };
        let fresh = guest.run(Recorder::new(Arc::new(world.clone())));
        match memory.walk(&world) {
            Walk::Found(Hit { leaf, .. }) => assert_eq!(*leaf.decided().outcome(), fresh.result, "{country}"),
            _ => {
                runs += 1;
                memory.graft(fresh.recorder.trace(), fresh.result).expect("a leaf");
            }
        }
    }
    assert_eq!(runs, 4, "one for each country");
    let tree = memory.tree();
    let mut plans: Vec<String> = tree
        .leaves()
        .map(|leaf| leaf.decided().outcome().as_ref().expect("a plan").to_string())
        .collect();
    plans.sort();
    assert_eq!(
        plans,
        [
            "plan: cdn-a 1; then cdn-b 1; then own 1",
            "plan: cdn-a 1; then cdn-b 1; then own 1; prefer europe",
            "plan: cdn-a 1; then cdn-b 1; then own 1; prefer europe",
            "plan: cdn-a 80, cdn-b 20; then own 1; prefer europe",
        ]
    );
}
