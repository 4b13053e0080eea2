//! The tests of `tests.toml`, run natively. `wayside policy test` and whoever admits the component run the same.

use std::fmt::Debug;

use toml::{Table, Value};

use super::{Answer, Facts, Run};
use crate::{Decision, Plan, StreamDecision};

/// Runs the tests of a `tests.toml` on a policy:
///
/// ```ignore
/// #[test]
/// fn it_passes_its_tests() {
///     wayside::testing::check(include_str!("../tests.toml"), decide);
/// }
/// ```
///
/// Questions about the time are answered by facts of their own, or by `now` where `clock::at_or_after` asks; a test that
/// gives `now` to a policy that asks for hours or days is left to `wayside policy test`, which knows the time zones.
///
/// # Panics
/// When a test does not pass, with its name, what was expected and what was found; or when they cannot be read.
pub fn check<D: Into<Decision>>(tests: &str, policy: impl Fn() -> D) {
    each(tests, |name, test| {
        check_one(name, test, facts(name, test).run(&policy), expected(test))
    });
}

/// Runs the tests of a `tests.toml` on a policy of streams, as [`check`] does on any other.
///
/// # Panics
/// As [`check`].
pub fn check_stream<D: Into<StreamDecision>>(tests: &str, policy: impl Fn() -> D) {
    each(tests, |name, test| {
        let run = facts(name, test).run_stream(|| by_name(policy().into()));
        check_one(name, test, run, expected_of_stream(name, test));
    });
}

fn each(tests: &str, mut check: impl FnMut(&str, &Table)) {
    let file: Table = tests.parse().unwrap_or_else(|error| panic!("tests.toml: {error}"));
    let Some(tests) = file.get("test").and_then(Value::as_array) else {
        panic!("tests.toml: found no [[test]]");
    };
    for test in tests.iter().filter_map(Value::as_table) {
        let Some(name) = test.get("name").and_then(Value::as_str) else {
            panic!("tests.toml: found a test without a name");
        };
        check(name, test);
    }
}

fn check_one<D: PartialEq + Debug>(name: &str, test: &Table, run: Run<D>, expected: Option<D>) {
    let needs_zones = |question: &String| question.starts_with("clock.hour(") || question.starts_with("clock.weekday(");
    if run
        .asked
        .iter()
        .any(|question| needs_zones(question) && !has_fact(test, question))
    {
        return;
    }
    match (expected, &run.decision) {
        (Some(expected), Ok(found)) => assert_eq!(*found, expected, "test {name:?}"),
        (Some(expected), Err(failure)) => panic!("test {name:?}: expected {expected:?}, found the failure {failure}"),
        (None, Ok(found)) => {
            // What is no decision at all is found out by the host.
            let is_about_decision = test.get("fails").and_then(Value::as_str) == Some("invalid_decision");
            assert!(is_about_decision, "test {name:?}: expected a failure, found {found:?}");
        }
        (None, Err(_)) => {}
    }
    if let Some(asks) = test.get("asks").and_then(Value::as_array) {
        let asks: Vec<&str> = asks.iter().filter_map(Value::as_str).collect();
        assert_eq!(run.asked, asks, "test {name:?}");
    }
}

fn has_fact(test: &Table, question: &str) -> bool {
    test.get("facts")
        .and_then(Value::as_table)
        .is_some_and(|facts| facts.contains_key(question))
}

fn facts(name: &str, test: &Table) -> Facts {
    let mut facts = Facts::new();
    facts.now = test
        .get("now")
        .and_then(Value::as_integer)
        .and_then(|now| now.try_into().ok());
    for (question, fact) in test.get("facts").and_then(Value::as_table).into_iter().flatten() {
        let answer =
            answer(fact).unwrap_or_else(|| panic!("test {name:?}: {question}: found {fact:?}, which is no answer"));
        facts.answers.insert(question.clone(), answer);
    }
    for (setting, value) in test.get("settings").and_then(Value::as_table).into_iter().flatten() {
        let value = value
            .as_str()
            .unwrap_or_else(|| panic!("test {name:?}: setting {setting}: expected a text"));
        facts.settings.insert(setting.clone(), value.to_owned());
    }
    facts
}

fn answer(fact: &Value) -> Option<Answer> {
    Some(match fact {
        Value::Boolean(flag) => Answer::Flag(*flag),
        Value::Integer(number) => Answer::Number((*number).try_into().ok()?),
        Value::String(text) => Answer::Text(text.clone()),
        Value::Array(items) => Answer::List(
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// The decision that is expected; none where a failure is.
fn expected(test: &Table) -> Option<Decision> {
    let status = |name: &str| {
        test.get(name)
            .and_then(Value::as_integer)
            .and_then(|status| u16::try_from(status).ok())
    };
    if let Some(location) = test.get("redirect").and_then(Value::as_str) {
        return Some(Decision::redirect(location).status(status("status").unwrap_or(302)));
    }
    if let Some(denied) = status("deny") {
        return Some(Decision::deny(denied));
    }
    test.contains_key("proceed").then_some(Decision::Proceed)
}

fn expected_of_stream(name: &str, test: &Table) -> Option<StreamDecision> {
    let Some(plan) = test.get("plan") else {
        return expected(test).map(StreamDecision::from);
    };
    let names = |field: &str| {
        let names = plan.get(field)?.as_array()?.iter().map(Value::as_str);
        names.map(|name| name.map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let weight = |weight: &Value| weight.as_float().or_else(|| Some(weight.as_integer()? as f64));
    let tier = |tier: &Value| {
        let shares = tier.as_table()?.iter();
        shares
            .map(|(target, share)| Some((target.clone(), weight(share)?)))
            .collect()
    };
    let tiers = plan.get("tiers").and_then(Value::as_array).into_iter().flatten();
    let Some(tiers) = tiers.map(tier).collect::<Option<Vec<_>>>() else {
        panic!("test {name:?}: tiers of the plan: found {plan:?}, expected a list of tables of targets and weights");
    };
    Some(by_name(StreamDecision::Plan(Plan {
        tiers,
        allow: names("allow"),
        deny: names("deny").unwrap_or_default(),
        preferred_region: plan.get("preferred-region").and_then(Value::as_str).map(str::to_owned),
    })))
}

/// The same decision, with what has no order in a plan in order of names: as the host compares it.
fn by_name(mut decision: StreamDecision) -> StreamDecision {
    if let StreamDecision::Plan(plan) = &mut decision {
        for tier in &mut plan.tiers {
            tier.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        plan.allow.iter_mut().for_each(|names| names.sort_unstable());
        plan.deny.sort_unstable();
    }
    decision
}
