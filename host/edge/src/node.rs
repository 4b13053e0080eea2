//! A node: its parts put together, started and drained.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
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
use wayside_cache::links::{LinkCache, Settings as CacheSettings};
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    engine::{Engine, EngineError, EngineOptions},
    pool::{Pool, PoolOptions},
};
use wayside_serve::server;
use wayside_upstream::{
    access::Access,
    client::{OriginClient, OriginError},
};

use crate::{
    admin::{self, Admin},
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
    snapshot,
};

/// How often what the node holds is written to disk while it runs.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(30);
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
    /// The origin's URL.
    pub origin_url: String,
    /// How the node shows it who it is, and whom the node believes.
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
    /// The origin's URL or token cannot be used.
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
    snapshot: Option<PathBuf>,
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
        let origin = OriginClient::new(&settings.origin_url, &settings.origin_access)?;
        let admin_socket = listen_admin(settings.admin).await?;
        let admin_address = admin_socket.local_addr().unwrap_or(settings.admin);
        let engine = Engine::new(&settings.engine)?;
        let metrics = Arc::new(Metrics::new());
        let loader = OriginLoader {
            origin: origin.clone(),
            metrics: Arc::clone(&metrics),
        };
        let runtime = tokio::runtime::Handle::current();
        let edge = Arc::new(Edge {
            directory: ArcSwap::from_pointee(Directory::default()),
            links: LinkCache::new(settings.cache.clone(), Arc::new(loader), runtime),
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
        let guests = Arc::new(Guests::new(admission, origin.clone(), guests_folder, metrics));
        let follower = Arc::new(Follower::new(Arc::clone(&edge), origin, Arc::clone(&guests)));
        let snapshot = settings.data.as_ref().map(|data| data.join("snapshot"));
        if let Some(path) = &snapshot {
            revive(path, &edge, &follower).await;
        }
        let listeners = Listeners::start(&edge, settings.listen, settings.threads)?;
        let admin = Arc::new(Admin {
            edge: Arc::clone(&edge),
            follower: Arc::clone(&follower),
            guests,
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
        tasks.extend(
            snapshot
                .clone()
                .map(|path| tokio::spawn(keep_snapshot(Arc::clone(&admin), path))),
        );
        Ok(Self {
            listeners,
            admin,
            admin_address,
            admin_stop,
            admin_task,
            tasks,
            snapshot,
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
        if let Some(path) = self.snapshot {
            write_snapshot(&self.admin, path).await;
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
        let router = admin::router(admin);
        let stopped = async { stopped.await.unwrap_or_default() };
        server::serve(socket, router, None, stopped, ADMIN_DRAIN_MAX).await;
    });
    (stop, task)
}

async fn revive(path: &Path, edge: &Edge, follower: &Follower) {
    let (file, now) = (path.to_owned(), Instant::now());
    match tokio::task::spawn_blocking(move || snapshot::read(&file)).await {
        Ok(Ok(Some(snapshot))) => {
            let links = snapshot.links.len();
            for (site, path, link) in snapshot.links {
                edge.links.restore(site, &path, link, now);
            }
            follower.revive(snapshot.directory, snapshot.cursor);
            tracing::info!(links, cursor = snapshot.cursor, "started from the snapshot");
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::error!(path = %path.display(), %error, "started without the snapshot"),
        Err(error) => tracing::error!(path = %path.display(), %error, "reading the snapshot panicked"),
    }
}

async fn keep_snapshot(admin: Arc<Admin>, path: PathBuf) {
    let mut written = None;
    loop {
        tokio::time::sleep(SNAPSHOT_INTERVAL).await;
        // Taken before: what changes meanwhile is written the next time.
        let state = (admin.follower.cursor(), admin.edge.links.changes());
        if written != Some(state) && write_snapshot(&admin, path.clone()).await {
            written = Some(state);
        }
    }
}

/// Whether there was something to write and it is written.
async fn write_snapshot(admin: &Arc<Admin>, path: PathBuf) -> bool {
    let admin = Arc::clone(admin);
    let written = tokio::task::spawn_blocking(move || {
        // The cursor first: what changes while the links are written is then seen again.
        let (Some(cursor), Some(directory)) = (admin.follower.cursor(), admin.follower.wire()) else {
            return false;
        };
        match snapshot::write(&path, cursor, &directory, &admin.edge.links) {
            Ok(links) => {
                tracing::debug!(links, cursor, "wrote the snapshot");
                true
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "write the snapshot");
                false
            }
        }
    });
    written.await.unwrap_or_else(|_| {
        tracing::error!("writing the snapshot panicked");
        false
    })
}
