//! Asking, on the record.

use std::sync::Arc;

use crate::{
    decision::Failure,
    facts::Facts,
    limits::QUESTIONS_MAX,
    question::{Answer, Question},
};

/// The questions of one run in the order they were first asked, each with its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace(Vec<(Question, Answer)>);

impl Trace {
    /// The questions and answers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        self.0.iter().map(|(question, answer)| (question, answer))
    }

    /// The question asked at this position, counted from 0, and its answer.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&(Question, Answer)> {
        self.0.get(position)
    }

    /// The trace without what can have no other answer as long as the binding stays as it is: its settings.
    #[must_use]
    pub fn varying(&self) -> Self {
        let varying = self
            .0
            .iter()
            .filter(|(question, _)| !matches!(question, Question::Setting(_)));
        Self(varying.cloned().collect())
    }

    /// How many different questions were asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was asked: the decision then depends on nothing but its code and its version.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Asks facts on behalf of one decider, and writes down every question and its answer. It is the only way a decider
/// reaches facts, so the trace is everything the decision can depend on.
#[derive(Clone)]
pub struct Recorder {
    facts: Arc<dyn Facts>,
    trace: Trace,
}

impl Recorder {
    /// A recorder with an empty trace.
    #[must_use]
    pub fn new(facts: Arc<dyn Facts>) -> Self {
        Self {
            facts,
            trace: Trace::default(),
        }
    }

    /// Asks; a question asked before gets the answer it had.
    ///
    /// # Errors
    /// [`Failure::QuestionLimit`] at the first new question past [`QUESTIONS_MAX`].
    pub fn ask(&mut self, question: Question) -> Result<Answer, Failure> {
        if let Some((_, answer)) = self.trace.0.iter().find(|(asked, _)| *asked == question) {
            return Ok(answer.clone());
        }
        if self.trace.0.len() == QUESTIONS_MAX {
            return Err(Failure::QuestionLimit);
        }
        let answer = self.facts.answer(&question);
        self.trace.0.push((question, answer.clone()));
        Ok(answer)
    }

    /// What was asked so far.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was asked, when nothing more will be.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::Recorder;
    use crate::{
        decision::Failure,
        facts::Facts,
        limits::QUESTIONS_MAX,
        question::{Answer, Question},
    };

    /// Answers with how often it was asked, so that a repeated call shows.
    struct Counting(AtomicU64);

    impl Facts for Counting {
        fn answer(&self, _: &Question) -> Answer {
            Answer::Number(self.0.fetch_add(1, Ordering::Relaxed))
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_repeated_question_keeps_its_answer_and_is_recorded_once() {
        let mut recorder = Recorder::new(Arc::new(Counting(AtomicU64::new(0))));
        assert_eq!(recorder.ask(Question::Country), Ok(Answer::Number(0)));
        assert_eq!(recorder.ask(Question::City), Ok(Answer::Number(1)));
        assert_eq!(recorder.ask(Question::Country), Ok(Answer::Number(0)));
        let trace = recorder.into_trace();
        let asked: Vec<_> = trace.iter().map(|(question, _)| question.clone()).collect();
        assert_eq!(asked, [Question::Country, Question::City]);
    }

    #[test]
    fn the_question_past_the_limit_is_refused_but_known_ones_are_not() {
        let mut recorder = Recorder::new(Arc::new(Counting(AtomicU64::new(0))));
        for index in 0..u32::try_from(QUESTIONS_MAX).expect("small") {
            assert!(recorder.ask(Question::Segment(index)).is_ok());
        }
        assert_eq!(recorder.ask(Question::Country), Err(Failure::QuestionLimit));
        assert_eq!(recorder.ask(Question::Segment(3)), Ok(Answer::Number(3)));
        assert_eq!(recorder.trace().len(), QUESTIONS_MAX);
    }
}
