//! Asking targets whether they serve.
//!
//! One task for each target that has a probe, on the control runtime. In: the targets of all tenants as they change, a
//! client that reaches only what tenants may have it reach. Out: how each probe ended, to the tenant's pool.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use wayside_balance::random::Random;
use wayside_decide::{name::Name, stream::target::Probe, target::Target};
use wayside_stream::select::live::Probe as Ended;

use super::{Streams, pools};
use crate::pipeline::Edge;

/// By how much of its interval a probe comes earlier or later.
const JITTER: f64 = 0.2;

/// Who is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    url: Target,
    probe: Probe,
}

/// The tasks, by tenant and target.
#[derive(Default)]
struct Probing(HashMap<(Name, Name), (Plan, JoinHandle<()>)>);

/// Probes all targets, and follows their changes. Ends never.
pub(super) async fn run(edge: &Arc<Edge>) {
    let mut probing = Probing::default();
    loop {
        probing.follow(edge);
        edge.streams.targets_changed.notified().await;
    }
}

impl Probing {
    /// Begins what is missing and ends what is not wanted any more. A target that stays as it is goes on being asked.
    fn follow(&mut self, edge: &Arc<Edge>) {
        let mut wanted = wanted(&edge.streams);
        self.0.retain(|key, (plan, task)| {
            let stays = wanted.get(key) == Some(plan);
            if stays {
                wanted.remove(key);
            } else {
                task.abort();
            }
            stays
        });
        for (key, plan) in wanted {
            let task = tokio::spawn(ask(Arc::clone(edge), key.clone(), plan.clone()));
            self.0.insert(key, (plan, task));
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        for (_, task) in self.0.values() {
            task.abort();
        }
    }
}

fn wanted(streams: &Streams) -> HashMap<(Name, Name), Plan> {
    let mut wanted = HashMap::new();
    for pool in streams.pools.all() {
        for (_, target) in pool.targets().iter() {
            let first = target.urls.first();
            let plan = target.probe.clone().zip(first).and_then(|(probe, first)| {
                let url = first.join(&probe.path).ok()?;
                Some(Plan { url, probe })
            });
            if let Some(plan) = plan {
                wanted.insert((pool.tenant.clone(), target.name.clone()), plan);
            }
        }
    }
    wanted
}

async fn ask(edge: Arc<Edge>, (tenant, target): (Name, Name), Plan { url, probe }: Plan) {
    let mut random = Random::new(pools::seed());
    let interval = Duration::from_millis(probe.interval_ms.into());
    let limit = Duration::from_millis(probe.timeout_ms.into());
    // Nodes that start together, and targets that come together, are spread over the first interval.
    tokio::time::sleep(random.up_to(interval.min(Duration::from_secs(1)))).await;
    let mut told_why = false;
    loop {
        let asked = edge.streams.fetcher.probe(tenant.as_str(), &url, limit).await;
        let (ended, why) = match asked {
            Ok((status, took)) if status.as_u16() == probe.status => (Ended::Answered(took), String::new()),
            Ok((status, _)) => {
                let expected = probe.status;
                (Ended::Failed, format!("found status {status}, expected {expected}"))
            }
            Err(error) => (Ended::Failed, error.to_string()),
        };
        let has_failed = ended == Ended::Failed;
        if let Some(pool) = edge.streams.pools.of(&tenant)
            && pool.probed(&target, ended)
        {
            if has_failed {
                tracing::warn!(%tenant, %target, %url, why, "a target is down");
            } else {
                tracing::info!(%tenant, %target, "a target answers again");
            }
        } else if has_failed && !told_why {
            tracing::debug!(%tenant, %target, %url, why, "a probe failed");
        }
        told_why = has_failed;
        let share = 1.0 - JITTER + 2.0 * JITTER * random.share();
        tokio::time::sleep(interval.mul_f64(share)).await;
    }
}
