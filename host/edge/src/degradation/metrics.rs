//! What Prometheus reads of a node's level.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use wayside_balance::level::Level;

use super::Degradation;

/// Looks when somebody reads.
pub(crate) struct DegradationMetrics(pub(crate) Arc<Degradation>);

impl fmt::Debug for DegradationMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DegradationMetrics")
    }
}

impl Collector for DegradationMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let state = self.0.state();
        let kind = ConstGauge::new(0_u64).metric_type();
        let help = "1 for the level of degradation that the node is at";
        let mut levels = encoder.encode_descriptor("wayside_degradation_level", help, None, kind)?;
        for level in Level::ALL {
            let is_at = u64::from(state.ladder.level() == level);
            ConstGauge::new(is_at).encode(levels.encode_family(&[("level", level.as_str())])?)?;
        }
        let help = "Changes of the level of degradation by what brought them";
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut changes = encoder.encode_descriptor("wayside_degradation_transitions", help, None, kind)?;
        for ((from, to, cause), count) in &state.transitions {
            let labels = [("from", from.as_str()), ("to", to.as_str()), ("cause", cause.as_str())];
            ConstCounter::new(*count).encode(changes.encode_family(&labels)?)?;
        }
        let signals = &state.signals;
        let origins_fail = f64::from(u8::from(signals.origins_fail));
        for (name, help, value) in [
            (
                "wayside_degradation_latency_seconds",
                "How late the threads that serve visitors are at least",
                signals.latency.as_secs_f64(),
            ),
            (
                "wayside_degradation_memory_ratio",
                "Memory that the process takes, as a share of what it may take",
                signals.memory,
            ),
            (
                "wayside_degradation_policy_queue_ratio",
                "Runs of policies that wait, as a share of those that may",
                signals.policy_queue,
            ),
            (
                "wayside_degradation_loads_ratio",
                "Links on their way from origins, as a share of those that may be",
                signals.loads,
            ),
            (
                "wayside_degradation_origins_fail",
                "1 while most origins of every region fail",
                origins_fail,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
