//! How targets do on this node, as its endpoint tells it.

use serde::Serialize;
use wayside_stream::select::live::{Health, Standing};

use super::pools::{
    Pools,
    tenant::{Stands, TenantPool},
};

/// A target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TargetShown {
    pub(crate) tenant: String,
    pub(crate) target: String,
    region: String,
    /// What its operator says of it.
    service: &'static str,
    /// How it does: `healthy`, `degraded`, `draining` or `down`.
    pub(crate) health: &'static str,
    /// The share of its sessions that it takes: below 100 while it comes back.
    pub(crate) share_percent: u8,
    /// Sessions of this node.
    pub(crate) sessions: u32,
    /// Sessions of all nodes that are known.
    pub(crate) sessions_everywhere: u32,
    /// What this node's sessions fetch, in kbit/s, as far as players say so.
    pub(crate) kbit_s: u64,
    /// How long its probes took of late, in milliseconds; none when none was ever answered.
    pub(crate) latency_ms: Option<f64>,
    /// What is wrong with its last probe, if that failed.
    problem: Option<Box<str>>,
}

/// All targets of all tenants, in order of their names.
pub(crate) fn targets(pools: &Pools) -> Vec<TargetShown> {
    let mut shown: Vec<TargetShown> = pools.all().iter().flat_map(|pool| of(pool)).collect();
    shown.sort_by(|one, other| (&one.tenant, &one.target).cmp(&(&other.tenant, &other.target)));
    shown
}

fn of(pool: &TenantPool) -> Vec<TargetShown> {
    let (targets, standings) = pool.standings();
    let described = targets.iter().zip(standings).map(|((_, target), stands)| {
        let Stands {
            standing,
            count,
            problem,
        } = stands;
        let Standing {
            health,
            share_percent,
            sessions,
            latency,
        } = standing;
        TargetShown {
            tenant: pool.tenant.to_string(),
            target: target.name.to_string(),
            region: target.region.to_string(),
            service: target.service.as_str(),
            health: word(health),
            share_percent,
            sessions: count.sessions,
            sessions_everywhere: sessions,
            kbit_s: count.kbit_s,
            latency_ms: latency.map(|latency| (latency.as_secs_f64() * 10_000.0).round() / 10.0),
            problem,
        }
    });
    described.collect()
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Draining => "draining",
        Health::Down => "down",
    }
}
