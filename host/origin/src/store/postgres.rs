//! The record in Postgres: several origins share it, and may read from a streaming replica near them.
//!
//! In: settings with the URLs. Out: a [`Store`](super::Store). A change and its row in the outbox are one transaction; the
//! `sequencer` numbers what has committed and so makes the order that nodes are told. What is read for nodes may come
//! from the replica when that is new enough; all else comes from the primary. Every operation has an end, and while the
//! database is away each fails quickly with [`StoreError::Unavailable`]. This file must not know what a request is.

use std::{future::Future, io, sync::Arc, time::Duration};

use sqlx::{
    PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::task::AbortHandle;
use wayside_decide::{name::Name, path::LinkPath, site::SiteId};
use wayside_upstream::protocol::{Cursor, Epoch, Position};

use self::{
    connect::{ACQUIRE_TIMEOUT, PostgresOpenError, PostgresSettings, migrate, options, unusable},
    heads::Heads,
    primary::{Primary, Reach},
    replica::Replica,
    sequencer::Sequencer,
    tenants::Tenants,
};
use super::{FeedPage, Freshness, LinkRecord, StoreError, missing};

pub mod connect;

mod batches;
mod bindings;
mod changes;
mod heads;
mod links;
mod loads;
mod operations;
mod policies;
mod primary;
mod replica;
mod rules;
mod sequencer;
mod sites;
mod streams;
mod tenants;

// What both engines write alike, for what these are here.
#[path = "assets.rs"]
#[allow(clippy::duplicate_mod, reason = "each engine has its own pools")]
mod assets;
#[path = "nodes.rs"]
#[allow(clippy::duplicate_mod, reason = "each engine has its own pools")]
mod nodes;
#[path = "targets.rs"]
#[allow(clippy::duplicate_mod, reason = "each engine has its own pools")]
mod targets;
#[path = "tokens.rs"]
#[allow(clippy::duplicate_mod, reason = "each engine has its own pools")]
mod tokens;
#[path = "zones.rs"]
#[allow(clippy::duplicate_mod, reason = "each engine has its own pools")]
mod zones;

/// Connections beside those that requests use: one numbers changes, one listens for those that others numbered.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// How much longer than a connection and a statement an operation may take: several statements, and the way there.
const OPERATION_MARGIN: Duration = Duration::from_secs(2);
/// How often a change is tried that Postgres rolled back to untie it from another.
const ATTEMPTS: u32 = 4;
/// Reads that belong together are all of one instant.
const ONE_INSTANT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

type Engine = PostgresStore;
type Pool = PgPool;
type Connection = PgConnection;
type Write<'c> = Transaction<'c, Postgres>;
type Read<'c> = Transaction<'c, Postgres>;
/// A change was noted; it has no number yet.
struct Noted;

/// Notes that something in the directory changed.
async fn note_directory(write: &mut Write<'_>, tenant: &Name) -> Result<Noted, StoreError> {
    changes::note_directory(write, tenant.as_str()).await?;
    Ok(Noted)
}

/// What was read, and as of when.
struct Freshly<T> {
    position: Position,
    value: T,
}

/// The record in Postgres.
pub struct PostgresStore {
    primary: Primary,
    replica: Option<Arc<Replica>>,
    background: PgPool,
    heads: Arc<Heads>,
    sequencer: Arc<Sequencer>,
    tenants: Tenants,
    connections: u32,
    operation_max: Duration,
    tasks: Vec<AbortHandle>,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl PostgresStore {
    /// Connects, and brings the tables up to date. While the primary is away, a replica with tables of this version is
    /// enough to begin with.
    ///
    /// # Errors
    /// [`PostgresOpenError`], which names the server and never a password.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, PostgresOpenError> {
        let primary_options = options("origin.store", &settings.store, settings)?;
        let replica_options = settings.replica.as_deref();
        let replica_options = replica_options.map(|url| options("origin.replica", url, settings));
        let replica_options = replica_options.transpose()?;
        let pool = |options: PgConnectOptions, connections: u32| {
            let pool = PgPoolOptions::new().max_connections(connections);
            pool.acquire_timeout(ACQUIRE_TIMEOUT).connect_lazy_with(options)
        };
        let head = match migrate(&primary_options).await {
            Ok(()) => {
                let once = pool(primary_options.clone(), 1);
                // Not only read: a record that was restored is another one before anybody is told of it.
                let head = sequencer::number_all(&once).await;
                once.close().await;
                head.map_err(|error| unusable(&primary_options, error))?
            }
            Err(error) => match &replica_options {
                Some(options) if matches!(error, PostgresOpenError::Unreachable { .. }) => {
                    let once = pool(options.clone(), 1);
                    let head = changes::head(&once).await;
                    once.close().await;
                    let head = head.map_err(|error| unusable(options, error))?;
                    tracing::warn!(%error, "the record can be read from the replica only, until the primary is back");
                    head
                }
                _ => return Err(error),
            },
        };
        let replica = replica_options.map(|options| Arc::new(Replica::new(options, settings.connections)));
        let background = pool(primary_options.clone(), BACKGROUND_CONNECTIONS);
        let reach = Arc::new(Reach::default());
        let heads = Arc::new(Heads::new(head, replica.is_some()));
        let sequencer = Arc::new(Sequencer::default());
        let operation_max = ACQUIRE_TIMEOUT + settings.statement_timeout + OPERATION_MARGIN;
        let mut tasks = vec![
            tokio::spawn(sequencer::run(
                Arc::clone(&sequencer),
                background.clone(),
                Arc::clone(&heads),
                Arc::clone(&reach),
                operation_max,
            ))
            .abort_handle(),
            tokio::spawn(heads::listen(background.clone(), Arc::clone(&heads))).abort_handle(),
        ];
        if let Some(replica) = replica.clone() {
            tasks.push(tokio::spawn(replica::poll(replica, Arc::clone(&heads))).abort_handle());
        }
        Ok(Self {
            primary: Primary::new(pool(primary_options, settings.connections), reach),
            replica,
            background,
            heads,
            sequencer,
            tenants: Tenants::default(),
            connections: settings.connections,
            operation_max,
            tasks,
        })
    }

    /// The primary's connections; an error at once while it cannot be reached.
    fn primary(&self) -> Result<&PgPool, StoreError> {
        self.primary.pool()
    }

    /// As [`Self::commit`], for what both engines write alike.
    async fn finish(&self, write: Write<'_>, _: Noted) -> Result<(), StoreError> {
        self.commit(write).await
    }

    async fn begin(&self) -> Result<Write<'static>, StoreError> {
        Ok(self.primary()?.begin().await?)
    }

    /// Ends a transaction, has its changes numbered and waits for that a little: who is answered finds the change in the
    /// directory and the feed. Should it not come to that, the change is told when the next sweep finds it.
    async fn commit(&self, write: Write<'_>) -> Result<(), StoreError> {
        write.commit().await?;
        self.sequencer.settle().await;
        Ok(())
    }

    /// An operation, for as long as one may take.
    async fn within<T>(&self, operation: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let ended = tokio::time::timeout(self.operation_max, operation).await;
        ended.unwrap_or_else(|_| Err(took_too_long()))
    }

    /// What the replica says; none when there is none, or it says nothing.
    async fn replicated<T, F>(&self, read: impl FnOnce(PgPool) -> F + Send) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        self.replica.as_ref()?.read(read).await
    }

    /// Reads for a node: from the replica when that has what the node was told of, from the primary otherwise. An error
    /// when the primary has not, or is of another record.
    async fn near<T, F>(&self, freshness: Freshness, read: impl Fn(PgPool) -> F + Send + Sync) -> Result<T, StoreError>
    where
        T: Send,
        F: Future<Output = Result<Freshly<T>, StoreError>> + Send,
    {
        if freshness != Freshness::Newest
            && let Some(found) = self.replicated(&read).await
            && freshness.is_met_by(found.position).is_ok()
        {
            return Ok(found.value);
        }
        let found = read(self.primary()?.clone()).await?;
        freshness.is_met_by(found.position)?;
        Ok(found.value)
    }

    /// Finds something for a node that never changes, or of which the replica may speak although the primary knows more;
    /// that it is nowhere, only the primary says.
    async fn find<T, F>(&self, find: impl Fn(PgPool) -> F + Send + Sync) -> Result<Option<T>, StoreError>
    where
        T: Send,
        F: Future<Output = Result<Option<T>, StoreError>> + Send,
    {
        match self.replicated(&find).await.flatten() {
            None => find(self.primary()?.clone()).await,
            found => Ok(found),
        }
    }

    /// A link of a site whose tenant nobody named.
    async fn link_of(&self, site: SiteId, path: &LinkPath, freshness: Freshness) -> Result<LinkRecord, StoreError> {
        let read = |pool: PgPool, tenant: Arc<str>| async move { links::one(&pool, &tenant, site, path).await };
        let found = self.of_site(site, freshness, read).await?;
        found.ok_or_else(|| missing("link", path))
    }

    /// Reads something of a site whose tenant nobody named. `read` says that the site is missing when it is not the tenant's.
    async fn of_site<T, F>(
        &self,
        site: SiteId,
        freshness: Freshness,
        read: impl Fn(PgPool, Arc<str>) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: Future<Output = Result<Freshly<T>, StoreError>> + Send,
    {
        let hint = match self.tenants.of(site) {
            Some(tenant) => tenant,
            None => {
                let find = |pool: PgPool| async move { sites::tenant(&pool, site).await };
                let tenant = match self.replicated(find).await.flatten() {
                    Some(tenant) => tenant,
                    None => self.tenant_by_primary(site, freshness).await?,
                };
                self.tenants.remember(site, tenant)
            }
        };
        match self.near(freshness, |pool| read(pool, Arc::clone(&hint))).await {
            Err(StoreError::Missing { what: "site", .. }) => self.tenants.forget(site),
            ended => return ended,
        }
        // Another's by now, or nobody's.
        let tenant = self.tenant_by_primary(site, freshness).await?;
        let tenant = self.tenants.remember(site, tenant);
        self.near(freshness, |pool| read(pool, Arc::clone(&tenant))).await
    }

    /// That there is no such site, too, counts only as of what the node was told.
    async fn tenant_by_primary(&self, site: SiteId, freshness: Freshness) -> Result<String, StoreError> {
        let pool = self.primary()?;
        freshness.is_met_by(changes::head(pool).await?)?;
        let tenant = sites::tenant(pool, site).await?;
        tenant.ok_or_else(|| missing("site", site))
    }

    /// Runs a change anew when Postgres rolled it back to untie it from another.
    async fn untied<T, F>(&self, change: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        for _ in 1..ATTEMPTS {
            match change().await {
                Err(StoreError::Unavailable(error)) if is_tied(&error) => {}
                ended => return ended,
            }
        }
        change().await
    }

    /// The part of the feed that a replica knows, or the primary when it cannot say.
    async fn page(&self, epoch: Option<Epoch>, cursor: Cursor, limit: u32) -> Result<FeedPage, StoreError> {
        let near = if self.heads.follows_replica() {
            let read = |pool: PgPool| async move { changes::after(&pool, cursor, limit).await };
            self.replicated(read).await
        } else {
            None
        };
        let Some(near) = near else {
            let page = changes::after(self.primary()?, cursor, limit).await?;
            return Ok(judge(epoch, cursor, page));
        };
        let is_same = epoch.is_none_or(|epoch| epoch == near.head.epoch);
        if is_same && cursor <= near.head.cursor {
            return Ok(judge(epoch, cursor, near));
        }
        // Ahead of this replica, or of a record that it has not heard of yet: the primary knows.
        match changes::after(self.primary()?, cursor, limit).await {
            Ok(page) => Ok(judge(epoch, cursor, page)),
            // The same record, which has not come this far here: there is nothing to tell yet.
            Err(_) if epoch == Some(near.head.epoch) => Ok(FeedPage::Changes(near.head.epoch, Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// What a part of the changes is to somebody who knows `cursor` of `epoch`.
fn judge(epoch: Option<Epoch>, cursor: Cursor, page: changes::Page) -> FeedPage {
    let is_another = epoch.is_some_and(|epoch| epoch != page.head.epoch);
    if is_another || cursor.saturating_add(1) < page.oldest || cursor > page.head.cursor {
        FeedPage::Resync(page.head)
    } else {
        FeedPage::Changes(page.head.epoch, page.events)
    }
}

/// Whether Postgres rolled back to let another transaction go on.
fn is_tied(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

fn took_too_long() -> StoreError {
    StoreError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
}
