//! What nodes tell each other of targets, through the origin: sessions and what they fetch, and what operators say.
//!
//! In: what this node counts: of targets from which nobody plays nothing is told, and where there are too many those with
//! the most are. And what the origin answers. Out: for each target what is known elsewhere. It must not know how
//! a target is chosen. While no origin answers, what others counted is forgotten by halves: it grows old, and is better
//! than nothing for a while.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_decide::name::Name;
use wayside_stream::select::live::Report;
use wayside_upstream::{
    origins::Origins,
    protocol::streams::{LOADS_INTERVAL_S, LOADS_TOLD_MAX, LoadTold, LoadsElsewhere, LoadsTold},
};

use super::pools::Pools;
use crate::{causes, metrics::Metrics, pipeline::Edge};

/// How long what others counted is as good as new, in intervals.
const FRESH_INTERVALS: u32 = 3;

/// Tells the origins what this node counts, and hears what the others do. Ends never.
pub(crate) async fn keep(edge: Arc<Edge>, origins: Origins) {
    let interval = Duration::from_secs(LOADS_INTERVAL_S);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shared = Shared::new(Instant::now());
    let mut was_told = true;
    loop {
        ticks.tick().await;
        let pools = &edge.streams.pools;
        let all = pools.all();
        if all.is_empty() {
            continue;
        }
        let counts = all.iter().map(|pool| (&pool.tenant, pool.counts()));
        let told = LoadsTold {
            process: shared.process.clone(),
            targets: counted(counts),
        };
        // Whoever answers later than the next time is not waited for.
        let answered = tokio::time::timeout(interval, origins.loads(told)).await;
        let now = Instant::now();
        match answered {
            Ok(Ok(elsewhere)) => {
                shared.hear(elsewhere, now);
                was_told = true;
            }
            Ok(Err(error)) => say_once(&mut was_told, &causes::told(&error)),
            Err(_) => say_once(&mut was_told, "no answer in time"),
        }
        count(&edge.metrics, was_told);
        shared.forget(now);
        shared.tell(pools);
    }
}

fn say_once(was_told: &mut bool, error: &str) {
    if std::mem::replace(was_told, false) {
        tracing::warn!(error, "tell the origins what targets carry");
    }
}

fn count(metrics: &Metrics, is_ok: bool) {
    metrics.count_origin_request("loads", is_ok);
}

/// What is told of tenants' targets: a target that is not named has nothing.
fn counted<'t>(counts: impl Iterator<Item = (&'t Name, Vec<(Name, u32, u64)>)>) -> Vec<LoadTold> {
    let targets = counts.flat_map(|(tenant, counts)| {
        let counts = counts.into_iter();
        let with_any = counts.filter(|(_, sessions, kbit_s)| (*sessions, *kbit_s) != (0, 0));
        with_any.map(|(target, sessions, kbit_s)| LoadTold {
            tenant: tenant.to_string(),
            target: target.to_string(),
            sessions,
            kbit_s,
        })
    });
    let mut targets: Vec<LoadTold> = targets.collect();
    if targets.len() > LOADS_TOLD_MAX {
        targets.sort_unstable_by_key(|told| std::cmp::Reverse((told.sessions, told.kbit_s)));
        targets.truncate(LOADS_TOLD_MAX);
    }
    targets
}

/// What is known elsewhere, and how old it is.
struct Shared {
    process: String,
    /// By tenant and target.
    known: HashMap<(String, String), Report>,
    heard: Instant,
    halved: u32,
}

impl Shared {
    fn new(now: Instant) -> Self {
        // Two nodes without randomness would be taken for one; then each misses what the other counts.
        let process = getrandom::u64().unwrap_or_default();
        Self {
            process: format!("{process:016x}"),
            known: HashMap::new(),
            heard: now,
            halved: 0,
        }
    }

    fn hear(&mut self, elsewhere: LoadsElsewhere, now: Instant) {
        let reports = elsewhere.targets.into_iter().map(|load| {
            let report = Report {
                sessions: load.sessions,
                kbit_s: load.kbit_s,
                load: load.load,
            };
            ((load.tenant, load.target), report)
        });
        self.known = reports.collect();
        self.heard = now;
        self.halved = 0;
    }

    /// Halves what was counted once for each interval since it was fresh. What an operator said is forgotten at once: it
    /// had its own time to live, which only the origin knows.
    fn forget(&mut self, now: Instant) {
        let interval = Duration::from_secs(LOADS_INTERVAL_S);
        let passed = now.saturating_duration_since(self.heard).as_secs() / interval.as_secs();
        let due = u32::try_from(passed)
            .unwrap_or(u32::MAX)
            .saturating_sub(FRESH_INTERVALS);
        let more = due.saturating_sub(self.halved);
        if more == 0 {
            return;
        }
        self.halved = due;
        for report in self.known.values_mut() {
            report.sessions = report.sessions.checked_shr(more).unwrap_or_default();
            report.kbit_s = report.kbit_s.checked_shr(more).unwrap_or_default();
            report.load = None;
        }
        self.known.retain(|_, report| *report != Report::default());
    }

    /// Has every target know what is known of it, and those of which nothing is, nothing.
    fn tell(&self, pools: &Pools) {
        for pool in pools.all() {
            let tell = |target: &Name| {
                let of = (pool.tenant.to_string(), target.to_string());
                pool.told(target.as_str(), self.known.get(&of).copied().unwrap_or_default());
            };
            pool.targets().iter().for_each(|(_, target)| tell(&target.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wayside_decide::name::Name;
    use wayside_upstream::protocol::streams::{LOADS_TOLD_MAX, LoadElsewhere, LoadsElsewhere};

    use super::{Shared, counted};

    fn elsewhere(sessions: u32) -> LoadsElsewhere {
        LoadsElsewhere {
            targets: vec![LoadElsewhere {
                tenant: "t".to_owned(),
                target: "a".to_owned(),
                sessions,
                kbit_s: u64::from(sessions) * 1_000,
                load: Some(0.5),
            }],
        }
    }

    #[test]
    fn targets_without_sessions_are_left_out_and_of_too_many_the_least() {
        let name = |text: &str| Name::parse("name", text).expect("a name");
        let (tenant, idle) = (name("t"), (name("idle"), 0, 0));
        let target = |number: u32| (name(&format!("t{number}")), number + 1, 0);
        let few = [idle.clone(), target(6), (name("silent"), 0, 5)];
        let told = counted([(&tenant, few.to_vec())].into_iter());
        let told: Vec<_> = told.iter().map(|told| (&*told.target, told.sessions)).collect();
        assert_eq!(told, [("t6", 7), ("silent", 0)]);
        let many = (0..LOADS_TOLD_MAX as u32 + 10).map(target).chain([idle]);
        let told = counted([(&tenant, many.collect())].into_iter());
        let least = told.iter().map(|told| told.sessions).min();
        assert_eq!((told.len(), least), (LOADS_TOLD_MAX, Some(11)));
    }

    #[test]
    fn what_others_counted_is_forgotten_by_halves_when_no_origin_answers() {
        let start = Instant::now();
        let mut shared = Shared::new(start);
        shared.hear(elsewhere(100), start);
        let known = |shared: &Shared| {
            shared
                .known
                .values()
                .next()
                .map(|report| (report.sessions, report.load))
        };
        for (seconds, expected) in [
            (0, Some((100, Some(0.5)))),
            (7, Some((100, Some(0.5)))),
            (8, Some((50, None))),
            (9, Some((50, None))),
            (12, Some((12, None))),
            (40, None),
        ] {
            shared.forget(start + Duration::from_secs(seconds));
            assert_eq!(known(&shared), expected, "after {seconds} s");
        }
        shared.hear(elsewhere(7), start + Duration::from_secs(42));
        shared.forget(start + Duration::from_secs(43));
        assert_eq!(known(&shared), Some((7, Some(0.5))));
        assert_eq!(shared.process.len(), 16);
    }
}
