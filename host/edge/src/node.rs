//! A node: its parts put together, started and drained.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use wayside_cache::{
    links::Settings as CacheSettings,
    shared::{self, SharedCacheError},
};
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    engine::{Engine, EngineError, EngineOptions},
    pool::{Pool, PoolOptions},
};
use wayside_serve::server;
use wayside_upstream::{
    access::Access,
    client::OriginError,
    origins::{self, Origins},
};

use crate::{
    account::Accounts,
    admin::{self, Admin},
    checkpoint::Checkpoint,
    degradation::{self, Degradation},
    directory::Directory,
    facts::Place,
    follow::Follower,
    geo::GeoError,
    geo_watch::{self, GeoFiles},
    guests::Guests,
    held::{self, Held},
    listen::{ListenError, Listeners},
    loader::OriginLoader,
    metrics::Metrics,
    pipeline::Edge,
    policy_log::PolicyLog,
    streams::{self, NoStreams, Streams, assets::OriginAssets},
};

/// How long requests to the admin endpoint may finish when the node drains.
const ADMIN_DRAIN_MAX: Duration = Duration::from_secs(2);

/// Everything a node must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where visitors come; port 0 picks one.
    pub listen: SocketAddr,
    /// Where the operator comes; port 0 picks one.
    pub admin: SocketAddr,
    /// Listening threads, at least 1.
    pub threads: usize,
    /// The origins by region.
    pub regions: Vec<origins::Region>,
    /// How they are asked.
    pub upstream: origins::Settings,
    /// How the node shows them who it is, and whom the node believes.
    pub origin_access: Access,
    /// Where the node stands.
    pub place: Place,
    /// The networks whose `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether `Wayside-Demo-Country` sets the visitor's country. For demonstrations only.
    pub honours_demo_country: bool,
    /// Whether every request is written to the log.
    pub logs_requests: bool,
    /// The link cache.
    pub cache: CacheSettings,
    /// What the nodes of the PoP share; optional.
    pub shared_cache: Option<shared::Settings>,
    /// Room for links in the folder `data`, in bytes; 0 keeps none there.
    pub disk_bytes_max: u64,
    /// What policies run on.
    pub engine: EngineOptions,
    /// Where they are compiled.
    pub compiler: Compiler,
    /// Which threads they run on.
    pub pool: PoolOptions,
    /// What may be remembered of all policies' decisions, in bytes.
    pub remembered_bytes_max: usize,
    /// What is left undone, and when.
    pub degradation: degradation::Settings,
    /// Streams.
    pub streams: streams::Settings,
    /// Geography.
    pub geo: GeoFiles,
    /// Where the node keeps what it starts from; nothing is kept when absent.
    pub data: Option<PathBuf>,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The geography database cannot be used.
    #[error(transparent)]
    Geo(#[from] GeoError),
    /// An origin's URL or the token cannot be used.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The shared cache's address cannot be used.
    #[error(transparent)]
    SharedCache(#[from] SharedCacheError),
    /// The policy engine cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Streams cannot be judged so.
    #[error(transparent)]
    Streams(#[from] NoStreams),
    /// The threads that run policies cannot be started.
    #[error("start the threads that run policies: {0}")]
    Pool(std::io::Error),
}

/// A running node.
pub struct Node {
    listeners: Listeners,
    admin: Arc<Admin>,
    admin_address: SocketAddr,
    admin_stop: oneshot::Sender<()>,
    admin_task: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    checkpoint: Option<Arc<Checkpoint>>,
}

impl Node {
    /// Starts a node on the current runtime, which carries everything but visitors' requests. What a snapshot
    /// remembers is served at once; the origin is followed from then on.
    ///
    /// # Errors
    /// [`StartError`] when a port is taken or a setting cannot be used.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let stamp = settings.geo.stamp();
        let geo = settings.geo.open()?;
        let degradation = Arc::new(Degradation::new(settings.degradation));
        let level = degradation.shared_level();
        let origins = Origins::new(&settings.regions, &settings.origin_access, settings.upstream, level)?;
        let admin_socket = listen_admin(settings.admin).await?;
        let admin_address = admin_socket.local_addr().unwrap_or(settings.admin);
        let engine = Engine::new(&settings.engine)?;
        let accounts = Accounts::new(settings.remembered_bytes_max);
        let metrics = Arc::new(Metrics::new(&origins, &degradation, accounts));
        let loader = OriginLoader {
            origins: origins.clone(),
            metrics: Arc::clone(&metrics),
        };
        let streams = streams(&settings, &origins, &metrics, &degradation)?;
        let held = Held::open(&settings).await;
        let edge = Arc::new(Edge {
            directory: ArcSwap::from_pointee(Directory::default()),
            links: held.links(&settings, degradation.shared_level(), Arc::new(loader))?,
            policies: Pool::new(&settings.pool).map_err(StartError::Pool)?,
            geo: ArcSwap::from_pointee(geo),
            place: Arc::new(settings.place.clone()),
            trusted_proxies: settings.trusted_proxies.clone(),
            honours_demo_country: settings.honours_demo_country,
            logs_requests: settings.logs_requests,
            metrics,
            policy_log: PolicyLog::default(),
            degradation,
            streams,
        });
        let folder = |name| settings.data.as_ref().map(|data| data.join(name));
        let (zones_folder, guests_folder) = (folder("zones"), folder("policies"));
        let (admission, counts) = (Admission::new(engine, settings.compiler), Arc::clone(&edge.metrics));
        let guests = Arc::new(Guests::new(admission, origins.clone(), guests_folder, counts));
        let follower = Arc::new(Follower::new(Arc::clone(&edge), origins.clone(), Arc::clone(&guests)));
        let checkpoint = held.revive(&edge, &follower).await;
        let listeners = Listeners::start(&edge, settings.listen, settings.threads)?;
        let admin = Arc::new(Admin {
            edge: Arc::clone(&edge),
            follower: Arc::clone(&follower),
            guests,
            origins: origins.clone(),
            planning: Semaphore::new(1),
            shard: edge.metrics.shard(),
            started: Instant::now(),
            is_draining: AtomicBool::new(false),
        });
        let (admin_stop, admin_task) = serve_admin(admin_socket, Arc::clone(&admin));
        let mut tasks = vec![
            tokio::spawn(Arc::clone(&follower).keep_directory()),
            tokio::spawn(Arc::clone(&follower).follow_feed()),
            tokio::spawn(degradation::watch(Arc::clone(&edge), origins.clone())),
            tokio::spawn(geo_watch::watch(Arc::clone(&edge), settings.geo, stamp)),
        ];
        tasks.extend(tend_streams(&edge, &origins, zones_folder));
        if let Some(checkpoint) = &checkpoint {
            tasks.push(tokio::spawn(Arc::clone(checkpoint).keep()));
            tasks.push(tokio::spawn(held::warm(Arc::clone(checkpoint))));
        }
        Ok(Self {
            listeners,
            admin,
            admin_address,
            admin_stop,
            admin_task,
            tasks,
            checkpoint,
        })
    }

    /// Where visitors come.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listeners.address()
    }

    /// Where the operator comes.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Whether the node knows its sites and the directory's policies have been loaded or refused.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.admin.is_ready()
    }

    /// Ends the node: accepts nothing more, finishes what has begun, keeps what it holds, and returns.
    pub async fn drain(self) {
        self.admin.is_draining.store(true, Ordering::Relaxed);
        self.listeners.drain().await;
        for task in self.tasks {
            task.abort();
        }
        if let Some(checkpoint) = self.checkpoint {
            checkpoint.now(true).await;
        }
        // The admin endpoint goes last, so that whoever watches sees the drain. Whoever holds it open is cut off.
        let _ = self.admin_stop.send(());
        if self.admin_task.await.is_err() {
            tracing::error!("the admin endpoint had panicked");
        }
    }
}

/// Everything that goes on beside requests about streams.
fn tend_streams(edge: &Arc<Edge>, origins: &Origins, zones_folder: Option<PathBuf>) -> [JoinHandle<()>; 3] {
    let (edge, origins) = (|| Arc::clone(edge), || origins.clone());
    [
        tokio::spawn(streams::run(edge())),
        tokio::spawn(streams::share::keep(edge(), origins())),
        tokio::spawn(streams::zones::keep(edge(), origins(), zones_folder)),
    ]
}

/// What the node knows of streams: nothing yet.
fn streams(
    settings: &Settings,
    origins: &Origins,
    metrics: &Arc<Metrics>,
    degradation: &Degradation,
) -> Result<Streams, NoStreams> {
    let assets = OriginAssets {
        origins: origins.clone(),
        metrics: Arc::clone(metrics),
    };
    let (level, region) = (degradation.shared_level(), settings.place.region.as_deref());
    let data = settings.data.as_deref();
    Streams::new(&settings.streams, &settings.cache, data, region, assets, level)
}

async fn listen_admin(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError::explain(address, source))
}

fn serve_admin(socket: TcpListener, admin: Arc<Admin>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let is_loopback = socket.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let router = admin::router(admin, is_loopback);
        let stopped = async { stopped.await.unwrap_or_default() };
        server::serve(socket, router, None, stopped, ADMIN_DRAIN_MAX).await;
    });
    (stop, task)
}
