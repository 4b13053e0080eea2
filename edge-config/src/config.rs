//! The sections of a configuration, their keys and defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    address::{Listen, Networks},
    name::PlaceName,
    number::Within,
    path::FilePath,
    secret::Secret,
    store::StoreUrl,
    url::{RedisUrl, ServiceUrl},
};

/// A day, in seconds.
const DAY_S: u64 = 24 * 60 * 60;

/// The configuration of a Wayside process. Every key has a default; `wayside edge` reads all sections but `[origin]`,
/// `wayside origin` reads `[origin]`, `[policy]` and `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where visitors come, and where the node stands.
    pub edge: Edge,
    /// Where the node's operator comes: health, metrics, status.
    pub admin: Admin,
    /// The control plane.
    pub origin: Origin,
    /// The origins that an edge node asks and follows.
    pub upstream: Upstream,
    /// Geography: MaxMind databases. Without them geography is unknown, and everything else works.
    pub geo: Geo,
    /// Running tenants' policies.
    pub policy: Policy,
    /// Links in the node's memory.
    pub cache: Cache,
    /// Redis, which the nodes of a PoP share. Never needed.
    pub shared_cache: SharedCache,
    /// Streams: what is fetched, signed and kept for steered players.
    pub streams: Streams,
    /// What an edge leaves undone when it has too much to do.
    pub degradation: Degradation,
    /// What the process says on standard error.
    pub log: Log,
}

/// `[edge]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// Where visitors' requests come in. Port 0 picks a free one.
    pub listen: Listen,
    /// Threads that answer visitors; 0 stands for one a core.
    pub threads: Within<0, 1024>,
    /// Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: those of your load balancers, nobody
    /// else's. Empty: nobody's are.
    pub trusted_proxies: Networks,
    /// The region this node belongs to, as policies see it.
    pub region: PlaceName,
    /// The PoP (point of presence) this node belongs to, as policies see it.
    pub pop: PlaceName,
    /// Lets a request set its visitor's country by the header `Wayside-Demo-Country`. For demonstrations only.
    pub demo_country: bool,
    /// Folder in which the node keeps what it restarts from: links, sites, policies. Without it the node starts cold.
    pub data: Option<FilePath>,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where `/healthz`, `/readyz`, `/metrics` and `/status` answer. Anybody who reaches it may read them.
    pub listen: Listen,
}

/// `[origin]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// Where the API answers.
    pub listen: Listen,
    /// Folder of the database, when that is a file, and of the first token.
    pub data: FilePath,
    /// The database in Postgres that the record is in, `postgres://user@host/database`; several origins may share it.
    /// Without it the record is a file in `data`.
    pub store: Option<StoreUrl>,
    /// A streaming replica of it near this origin, for what nodes read.
    pub replica: Option<StoreUrl>,
    /// File that holds the password of both, in place of one in the URLs.
    pub password_file: Option<FilePath>,
    /// Connections for requests to Postgres, to each of the two.
    pub connections: Within<1, 1000>,
    /// How long one statement may take in Postgres, in milliseconds.
    pub statement_timeout_ms: Within<100, 600_000>,
    /// File of the certificate to serve the API with and those between it and the root, in PEM; read again when it
    /// changes. Without it the API is plain HTTP: for this machine, or behind a proxy.
    pub certificate_file: Option<FilePath>,
    /// File of the certificate's private key, in PEM.
    pub key_file: Option<FilePath>,
}

/// `[upstream]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The origin's URL, when there is one origin: short for one region with it. `http://127.0.0.1:7070` when there is
    /// neither this nor `regions`.
    pub url: Option<ServiceUrl>,
    /// An operator's token with the scope `read`.
    pub token: Option<Secret>,
    /// File that holds the token, in place of `token`.
    pub token_file: Option<FilePath>,
    /// What the node enrols with, in place of a token; see `wayside node invite`. It serves once: from then on the node
    /// has a key of its own in `edge.data`.
    pub invitation: Option<Secret>,
    /// File that holds the invitation, in place of `invitation`.
    pub invitation_file: Option<FilePath>,
    /// File of the authorities whose certificates an origin may have, in PEM; those of the system unless named.
    pub ca_file: Option<FilePath>,
    /// How long one origin may take to answer about a link before another is asked, in milliseconds.
    pub timeout_ms: Within<10, 30_000>,
    /// Whether another origin is asked, too, when an answer takes longer than 95 of 100. A twentieth more load at most.
    pub hedge: bool,
    /// How long an origin that fails again and again is not asked the first time, at most, in seconds; later up to ten
    /// times that.
    pub ejection_s: Within<1, 3_600>,
    /// How long each step takes in which a region that was bad gets its traffic back, at least, in seconds.
    pub failback_step_s: Within<1, 3_600>,
    /// Origins by region, the most preferred first, in place of `url`.
    pub regions: Option<Vec<Region>>,
}

/// `[[upstream.regions]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// What the region is called.
    pub name: PlaceName,
    /// Lower goes first; of regions with the same preference, the quicker one. Its place in the list unless it is named.
    pub preference: Option<Within<0, 1_000>>,
    /// The URLs of its origins, at least one.
    pub origins: Vec<ServiceUrl>,
}

/// `[geo]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geo {
    /// Database of places: GeoLite2 or GeoIP2 City or Country (.mmdb).
    pub city: Option<FilePath>,
    /// Database of autonomous systems: GeoLite2 ASN (.mmdb).
    pub asn: Option<FilePath>,
    /// How often to look whether a database was replaced, in seconds. A broken one, or
    /// one of another type, is refused and the old one kept.
    pub check_interval_s: Within<1, DAY_S>,
}

/// `[policy]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How much processor time one run may take before it is cut off, in milliseconds.
    pub deadline_ms: Within<1, 1_000>,
    /// Threads that run policies; 0 chooses by the number of cores.
    pub workers: Within<0, 256>,
    /// Runs of all tenants together that may wait for a thread, of which 64 may be one tenant's.
    pub queue_max: Within<1, 65_536>,
    /// Memory for what is remembered of all policies' decisions, in MiB.
    pub remembered_mib: Within<8, 1_048_576>,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for links, in MiB.
    pub memory_mib: Within<1, 1_048_576>,
    /// Room for links in the node's folder (`edge.data`), in MiB; 0 keeps none there. What a restart begins with, and
    /// what memory has no room for.
    pub disk_mib: Within<0, 1_048_576>,
    /// How long a link counts as fresh, in seconds. Changes arrive by the feed; this bounds what a lost feed can hide.
    pub ttl_s: Within<1, DAY_S>,
    /// How long "there is no such link" holds, in seconds.
    pub negative_ttl_s: Within<0, 3_600>,
    /// How long past `ttl_s` a link is served while the origin cannot be reached, in seconds.
    pub stale_s: Within<0, { 30 * DAY_S }>,
    /// How long a request waits for the origin when its link is not in memory, in milliseconds.
    pub load_timeout_ms: Within<1, 60_000>,
    /// Links that may be on their way from the origin at the same time; who asks for another meanwhile gets 503.
    pub loads_max: Within<1, 1_000_000>,
}

/// `[shared_cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharedCache {
    /// The server, or of a cluster some of its nodes. Empty: there is none.
    pub urls: Vec<RedisUrl>,
    /// Whether it is a Redis Cluster.
    pub cluster: bool,
    /// The user who logs in; Redis's own default when absent.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// File that holds the password, in place of `password`.
    pub password_file: Option<FilePath>,
    /// How long an answer is waited for before the link is loaded elsewhere, in milliseconds.
    pub timeout_ms: Within<1, 1_000>,
}

/// `[streams]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Networks beside the public ones from which playlists are fetched and in which targets are probed. Tenants choose
    /// those URLs: name no network in which they have no business.
    pub private_networks: Networks,
    /// Folder of the keys that URLs are signed with, in a folder for each tenant: `TENANT/NAME`. A key may stand in the
    /// environment variable `WAYSIDE_SECRET_TENANT__NAME` instead.
    pub secrets: Option<FilePath>,
    /// Memory for playlists, in MiB.
    pub memory_mib: Within<1, 1_048_576>,
    /// Room for playlists in the node's folder (`edge.data`), in MiB; 0 keeps none there. What is served after a restart
    /// while their origin is away.
    pub disk_mib: Within<0, 1_048_576>,
    /// A target that was down gets its sessions back in steps of 10, 25, 50, 75 and 100 %. How long each takes, in seconds.
    pub slow_start_s: Within<1, 3_600>,
    /// What counts how much in the score of a target, beside the other two: how much is free of its sessions. One of the
    /// three must be above 0.
    pub score_load: Within<0, 1_000>,
    /// How quick its probes are beside the quickest.
    pub score_latency: Within<0, 1_000>,
    /// How much is free of its bandwidth.
    pub score_bandwidth: Within<0, 1_000>,
    /// After how long without a request of its own a session has ended, in seconds; after three of its asset's TTLs, where those
    /// are longer.
    pub session_silence_s: Within<5, 7_200>,
    /// How long players' reports are collected before they are looked at, in seconds. A tenth of a target's sessions is
    /// moved each time at most.
    pub quality_interval_s: Within<1, 3_600>,
    /// How long ago a report is that counts half of one now, in seconds.
    pub quality_half_life_s: Within<1, 3_600>,
    /// How many sessions of a network must report in that time to be believed.
    pub quality_sessions_min: Within<1, 64>,
    /// How many sessions of one address count towards a target's load; of IPv6, of one /48 network.
    pub address_sessions_max: Within<1, 1_000_000>,
}

/// `[degradation]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Degradation {
    /// The level at which the node stays whatever happens, for drills. Without it, how the node is decides.
    pub pinned: Option<Level>,
    /// The level beyond which the node does not go by itself.
    pub worst: Level,
    /// Memory that the process may take, in MiB; 0 stands for its cgroup's limit, or else the machine's memory.
    pub memory_mib: Within<0, 16_777_216>,
    /// From which share of it on the node is `reduced`, in percent.
    pub memory_reduced_percent: Within<1, 100>,
    /// From which share on it is `core-only`.
    pub memory_core_only_percent: Within<1, 100>,
    /// From which share on it is `emergency`.
    pub memory_emergency_percent: Within<1, 100>,
    /// How late the threads that serve visitors must be, all the time, for the node to be `reduced`, in milliseconds.
    pub latency_reduced_ms: Within<1, 600_000>,
    /// How late for it to be `core-only`.
    pub latency_core_only_ms: Within<1, 600_000>,
    /// How late for it to be `emergency`.
    pub latency_emergency_ms: Within<1, 600_000>,
    /// From which share of `policy.queue_max` on the node is `reduced`, in percent.
    pub policy_queue_reduced_percent: Within<1, 100>,
    /// From which share on it is `core-only`.
    pub policy_queue_core_only_percent: Within<1, 100>,
    /// From which share of `cache.loads_max` on the node is `reduced`, in percent.
    pub loads_reduced_percent: Within<1, 100>,
    /// How long a signal must be that bad before the node follows it, in milliseconds.
    pub confirm_ms: Within<0, 60_000>,
    /// How long all signals must be well under a level's thresholds before the node goes one level back, in seconds.
    pub recover_s: Within<1, 3_600>,
}

/// How much a node leaves undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing.
    Full,
    /// What only saves time later.
    Reduced,
    /// What needs a run of a policy or an origin.
    CoreOnly,
    /// Everything but what memory answers.
    Emergency,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// The least grave messages that are written.
    pub level: LogLevel,
    /// Whether an edge writes a line for every request it reads, under the target `wayside::request`. Costs throughput.
    pub requests: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// For machines: one JSON object a line.
    Json,
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something may be about to fail.
    Warn,
    /// Something worth knowing happened.
    #[default]
    Info,
    /// What helps to find a mistake.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name, as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Config {
    /// The whole configuration as TOML, secrets masked.
    ///
    /// # Errors
    /// None for a configuration that was read or is the default; the serialiser could refuse other types.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The JSON Schema of the configuration file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

impl Origin {
    /// Whether other machines may reach the API, and who is on the way reads what they say.
    #[must_use]
    pub fn is_in_the_open(&self) -> bool {
        self.certificate_file.is_none() && !self.listen.0.ip().to_canonical().is_loopback()
    }
}

impl Upstream {
    /// The regions to ask: those listed, else one with the one origin.
    #[must_use]
    pub fn all_regions(&self) -> Vec<Region> {
        let one = || {
            vec![Region {
                name: PlaceName::local(),
                preference: None,
                origins: vec![self.url.clone().unwrap_or_else(ServiceUrl::local)],
            }]
        };
        self.regions.clone().unwrap_or_else(one)
    }
}

/// Everything listens on this machine only until somebody says otherwise.
const fn local(port: u16) -> Listen {
    Listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            listen: local(8080),
            threads: Within::of::<0>(),
            trusted_proxies: Networks::default(),
            region: PlaceName::local(),
            pop: PlaceName::local(),
            demo_country: false,
            data: None,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: local(9090) }
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            listen: local(7070),
            data: FilePath::of_origin(),
            store: None,
            replica: None,
            password_file: None,
            connections: Within::of::<16>(),
            statement_timeout_ms: Within::of::<10_000>(),
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            token_file: None,
            invitation: None,
            invitation_file: None,
            ca_file: None,
            timeout_ms: Within::of::<750>(),
            hedge: true,
            ejection_s: Within::of::<30>(),
            failback_step_s: Within::of::<10>(),
            regions: None,
        }
    }
}

impl Default for Geo {
    fn default() -> Self {
        Self {
            city: None,
            asn: None,
            check_interval_s: Within::of::<10>(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            deadline_ms: Within::of::<10>(),
            workers: Within::of::<0>(),
            queue_max: Within::of::<4_096>(),
            remembered_mib: Within::of::<256>(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory_mib: Within::of::<64>(),
            disk_mib: Within::of::<1024>(),
            ttl_s: Within::of::<300>(),
            negative_ttl_s: Within::of::<5>(),
            stale_s: Within::of::<DAY_S>(),
            load_timeout_ms: Within::of::<5_000>(),
            loads_max: Within::of::<4_096>(),
        }
    }
}

impl Default for SharedCache {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            cluster: false,
            user: None,
            password: None,
            password_file: None,
            timeout_ms: Within::of::<5>(),
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            private_networks: Networks::default(),
            secrets: None,
            memory_mib: Within::of::<64>(),
            disk_mib: Within::of::<256>(),
            slow_start_s: Within::of::<10>(),
            score_load: Within::of::<40>(),
            score_latency: Within::of::<30>(),
            score_bandwidth: Within::of::<30>(),
            session_silence_s: Within::of::<120>(),
            quality_interval_s: Within::of::<10>(),
            quality_half_life_s: Within::of::<20>(),
            quality_sessions_min: Within::of::<5>(),
            address_sessions_max: Within::of::<100>(),
        }
    }
}

impl Default for Degradation {
    fn default() -> Self {
        Self {
            pinned: None,
            worst: Level::Emergency,
            memory_mib: Within::of::<0>(),
            memory_reduced_percent: Within::of::<85>(),
            memory_core_only_percent: Within::of::<95>(),
            memory_emergency_percent: Within::of::<98>(),
            latency_reduced_ms: Within::of::<100>(),
            latency_core_only_ms: Within::of::<500>(),
            latency_emergency_ms: Within::of::<2_000>(),
            policy_queue_reduced_percent: Within::of::<50>(),
            policy_queue_core_only_percent: Within::of::<90>(),
            loads_reduced_percent: Within::of::<50>(),
            confirm_ms: Within::of::<1_000>(),
            recover_s: Within::of::<10>(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: LogLevel::Info,
            requests: false,
        }
    }
}
