//! What a node shows of its origins, to its operator and to Prometheus.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use wayside_balance::{
    breaker::State,
    failback::STEPS,
    fleet::{OriginIndex, RegionIndex},
};

use super::Origins;

/// All origins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Whether most origins of every region fail, so that all are asked.
    pub panic: bool,
    /// How often that began.
    pub panics: u64,
    /// The URL of the origin whose changes are followed.
    pub followed: Option<String>,
    /// Requests by why they were sent: `first`, `retry`, `hedge`; among these `probe` and `panic`; and `refused`, retries
    /// for which the budget was spent.
    pub requests: BTreeMap<&'static str, u64>,
    /// Regions by name.
    pub regions: BTreeMap<String, RegionShown>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionShown {
    /// Lower goes first.
    pub preference: u32,
    /// The share of its traffic that it gets.
    pub share_percent: u8,
    /// Whether most of its origins fail.
    pub bad: bool,
    /// What its answers took lately; none before the first.
    pub latency_ms: Option<f64>,
    /// How often its share became 0, 10 … 100 percent.
    #[serde(skip)]
    pub became: Vec<(u8, u64)>,
    /// Its origins by URL.
    pub origins: BTreeMap<String, OriginShown>,
}

/// An origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OriginShown {
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Failures since the last success, while the breaker is closed.
    pub failures: u32,
    /// Until a request may probe, when the breaker is open.
    pub opens_in_s: Option<f64>,
    /// What its answers took lately, with a bias for the worst.
    pub latency_ms: f64,
    /// Requests under way.
    pub requests: u32,
    /// How often its breaker became closed, open and half-open.
    #[serde(skip)]
    pub became: Vec<(&'static str, u64)>,
}

impl Origins {
    /// How things are.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let shared = &self.0;
        let (state, now) = (shared.state(), shared.now());
        let origin = |index: usize| {
            let view = state.fleet.origin(OriginIndex(index), now);
            let became = [State::Closed, State::Open, State::HalfOpen];
            OriginShown {
                breaker: view.state.as_str(),
                failures: view.failures,
                opens_in_s: view.opens_in.map(|wait| rounded(wait.as_secs_f64())),
                latency_ms: milliseconds(view.latency),
                requests: view.open,
                became: became
                    .map(|to| (to.as_str(), state.transitions.breaker(index, to)))
                    .into(),
            }
        };
        let region = |(index, region): (usize, &super::Region)| {
            let view = state.fleet.region_view(RegionIndex(index));
            let origins = state.fleet.origins_of(RegionIndex(index));
            let became = std::iter::once(0).chain(STEPS);
            let shown = RegionShown {
                preference: view.preference,
                share_percent: view.share,
                bad: view.is_bad,
                latency_ms: view.latency.map(milliseconds),
                became: became.map(|to| (to, state.transitions.share(index, to))).collect(),
                origins: origins
                    .map(|index| (shared.url(OriginIndex(index)).to_owned(), origin(index)))
                    .collect(),
            };
            (region.name.clone(), shown)
        };
        let counts = state.fleet.counts();
        Shown {
            panic: state.fleet.is_in_panic(),
            panics: state.transitions.panics(),
            followed: state.followed.map(|origin| shared.url(origin).to_owned()),
            requests: BTreeMap::from([
                ("first", counts.requests),
                ("retry", counts.retries),
                ("hedge", counts.hedges),
                ("probe", counts.probes),
                ("panic", counts.panics),
                ("refused", counts.retries_refused),
            ]),
            regions: shared.regions.iter().enumerate().map(region).collect(),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1_000.0)
}

/// To thousandths, for people.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
