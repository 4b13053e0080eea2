//! What every long-running command shares: a runtime, a node made from configuration, and an end by signal.

use std::{future::Future, thread::available_parallelism, time::Duration};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wayside_balance::adaptive::{Adaptive, Weights};
use wayside_balance::level;
use wayside_cache::{links::Settings as CacheSettings, shared};
use wayside_edge::{degradation, facts::Place, geo_watch::GeoFiles, node::Settings, streams};
use wayside_edge_config::{
    config::{self, Config},
    number::Within,
};
use wayside_policy::{compiler::Compiler, engine::EngineOptions, pool::PoolOptions};
use wayside_upstream::{access::Access, origins};

use crate::settings;

/// Threads of the runtime beside the listening threads: the feed, loads, the origin, the admin endpoint.
const CONTROL_THREADS: usize = 2;

/// Runs `main` on a runtime of its own.
pub(crate) fn block_on<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(main)
}

/// The wish that this process end: Ctrl-C or SIGTERM.
pub(crate) struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    /// Listens from now on. To be called before anybody is told that the process runs: a wish before that would kill it.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
        })
    }

    /// Resolves when the process is asked to end. Asked a second time, it ends at once.
    pub(crate) async fn asked(mut self) {
        self.next().await;
        tracing::info!("ending: finishing what has begun; ask again to end at once");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(1);
        });
    }

    /// What comes of `work`; none when the process is asked to end before, and nothing has begun that would have to be
    /// finished.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What a node is told, from the configuration and the way to show origins who asks.
pub(crate) fn node_settings(config: &Config, origin_access: Access) -> anyhow::Result<Settings> {
    let edge = &config.edge;
    let seconds = |seconds: u64| Duration::from_secs(seconds);
    Ok(Settings {
        listen: edge.listen.0,
        admin: config.admin.listen.0,
        threads: threads(edge.threads.as_usize()),
        regions: regions(&config.upstream),
        upstream: origins::Settings {
            timeout: Duration::from_millis(config.upstream.timeout_ms.get()),
            has_hedges: config.upstream.hedge,
            ejection: seconds(config.upstream.ejection_s.get()),
            failback_step: seconds(config.upstream.failback_step_s.get()),
        },
        origin_access,
        place: Place {
            region: Some(edge.region.as_str())
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            pop: Some(edge.pop.as_str())
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        },
        trusted_proxies: edge.trusted_proxies.0.iter().map(|network| network.0).collect(),
        honours_demo_country: edge.demo_country,
        logs_requests: config.log.requests,
        cache: CacheSettings {
            bytes_max: config.cache.memory_mib.get() * 1024 * 1024,
            ttl: seconds(config.cache.ttl_s.get()),
            negative_ttl: seconds(config.cache.negative_ttl_s.get()),
            stale_max: seconds(config.cache.stale_s.get()),
            load_timeout: Duration::from_millis(config.cache.load_timeout_ms.get()),
            loads_max: config.cache.loads_max.as_usize(),
        },
        shared_cache: shared_cache(&config.shared_cache)?,
        disk_bytes_max: config.cache.disk_mib.get() * 1024 * 1024,
        engine: engine_options(&config.policy),
        compiler: compiler(),
        pool: pool_options(&config.policy),
        remembered_bytes_max: config.policy.remembered_mib.as_usize().saturating_mul(1024 * 1024),
        streams: streams_settings(&config.streams)?,
        degradation: degradation_settings(&config.degradation),
        geo: geo_files(config),
        data: edge.data.as_deref().map(Into::into),
    })
}

/// What playlists are fetched with, kept in and signed by.
fn streams_settings(config: &config::Streams) -> anyhow::Result<streams::Settings> {
    let weight = |weight: u64| weight as f64;
    let score = Adaptive::new(Weights {
        load: weight(config.score_load.get()),
        latency: weight(config.score_latency.get()),
        bandwidth: weight(config.score_bandwidth.get()),
    });
    let mut pools = streams::pools::Settings {
        score: score.context("streams.score_load, score_latency and score_bandwidth")?,
        silence_max: Duration::from_secs(config.session_silence_s.get()),
        slow_start: Duration::from_secs(config.slow_start_s.get()),
        // At most a million.
        address_sessions_max: config.address_sessions_max.get() as u32,
        ..streams::pools::Settings::default()
    };
    pools.quality.interval = Duration::from_secs(config.quality_interval_s.get());
    pools.quality.half_life = Duration::from_secs(config.quality_half_life_s.get());
    // At most 64.
    pools.quality.sessions_min = config.quality_sessions_min.get() as usize;
    Ok(streams::Settings {
        pools,
        private_networks: config.private_networks.0.iter().map(|network| network.0).collect(),
        secrets: config.secrets.as_deref().map(Into::into),
        variables: settings::secret_variables(streams::secrets::VARIABLE_PREFIX)?,
        memory_bytes_max: config.memory_mib.get() * 1024 * 1024,
        disk_bytes_max: config.disk_mib.get() * 1024 * 1024,
    })
}

/// What the nodes of the PoP share.
fn shared_cache(config: &config::SharedCache) -> anyhow::Result<Option<shared::Settings>> {
    if config.urls.is_empty() {
        return Ok(None);
    }
    let password = match (&config.password, config.password_file.as_deref()) {
        (Some(password), _) => Some(password.reveal().to_owned()),
        (None, Some(file)) => Some(settings::secret(file).context("shared_cache.password_file")?),
        (None, None) => None,
    };
    Ok(Some(shared::Settings {
        urls: config.urls.iter().map(|url| url.as_str().to_owned()).collect(),
        is_cluster: config.cluster,
        user: config.user.clone(),
        password,
        timeout: Duration::from_millis(config.timeout_ms.get()),
    }))
}

/// The regions of origins, in the order of the list unless they say otherwise.
fn regions(upstream: &config::Upstream) -> Vec<origins::Region> {
    let regions = upstream.all_regions().into_iter().zip(0_u32..);
    let region = |(region, place): (config::Region, u32)| origins::Region {
        name: region.name.as_str().to_owned(),
        // No preference is above a thousand.
        preference: region.preference.map_or(place, |preference| preference.get() as u32),
        origins: region.origins.iter().map(|url| url.as_str().to_owned()).collect(),
    };
    regions.map(region).collect()
}

/// Where geography is read from.
pub(crate) fn geo_files(config: &Config) -> GeoFiles {
    GeoFiles {
        places: config.geo.city.as_deref().map(Into::into),
        systems: config.geo.asn.as_deref().map(Into::into),
        check_interval: Duration::from_secs(config.geo.check_interval_s.get()),
    }
}

/// What policies run on.
pub(crate) fn engine_options(policy: &config::Policy) -> EngineOptions {
    EngineOptions {
        deadline: Duration::from_millis(policy.deadline_ms.get()),
        ..EngineOptions::default()
    }
}

/// Compiles policies in processes of their own: this very program, also when its file has been replaced meanwhile.
pub(crate) fn compiler() -> Compiler {
    const SELF: &str = "/proc/self/exe";
    let program = match std::fs::exists(SELF) {
        Ok(true) => SELF.into(),
        _ => std::env::current_exe().unwrap_or_else(|_| "wayside".into()),
    };
    Compiler::in_child(program)
}

fn pool_options(policy: &config::Policy) -> PoolOptions {
    let default = PoolOptions {
        queue_max: policy.queue_max.as_usize(),
        ..PoolOptions::default()
    };
    match policy.workers.as_usize() {
        0 => default,
        workers => PoolOptions { workers, ..default },
    }
}

/// What is left undone, and when.
fn degradation_settings(config: &config::Degradation) -> degradation::Settings {
    let level = |level: config::Level| match level {
        config::Level::Full => level::Level::Full,
        config::Level::Reduced => level::Level::Reduced,
        config::Level::CoreOnly => level::Level::CoreOnly,
        config::Level::Emergency => level::Level::Emergency,
    };
    // No percentage is above a hundred.
    let share = |percent: Within<1, 100>| percent.get() as f64 / 100.0;
    let ms = |ms: Within<1, 600_000>| Duration::from_millis(ms.get());
    degradation::Settings {
        ladder: level::Settings {
            thresholds: level::Thresholds {
                latency: [
                    ms(config.latency_reduced_ms),
                    ms(config.latency_core_only_ms),
                    ms(config.latency_emergency_ms),
                ],
                memory: [
                    share(config.memory_reduced_percent),
                    share(config.memory_core_only_percent),
                    share(config.memory_emergency_percent),
                ],
                policy_queue: [
                    share(config.policy_queue_reduced_percent),
                    share(config.policy_queue_core_only_percent),
                ],
                loads: share(config.loads_reduced_percent),
            },
            confirm: Duration::from_millis(config.confirm_ms.get()),
            recover: Duration::from_secs(config.recover_s.get()),
            worst: level(config.worst),
            pinned: config.pinned.map(level),
            ..level::Settings::default()
        },
        memory_bytes_max: Some(config.memory_mib.get() * 1024 * 1024).filter(|bytes| *bytes > 0),
    }
}

fn threads(configured: usize) -> usize {
    if configured > 0 {
        configured
    } else {
        available_parallelism().map_or(1, std::num::NonZero::get)
    }
}
