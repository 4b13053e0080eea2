//! What a policy of streams answers.

use crate::{
    Decision,
    bindings::{stream::wayside::policy::plans, wayside::policy::decisions},
};

/// Which targets may serve a stream, and which first. Which one does, their state decides at each request.
///
/// ```
/// use wayside::Plan;
///
/// // Three of four viewers from one CDN, the rest from another, and nobody from the site's own servers while those live.
/// let plan = Plan::new()
///     .tier([("cdn-a", 3.0), ("cdn-b", 1.0)])
///     .tier([("own", 1.0)])
///     .prefer_region("eu");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Targets with their weights, in order of preference: a tier is taken when no target is left in those before.
    pub tiers: Vec<Vec<(String, f64)>>,
    /// The only targets allowed; none when all are.
    pub allow: Option<Vec<String>>,
    /// Targets that are never taken.
    pub deny: Vec<String>,
    /// The region to take first, instead of the visitor's.
    pub preferred_region: Option<String>,
}

impl Plan {
    /// All targets, by their own weights, the visitor's region first.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tiers: Vec::new(),
            allow: None,
            deny: Vec::new(),
            preferred_region: None,
        }
    }

    /// Then these targets, each with a finite weight from 0. With the first call, only what is in a tier is taken; 8 tiers
    /// at most, each target once.
    #[must_use]
    pub fn tier<T: Into<String>>(mut self, shares: impl IntoIterator<Item = (T, f64)>) -> Self {
        let shares = shares.into_iter().map(|(target, weight)| (target.into(), weight));
        self.tiers.push(shares.collect());
        self
    }

    /// None but these targets.
    #[must_use]
    pub fn allow<T: Into<String>>(mut self, targets: impl IntoIterator<Item = T>) -> Self {
        self.allow
            .get_or_insert_default()
            .extend(targets.into_iter().map(Into::into));
        self
    }

    /// Never these targets.
    #[must_use]
    pub fn deny<T: Into<String>>(mut self, targets: impl IntoIterator<Item = T>) -> Self {
        self.deny.extend(targets.into_iter().map(Into::into));
        self
    }

    /// This region first, instead of the visitor's.
    #[must_use]
    pub fn prefer_region(mut self, region: impl Into<String>) -> Self {
        self.preferred_region = Some(region.into());
        self
    }

    fn into_contract(self) -> plans::Plan {
        let share = |(target, weight)| plans::Share { target, weight };
        let tier = |shares: Vec<(String, f64)>| shares.into_iter().map(share).collect();
        plans::Plan {
            tiers: self.tiers.into_iter().map(tier).collect(),
            allow: self.allow,
            deny: self.deny,
            preferred_region: self.preferred_region,
        }
    }
}

/// What a policy of streams wants to happen.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamDecision {
    /// Go on without a plan: all targets, by their own weights, the visitor's region first.
    Proceed,
    /// Serve from these.
    Plan(Plan),
    /// Send the visitor elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// An absolute URL, or a template of one.
        location: String,
    },
    /// Refuse with 401, 403, 404, 410, 451 or 503.
    Deny(u16),
}

impl StreamDecision {
    pub(crate) fn into_contract(self) -> plans::StreamDecision {
        match self {
            Self::Proceed => plans::StreamDecision::Proceed,
            Self::Plan(plan) => plans::StreamDecision::Plan(plan.into_contract()),
            Self::Redirect { status, location } => {
                plans::StreamDecision::Redirect(decisions::Redirection { status, location })
            }
            Self::Deny(status) => plans::StreamDecision::Deny(status),
        }
    }
}

impl From<Plan> for StreamDecision {
    fn from(plan: Plan) -> Self {
        Self::Plan(plan)
    }
}

impl From<Decision> for StreamDecision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Proceed => Self::Proceed,
            Decision::Redirect { status, location } => Self::Redirect { status, location },
            Decision::Deny(status) => Self::Deny(status),
        }
    }
}

impl<D: Into<Self>> From<Option<D>> for StreamDecision {
    /// None is [`StreamDecision::Proceed`].
    fn from(decision: Option<D>) -> Self {
        decision.map_or(Self::Proceed, Into::into)
    }
}
