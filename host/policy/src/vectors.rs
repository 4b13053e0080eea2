//! A policy's tests, written as data: facts, the decision expected of them, and the questions expected on the way.
//!
//! In: a `tests.toml`. Out: for a guest, every test it does not pass. The file:
//!
//! ```toml
//! [[test]]
//! name = "a country with a place of its own"
//! settings = { de = "https://example.de/" }
//! facts = { "visitor.country" = "DE" }          # as the question is written in an explanation
//! redirect = "https://example.de/"              # or: proceed = true, deny = 451, fails = "trapped", plan = { … }
//! status = 302                                  # 302 when left out
//! asks = ["visitor.country", 'settings.get("de")']
//! ```
//!
//! A plan is `plan = { tiers = [{ a = 3, b = 1 }, { c = 1 }], allow = ["a"], deny = ["d"], preferred-region = "eu" }`, each
//! tier's targets with their weights, and what is left out is not said.
//!
//! `now = 1900000000` answers every question about the time, which is the beginning of 1970 without it. What else no
//! fact is given for is not known.

use std::{fmt, sync::Arc};

use wayside_decide::{
    decision::{Decision, Failure},
    invalid::{Invalid, quote},
    trace::Recorder,
};

use crate::{facts::MapFacts, guest::Guest};

mod read;

/// Tests in one file.
const TESTS_MAX: usize = 1_000;

/// The tests cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// The file is no TOML of this shape; the message names line and column.
    #[error("{0}")]
    Toml(String),
    /// There are no tests in it, or too many.
    #[error("found {0} tests, expected 1 to {TESTS_MAX}, each under `[[test]]`")]
    Count(usize),
    /// A test says something that has no meaning.
    #[error("test {}: {error}", quote(.test))]
    Test {
        /// Its name.
        test: String,
        /// What is wrong.
        #[source]
        error: Invalid,
    },
}

/// The tests of one policy.
#[derive(Debug)]
pub struct Vectors(Vec<Vector>);

#[derive(Debug)]
struct Vector {
    name: String,
    facts: MapFacts,
    expected: Expected,
    asks: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Decision(Decision),
    Failure(String),
}

/// A test that a guest does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The test's name.
    pub test: String,
    /// What was expected: a decision, a list of questions, or both.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, expected, found } = self;
        write!(formatter, "test {}: expected {expected}, found {found}", quote(test))
    }
}

impl Vectors {
    /// Reads tests.
    ///
    /// # Errors
    /// [`VectorError`], which names the place or the test.
    pub fn parse(text: &str) -> Result<Self, VectorError> {
        read::vectors(text).map(Self)
    }

    /// How many tests there are, never 0.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Runs the tests on a guest up to the first that does not match, which it returns.
    ///
    /// # Errors
    /// The failure of a run that was cut off, again and again.
    pub fn first_mismatch(&self, guest: &Guest) -> Result<Option<Mismatch>, Failure> {
        for vector in &self.0 {
            match vector.try_on(guest) {
                (_, None) => {}
                (Err(failure), Some(_)) if !failure.is_deterministic() => return Err(failure),
                (_, mismatch) => return Ok(mismatch),
            }
        }
        Ok(None)
    }

    /// Runs every test on a guest, and returns what does not match: at most one for each test.
    #[must_use]
    pub fn check(&self, guest: &Guest) -> Vec<Mismatch> {
        self.0.iter().filter_map(|vector| vector.try_on(guest).1).collect()
    }
}

impl Vector {
    /// Tries the test: what the run came to, and how that does not match.
    fn try_on(&self, guest: &Guest) -> (Result<Decision, Failure>, Option<Mismatch>) {
        let run = guest.trial(&Recorder::new(Arc::new(self.facts.clone())));
        let mismatch = |expected: String, found: String| {
            let test = self.name.clone();
            Some(Mismatch { test, expected, found })
        };
        let is_as_expected = match (&run.result, &self.expected) {
            (Ok(found), Expected::Decision(expected)) => found == expected,
            (Err(found), Expected::Failure(expected)) => found.label() == expected,
            _ => false,
        };
        let asked: Vec<String> = run
            .recorder
            .trace()
            .iter()
            .map(|(question, _)| question.to_string())
            .collect();
        let asks = self.asks.as_ref().filter(|expected| **expected != asked);
        let asks = asks.map(|expected| (questions(expected), questions(&asked)));
        let decided = (!is_as_expected).then(|| (self.expected.to_string(), describe(&run.result)));
        // Both together say more than either: what was asked tells why it was decided so.
        let mismatch = match (decided, asks) {
            (Some((expected, found)), Some((asks, asked))) => {
                mismatch(format!("{expected} and {asks}"), format!("{found} and {asked}"))
            }
            (Some((expected, found)), None) | (None, Some((expected, found))) => mismatch(expected, found),
            (None, None) => None,
        };
        (run.result, mismatch)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision(decision) => describe_decision(decision).fmt(formatter),
            Self::Failure(label) => write!(formatter, "the failure `{label}`"),
        }
    }
}

fn questions(asked: &[String]) -> String {
    match asked {
        [] => "no questions".to_owned(),
        asked => format!("the questions {}", asked.join(", ")),
    }
}

fn describe(result: &Result<Decision, Failure>) -> String {
    match result {
        Ok(decision) => describe_decision(decision),
        Err(failure) => format!("the failure `{}` ({failure})", failure.label()),
    }
}

fn describe_decision(decision: &Decision) -> String {
    match decision {
        Decision::Proceed => "proceed".to_owned(),
        Decision::Redirect { status, location } => format!("redirect {} {location}", status.code()),
        Decision::Deny(_) | Decision::Plan(_) => decision.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Vectors, read::QUESTIONS};

    #[test]
    fn the_questions_are_those_of_the_contract() {
        let contract = include_str!("../../../wit/policy.wit");
        let mut interface = "";
        let mut asked = vec!["request.raw-query".to_owned()];
        for line in contract.lines() {
            if let Some(name) = line.strip_prefix("interface ") {
                interface = name.trim_end_matches(" {");
            } else if let Some((name, _)) = line.trim().split_once(": func(") {
                asked.push(format!("{interface}.{name}"));
            }
        }
        // Settings have a place of their own, a log asks nothing, and what is exported is the answer.
        asked.retain(|name| !["settings.get", "log.write"].contains(&name.as_str()) && !name.contains("export "));
        let mut known: Vec<String> = QUESTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort_unstable();
        asked.sort_unstable();
        assert_eq!(known, asked);
    }

    fn error(text: &str) -> String {
        match Vectors::parse(text) {
            Ok(_) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn errors_name_the_test_and_what_was_expected() {
        for (text, expected) in [
            ("", "found 0 tests"),
            ("[[test]]\nname = \"a\"\nproceed = true\nredirct = \"x\"", "line 4"),
            ("[[test]]\nname = \"a\"", "test \"a\": expectation: found 0 of them"),
            ("[[test]]\nname = \"a\"\nproceed = true\ndeny = 451", "found 2 of them"),
            ("[[test]]\nname = \"a\"\nproceed = true\nstatus = 301", "exactly one of"),
            ("[[test]]\nname = \"a\"\ndeny = 200", "401, 403, 404"),
            (
                "[[test]]\nname = \"a\"\nplan = { tiers = [{ b = -1 }] }",
                "test \"a\": weight: found -1 of target b in tier 0",
            ),
            ("[[test]]\nname = \"a\"\nplan = { tier = [] }", "line 3"),
            ("[[test]]\nname = \"a\"\nredirect = \"javascript:x\"", "target"),
            (
                "[[test]]\nname = \"a\"\nproceed = true\nfacts = { \"visitor.contry\" = \"DE\" }",
                "visitor.contry",
            ),
            (
                "[[test]]\nname = \"a\"\nproceed = true\nfacts = { \"visitor.bot\" = \"yes\" }",
                "`true` or `false`",
            ),
            (
                "[[test]]\nname = \"a\"\nproceed = true\nfacts = { 'settings.get(\"a\")' = \"b\" }",
                "under `settings`",
            ),
        ] {
            assert!(error(text).contains(expected), "{text}\n{}", error(text));
        }
    }

    #[test]
    fn every_kind_of_expectation_is_read() {
        let text = r#"
            [[test]]
            name = "redirect"
            facts = { "visitor.asn" = 64496, "link.tags" = ["a"], 'visitor.bucket("x", 100)' = 7 }
            redirect = "https://example.com{path}"
            status = 308
            asks = []
            [[test]]
            name = "deny"
            now = 5
            deny = 451
            [[test]]
            name = "failure"
            fails = "trapped"
            [[test]]
            name = "plan"
            facts = { "streams.tags" = ["live"], 'streams.region("a")' = "eu" }
            plan = { tiers = [{ a = 3, b = 0.5 }, { c = 1 }], deny = ["d"], preferred-region = "eu" }
        "#;
        let vectors = Vectors::parse(text).expect("tests");
        let expected: Vec<String> = vectors.0.iter().map(|vector| vector.expected.to_string()).collect();
        assert_eq!(
            expected,
            [
                "redirect 308 https://example.com{path}",
                "deny 451",
                "the failure `trapped`",
                "plan: a 3, b 0.5; then c 1; deny d; prefer eu"
            ]
        );
    }
}
