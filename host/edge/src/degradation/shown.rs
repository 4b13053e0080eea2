//! What a node's operator is shown of its level.

use serde::Serialize;

use super::Degradation;

/// The level and what it goes by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Shown {
    /// Its name.
    level: &'static str,
    /// What keeps the node there; none when it is well.
    cause: Option<&'static str>,
    /// For how long.
    for_s: u64,
    latency_ms: f64,
    memory_bytes: u64,
    memory_bytes_max: u64,
    memory_percent: f64,
    policy_queue_percent: f64,
    loads_percent: f64,
    origins_fail: bool,
}

impl Degradation {
    /// How things are.
    pub(crate) fn shown(&self) -> Shown {
        let now = self.now();
        let state = self.state();
        let signals = &state.signals;
        Shown {
            level: state.ladder.level().as_str(),
            cause: state.ladder.cause().map(|cause| cause.as_str()),
            for_s: now.since(state.ladder.since()).as_secs(),
            latency_ms: tenths(signals.latency.as_secs_f64() * 1_000.0),
            memory_bytes: state.memory.bytes,
            memory_bytes_max: state.memory.bytes_max,
            memory_percent: percent(signals.memory),
            policy_queue_percent: percent(signals.policy_queue),
            loads_percent: percent(signals.loads),
            origins_fail: signals.origins_fail,
        }
    }
}

/// A share, for people.
pub(super) fn percent(share: f64) -> f64 {
    tenths(share * 100.0)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
