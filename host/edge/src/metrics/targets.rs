//! How targets of streams do, as Prometheus reads it.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};

use crate::streams::shown::TargetShown;

/// A metric's name, what it means, and which number it is, where there is one.
type Series = (&'static str, &'static str, fn(&TargetShown) -> Option<f64>);

const SERIES: [Series; 5] = [
    (
        "wayside_stream_sessions",
        "Sessions of this node that play from a target",
        |shown| Some(f64::from(shown.sessions)),
    ),
    (
        "wayside_stream_kbit_per_second",
        "What this node's sessions fetch from a target, as far as players say so",
        |shown| Some(shown.kbit_s as f64),
    ),
    (
        "wayside_stream_target_up",
        "1 while a target serves: it is healthy, degraded or draining",
        |shown| Some(f64::from(u8::from(shown.health != "down"))),
    ),
    (
        "wayside_stream_target_share",
        "The share of its sessions that a target takes: below 1 while it comes back",
        |shown| Some(f64::from(shown.share_percent) / 100.0),
    ),
    (
        "wayside_stream_probe_seconds",
        "How long a target's probes took of late",
        |shown| Some(shown.latency_ms? / 1_000.0),
    ),
];

/// Writes every series of every target.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, targets: &[TargetShown]) -> Result<(), fmt::Error> {
    let kind = ConstGauge::new(0.0_f64).metric_type();
    for (name, help, value) in SERIES {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (shown, value) in targets.iter().filter_map(|shown| Some((shown, value(shown)?))) {
            let labels = [("tenant", shown.tenant.as_str()), ("target", shown.target.as_str())];
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
