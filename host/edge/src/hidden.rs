//! What only one visitor sent, kept out of what people are shown of decisions.
//!
//! In: what was asked and answered on the way to a decision. Out: texts with the questions in place of a visitor's answers.
//! A policy may take an answer apart, so that parts of it stand in a location: where something secret was asked, of a
//! location only scheme and host are shown.

use wayside_decide::{
    decision::Decision,
    question::{Answer, Question},
};

use crate::witness::is_kept_field;

/// Shorter values of a visitor's are left as they are: they tell nobody apart, and stand in every text.
const HIDDEN_BYTES_MIN: usize = 3;
/// Stands for the rest of a location.
const REST: &str = "/…";

/// What is hidden behind questions.
pub(crate) struct Hidden<'a> {
    /// The longest first: one may be part of another.
    values: Vec<(&'a Question, &'a str)>,
    has_secret: bool,
}

impl<'a> Hidden<'a> {
    /// Hides the answers among these that are as the visitor sent them.
    pub(crate) fn of(asked: impl Iterator<Item = (&'a Question, &'a Answer)>) -> Self {
        let mut has_secret = false;
        let mut values: Vec<(&Question, &str)> = asked
            .filter(|(question, _)| is_a_visitors(question))
            .filter_map(|(question, answer)| Some((question, answer.as_text()?)))
            .inspect(|(question, _)| has_secret |= is_secret(question))
            .filter(|(_, value)| value.len() >= HIDDEN_BYTES_MIN)
            .collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self { values, has_secret }
    }

    /// Whether something is among it that nobody but the visitor should know.
    pub(crate) const fn has_secret(&self) -> bool {
        self.has_secret
    }

    /// `text` without the values.
    pub(crate) fn text(&self, mut text: String) -> String {
        for (question, value) in &self.values {
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let spaced = encoded.replace('+', "%20");
            for form in [value, &*encoded, &*spaced] {
                if text.contains(form) {
                    text = text.replace(form, &format!("[{question}]"));
                }
            }
        }
        text
    }

    /// A decision in words, without what may be of the visitor's.
    pub(crate) fn decision(&self, decision: &Decision) -> String {
        match decision {
            Decision::Redirect { status, location } if self.has_secret => {
                let host = location.host();
                let behind = &location.as_str()[host.len()..];
                let rest = if location.is_open_behind_host() { behind } else { REST };
                format!("{status} {}{rest}", self.text(host.to_owned()))
            }
            // A name in it may be put together of anything, too.
            Decision::Plan(plan) if self.has_secret => format!("plan of {} tiers: …", plan.tiers().len()),
            Decision::Redirect { .. } | Decision::Proceed | Decision::Deny(_) | Decision::Plan(_) => {
                self.text(decision.to_string())
            }
        }
    }
}

/// Whether the answer is as the visitor sent it.
const fn is_a_visitors(question: &Question) -> bool {
    matches!(question, Question::Path | Question::Segment(_)) || is_raw(question)
}

const fn is_raw(question: &Question) -> bool {
    matches!(
        question,
        Question::RawQuery | Question::Query(_) | Question::Header(_) | Question::Cookie(_)
    )
}

/// Whether the answer is nobody else's business: what a site that is redacted does not let a node keep.
pub(crate) fn is_secret(question: &Question) -> bool {
    match question {
        Question::Header(name) => !is_kept_field(name),
        _ => is_raw(question),
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::{
        decision::Decision,
        question::{Answer, Question},
        status::RedirectStatus,
        template::Template,
    };

    use super::Hidden;

    fn shown(asked: &[(Question, &str)], location: &str) -> String {
        let answers: Vec<_> = asked.iter().map(|(_, answer)| Answer::Text((*answer).into())).collect();
        let asked = asked.iter().map(|(question, _)| question).zip(&answers);
        let decision = Decision::Redirect {
            status: RedirectStatus::Found,
            location: Template::parse(location).expect("a template"),
        };
        Hidden::of(asked).decision(&decision)
    }

    #[test]
    fn of_a_location_that_may_hold_a_secret_scheme_and_host_are_shown() {
        let secret = [(Question::Header("x-token".into()), "abc-def-ghi")];
        let known = [
            (Question::Path, "/only/mine"),
            (Question::Header("accept-language".into()), "de-CH, en"),
            (Question::Country, "Atlantis"),
        ];
        for (location, with_secret, without) in [
            (
                "https://a.example/ghi",
                "302 https://a.example/…",
                "302 https://a.example/ghi",
            ),
            (
                "https://a.example/?def",
                "302 https://a.example/…",
                "302 https://a.example/?def",
            ),
            (
                "https://a.example{path}{?query}",
                "302 https://a.example{path}{?query}",
                "302 https://a.example{path}{?query}",
            ),
            (
                "https://a.example{path}?x",
                "302 https://a.example/…",
                "302 https://a.example{path}?x",
            ),
            ("https://a.example/", "302 https://a.example/", "302 https://a.example/"),
            (
                "{link.target}{?query}",
                "302 {link.target}{?query}",
                "302 {link.target}{?query}",
            ),
            (
                "https://a.example/only/mine",
                "302 https://a.example/…",
                "302 https://a.example[request.path]",
            ),
            (
                "https://abc-def-ghi.example/x",
                "302 https://[request.header(\"x-token\")].example/…",
                "302 https://abc-def-ghi.example/x",
            ),
        ] {
            assert_eq!(shown(&secret, location), with_secret, "{location}");
            assert_eq!(shown(&known, location), without, "{location}");
        }
        assert_eq!(Hidden::of(std::iter::empty()).decision(&Decision::Proceed), "proceed");
    }
}
