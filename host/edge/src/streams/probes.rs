//! Asking targets whether they serve.
//!
//! One task for each target that has a probe, on the control runtime. In: the targets of all tenants as they change, a
//! client that reaches only what tenants may have it reach. Out: how each probe ended, to the tenant's pool.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};
use wayside_balance::random::Random;
use wayside_decide::{
    name::Name,
    stream::{
        probe::{Asks, Listener, Probe},
        target::StreamTarget,
    },
    target::Target,
};

use super::{Streams, fetch::Fetcher, pools};
use crate::pipeline::Edge;

/// By how much of its interval a probe may come earlier, so that those of many nodes do not come together. None comes later:
/// an interval is what an operator counts on.
const JITTER: f64 = 0.2;
/// After what part of the interval the first probe that failed is repeated. A target that accepts and never answers is then known
/// to be down after two intervals, as long as a probe waits for half of one at most.
const REPEATED_AFTER: f64 = 0.25;

/// Who is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    asked: Asked,
    probe: Probe,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Url(Target),
    Connection(Listener),
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
            if let Some(plan) = Plan::of(target) {
                wanted.insert((pool.tenant.clone(), target.name.clone()), plan);
            }
        }
    }
    wanted
}

impl Plan {
    /// How a target is asked; none when it is not.
    fn of(target: &StreamTarget) -> Option<Self> {
        let probe = target.probe.clone()?;
        let asked = match &probe.asks {
            Asks::Below(path) => Asked::Url(target.urls.first()?.join(path).ok()?),
            Asks::For(url) => Asked::Url(url.clone()),
            Asks::Connection(listener) => Asked::Connection(listener.clone()),
        };
        Some(Self { asked, probe })
    }

    /// Asks once: how long the answer took, or why there was no good one.
    async fn ask(&self, fetcher: &Fetcher, tenant: &str) -> Result<Duration, String> {
        let limit = Duration::from_millis(self.probe.timeout_ms.into());
        match &self.asked {
            Asked::Url(url) => match fetcher.probe(tenant, url, limit).await {
                Ok((status, took)) if status.as_u16() == self.probe.status => Ok(took),
                Ok((status, _)) => Err(format!("found status {status}, expected {}", self.probe.status)),
                Err(error) => Err(error.to_string()),
            },
            Asked::Connection(listener) => {
                let connected = fetcher.connect(tenant, listener, limit).await;
                connected.map_err(|error| error.to_string())
            }
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(formatter),
            Self::Connection(listener) => listener.fmt(formatter),
        }
    }
}

async fn ask(edge: Arc<Edge>, (tenant, target): (Name, Name), plan: Plan) {
    let mut random = Random::new(pools::tenant::seed());
    let (url, interval) = (&plan.asked, Duration::from_millis(plan.probe.interval_ms.into()));
    // Nodes that start together, and targets that come together, are spread over the first interval.
    tokio::time::sleep(random.up_to(interval.min(Duration::from_secs(1)))).await;
    let mut has_failed_before = false;
    loop {
        let began = Instant::now();
        let ended = plan.ask(&edge.streams.fetcher, tenant.as_str()).await;
        let ended = ended.as_ref().map_err(String::as_str).copied();
        let has_changed = edge
            .streams
            .pools
            .of(&tenant)
            .is_some_and(|pool| pool.probed(&target, ended));
        match ended {
            Ok(_) if has_changed => tracing::info!(%tenant, %target, "a target answers again"),
            Err(why) if has_changed => tracing::warn!(%tenant, %target, %url, why, "a target is down"),
            Err(why) if !has_failed_before => tracing::debug!(%tenant, %target, %url, why, "a probe failed"),
            _ => {}
        }
        let has_failed = ended.is_err();
        let is_first_failure = has_failed && !has_failed_before;
        has_failed_before = has_failed;
        tokio::time::sleep_until(began + pause(interval, is_first_failure, random.share())).await;
    }
}

/// How long after a probe began the next one does, when this one has not ended later; `chance` goes from 0 to 1.
fn pause(interval: Duration, is_first_failure: bool, chance: f64) -> Duration {
    let share = if is_first_failure { REPEATED_AFTER } else { 1.0 };
    interval.mul_f64(share * (1.0 - JITTER * chance))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;

    #[test]
    fn probes_come_a_little_earlier_than_they_may_and_soon_after_a_first_failure() {
        let interval = Duration::from_secs(2);
        for (is_first_failure, chance, expected_ms) in [
            (false, 0.0, 2_000),
            (false, 0.5, 1_800),
            (false, 1.0, 1_600),
            (true, 0.0, 500),
            (true, 1.0, 400),
        ] {
            assert_eq!(
                pause(interval, is_first_failure, chance),
                Duration::from_millis(expected_ms)
            );
        }
    }
}
