//! A policy's tests, written as data: facts, the decision expected of them, and the questions expected on the way.
//!
//! In: a `tests.toml`. Out: for a guest, every test it does not pass. The file:
//!
//! ```toml
//! [[test]]
//! name = "a country with a place of its own"
//! settings = { de = "https://example.de/" }
//! facts = { "visitor.country" = "DE" }          # as the question is written in an explanation
//! redirect = "https://example.de/"              # or: proceed = true, deny = 451, fails = "trapped"
//! status = 302                                  # 302 when left out
//! asks = ["visitor.country", 'settings.get("de")']
//! ```
//!
//! `now = 1900000000` answers every question about the time, which is the beginning of 1970 without it. What else no
//! fact is given for is not known.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;
use wayside_decide::{
    decision::{Decision, Failure},
    invalid::{Invalid, quote},
    question::Answer,
    status::{DenyStatus, RedirectStatus},
    template::Template,
    trace::Recorder,
};

use crate::{facts::MapFacts, guest::Guest};

/// Tests in one file.
const TESTS_MAX: usize = 1_000;
/// How often a test whose run is cut off is tried again.
const TRIALS_MAX: usize = 3;

/// The questions that can be given facts for, and the kind of their answer.
const QUESTIONS: [(&str, Kind); 34] = [
    ("request.method", Kind::Text),
    ("request.scheme", Kind::Text),
    ("request.host", Kind::Text),
    ("request.path", Kind::Text),
    ("request.segment", Kind::Text),
    ("request.raw-query", Kind::Text),
    ("request.query", Kind::Text),
    ("request.header", Kind::Text),
    ("request.cookie", Kind::Text),
    ("request.prefers", Kind::Text),
    ("visitor.country", Kind::Text),
    ("visitor.continent", Kind::Text),
    ("visitor.subdivision", Kind::Text),
    ("visitor.city", Kind::Text),
    ("visitor.time-zone", Kind::Text),
    ("visitor.in-eu", Kind::Flag),
    ("visitor.asn", Kind::Number),
    ("visitor.in-network", Kind::Flag),
    ("visitor.nearest", Kind::Text),
    ("visitor.device", Kind::Text),
    ("visitor.os", Kind::Text),
    ("visitor.browser", Kind::Text),
    ("visitor.bot", Kind::Flag),
    ("visitor.bucket", Kind::Number),
    ("link.exists", Kind::Flag),
    ("link.key", Kind::Text),
    ("link.target", Kind::Text),
    ("link.tags", Kind::List),
    ("link.attribute", Kind::Text),
    ("clock.at-or-after", Kind::Flag),
    ("clock.weekday", Kind::Number),
    ("clock.hour", Kind::Number),
    ("node.region", Kind::Text),
    ("node.pop", Kind::Text),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    List,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Flag => "`true` or `false`",
            Self::Number => "a number",
            Self::List => "a list of texts",
        }
    }
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    test: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    facts: BTreeMap<String, Fact>,
    now: Option<u64>,
    proceed: Option<bool>,
    redirect: Option<String>,
    status: Option<u16>,
    deny: Option<u16>,
    fails: Option<String>,
    asks: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fact {
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl Vectors {
    /// Reads tests.
    ///
    /// # Errors
    /// [`VectorError`], which names the place or the test.
    pub fn parse(text: &str) -> Result<Self, VectorError> {
        let file: File =
            toml::from_str(text).map_err(|error| VectorError::Toml(error.to_string().trim().to_owned()))?;
        if !(1..=TESTS_MAX).contains(&file.test.len()) {
            return Err(VectorError::Count(file.test.len()));
        }
        file.test.into_iter().map(vector).collect::<Result<_, _>>().map(Self)
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
    /// The failure of a run that was cut off, again and again: a busy machine is no fault of the policy's.
    pub fn first_mismatch(&self, guest: &Guest) -> Result<Option<Mismatch>, Failure> {
        for vector in &self.0 {
            let mut cut_off = None;
            for _ in 0..TRIALS_MAX {
                let (run, mismatch) = vector.try_on(guest);
                cut_off = run.err().filter(|failure| !failure.is_deterministic());
                match mismatch {
                    None => break,
                    Some(mismatch) if cut_off.is_none() => return Ok(Some(mismatch)),
                    Some(_) => {}
                }
            }
            if let Some(failure) = cut_off {
                return Err(failure);
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
    /// Runs the test once: what the run came to, and how that does not match.
    fn try_on(&self, guest: &Guest) -> (Result<Decision, Failure>, Option<Mismatch>) {
        let run = guest.run(Recorder::new(Arc::new(self.facts.clone())));
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
        Decision::Deny(status) => format!("deny {}", status.code()),
    }
}

fn vector(test: Test) -> Result<Vector, VectorError> {
    let read = || {
        let mut answers = BTreeMap::new();
        for (question, fact) in &test.facts {
            answers.insert(question.clone(), answer(question, fact)?);
        }
        let facts = MapFacts {
            answers,
            settings: test.settings.clone(),
            now: test.now,
        };
        Ok((facts, expected(&test)?))
    };
    let (facts, expected) = read().map_err(|error| VectorError::Test {
        test: test.name.clone(),
        error,
    })?;
    Ok(Vector {
        name: test.name,
        facts,
        expected,
        asks: test.asks,
    })
}

/// The answer for a question, of the kind the question has.
fn answer(question: &str, fact: &Fact) -> Result<Answer, Invalid> {
    let stem = question.split('(').next().unwrap_or_default();
    let Some((_, kind)) = QUESTIONS.iter().find(|(known, _)| *known == stem) else {
        let expected = match stem.strip_prefix("settings.") {
            Some(_) => "settings under `settings`",
            None => "a question of the contract, such as `visitor.country` or `request.header(\"accept\")`",
        };
        return Err(Invalid::text("fact", question, expected));
    };
    match (kind, fact) {
        (Kind::Text, Fact::Text(text)) => Ok(Answer::text(Some(text.as_str()))),
        (Kind::Flag, Fact::Flag(flag)) => Ok(Answer::Flag(*flag)),
        (Kind::Number, Fact::Number(number)) => Ok(Answer::Number(*number)),
        (Kind::List, Fact::List(items)) => Ok(Answer::List(items.iter().map(|item| item.as_str().into()).collect())),
        _ => Err(Invalid::text("answer to", question, kind.as_str())),
    }
}

fn expected(test: &Test) -> Result<Expected, Invalid> {
    let said = [
        test.proceed.is_some(),
        test.redirect.is_some(),
        test.deny.is_some(),
        test.fails.is_some(),
    ];
    let count = said.into_iter().filter(|is_said| *is_said).count();
    if count != 1 || test.proceed == Some(false) || (test.status.is_some() && test.redirect.is_none()) {
        let expected = "exactly one of `proceed = true`, `redirect = \"…\"` (with `status`), `deny` and `fails`";
        return Err(Invalid::other("expectation", format!("{count} of them"), expected));
    }
    if let Some(location) = &test.redirect {
        return Ok(Expected::Decision(Decision::Redirect {
            status: RedirectStatus::from_code(test.status.unwrap_or(302))?,
            location: Template::parse(location)?,
        }));
    }
    if let Some(status) = test.deny {
        return Ok(Expected::Decision(Decision::Deny(DenyStatus::from_code(status)?)));
    }
    Ok(match &test.fails {
        Some(label) => Expected::Failure(label.clone()),
        None => Expected::Decision(Decision::Proceed),
    })
}

#[cfg(test)]
mod tests {
    use super::{QUESTIONS, Vectors};

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
        // Settings have a place of their own, a log asks nothing, and `decide` is the answer.
        asked.retain(|name| !["settings.get", "log.write"].contains(&name.as_str()) && !name.ends_with("decide"));
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
        "#;
        assert_eq!(Vectors::parse(text).map(|vectors| vectors.len()).ok(), Some(3));
    }
}
