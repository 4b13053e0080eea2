//! Counters and the latency histogram, and their text for Prometheus.
//!
//! Each listening thread counts in a shard of its own, so that the hot path never shares a cache line; the shards are
//! added up when somebody reads `/metrics`. What happens seldom uses the library's own families.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
    },
    registry::{Registry, Unit},
};
use wayside_upstream::origins::Origins;

use wayside_cache::counts::Counts;

use crate::{
    account::Accounts,
    degradation::{Degradation, metrics::DegradationMetrics},
    refusal::Refusal,
    streams::shown::TargetShown,
};

mod targets;
mod tiers;
mod upstream;

/// Status codes the edge answers with.
const STATUSES: [u16; 23] = [
    200, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 414, 415, 421, 431, 451, 500, 502, 503, 508,
];

/// Upper bounds of the latency histogram's buckets, in microseconds.
const BOUNDS_US: [u64; 12] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 50_000, 250_000, 1_000_000,
];

/// What one listening thread counts.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    by_status: [AtomicU64; STATUSES.len()],
    by_refusal: [AtomicU64; Refusal::LABELS.len()],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
    look_ups: AtomicU64,
    hits: AtomicU64,
    remembered: AtomicU64,
    by_report: [AtomicU64; Reported::LABELS.len()],
}

/// What became of a player's report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reported {
    /// It counts.
    Heard,
    /// Its session is none of ours.
    NoSession,
    /// It cannot be read.
    Malformed,
    /// It is longer than is read.
    TooLong,
}

impl Reported {
    /// In the order of the outcomes.
    const LABELS: [&str; 4] = ["heard", "no_session", "malformed", "too_long"];
}

impl Shard {
    /// Counts one answered request.
    pub(crate) fn count(&self, status: u16, took: Duration) {
        let index = STATUSES.iter().position(|known| *known == status);
        // 500 stands for what should not happen.
        let index = index
            .or_else(|| STATUSES.iter().position(|known| *known == 500))
            .unwrap_or(0);
        add(&self.by_status[index], 1);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US
            .iter()
            .position(|bound| took_ns <= bound * 1_000)
            .unwrap_or(BOUNDS_US.len());
        add(&self.buckets[bucket], 1);
        add(&self.sum_ns, took_ns);
    }

    /// Counts a look-up in memory; how many there were before.
    pub(crate) fn count_look_up(&self, is_hit: bool) -> u64 {
        add(&self.hits, u64::from(is_hit));
        add(&self.look_ups, 1)
    }

    /// Counts a decision that needed no run.
    pub(crate) fn count_remembered(&self) {
        add(&self.remembered, 1);
    }

    /// Counts players' reports.
    pub(crate) fn count_reports(&self, outcome: Reported, count: usize) {
        add(&self.by_report[outcome as usize], count as u64);
    }

    /// Counts why a request was refused.
    pub(crate) fn count_refusal(&self, refusal: &Refusal) {
        if let Some(index) = Refusal::LABELS.iter().position(|label| *label == refusal.label()) {
            add(&self.by_refusal[index], 1);
        }
    }
}

/// A shard has one writer, so a load and a store are enough: no locked instruction on the hot path. What it was before
/// comes back.
fn add(counter: &AtomicU64, count: u64) -> u64 {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(count), Ordering::Relaxed);
    before
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    kind: &'static str,
    outcome: &'static str,
}

/// A question of a binding's policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub(crate) struct WideLabels {
    pub(crate) tenant: String,
    pub(crate) site: String,
    pub(crate) prefix: String,
    pub(crate) question: String,
}

/// How many questions with too many answers are named: each is a series of its own.
const WIDE_MAX: usize = 100;

/// All metrics of a node.
pub(crate) struct Metrics {
    registry: Registry,
    shards: Shards,
    pub(crate) accounts: Accounts,
    policies_resting: Gauge,
    policy_runs: Family<Outcome, Counter>,
    policy_loads: Family<Outcome, Counter>,
    geo_reloads: Family<Outcome, Counter>,
    origin_requests: Family<Request, Counter>,
    links_cached: Gauge,
    links_cached_bytes: Gauge,
    links_disk_bytes: Gauge,
    sites: Gauge,
    feed_connected: Gauge,
    wide_questions: Family<WideLabels, Gauge>,
}

impl Metrics {
    /// The metrics of a node that asks `origins` and is at the level that `degradation` says, and the `accounts` of its
    /// policies.
    pub(crate) fn new(origins: &Origins, degradation: &Arc<Degradation>, accounts: Accounts) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            shards: Shards::default(),
            accounts,
            policies_resting: Gauge::default(),
            policy_runs: Family::default(),
            policy_loads: Family::default(),
            geo_reloads: Family::default(),
            origin_requests: Family::default(),
            links_cached: Gauge::default(),
            links_cached_bytes: Gauge::default(),
            links_disk_bytes: Gauge::default(),
            sites: Gauge::default(),
            feed_connected: Gauge::default(),
            wide_questions: Family::default(),
        };
        let upstream = upstream::UpstreamMetrics(origins.clone());
        metrics.registry.register_collector(Box::new(upstream));
        let degradation = DegradationMetrics(Arc::clone(degradation));
        metrics.registry.register_collector(Box::new(degradation));
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_collector(Box::new(self.shards.clone()));
        registry.register_collector(Box::new(self.accounts.clone()));
        registry.register(
            "wayside_policies_resting",
            "Bindings whose policy was cut off again and again and is not run for a while",
            self.policies_resting.clone(),
        );
        registry.register(
            "wayside_policy_runs",
            "Runs of policies by outcome",
            self.policy_runs.clone(),
        );
        registry.register(
            "wayside_policy_loads",
            "Policies loaded: opened from disk, compiled, or refused",
            self.policy_loads.clone(),
        );
        registry.register(
            "wayside_geo_reloads",
            "Replaced databases by outcome",
            self.geo_reloads.clone(),
        );
        registry.register(
            "wayside_origin_requests",
            "Requests to the origin",
            self.origin_requests.clone(),
        );
        registry.register("wayside_links_cached", "Links in memory", self.links_cached.clone());
        registry.register(
            "wayside_links_cached_bytes",
            "Memory of links",
            self.links_cached_bytes.clone(),
        );
        registry.register(
            "wayside_links_disk_bytes",
            "Room that the links on disk take",
            self.links_disk_bytes.clone(),
        );
        registry.register("wayside_sites", "Sites in the directory", self.sites.clone());
        registry.register(
            "wayside_feed_connected",
            "1 while the change feed is open",
            self.feed_connected.clone(),
        );
        registry.register(
            "wayside_policy_wide_questions",
            "Answers met to questions of policies that have too many to remember",
            self.wide_questions.clone(),
        );
    }

    /// A shard for a new listening thread.
    pub(crate) fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::default());
        self.shards
            .shards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&shard));
        shard
    }

    pub(crate) fn count_policy_run(&self, outcome: &str) {
        self.policy_runs
            .get_or_create(&Outcome {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    pub(crate) fn count_policy_load(&self, outcome: &str) {
        self.policy_loads
            .get_or_create(&Outcome {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    pub(crate) fn count_geo_reload(&self, outcome: &str) {
        self.geo_reloads
            .get_or_create(&Outcome {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    pub(crate) fn count_origin_request(&self, kind: &'static str, is_ok: bool) {
        let outcome = if is_ok { "ok" } else { "failed" };
        self.origin_requests.get_or_create(&Request { kind, outcome }).inc();
    }

    /// A request for the directory of which the answer is that the one that is held is still right.
    pub(crate) fn count_unchanged_directory(&self) {
        let request = Request {
            kind: "directory",
            outcome: "unchanged",
        };
        self.origin_requests.get_or_create(&request).inc();
    }

    pub(crate) fn show_links(&self, entries: u64, bytes: u64) {
        self.links_cached.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.links_cached_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Shows what the tiers behind memory have counted, and what the links on disk take there.
    pub(crate) fn show_tiers(&self, tiers: Vec<(&'static str, Counts)>, disk_bytes: u64) {
        *self.shards.tiers.lock().unwrap_or_else(PoisonError::into_inner) = tiers;
        self.links_disk_bytes.set(i64::try_from(disk_bytes).unwrap_or(i64::MAX));
    }

    /// Look-ups in memory, and how many it answered.
    pub(crate) fn memory_hits(&self) -> (u64, u64) {
        let [look_ups] = self.shards.sum(|shard| std::array::from_ref(&shard.look_ups));
        let [hits] = self.shards.sum(|shard| std::array::from_ref(&shard.hits));
        (look_ups, hits)
    }

    pub(crate) fn show_resting(&self, bindings: usize) {
        self.policies_resting.set(i64::try_from(bindings).unwrap_or(i64::MAX));
    }

    pub(crate) fn show_sites(&self, count: usize) {
        self.sites.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows the widest of these, given in that order.
    pub(crate) fn show_wide_questions(&self, questions: &[(WideLabels, u64)]) {
        self.wide_questions.clear();
        for (labels, met) in questions.iter().take(WIDE_MAX) {
            let met = i64::try_from(*met).unwrap_or(i64::MAX);
            self.wide_questions.get_or_create(labels).set(met);
        }
    }

    pub(crate) fn show_feed(&self, is_connected: bool) {
        self.feed_connected.set(i64::from(is_connected));
    }

    /// Whether the change feed is open.
    pub(crate) fn feed_is_connected(&self) -> bool {
        self.feed_connected.get() == 1
    }

    /// Requests answered since start.
    pub(crate) fn request_count(&self) -> u64 {
        self.shards.sum(|shard| &shard.by_status).iter().sum()
    }

    /// Shows how the targets of streams do.
    pub(crate) fn show_targets(&self, targets: Vec<TargetShown>) {
        *self.shards.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// The text that Prometheus reads (OpenMetrics).
    ///
    /// # Errors
    /// Only when writing to memory fails, which it does not.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What is counted in pieces and added up when somebody asks.
#[derive(Debug, Clone, Default)]
struct Shards {
    shards: Arc<Mutex<Vec<Arc<Shard>>>>,
    /// The cache's tiers behind memory.
    tiers: Arc<Mutex<Vec<(&'static str, Counts)>>>,
    /// Targets of streams.
    targets: Arc<Mutex<Vec<TargetShown>>>,
}

impl Shards {
    fn sum<const N: usize>(&self, counters: impl Fn(&Shard) -> &[AtomicU64; N]) -> [u64; N] {
        let mut sums = [0; N];
        for shard in self.shards.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (sum, counter) in sums.iter_mut().zip(counters(shard)) {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        sums
    }
}

impl Collector for Shards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut requests = encoder.encode_descriptor("http_requests", "Answered requests by status", None, kind)?;
        for (status, count) in STATUSES.iter().zip(self.sum(|shard| &shard.by_status)) {
            if count > 0 {
                let labels = [("status", status.to_string())];
                ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
            }
        }
        let mut errors = encoder.encode_descriptor("wayside_errors", "Refused requests by reason", None, kind)?;
        for (label, count) in Refusal::LABELS.iter().zip(self.sum(|shard| &shard.by_refusal)) {
            let labels = [("kind", *label)];
            ConstCounter::new(count).encode(errors.encode_family(&labels)?)?;
        }
        let help = "Players' reports by outcome";
        let mut reports = encoder.encode_descriptor("wayside_stream_reports", help, None, kind)?;
        for (outcome, count) in Reported::LABELS.iter().zip(self.sum(|shard| &shard.by_report)) {
            ConstCounter::new(count).encode(reports.encode_family(&[("outcome", *outcome)])?)?;
        }
        self.encode_tiers(&mut encoder)?;
        targets::encode(
            &mut encoder,
            &self.targets.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
        let [remembered] = self.sum(|shard| std::array::from_ref(&shard.remembered));
        let help = "Decisions of policies that needed no run";
        let decided = encoder.encode_descriptor("wayside_policy_remembered", help, None, kind)?;
        ConstCounter::new(remembered).encode(decided)?;
        self.encode_latency(&mut encoder)
    }
}

impl Shards {
    /// The tiers of the cache, memory first.
    fn encode_tiers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let [look_ups] = self.sum(|shard| std::array::from_ref(&shard.look_ups));
        let [hits] = self.sum(|shard| std::array::from_ref(&shard.hits));
        let memory = Counts {
            hits,
            misses: look_ups.saturating_sub(hits),
            ..Counts::default()
        };
        let mut tiers = vec![("memory", memory)];
        tiers.extend_from_slice(&self.tiers.lock().unwrap_or_else(PoisonError::into_inner));
        tiers::encode(encoder, &tiers)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a sum of latencies needs no more than 53 bits of precision"
    )]
    fn encode_latency(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.sum(|shard| &shard.buckets);
        let [sum_ns] = self.sum(|shard| std::array::from_ref(&shard.sum_ns));
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let help = "From a request's head to its answer";
        let kind = prometheus_client::metrics::MetricType::Histogram;
        let mut metric = encoder.encode_descriptor("redirect_duration", help, Some(&Unit::Seconds), kind)?;
        metric.encode_histogram::<NoLabelSet>(sum_ns as f64 / 1e9, counts.iter().sum(), &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use wayside_cache::counts::Counts;
    use wayside_upstream::{
        access::Access,
        http::Roots,
        origins::{Origins, Region, Settings},
    };

    use super::Metrics;
    use crate::{
        degradation::{Degradation, Settings as Levels},
        refusal::Refusal,
    };

    #[test]
    fn shards_add_up_under_the_fields_names() {
        let region = Region {
            name: "local".to_owned(),
            preference: 0,
            origins: vec!["http://127.0.0.1:7070".to_owned()],
        };
        let access = Access::by_token("ws_1_2", Roots::System).expect("a token");
        let origins = Origins::new(&[region], &access, Settings::default(), Arc::default()).expect("a client");
        let degradation = Arc::new(Degradation::new(Levels::default()));
        let metrics = Metrics::new(&origins, &degradation, super::Accounts::new(1 << 20));
        let (one, other) = (metrics.shard(), metrics.shard());
        one.count(302, Duration::from_micros(20));
        other.count(302, Duration::from_micros(20));
        other.count(404, Duration::from_secs(2));
        other.count_refusal(&Refusal::NotFound);
        one.count_look_up(true);
        other.count_look_up(false);
        metrics.count_origin_request("link", false);
        let disk = Counts {
            hits: 7,
            damaged: 1,
            ..Counts::default()
        };
        metrics.show_tiers(vec![("disk", disk)], 4096);
        let text = metrics.text().expect("text");
        for line in [
            "http_requests_total{status=\"302\"} 2",
            "http_requests_total{status=\"404\"} 1",
            "redirect_duration_seconds_count 3",
            "redirect_duration_seconds_bucket{le=\"0.000025\"} 2",
            "redirect_duration_seconds_bucket{le=\"+Inf\"} 3",
            "wayside_errors_total{kind=\"not_found\"} 1",
            "wayside_errors_total{kind=\"loop\"} 0",
            "cache_requests_total{tier=\"memory\"} 2",
            "cache_hits_total{tier=\"memory\"} 1",
            "cache_hits_total{tier=\"disk\"} 7",
            "wayside_cache_damaged_total{tier=\"disk\"} 1",
            "wayside_origin_requests_total{kind=\"link\",outcome=\"failed\"} 1",
            "wayside_upstream_region_share_percent{region=\"local\"} 100.0",
            "wayside_upstream_breaker{region=\"local\",origin=\"http://127.0.0.1:7070\",state=\"closed\"} 1",
            "wayside_upstream_breaker{region=\"local\",origin=\"http://127.0.0.1:7070\",state=\"open\"} 0",
            "wayside_upstream_requests_total{kind=\"retry\"} 0",
            "wayside_upstream_panic 0",
            "wayside_degradation_level{level=\"full\"} 1",
            "wayside_degradation_level{level=\"core-only\"} 0",
            "wayside_degradation_latency_seconds 0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert_eq!(metrics.request_count(), 3);
    }
}
