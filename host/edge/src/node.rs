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
    clock::NodeClock,
    disk::{self, Disk},
    links::{LinkCache, Settings as CacheSettings},
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
    admin::{self, Admin},
    checkpoint::{Checkpoint, unix_s},
    directory::Directory,
    facts::Place,
    follow::Follower,
    geo::GeoError,
    geo_watch::{self, GeoFiles},
    guests::Guests,
    listen::{ListenError, Listeners},
    loader::OriginLoader,
    metrics::Metrics,
    pipeline::Edge,
    policy_log::PolicyLog,
    snapshot::{Position, Snapshot},
};

/// Links taken into memory between two pauses of warming.
const WARM_AT_ONCE: usize = 256;
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
    /// Room for links in the folder `data`, in bytes; 0 keeps none there.
    pub disk_bytes_max: u64,
    /// What policies run on.
    pub engine: EngineOptions,
    /// Where they are compiled.
    pub compiler: Compiler,
    /// Which threads they run on.
    pub pool: PoolOptions,
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
    /// The policy engine cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
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
        let origins = Origins::new(&settings.regions, &settings.origin_access, settings.upstream)?;
        let admin_socket = listen_admin(settings.admin).await?;
        let admin_address = admin_socket.local_addr().unwrap_or(settings.admin);
        let engine = Engine::new(&settings.engine)?;
        let metrics = Arc::new(Metrics::new(&origins));
        let loader = OriginLoader {
            origins: origins.clone(),
            metrics: Arc::clone(&metrics),
        };
        let runtime = tokio::runtime::Handle::current();
        let held = Held::open(&settings).await;
        let edge = Arc::new(Edge {
            directory: ArcSwap::from_pointee(Directory::default()),
            links: LinkCache::new(
                settings.cache.clone(),
                held.clock,
                held.disk.clone(),
                Arc::new(loader),
                runtime,
            ),
            policies: Pool::new(&settings.pool).map_err(StartError::Pool)?,
            geo: ArcSwap::from_pointee(geo),
            place: Arc::new(settings.place.clone()),
            trusted_proxies: settings.trusted_proxies.clone(),
            honours_demo_country: settings.honours_demo_country,
            logs_requests: settings.logs_requests,
            metrics,
            policy_log: PolicyLog::default(),
        });
        let guests_folder = settings.data.as_ref().map(|data| data.join("policies"));
        let admission = Admission::new(engine, settings.compiler);
        let metrics = Arc::clone(&edge.metrics);
        let guests = Arc::new(Guests::new(admission, origins.clone(), guests_folder, metrics));
        let follower = Arc::new(Follower::new(Arc::clone(&edge), origins.clone(), Arc::clone(&guests)));
        let checkpoint = held.revive(&edge, &follower).await;
        let listeners = Listeners::start(&edge, settings.listen, settings.threads)?;
        let admin = Arc::new(Admin {
            edge: Arc::clone(&edge),
            follower: Arc::clone(&follower),
            guests,
            origins,
            planning: Semaphore::new(1),
            started: Instant::now(),
            is_draining: AtomicBool::new(false),
        });
        let (admin_stop, admin_task) = serve_admin(admin_socket, Arc::clone(&admin));
        let mut tasks = vec![
            tokio::spawn(Arc::clone(&follower).keep_directory()),
            tokio::spawn(Arc::clone(&follower).follow_feed()),
            tokio::spawn(geo_watch::watch(edge, settings.geo, stamp)),
        ];
        if let Some(checkpoint) = &checkpoint {
            tasks.push(tokio::spawn(Arc::clone(checkpoint).keep()));
            tasks.push(tokio::spawn(warm(Arc::clone(checkpoint))));
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

/// What a node finds on its disk when it starts.
struct Held {
    snapshot: Option<Snapshot>,
    position: Option<Position>,
    clock: NodeClock,
    disk: Option<Arc<Disk>>,
}

impl Held {
    async fn open(settings: &Settings) -> Self {
        let (data, bytes_max) = (settings.data.clone(), settings.disk_bytes_max);
        let read = tokio::task::spawn_blocking(move || {
            let disk = data.as_ref().filter(|_| bytes_max > 0).and_then(|data| {
                let folder = data.join("links");
                Disk::open(&disk::Settings { folder, bytes_max })
            });
            let snapshot = data.map(Snapshot::of);
            let position = snapshot.as_ref().and_then(Snapshot::position);
            (snapshot, position, disk)
        });
        let (snapshot, position, disk) = read.await.unwrap_or_else(|_| {
            tracing::error!("reading what the node kept panicked; starting without");
            (None, None, None)
        });
        let clock = NodeClock::resume(position.as_ref().map(Position::clock), unix_s(), Instant::now());
        Self {
            snapshot,
            position,
            clock,
            disk: disk.map(Arc::new),
        }
    }

    /// Serves what was kept, and keeps it from now on.
    async fn revive(self, edge: &Arc<Edge>, follower: &Arc<Follower>) -> Option<Arc<Checkpoint>> {
        let snapshot = self.snapshot?;
        let cursor = self.position.as_ref().and_then(|position| position.place.cursor);
        if let Some(position) = self.position {
            follower.go_on_from(position.place);
        } else if self.disk.as_ref().is_some_and(|disk| disk.was_there()) {
            tracing::warn!("the node's place in the feed is lost; checking the links that it kept");
            follower.check_all();
        }
        let reading = snapshot.clone();
        let directory = tokio::task::spawn_blocking(move || reading.directory()).await;
        if let Ok(Some(directory)) = directory {
            tracing::info!(cursor, "starting with what the node kept");
            follower.revive(directory);
        }
        Some(Arc::new(Checkpoint {
            snapshot,
            clock: self.clock,
            disk: self.disk,
            edge: Arc::clone(edge),
            follower: Arc::clone(follower),
            kept: Default::default(),
        }))
    }
}

/// Takes the links that were popular before the restart into memory, behind the requests.
async fn warm(checkpoint: Arc<Checkpoint>) {
    let warmed = tokio::task::spawn_blocking(move || {
        let popular = checkpoint.snapshot.popular();
        for links in popular.chunks(WARM_AT_ONCE) {
            let now = Instant::now();
            if !links.iter().all(|link| checkpoint.edge.links.warm(link, now)) {
                break;
            }
            // Visitors first: they share the disk and the processor.
            std::thread::sleep(Duration::from_millis(1));
        }
        popular.len()
    });
    if let Ok(links) = warmed.await {
        tracing::debug!(links, "took popular links into memory");
    }
}
