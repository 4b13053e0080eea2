//! The one interface through which guests, rules and templates learn about a request.

use crate::question::{Answer, Question};

/// Everything that can be known about one request at one instant. Frozen: asked twice, the same question has the
/// same answer, whatever happens around it.
pub trait Facts: Send + Sync {
    /// Answers `question`. Never blocks; what is not known is [`Answer::Absent`] (or no, for a flag).
    fn answer(&self, question: &Question) -> Answer;

    /// The instant at which all are answered, in seconds since 1970 UTC.
    fn now_s(&self) -> u64;

    /// Whether the answer to `question` is known already. Where it is not (a link that has to be fetched first), nobody
    /// may ask it yet.
    fn can_answer(&self, question: &Question) -> bool {
        let _ = question;
        true
    }
}
