//! The cache that the nodes of a PoP share: Redis, single or a cluster. Never needed.
//!
//! What one node has loaded, the others need not ask the origin for. Only links are shared, never that there is none.
//!
//! **What may be taken from it.** A value carries the position of the record that its loader had been told of before
//! the load began: it is at least that new. A node takes it only if it is of the same record, and that position is not
//! before the last change of the key that this node was told of, nor before the position from which this node has
//! followed the feed without a gap. So a value that a slow node writes after a change harms nobody who has been told of
//! the change; who has not been told yet would load what is as old, and is told, which ends it. Nothing in Redis has to
//! be deleted for that, and no two nodes' clocks are compared: how old a value is follows from how long Redis will keep
//! it.
//!
//! **What it may cost.** A few milliseconds at most, and after some failures in a row nothing, until a probe succeeds.
//! Values are checked; what is damaged, of another version or of another type is counted and loaded elsewhere.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo as _, Pipeline, RedisError, RedisResult, ServerError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
};
use tokio::{runtime::Handle, sync::Semaphore};
use twox_hash::XxHash3_64;
use wayside_balance::{
    breaker::{self, Breaker, Permit},
    moment::Moment,
    random::Random,
};
use wayside_decide::link::Link;

use crate::{
    codec::{self, Bytes},
    counts::{Counters, Counts},
    key::KeyRef,
    load::Seen,
    trouble::Trouble,
};

/// The version of keys and values.
const VERSION: u8 = 1;
/// Values on their way to Redis; what comes while there are more is dropped.
const WRITES_MAX: usize = 64;
/// How long connecting may take. Nobody waits for it longer than for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before a cluster is looked for again.
const CONNECT_REST: Duration = Duration::from_secs(1);
/// A cache that does not answer is left alone, then asked by one request.
const BREAKER: breaker::Settings = breaker::Settings {
    failures: 5,
    ejection_base: Duration::from_secs(1),
    ejection_max: Duration::from_secs(30),
    ejection_min: Duration::from_millis(200),
};

/// Where the shared cache is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://HOST:PORT[/DATABASE]`: one, or some nodes of a cluster.
    pub urls: Vec<String>,
    /// Whether it is a cluster.
    pub is_cluster: bool,
    /// Who logs in; Redis's default user when absent.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the shared cache: {0}")]
pub struct SharedCacheError(RedisError);

/// A link from the shared cache.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) link: Link,
    /// What its loader had seen.
    pub(crate) seen: Seen,
    /// How long it is fresh yet.
    pub(crate) fresh: Duration,
}

/// The connection to it.
pub struct SharedCache {
    connection: Connection,
    timeout: Duration,
    breaker: Mutex<(Breaker, Random)>,
    started: Instant,
    writes: Arc<Semaphore>,
    counters: Counters,
    refusals: Mutex<Trouble>,
    runtime: Handle,
}

enum Connection {
    Single(ConnectionManager),
    /// None until it was found.
    Cluster(Arc<OnceLock<ClusterConnection>>),
}

impl SharedCache {
    /// Speaks to the cache that `settings` name, on the runtime it is called on. Does not wait for it.
    ///
    /// # Errors
    /// [`SharedCacheError`] when an address cannot be one.
    pub fn connect(settings: &Settings) -> Result<Self, SharedCacheError> {
        let runtime = Handle::current();
        let nodes = settings.urls.iter().map(|url| node(url, settings));
        let nodes: Vec<ConnectionInfo> = nodes.collect::<Result<_, _>>().map_err(SharedCacheError)?;
        let connection = if settings.is_cluster {
            cluster(nodes, settings, &runtime)
        } else {
            single(nodes, settings)
        };
        // Without randomness all nodes probe at the same time, which is worse than not, and better than nothing.
        let seed = getrandom::u64().unwrap_or_default();
        Ok(Self {
            connection: connection.map_err(SharedCacheError)?,
            timeout: settings.timeout,
            breaker: Mutex::new((Breaker::new(BREAKER), Random::new(seed))),
            started: Instant::now(),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            counters: Counters::default(),
            refusals: Mutex::default(),
            runtime,
        })
    }

    /// What it has for a key of the record of this epoch.
    pub(crate) async fn get(&self, epoch: u64, key: KeyRef<'_>) -> Option<Shared> {
        let name = name(epoch, key);
        let mut ask = Pipeline::with_capacity(2);
        ask.get(&name).pttl(&name);
        let (value, left_ms): (Option<Vec<u8>>, i64) = self.ask(&ask).await?;
        let Some(value) = value else {
            self.counters.misses.add(1);
            return None;
        };
        self.counters.bytes_read.add(value.len());
        let found = read(&name, &value);
        let Some((link, cursor)) = found else {
            self.counters.damaged.add(1);
            self.counters.misses.add(1);
            return None;
        };
        Some(Shared {
            link,
            seen: Seen { epoch, cursor },
            // Without an end it was not written by us.
            fresh: Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)),
        })
    }

    /// A value that was got is of use, or is not: too old, or before a change.
    pub(crate) fn count_use(&self, is_of_use: bool) {
        let counter = if is_of_use {
            &self.counters.hits
        } else {
            &self.counters.misses
        };
        counter.add(1);
    }

    /// Writes a link that was loaded by a node that had `seen` this much, behind the request.
    pub(crate) fn put(self: &Arc<Self>, key: KeyRef<'_>, link: &Link, seen: Seen, fresh: Duration) {
        let name = name(seen.epoch, key);
        let value = write(&name, link, seen.cursor);
        let (Some(value), Ok(turn)) = (value, Arc::clone(&self.writes).try_acquire_owned()) else {
            self.counters.dropped.add(1);
            return;
        };
        let fresh_ms = u64::try_from(fresh.as_millis()).unwrap_or(u64::MAX).max(1);
        let cache = Arc::clone(self);
        self.runtime.spawn(async move {
            let mut ask = Pipeline::with_capacity(1);
            ask.pset_ex(&name, &value, fresh_ms).ignore();
            if cache.ask::<()>(&ask).await.is_some() {
                cache.counters.bytes_written.add(value.len());
            }
            drop(turn);
        });
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Whether it is asked, is left alone, or is probed.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.breaker().0.state().as_str()
    }

    /// Asks, when the breaker lets it; none when there is no answer of use.
    async fn ask<T: redis::FromRedisValue>(&self, pipeline: &Pipeline) -> Option<T> {
        let permit = self.permit()?;
        let asked = tokio::time::timeout(self.timeout, self.send(pipeline)).await;
        match asked {
            Ok(Ok(answer)) => {
                self.succeed(permit);
                if self.refusals().went_well(Instant::now()) {
                    tracing::info!("the shared cache refuses nothing any more");
                }
                Some(answer)
            }
            Ok(Err(error)) if is_refusal(&error) => {
                // It answers, but not this: another type under the key, no memory left.
                self.succeed(permit);
                self.counters.errors.add(1);
                if self.refusals().happened(Instant::now()) {
                    tracing::warn!(%error, "the shared cache refuses; what it refuses is loaded elsewhere");
                }
                None
            }
            Ok(Err(error)) => self.fail(permit, &error.to_string()),
            Err(_) => self.fail(permit, &format!("no answer within {} ms", self.timeout.as_millis())),
        }
    }

    async fn send<T: redis::FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        match &self.connection {
            Connection::Single(manager) => pipeline.query_async(&mut manager.clone()).await,
            Connection::Cluster(found) => match found.get() {
                Some(connection) => pipeline.query_async(&mut connection.clone()).await,
                None => Err(RedisError::from((
                    redis::ErrorKind::Io,
                    "the cluster was not found yet",
                ))),
            },
        }
    }

    fn permit(&self) -> Option<Permit> {
        let mut breaker = self.breaker();
        let now = self.now();
        breaker.0.admit().or_else(|| breaker.0.probe(now))
    }

    fn succeed(&self, permit: Permit) {
        let mut breaker = self.breaker();
        let was_closed = breaker.0.state() == breaker::State::Closed;
        let now = self.now();
        breaker.0.succeed(permit, now);
        if !was_closed && breaker.0.state() == breaker::State::Closed {
            tracing::info!("the shared cache answers again");
        }
    }

    fn fail<T>(&self, permit: Permit, error: &str) -> Option<T> {
        self.counters.errors.add(1);
        let now = self.now();
        let mut breaker = self.breaker();
        let (breaker, random) = &mut *breaker;
        let was_closed = breaker.state() == breaker::State::Closed;
        breaker.fail(permit, now, random);
        if was_closed && breaker.state() == breaker::State::Open {
            tracing::warn!(
                error,
                "the shared cache does not answer; going on without, until it does"
            );
        }
        None
    }

    fn breaker(&self) -> MutexGuard<'_, (Breaker, Random)> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, Trouble> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }
}

fn node(url: &str, settings: &Settings) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    let mut login = info.redis_settings().clone();
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password);
    }
    Ok(info.set_redis_settings(login))
}

fn single(nodes: Vec<ConnectionInfo>, settings: &Settings) -> RedisResult<Connection> {
    let node = nodes
        .into_iter()
        .next()
        .ok_or_else(|| RedisError::from((redis::ErrorKind::InvalidClientConfig, "no address was given")))?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(settings.timeout))
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(Client::open(node)?, config).map(Connection::Single)
}

/// Looks for the cluster in the background, until it is there; from then on the connection finds its nodes itself.
fn cluster(nodes: Vec<ConnectionInfo>, settings: &Settings, runtime: &Handle) -> RedisResult<Connection> {
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(settings.timeout)
        .retries(1);
    // The nodes that the cluster names come without them.
    if let Some(user) = &settings.user {
        builder = builder.username(user);
    }
    if let Some(password) = &settings.password {
        builder = builder.password(password);
    }
    let client = builder.build()?;
    let found = Arc::new(OnceLock::new());
    let finding = Arc::clone(&found);
    runtime.spawn(async move {
        loop {
            match client.get_async_connection().await {
                Ok(connection) => return drop(finding.set(connection)),
                Err(error) => tracing::debug!(%error, "look for the shared cache's cluster"),
            }
            tokio::time::sleep(CONNECT_REST).await;
        }
    });
    Ok(Connection::Cluster(found))
}

/// Whether the server answered, and only this request was refused.
fn is_refusal(error: &RedisError) -> bool {
    // A pipeline's error has no code of its own.
    let refusals = error.clone().into_server_errors();
    let is_refused = |errors: Arc<[(usize, ServerError)]>| {
        errors
            .iter()
            .all(|(_, error)| matches!(error.code(), "WRONGTYPE" | "OOM"))
    };
    refusals.is_some_and(is_refused) || error.kind() == redis::ErrorKind::UnexpectedReturnType
}

/// A key's name in Redis: format, record, site, path. A site belongs to one tenant.
fn name(epoch: u64, key: KeyRef<'_>) -> Vec<u8> {
    format!("wayside:{VERSION}:{epoch:016x}:{}:{}", key.site, key.path).into_bytes()
}

fn write(name: &[u8], link: &Link, cursor: u64) -> Option<Vec<u8>> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&[0; 8]);
    value.extend_from_slice(&cursor.to_le_bytes());
    codec::encode(link, &mut value)?;
    let sum = sum(name, &value[9..]);
    value[1..9].copy_from_slice(&sum.to_le_bytes());
    Some(value)
}

fn read(name: &[u8], value: &[u8]) -> Option<(Link, u64)> {
    let mut rest = Bytes(value);
    if rest.byte()? != VERSION || rest.u64()? != sum(name, rest.0) {
        return None;
    }
    let cursor = rest.u64()?;
    Some((codec::decode(rest.0)?, cursor))
}

/// The checksum of a value covers its key: a value under another's key is no value.
fn sum(name: &[u8], value: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(name), value)
}

#[cfg(test)]
mod tests {
    use wayside_decide::{link::Link, site::SiteId, status::RedirectStatus, target::Target};

    use super::{name, read, write};
    use crate::key::KeyRef;

    #[test]
    fn a_value_reads_as_written_under_its_own_key_and_no_flipped_bit_is_read() {
        let link = Link {
            target: Target::parse("https://a.example/").expect("target"),
            status: RedirectStatus::Found,
            forward_query: true,
            starts_at: None,
            expires_at: None,
            fallback: None,
            tags: Box::default(),
            attributes: Box::default(),
        };
        let at = |epoch, site, path| {
            name(
                epoch,
                KeyRef {
                    site: SiteId(site),
                    path,
                },
            )
        };
        let own = at(1, 2, "/a");
        assert_eq!(own, b"wayside:1:0000000000000001:2:/a");
        let value = write(&own, &link, 77).expect("a value");
        assert_eq!(read(&own, &value), Some((link, 77)));
        for other in [at(2, 2, "/a"), at(1, 3, "/a"), at(1, 2, "/b")] {
            assert_eq!(read(&other, &value), None);
        }
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&own, &damaged), None, "bit {bit}");
        }
        for end in 0..value.len() {
            assert_eq!(read(&own, &value[..end]), None, "cut at {end}");
        }
    }
}
