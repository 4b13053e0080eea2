//! Streams on a node: which target a player plays from, how it is told, and what is known of targets.
//!
//! A request's way: `way` reads from the path what is asked for, the asset is looked up, the policy bound to it is
//! walked, [`pools`] chooses, and `begin`, `steer`, `send`, `play` tell the player. The plan of a policy is remembered; how
//! targets do is looked at anew each time.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use tokio::{runtime::Handle, sync::Notify};
use wayside_balance::level::AtomicLevel;
use wayside_cache::{
    assets::{self as assets_cache, AssetCache, Known},
    links::Settings as LinkSettings,
    load::{LoadError, Seen},
};
use wayside_decide::{name::Name, site::SiteId, stream::asset::Asset};
use wayside_stream::quality::NoSettings;
use wayside_upstream::{http::Roots, protocol::EdgeDirectory};

use self::{
    assets::{LiveAsset, OriginAssets},
    fetch::Fetcher,
    manifests::{Manifests, kind::Kind},
    pools::{Pools, tenant::TenantPool},
    request::{About, Wanted},
    secrets::{Signers, Variable},
    tokens::Tokens,
    way::Way,
    zones::TenantZones,
};
use crate::{
    directory::LiveSite,
    pipeline::{Answer, Edge},
    refusal::Refusal,
    snapshot::KeptAsset,
};

pub(crate) mod assets;
mod begin;
pub(crate) mod explain;
pub(crate) mod fetch;
mod ingest;
pub(crate) mod manifests;
pub(crate) mod play;
pub mod pools;
pub(crate) mod posted;
pub(crate) mod probes;
mod reports;
pub(crate) mod request;
mod room;
pub mod secrets;
pub(crate) mod send;
pub(crate) mod share;
pub(crate) mod shown;
mod signed;
pub(crate) mod steer;
pub(crate) mod tokens;
pub(crate) mod way;
pub(crate) mod zones;

/// Memory for assets, in bytes: usually some 2 KB each, 170 KB at most.
const ASSETS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How a node serves streams.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How targets are judged.
    pub pools: pools::Settings,
    /// Networks beside the public ones that tenants' URLs may lead to.
    pub private_networks: Vec<IpNet>,
    /// The folder of keys; none when absent.
    pub secrets: Option<PathBuf>,
    /// Keys that stood in the environment, by the variable's name behind [`secrets::VARIABLE_PREFIX`].
    pub variables: HashMap<String, Variable>,
    /// Memory for playlists, in bytes.
    pub memory_bytes_max: u64,
    /// Room for playlists in the node's folder, in bytes; 0 keeps none there.
    pub disk_bytes_max: u64,
}

/// All of a node that is about streams.
pub(crate) struct Streams {
    pub(crate) assets: AssetCache<LiveAsset>,
    pub(crate) pools: Pools,
    /// For whatever tenants name.
    pub(crate) fetcher: Arc<Fetcher>,
    /// Of targets that sign.
    pub(crate) tokens: Arc<Tokens>,
    /// That players begin with.
    pub(crate) manifests: Manifests,
    /// Wakes who asks targets how they are.
    targets_changed: Notify,
    pub(crate) zones: TenantZones,
}

/// Why streams cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum NoStreams {
    /// Quality cannot be judged so.
    #[error(transparent)]
    Quality(#[from] NoSettings),
    /// There is no client for what tenants name.
    #[error("make a client for streams: {0}")]
    Client(String),
}

impl Streams {
    /// Nothing is held yet. Assets are held as long as links are.
    ///
    /// # Errors
    /// [`NoStreams`] when quality cannot be judged so, or there can be no client.
    pub(crate) fn new(
        settings: &Settings,
        cache: &LinkSettings,
        data: Option<&Path>,
        region: Option<&str>,
        loader: OriginAssets,
        level: Arc<AtomicLevel>,
    ) -> Result<Self, NoStreams> {
        let fetcher = Fetcher::new(settings.private_networks.clone(), Roots::default(), cache.loads_max);
        let signers = Signers::new(settings.secrets.clone(), settings.variables.clone());
        let held = assets_cache::Settings {
            bytes_max: ASSETS_BYTES_MAX,
            ttl: cache.ttl,
            negative_ttl: cache.negative_ttl,
            stale_max: cache.stale_max,
            load_timeout: cache.load_timeout,
            loads_max: cache.loads_max,
        };
        let fetcher = Arc::new(fetcher.map_err(|error| NoStreams::Client(error.to_string()))?);
        let disk = data.map(|data| (data.join("manifests"), settings.disk_bytes_max));
        let kept = manifests::Settings {
            memory_bytes_max: settings.memory_bytes_max,
            disk: disk.filter(|(_, bytes_max)| *bytes_max > 0),
            stale_max: cache.stale_max,
            wait_max: cache.load_timeout,
        };
        Ok(Self {
            manifests: Manifests::new(kept, Arc::clone(&fetcher), Arc::clone(&level)),
            assets: AssetCache::new(held, Arc::new(loader), level, Handle::current()),
            pools: Pools::new(settings.pools, region)?,
            fetcher,
            tokens: Arc::new(Tokens::new(signers)),
            targets_changed: Notify::new(),
            zones: TenantZones::default(),
        })
    }
}

impl Streams {
    /// Follows a directory.
    pub(crate) fn follow(&self, wire: &EdgeDirectory) {
        self.pools.follow(wire);
        self.zones.follow(wire);
        self.targets_changed.notify_one();
    }

    /// Begins with the assets that were held before a restart.
    pub(crate) fn restore(&self, kept: Vec<KeptAsset>) {
        let now = Instant::now();
        for KeptAsset {
            site_id,
            asset,
            is_trusted,
        } in kept
        {
            let (site, id) = (SiteId(site_id), asset.id.clone());
            match Asset::try_from(asset) {
                Ok(asset) => self.assets.restore(site, &id, LiveAsset::new(asset), is_trusted, now),
                Err(error) => tracing::warn!(site_id, id, %error, "an asset that was kept cannot be read"),
            }
        }
    }

    /// The node has been told of every change up to `seen`.
    pub(crate) fn seen(&self, seen: Seen) {
        self.assets.follow(seen);
    }

    /// An asset changed at `cursor`, the last change that the node was told of.
    pub(crate) fn invalidate(&self, site: SiteId, id: &str, cursor: u64) {
        self.assets.invalidate(site, id, cursor);
    }

    /// Any asset may have changed.
    pub(crate) fn distrust_all(&self) {
        self.assets.distrust_all();
    }
}

/// The asset of this id; none when there never was one.
pub(crate) async fn find(
    edge: &Edge,
    site: &LiveSite,
    id: &str,
    now: Instant,
) -> Result<Option<Arc<LiveAsset>>, Refusal> {
    if !Name::is_valid(id) {
        return Ok(None);
    }
    let assets = &edge.streams.assets;
    let known = match assets.look_up(site.site.id, id, now) {
        Some(known) => known,
        None => assets.load(site.site.id, id).await.map_err(away)?,
    };
    match known {
        Known::There(asset) => Ok(Some(asset)),
        Known::Gone => Err(Refusal::Gone),
        Known::Missing => Ok(None),
    }
}

fn away(error: LoadError) -> Refusal {
    match error {
        LoadError::Shed | LoadError::TooMany { .. } => Refusal::Shed(error.to_string()),
        LoadError::Failed(_) | LoadError::TimedOut { .. } | LoadError::Aborted => {
            Refusal::OriginAway(error.to_string())
        }
    }
}

/// What the player behind a request about an asset gets, once its policy has been asked.
pub(crate) async fn answer(
    about: About<'_>,
    way: Way<'_>,
    pool: Option<&Arc<TenantPool>>,
    plan: Option<&Wanted<'_>>,
) -> Result<Answer, Refusal> {
    let pool = match (pool, way) {
        (Some(pool), _) => pool,
        // Nobody is judged by it, and the player did nothing wrong.
        (None, Way::Report) => return Ok(Answer::Reported),
        (None, _) => return Err(Refusal::StreamUnavailable("the tenant has no targets".to_owned())),
    };
    let request = about.read(plan, pool);
    reports::note(&request);
    if matches!(way, Way::File(_) | Way::Steer | Way::Play) {
        request.read_keys().await;
    }
    match way {
        Way::File(file) => match Kind::of(&request.asset.asset, file) {
            Some(kind) => begin::manifest(&request, kind).await,
            None => send::to_target(&request, file).await,
        },
        Way::Steer => steer::manifest(&request).await,
        Way::Play => play::answer(&request).await,
        Way::Report => reports::take(&request),
        Way::Ingest => ingest::place(&request),
    }
}

/// Looks after what is known of targets, and after keys. Ends never.
pub(crate) async fn run(edge: Arc<Edge>) {
    let tokens = Arc::clone(&edge.streams.tokens);
    tokio::join!(tend(&edge), probes::run(&edge), tokens.watch());
}

async fn tend(edge: &Edge) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for pool in edge.streams.pools.all() {
            pool.tend();
        }
    }
}
