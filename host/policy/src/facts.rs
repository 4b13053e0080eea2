//! Facts without a request: none at all, for trying a guest, and written ones, for testing it.

use std::collections::BTreeMap;

use wayside_decide::{
    facts::Facts,
    question::{Answer, Question},
};

/// A request about which nothing is known: no visitor, no link, no settings.
#[derive(Debug, Clone, Copy)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Method => Answer::text(Some("GET")),
            Question::Scheme => Answer::text(Some("https")),
            Question::Host => Answer::text(Some("localhost")),
            Question::Path => Answer::text(Some("/")),
            Question::Device => Answer::text(Some("unknown")),
            Question::Os | Question::Browser => Answer::text(Some("other")),
            Question::InEu | Question::InNetwork(_) | Question::Bot | Question::LinkExists => Answer::Flag(false),
            // It is never late, and always the first day of 1970.
            Question::AtOrAfter(_) => Answer::Flag(false),
            Question::Bucket { .. } => Answer::Number(0),
            Question::LinkTags | Question::AssetTags | Question::AssetTargets => Answer::List(Box::default()),
            _ => question.answer_at(self.now_s()).unwrap_or(Answer::Absent),
        }
    }

    fn now_s(&self) -> u64 {
        0
    }
}

/// Answers by question, written as [`Question`] displays itself; what is not written is answered as by [`NoFacts`].
#[derive(Debug, Clone, Default)]
pub struct MapFacts {
    /// The answers: `visitor.country`, `request.header("accept")`.
    pub answers: BTreeMap<String, Answer>,
    /// The binding's settings.
    pub settings: BTreeMap<String, String>,
    /// The instant, in seconds since 1970 UTC, from which questions about the time are answered when they are not written.
    pub now: Option<u64>,
}

impl Facts for MapFacts {
    fn answer(&self, question: &Question) -> Answer {
        if let Some(answer) = self.answers.get(&question.to_string()) {
            return answer.clone();
        }
        if let Question::Setting(name) = question {
            return Answer::text(self.settings.get(&**name).map(String::as_str));
        }
        let timed = self.now.and_then(|now_s| question.answer_at(now_s));
        timed.unwrap_or_else(|| NoFacts.answer(question))
    }

    fn now_s(&self) -> u64 {
        self.now.unwrap_or_else(|| NoFacts.now_s())
    }
}
