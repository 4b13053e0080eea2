//! Reading a `tests.toml`: each test's facts, and what is expected of them.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use wayside_decide::{
    decision::Decision,
    invalid::Invalid,
    question::Answer,
    status::{DenyStatus, RedirectStatus},
    stream::plan::{PlanSpec, StreamPlan},
    template::Template,
};

use super::{Expected, TESTS_MAX, Vector, VectorError};
use crate::facts::MapFacts;

/// The questions that can be given facts for, and the kind of their answer.
pub(super) const QUESTIONS: [(&str, Kind); 39] = [
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
    ("streams.asset", Kind::Text),
    ("streams.tags", Kind::List),
    ("streams.attribute", Kind::Text),
    ("streams.targets", Kind::List),
    ("streams.region", Kind::Text),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    plan: Option<Plan>,
    fails: Option<String>,
    asks: Option<Vec<String>>,
}

/// A plan: each tier's targets with their weights.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Plan {
    #[serde(default)]
    tiers: Vec<BTreeMap<String, f64>>,
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
    preferred_region: Option<String>,
}

impl From<Plan> for PlanSpec {
    fn from(plan: Plan) -> Self {
        Self {
            tiers: plan.tiers.into_iter().map(|tier| tier.into_iter().collect()).collect(),
            allow: plan.allow,
            deny: plan.deny,
            preferred_region: plan.preferred_region,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fact {
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

/// The tests of a file.
pub(super) fn vectors(text: &str) -> Result<Vec<Vector>, VectorError> {
    let file: File = toml::from_str(text).map_err(|error| VectorError::Toml(error.to_string().trim().to_owned()))?;
    if !(1..=TESTS_MAX).contains(&file.test.len()) {
        return Err(VectorError::Count(file.test.len()));
    }
    file.test.into_iter().map(vector).collect::<Result<_, _>>()
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
        test.plan.is_some(),
        test.fails.is_some(),
    ];
    let count = said.into_iter().filter(|is_said| *is_said).count();
    if count != 1 || test.proceed == Some(false) || (test.status.is_some() && test.redirect.is_none()) {
        let expected =
            "exactly one of `proceed = true`, `redirect = \"…\"` (with `status`), `deny`, `plan` and `fails`";
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
    if let Some(plan) = &test.plan {
        let plan = StreamPlan::new(plan.clone().into())?;
        return Ok(Expected::Decision(Decision::Plan(Arc::new(plan))));
    }
    Ok(match &test.fails {
        Some(label) => Expected::Failure(label.clone()),
        None => Expected::Decision(Decision::Proceed),
    })
}
