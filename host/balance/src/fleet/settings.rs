//! What a fleet is told: its regions, and how it is to behave.

use std::time::Duration;

use crate::{
    breaker,
    budget::{self, RETRIES},
};

/// A region to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionSpec {
    /// Lower goes first.
    pub preference: u32,
    /// How many origins it has.
    pub origins: usize,
}

/// How a fleet behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// When breakers open, and for how long.
    pub breaker: breaker::Settings,
    /// How many retries there may be, hedges among them.
    pub retries: budget::Settings,
    /// How often one request is sent at most, hedges among them.
    pub attempts_max: usize,
    /// How long a step of failback takes at least.
    pub step: Duration,
    /// A region that nobody asked for so long is checked by one request, so that its latency is known when it is needed.
    pub check_interval: Duration,
    /// What an origin is taken to need before it answered.
    pub latency_expected: Duration,
    /// Over which time latencies are forgotten.
    pub latency_decay: Duration,
    /// What a failure counts as, when it came quicker.
    pub latency_of_failure: Duration,
    /// Whether small reads are hedged.
    pub has_hedges: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            breaker: breaker::Settings::default(),
            retries: RETRIES,
            attempts_max: 3,
            step: Duration::from_secs(10),
            check_interval: Duration::from_secs(30),
            latency_expected: Duration::from_millis(30),
            latency_decay: Duration::from_secs(10),
            latency_of_failure: Duration::from_secs(1),
            has_hedges: true,
        }
    }
}

/// Regions without an origin to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("region {region}: found no origin, expected at least one; and at least one region")]
pub struct NoOrigins {
    /// The region, 0 when there is none.
    pub region: usize,
}
