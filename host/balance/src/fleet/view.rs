//! What a fleet shows of itself.

use std::time::Duration;

use super::{Fleet, OriginIndex, RegionIndex};
use crate::{breaker::State, moment::Moment, panic::is_mostly_bad};

/// What was sent, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Sent again because an origin failed.
    pub retries: u64,
    /// Not sent again because there were retries enough.
    pub retries_refused: u64,
    /// Sent to a second origin because the first took long.
    pub hedges: u64,
    /// Sent to see whether an origin is well again.
    pub probes: u64,
    /// Sent to an origin that looked bad, because all do.
    pub panics: u64,
}

/// How an origin looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginView {
    /// Its breaker.
    pub state: State,
    /// Failures since the last success, while the breaker is closed. One is enough to be avoided, where others are quick.
    pub failures: u32,
    /// Until a request may probe, when the breaker is open.
    pub opens_in: Option<Duration>,
    /// What it needed lately, with a bias for the worst.
    pub latency: Duration,
    /// Requests under way.
    pub open: u32,
}

/// How a region looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionView {
    /// Lower goes first.
    pub preference: u32,
    /// The share of its traffic that it gets, in percent.
    pub share: u8,
    /// Whether most of its origins look bad.
    pub is_bad: bool,
    /// What it needed lately; none before the first answer.
    pub latency: Option<Duration>,
}

impl Fleet {
    /// The origins of a region.
    #[must_use]
    pub fn origins_of(&self, region: RegionIndex) -> std::ops::Range<usize> {
        self.regions[region.0].origins.clone()
    }

    /// The region of an origin.
    #[must_use]
    pub fn region_of(&self, origin: OriginIndex) -> RegionIndex {
        self.origins[origin.0].region
    }

    /// How an origin looks.
    #[must_use]
    pub fn origin(&self, index: OriginIndex, now: Moment) -> OriginView {
        let origin = &self.origins[index.0];
        OriginView {
            state: origin.breaker.state(),
            failures: origin.breaker.failures(),
            opens_in: origin.breaker.opens_in(now),
            latency: origin.latency.last(),
            open: origin.open,
        }
    }

    /// How a region looks.
    #[must_use]
    pub fn region_view(&self, index: RegionIndex) -> RegionView {
        let region = &self.regions[index.0];
        let (bad, all) = super::bad_of(&self.origins[region.origins.clone()]);
        RegionView {
            preference: region.preference,
            share: region.share.percent(),
            is_bad: is_mostly_bad(bad, all),
            latency: region.latency_s.map(Duration::from_secs_f64),
        }
    }

    /// The regions in the order in which they are asked.
    #[must_use]
    pub fn order(&self) -> &[RegionIndex] {
        &self.order
    }

    /// Whether everything looks bad.
    #[must_use]
    pub const fn is_in_panic(&self) -> bool {
        self.panic.is_on()
    }

    /// What was sent.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}
