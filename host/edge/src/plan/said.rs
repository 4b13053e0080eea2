//! What a version said about a request, without what only that request's visitor sent.

use wayside_decide::{
    decision::{Decision, Failure},
    trace::Trace,
};

use crate::hidden::Hidden;

/// A decision or a failure, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Said {
    Decided(String),
    Failed(&'static str),
}

impl Said {
    /// What came of a run, with the questions in place of a visitor's answers to them. Of a failure only its kind is
    /// kept: a panic's message may hold anything.
    pub(super) fn of(result: &Result<Decision, Failure>, trace: &Trace) -> Self {
        match result {
            Ok(decision) => Self::Decided(Hidden::of(trace.iter()).decision(decision)),
            Err(failure) => Self::Failed(failure.label()),
        }
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Decided(text) => text.clone(),
            Self::Failed(label) => format!("fails: {label}"),
        }
    }
}

/// Whether two runs came to the same. Failures are the same when they are of one kind.
pub(super) fn are_same(one: &Result<Decision, Failure>, other: &Result<Decision, Failure>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.label() == other.label(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wayside_decide::{
        decision::{Decision, Failure},
        facts::Facts,
        question::{Answer, Question},
        status::RedirectStatus,
        template::Template,
        trace::Recorder,
    };

    use super::Said;

    struct One;

    impl Facts for One {
        fn answer(&self, question: &Question) -> Answer {
            match question {
                Question::Cookie(_) => Answer::Text("a secret/value".into()),
                Question::Query(_) => Answer::Text("de".into()),
                Question::Path => Answer::Text("/only/mine".into()),
                Question::Country => Answer::Text("Atlantis".into()),
                _ => Answer::Absent,
            }
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    fn said(location: &str) -> Said {
        let mut recorder = Recorder::new(Arc::new(One));
        for question in [
            Question::Cookie("c".into()),
            Question::Query("q".into()),
            Question::Path,
            Question::Country,
        ] {
            recorder.ask(question).expect("an answer");
        }
        let decision = Decision::Redirect {
            status: RedirectStatus::Found,
            location: Template::parse(location).expect("a template"),
        };
        Said::of(&Ok(decision), recorder.trace())
    }

    #[test]
    fn what_may_be_a_visitors_is_not_said() {
        for (location, expected) in [
            ("https://a.example/only/mine", "302 https://a.example/…"),
            ("https://a.example/?c=a+secret%2Fvalue", "302 https://a.example/…"),
            ("https://de.example/Atlantis", "302 https://de.example/…"),
            ("https://a.example{path}", "302 https://a.example{path}"),
            ("https://a.example/", "302 https://a.example/"),
        ] {
            assert_eq!(said(location), Said::Decided(expected.to_owned()), "{location}");
        }
        let panicked = Err(Failure::Trapped("found a secret/value".to_owned()));
        assert_eq!(
            Said::of(&panicked, Recorder::new(Arc::new(One)).trace()).text(),
            "fails: trapped"
        );
    }
}
