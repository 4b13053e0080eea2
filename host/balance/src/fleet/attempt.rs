//! What passes between a fleet and its caller: requests to origins, how they ended, what changed.

use std::time::Duration;

use super::{OriginIndex, RegionIndex};
use crate::{
    breaker::{self, Permit},
    failback::Change,
    moment::Moment,
};

/// How large an answer is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Small and quick: measured, may probe and may be hedged.
    Small,
    /// Large: how long it takes says little about the origin.
    Large,
}

/// Why an origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It looks well.
    Ordinary,
    /// To see whether it is well again.
    Probe,
    /// Because everything looks bad.
    Panic,
}

/// A request to one origin. To be handed back to [`super::Fleet::finish`].
#[derive(Debug, Clone)]
#[must_use = "an origin whose requests are never finished looks busy for ever"]
pub struct Attempt {
    pub(super) origin: OriginIndex,
    pub(super) kind: Kind,
    pub(super) read: Read,
    pub(super) permit: Permit,
    pub(super) epoch: u32,
    pub(super) began: Moment,
}

impl Attempt {
    /// Who is asked.
    #[must_use]
    pub const fn origin(&self) -> OriginIndex {
        self.origin
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

/// How a request to one origin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an answer that can be used, "there is none" among them.
    Answered,
    /// Without one.
    Failed,
    /// Nobody waited for it.
    Abandoned,
}

/// Something that changed. Each change is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// A breaker entered a state.
    Breaker {
        /// Whose.
        origin: OriginIndex,
        /// The state it left.
        from: breaker::State,
        /// The state it entered.
        to: breaker::State,
        /// Until a request may probe, when it is open.
        wait: Option<Duration>,
    },
    /// A region's share changed.
    Share {
        /// Whose.
        region: RegionIndex,
        /// From what to what.
        change: Change,
    },
    /// Panic began or ended.
    Panic {
        /// Whether it began.
        is_on: bool,
    },
}
