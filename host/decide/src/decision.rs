//! Decisions as data, and the ways in which deciding fails.

use std::{fmt, sync::Arc};

use crate::{
    invalid::Invalid,
    status::{DenyStatus, RedirectStatus},
    stream::plan::StreamPlan,
    template::Template,
    trace::Recorder,
};

/// What a decider wants to happen. Intent, not mechanism: the host renders, checks and carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on with the site's link, its rules and its not-found action.
    Proceed,
    /// Send the visitor elsewhere.
    Redirect {
        /// With this status.
        status: RedirectStatus,
        /// To this place, rendered for the request.
        location: Template,
    },
    /// Refuse with this status.
    Deny(DenyStatus),
    /// Serve a stream from these targets; which one, their state decides at each request. For what is no stream, the same
    /// as to proceed.
    Plan(Arc<StreamPlan>),
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed => formatter.write_str("proceed"),
            Self::Redirect { status, location } => write!(formatter, "{status} {location}"),
            Self::Deny(status) => write!(formatter, "deny {}", status.code()),
            Self::Plan(plan) => plan.fmt(formatter),
        }
    }
}

/// Anything that decides: a guest, and later a set of rules.
pub trait Decider {
    /// Decides by asking `recorder`, whose trace afterwards holds everything the decision depends on.
    ///
    /// # Errors
    /// [`Failure`], which the binding's failure mode turns into what the visitor sees.
    fn decide(&self, recorder: &mut Recorder) -> Result<Decision, Failure>;
}

/// Why a decider gave no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The guest trapped: a panic, an out-of-bounds access, a stack overflow, memory past its cap.
    #[error("the policy trapped: {0}")]
    Trapped(String),
    /// The guest ran past its deadline and was cut off.
    #[error("the policy ran past its deadline of {deadline_ms} ms and was cut off")]
    DeadlineExceeded {
        /// The deadline, in milliseconds.
        deadline_ms: u64,
    },
    /// The guest asked more different questions than a run may.
    #[error("the policy asked more than {} different questions", crate::limits::QUESTIONS_MAX)]
    QuestionLimit,
    /// The guest asked a question that has no meaning: a header name with a space, a network that is none.
    #[error("the policy asked a question that cannot be answered: {0}")]
    InvalidQuestion(Invalid),
    /// The guest answered something that is no decision.
    #[error("the policy's decision is refused: {0}")]
    InvalidDecision(Invalid),
    /// There is no guest to run: it is not loaded, or this node refused it.
    #[error("the policy cannot run here: {0}")]
    Unavailable(String),
    /// The guest was cut off again and again, and is not run for a while.
    #[error("the policy was cut off again and again and rests")]
    Resting,
    /// The tenant's share of guest runs is used up and its queue is full, or the wait was too long.
    #[error("the tenant's queue of policy runs is full")]
    Overloaded,
}

impl Failure {
    /// Every label.
    pub const LABELS: [&str; 8] = [
        "trapped",
        "deadline",
        "question_limit",
        "invalid_question",
        "invalid_decision",
        "unavailable",
        "resting",
        "overloaded",
    ];

    /// A short, fixed word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Trapped(_) => "trapped",
            Self::DeadlineExceeded { .. } => "deadline",
            Self::QuestionLimit => "question_limit",
            Self::InvalidQuestion(_) => "invalid_question",
            Self::InvalidDecision(_) => "invalid_decision",
            Self::Unavailable(_) => "unavailable",
            Self::Resting => "resting",
            Self::Overloaded => "overloaded",
        }
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Trapped(text) | Self::Unavailable(text) => text.len(),
            Self::InvalidQuestion(invalid) | Self::InvalidDecision(invalid) => {
                invalid.found.len() + invalid.expected.len()
            }
            Self::DeadlineExceeded { .. } | Self::QuestionLimit | Self::Resting | Self::Overloaded => 0,
        }
    }

    /// Whether the same answers would lead to the same failure again. A run that was cut off, or never began, says
    /// nothing about the next.
    #[must_use]
    pub const fn is_deterministic(&self) -> bool {
        !matches!(
            self,
            Self::DeadlineExceeded { .. } | Self::Unavailable(_) | Self::Resting | Self::Overloaded
        )
    }
}
