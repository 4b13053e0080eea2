//! Testing a policy without WebAssembly: on this machine, with facts that the test gives.
//!
//! In: facts, and the policy's function. Out: its decision, and what it asked. Not there in components.
//!
//! ```
//! use wayside::{Decision, testing::Facts, visitor};
//!
//! fn decide() -> Option<Decision> {
//!     (visitor::country()? == "DE").then(|| Decision::redirect("https://example.de/"))
//! }
//!
//! let run = Facts::new().country("DE").run(decide);
//! assert_eq!(run.decision, Ok(Decision::redirect("https://example.de/")));
//! assert_eq!(run.asked, ["visitor.country"]);
//! ```
//!
//! The tests in `tests.toml`, which travel with the component, can be run too: see [`check`].

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Decision, StreamDecision};

pub(crate) mod contract;
mod vectors;

pub use vectors::{check, check_stream};

/// Different questions one run may ask.
const QUESTIONS_MAX: usize = 64;

/// What a policy is told. What is not given is not known: no country, no header, no link, the beginning of 1970.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    answers: BTreeMap<String, Answer>,
    settings: BTreeMap<String, String>,
    now: Option<u64>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl From<bool> for Answer {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Answer {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<const N: usize> From<[&str; N]> for Answer {
    fn from(items: [&str; N]) -> Self {
        Self::List(items.map(str::to_owned).into())
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<D = Decision> {
    /// The decision, or the message of the panic.
    pub decision: Result<D, String>,
    /// The questions that were asked, each once, in the words of `tests.toml` and `wayside policy explain`.
    pub asked: Vec<String>,
    /// What was written to the log.
    pub log: Vec<String>,
}

impl Facts {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer to a question, in the words of the contract: `visitor.country`, `request.header("accept")`,
    /// `visitor.bucket("spring", 100)`.
    #[must_use]
    pub fn fact(mut self, question: &str, answer: impl Into<Answer>) -> Self {
        self.answers.insert(question.to_owned(), answer.into());
        self
    }

    /// The visitor's country.
    #[must_use]
    pub fn country(self, country: &str) -> Self {
        self.fact("visitor.country", country)
    }

    /// A setting of the binding.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The time, in seconds since 1970 UTC, for `clock::at_or_after`. Hours and days are facts of their own:
    /// `clock.hour("Europe/Berlin")`.
    #[must_use]
    pub const fn now(mut self, now: u64) -> Self {
        self.now = Some(now);
        self
    }

    /// Runs a policy on this thread.
    pub fn run<D: Into<Decision>>(&self, policy: impl FnOnce() -> D) -> Run {
        self.run_as(policy)
    }

    /// Runs a policy of streams on this thread.
    pub fn run_stream<D: Into<StreamDecision>>(&self, policy: impl FnOnce() -> D) -> Run<StreamDecision> {
        self.run_as(policy)
    }

    fn run_as<T, D: Into<T>>(&self, policy: impl FnOnce() -> D) -> Run<T> {
        contract::begin(self.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| policy().into()));
        let (asked, log) = contract::end();
        Run {
            decision: outcome.map_err(|panic| message(&*panic)),
            asked,
            log,
        }
    }

    /// The answer to a question; none when nothing is known.
    fn answer(&self, question: &str) -> Option<Answer> {
        self.answers.get(question).cloned()
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::Facts;
    use crate::{Decision, Plan, StreamDecision, clock, link, log, request, settings, streams, visitor};

    #[test]
    fn what_is_not_given_is_not_known() {
        let run = Facts::new().run(|| {
            assert_eq!((visitor::country(), request::header("accept")), (None, None));
            assert_eq!(
                (request::method(), visitor::os()),
                ("GET".to_owned(), "other".to_owned())
            );
            assert!(!link::exists() && link::tags().is_empty() && !clock::at_or_after(1));
            assert_eq!((settings::get("x"), visitor::bucket("s", 9)), (None, 0));
            None
        });
        assert_eq!(run.decision, Ok(Decision::Proceed));
    }

    #[test]
    fn questions_are_asked_in_the_words_of_the_contract_and_once() {
        let run = Facts::new().run(|| {
            let _ = (
                request::header("Accept"),
                request::header("accept"),
                request::segment(2),
            );
            let _ = request::prefers(&["de", "en"]);
            let _ = visitor::in_network(&["192.0.2.9/24", "2001:db8::1", "192.0.2.0/24"]);
            let _ = visitor::nearest(&[("fra", 50.11, 8.68), ("nyc", 40.71, -74.0)]);
            let _ = (visitor::bucket("a\"b", 3), clock::hour("UTC"), link::attribute("x"));
            log::info("said");
            None
        });
        let expected = [
            "request.header(\"accept\")",
            "request.segment(2)",
            "request.prefers(de, en)",
            "visitor.in-network(192.0.2.0/24, 2001:db8::1/128)",
            "visitor.nearest(\"fra\" 50.11 8.68, \"nyc\" 40.71 -74)",
            "visitor.bucket(\"a\\\"b\", 3)",
            "clock.hour(\"UTC\")",
            "link.attribute(\"x\")",
        ];
        assert_eq!(
            (run.asked, run.log),
            (expected.map(str::to_owned).into(), vec!["said".to_owned()])
        );
    }

    #[test]
    fn a_panic_is_a_failure_and_its_message_can_be_read() {
        let run = Facts::new().setting("percent", "ten").run(|| {
            let _: Option<u32> = settings::parsed("percent");
            None
        });
        let message = run.decision.expect_err("a failure");
        assert!(message.contains("`percent`") && message.contains("ten"), "{message}");
    }

    #[test]
    fn a_policy_of_streams_asks_about_the_asset_and_plans() {
        let facts = Facts::new()
            .fact("streams.asset", "film")
            .fact("streams.tags", ["4k"])
            .fact("streams.attribute(\"rights\")", "eu")
            .fact("streams.region(\"own\")", "eu");
        let run = facts.run_stream(|| {
            assert_eq!(streams::asset().as_deref(), Some("film"));
            assert!(streams::has_tag("4k") && streams::targets().is_empty());
            let region = streams::region("own")?;
            (streams::attribute("rights")? == region).then(|| Plan::new().tier([("own", 1.0)]).deny(["cdn"]))
        });
        let plan = Plan {
            tiers: vec![vec![("own".to_owned(), 1.0)]],
            deny: vec!["cdn".to_owned()],
            ..Plan::default()
        };
        assert_eq!(run.decision, Ok(StreamDecision::Plan(plan)));
        let asked = [
            "streams.asset",
            "streams.tags",
            "streams.targets",
            "streams.region(\"own\")",
            "streams.attribute(\"rights\")",
        ];
        assert_eq!(run.asked, asked);
        let denied = Facts::new().run_stream(|| Decision::deny(451));
        assert_eq!(denied.decision, Ok(StreamDecision::Deny(451)));
    }

    #[test]
    fn what_has_no_meaning_is_a_failure_as_it_is_on_a_node() {
        let fails = |ask: fn()| {
            let run = Facts::new().run(|| {
                ask();
                None
            });
            run.decision.expect_err("a failure")
        };
        assert!(fails(|| drop(request::prefers(&["de;q=1"]))).contains("language tag"));
        assert!(fails(|| drop(request::header("two words"))).contains("header name"));
        assert!(fails(|| assert!(!visitor::in_network(&["192.0.2.0/33"]))).contains("network"));
        assert!(fails(|| assert_eq!(visitor::bucket("s", 0), 0)).contains("bucket"));
        assert!(fails(|| (0..65).for_each(|index| drop(request::segment(index)))).contains("64"));
    }
}
