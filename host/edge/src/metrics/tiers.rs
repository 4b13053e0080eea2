//! The counters of the cache's tiers, as Prometheus reads them.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::counter::ConstCounter,
};
use wayside_cache::counts::Counts;

/// A metric's name, what it means, and which count it is.
type Series = (&'static str, &'static str, fn(&Counts) -> u64);

const SERIES: [Series; 7] = [
    ("cache_requests", "Look-ups of links by tier of the cache", |counts| {
        counts.hits + counts.misses
    }),
    ("cache_hits", "Look-ups that a tier answered", |counts| counts.hits),
    (
        "wayside_cache_errors",
        "Times that a tier could not be used",
        |counts| counts.errors,
    ),
    (
        "wayside_cache_damaged",
        "Values that were not what had been written",
        |counts| counts.damaged,
    ),
    (
        "wayside_cache_dropped",
        "Values that a tier had no time or room for",
        |counts| counts.dropped,
    ),
    (
        "wayside_cache_read_bytes",
        "Bytes of links read from a tier",
        |counts| counts.bytes_read,
    ),
    ("wayside_cache_written_bytes", "Bytes written to a tier", |counts| {
        counts.bytes_written
    }),
];

/// Writes every series of every tier.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, tiers: &[(&str, Counts)]) -> Result<(), fmt::Error> {
    let kind = ConstCounter::new(0_u64).metric_type();
    for (name, help, value) in SERIES {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (tier, counts) in tiers {
            ConstCounter::new(value(counts)).encode(family.encode_family(&[("tier", *tier)])?)?;
        }
    }
    Ok(())
}
