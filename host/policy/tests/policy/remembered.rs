//! Remembered ≡ fresh for a real guest: one that does what a program in its settings says.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;
use wayside_decide::{
    decision::{Decision, Failure},
    question::Answer,
    trace::Recorder,
    tree::{
        TreeLimits, Walk,
        memory::{Memory, NotKept},
    },
};
use wayside_policy::{facts::MapFacts, guest::Guest};

use crate::load;

static INTERPRETER: LazyLock<Arc<Guest>> = LazyLock::new(|| load("interpreter"));

/// Questions as the program names them.
fn questions() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b")];
    let zone = prop_oneof![Just("Europe/Berlin"), Just("Asia/Kolkata")];
    prop_oneof![
        Just("country".to_owned()),
        Just("target".to_owned()),
        name.clone().prop_map(|name| format!("header {name}")),
        name.clone().prop_map(|name| format!("cookie {name}")),
        (0..3).prop_map(|index| format!("segment {index}")),
        name.clone().prop_map(|name| format!("attribute {name}")),
        zone.clone().prop_map(|zone| format!("hour {zone}")),
        zone.prop_map(|zone| format!("weekday {zone}")),
        (name, 2..4).prop_map(|(salt, count)| format!("bucket {salt} {count}")),
        (0..20).prop_map(|instant| format!("after {instant}")),
    ]
}

fn programs() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => (0..6).prop_map(|number| format!("decide {number}")), 1 => Just("panic".to_owned())];
    leaf.prop_recursive(5, 30, 3, |inner| {
        prop_oneof![
            3 => (questions(), prop::collection::vec(inner.clone(), 1..4)).prop_map(|(question, branches)| {
                format!("ask {question} {} {}", branches.len(), branches.join(" "))
            }),
            1 => (questions(), inner).prop_map(|(question, then)| format!("name {question} {then}")),
        ]
    })
}

/// What changes between two requests: the answer to a question as an explanation writes it, or the time.
#[derive(Debug, Clone)]
enum Event {
    Change(&'static str, Answer),
    Clock(u64),
    Again,
}

fn events() -> impl Strategy<Value = Event> {
    let text = prop_oneof![Just("a"), Just("ab"), Just("abc"), Just("")];
    let texts = prop_oneof![
        Just("visitor.country"),
        Just("link.target"),
        Just("link.attribute(\"a\")"),
        Just("link.attribute(\"b\")"),
        Just("request.header(\"a\")"),
        Just("request.header(\"b\")"),
        Just("request.cookie(\"a\")"),
        Just("request.cookie(\"b\")"),
        Just("request.segment(0)"),
        Just("request.segment(1)"),
        Just("request.query(\"a\")"),
        Just("request.query(\"ab\")"),
        Just("request.query(\"absent\")"),
    ];
    let buckets = prop_oneof![Just("visitor.bucket(\"a\", 2)"), Just("visitor.bucket(\"b\", 2)")];
    prop_oneof![
        5 => (texts, text).prop_map(|(question, text)| Event::Change(question, Answer::text(Some(text)))),
        1 => (buckets, 0_u64..2).prop_map(|(question, bucket)| Event::Change(question, Answer::Number(bucket))),
        1 => (0_u64..25).prop_map(Event::Clock),
        1 => (0_u64..200).prop_map(|half_hours| Event::Clock(half_hours * 1_800)),
        1 => Just(Event::Again),
    ]
}

type Outcome = Result<Decision, Failure>;

fn run(world: &MapFacts) -> (Recorder, Outcome) {
    let run = INTERPRETER.run(Recorder::new(Arc::new(world.clone())));
    (run.recorder, run.result)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_remembered_of_a_guest_is_what_it_would_decide(
        program in programs(),
        history in prop::collection::vec(events(), 1..30),
        leaves_max in 1_usize..8,
    ) {
        let limits = TreeLimits { leaves_max, ..TreeLimits::default() };
        let memory = Memory::new(limits);
        let mut world = MapFacts {
            answers: BTreeMap::new(),
            settings: BTreeMap::from([("program".to_owned(), program)]),
            now: Some(0),
        };
        for event in &history {
            match event {
                Event::Change(question, answer) => drop(world.answers.insert((*question).to_owned(), answer.clone())),
                Event::Clock(now) => world.now = Some(*now),
                Event::Again => {}
            }
            let (recorder, fresh) = run(&world);
            prop_assert!(
                !matches!(&fresh, Err(failure) if !failure.is_deterministic()),
                "nothing here takes long: {:?}", fresh
            );
            if let Walk::Found(hit) = memory.walk(&world) {
                prop_assert_eq!(hit.leaf.decided().outcome(), &fresh);
            }
            match memory.graft(recorder.trace(), fresh) {
                Ok(_) => {}
                Err(NotKept::Contradicted(contradiction)) => prop_assert!(false, "{}", contradiction),
                Err(NotKept::Passing(failure)) => prop_assert!(false, "{}", failure),
            }
        }
    }
}

/// The guest does what its program says; otherwise the property above would hold of nothing.
#[test]
fn the_interpreter_asks_and_decides_as_told() {
    let decided = |program: &str, country: Option<&str>| {
        let answers = country.map(|country| ("visitor.country".to_owned(), Answer::text(Some(country))));
        let (recorder, outcome) = run(&MapFacts {
            answers: answers.into_iter().collect(),
            settings: BTreeMap::from([("program".to_owned(), program.to_owned())]),
            now: Some(5),
        });
        let asked: Vec<String> = recorder
            .trace()
            .varying()
            .iter()
            .map(|(question, _)| question.to_string())
            .collect();
        (
            outcome.map_or_else(|failure| failure.label().to_owned(), |decision| decision.to_string()),
            asked.join(" "),
        )
    };
    let split = "ask country 3 decide 0 panic ask after 5 2 decide 1 decide 4";
    for (country, outcome, asked) in [
        (None, "proceed", "visitor.country"),
        (Some(""), "trapped", "visitor.country"),
        (
            Some("a"),
            "302 https://4.example/",
            "visitor.country clock.at-or-after(5)",
        ),
        (Some("abc"), "trapped", "visitor.country"),
    ] {
        assert_eq!(
            decided(split, country),
            (outcome.to_owned(), asked.to_owned()),
            "{country:?}"
        );
    }
    let named = decided("name country decide 1", Some("ab"));
    assert_eq!(
        named,
        ("proceed".to_owned(), "visitor.country request.query(\"ab\")".to_owned())
    );
}

/// A question for each visitor, each with another name, is the most a policy can do to the tree: it stays small, and what
/// others use stays in it.
#[test]
fn a_guest_that_reads_ten_thousand_different_things_fills_nothing() {
    let limits = TreeLimits::default();
    let memory = Memory::new(limits);
    let program = "name segment 0 decide 1".to_owned();
    for visitor in 0..10_000 {
        let world = MapFacts {
            answers: BTreeMap::from([(
                "request.segment(0)".to_owned(),
                Answer::text(Some(&*format!("x-{visitor}"))),
            )]),
            settings: BTreeMap::from([("program".to_owned(), program.clone())]),
            now: None,
        };
        let (recorder, outcome) = run(&world);
        memory.graft(recorder.trace(), outcome).expect("no contradiction");
    }
    let tree = memory.tree();
    let size = tree.size();
    assert!(size.leaves <= limits.answers_max && size.bytes < 1 << 20, "{size:?}");
    let wide: Vec<String> = tree.wide().iter().map(|wide| wide.question.to_string()).collect();
    assert_eq!(wide, ["request.segment(0)"]);
}
