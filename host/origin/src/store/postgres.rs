//! The record in Postgres: several origins share it, and may read from a streaming replica near them.
//!
//! In: settings with the URLs. Out: a [`Store`]. A change and its row in the outbox are one transaction; the
//! `sequencer` numbers what has committed and so makes the order that nodes are told. What is read for nodes may come
//! from the replica when that is new enough; all else comes from the primary. Every operation has an end, and while the
//! database is away each fails quickly with [`StoreError::Unavailable`]. This file must not know what a request is.

use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::watch, task::AbortHandle};
use wayside_decide::{
    binding::Binding, digest::Digest, link::Link, name::Name, path::LinkPath, rule::Rule, site::SiteId,
};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Cursor, EdgeDirectory, Epoch, Position, SnapshotPage},
};

use self::{
    connect::{ACQUIRE_TIMEOUT, PostgresOpenError, PostgresSettings, migrate, options, unusable},
    heads::Heads,
    primary::{Primary, Reach},
    sequencer::Sequencer,
};
use super::{
    FeedPage, Freshness, LinkRecord, PolicyRecord, RuleRecord, SiteContent, SiteRecord, SnapshotKey, Store, StoreError,
    TokenRecord, WriteMode, missing,
};
use crate::{node::NodeRecord, token::TokenId};

pub mod connect;

mod bindings;
mod changes;
mod heads;
mod links;
mod nodes;
mod policies;
mod primary;
mod rules;
mod sequencer;
mod sites;
mod tokens;

/// Connections beside those that requests use: one numbers changes, one listens for those that others numbered.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// How much longer than a connection and a statement an operation may take: several statements, and the way there.
const OPERATION_MARGIN: Duration = Duration::from_secs(2);
/// How long a replica may take before the primary is asked.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a change is tried that Postgres rolled back to untie it from another.
const ATTEMPTS: u32 = 4;
/// Reads that belong together are all of one instant.
const ONE_INSTANT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

type Write<'c> = Transaction<'c, Postgres>;
type Read<'c> = Transaction<'c, Postgres>;

/// What was read, and as of when.
struct Freshly<T> {
    position: Position,
    value: T,
}

/// The record in Postgres.
pub struct PostgresStore {
    primary: Primary,
    replica: Option<PgPool>,
    background: PgPool,
    heads: Arc<Heads>,
    sequencer: Arc<Sequencer>,
    /// Whose site it is. That never changes, and no number is given twice: what stands here is never wrong.
    tenants: RwLock<HashMap<SiteId, Arc<str>>>,
    operation_max: Duration,
    is_away: AtomicBool,
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
        let replica = replica_options
            .clone()
            .map(|options| pool(options, settings.connections));
        let head = match migrate(&primary_options).await {
            Ok(()) => {
                let once = pool(primary_options.clone(), 1);
                // Not only read: a record that was restored is another one before anybody is told of it.
                let head = sequencer::number_all(&once).await;
                once.close().await;
                head.map_err(|error| unusable(&primary_options, error))?
            }
            Err(error) => match (&replica, &replica_options) {
                (Some(replica), Some(options)) if matches!(error, PostgresOpenError::Unreachable { .. }) => {
                    let head = changes::head(replica).await.map_err(|error| unusable(options, error))?;
                    tracing::warn!(%error, "the record can be read from the replica only, until the primary is back");
                    head
                }
                _ => return Err(error),
            },
        };
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
            tasks.push(tokio::spawn(heads::poll(replica, Arc::clone(&heads))).abort_handle());
        }
        Ok(Self {
            primary: Primary::new(pool(primary_options, settings.connections), reach),
            replica,
            background,
            heads,
            sequencer,
            tenants: RwLock::default(),
            operation_max,
            is_away: AtomicBool::new(false),
            tasks,
        })
    }

    /// The primary's connections; an error at once while it cannot be reached.
    fn primary(&self) -> Result<&PgPool, StoreError> {
        self.primary.pool()
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
        let ended = ended.unwrap_or_else(|_| Err(took_too_long()));
        // Said once when it goes and once when it comes, however many ask meanwhile.
        match &ended {
            Err(StoreError::Unavailable(error)) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the database cannot be used; answering what needs it with 503");
                }
            }
            Ok(_) => {
                if self.is_away.load(Ordering::Relaxed) && self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the database can be used again");
                }
            }
            Err(_) => {}
        }
        ended
    }

    /// Reads for a node: from the replica when that has what the node was told of, from the primary otherwise.
    async fn near<T, F>(&self, freshness: Freshness, read: impl Fn(PgPool) -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Freshly<T>, StoreError>> + Send,
    {
        if let Some(replica) = self.replica.as_ref().filter(|_| freshness != Freshness::Newest) {
            let read = tokio::time::timeout(REPLICA_TIMEOUT, read(replica.clone())).await;
            match read.unwrap_or_else(|_| Err(took_too_long())) {
                Ok(found) if is_fresh(found.position, freshness) => return Ok(found.value),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the replica gives no answer; asking the primary"),
            }
        }
        Ok(read(self.primary()?.clone()).await?.value)
    }

    /// Whose site it is.
    async fn tenant_of(&self, site: SiteId) -> Result<Arc<str>, StoreError> {
        let known = self
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&site)
            .cloned();
        if let Some(tenant) = known {
            return Ok(tenant);
        }
        let near = match &self.replica {
            Some(replica) => sites::tenant(replica, site).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "the replica gives no answer; asking the primary");
                None
            }),
            None => None,
        };
        // Only the primary's word counts that there is none.
        let found = match near {
            Some(tenant) => Some(tenant),
            None => sites::tenant(self.primary()?, site).await?,
        };
        let tenant: Arc<str> = found.ok_or_else(|| missing("site", site))?.into();
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(site, Arc::clone(&tenant));
        Ok(tenant)
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
        let Some(replica) = self.replica.as_ref().filter(|_| self.heads.follows_replica()) else {
            return Ok(judge(
                epoch,
                cursor,
                changes::after(self.primary()?, cursor, limit).await?,
            ));
        };
        let near = changes::after(replica, cursor, limit).await?;
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

fn is_fresh(position: Position, freshness: Freshness) -> bool {
    match freshness {
        Freshness::Newest => false,
        Freshness::Since(known) => position.epoch == known.epoch && position.cursor >= known.cursor,
        Freshness::Any => true,
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

#[async_trait]
impl Store for PostgresStore {
    async fn create_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        let change = || sites::create(self, tenant, name, content.clone());
        self.within(self.untied(change)).await
    }

    async fn sites(&self, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError> {
        self.within(async { sites::list(self.primary()?, tenant).await }).await
    }

    async fn site(&self, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError> {
        self.within(async { sites::one(self.primary()?, tenant, name).await })
            .await
    }

    async fn replace_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        let change = || sites::replace(self, tenant, name, content.clone());
        self.within(self.untied(change)).await
    }

    async fn delete_site(&self, tenant: &Name, name: &Name) -> Result<(), StoreError> {
        self.within(self.untied(|| sites::delete(self, tenant, name))).await
    }

    async fn links(&self, site: SiteId, prefix: &str, after: &str, limit: u32) -> Result<Vec<LinkRecord>, StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            links::list(self.primary()?, &tenant, site, prefix, after, limit).await
        })
        .await
    }

    async fn link(&self, site: SiteId, path: &LinkPath, freshness: Freshness) -> Result<LinkRecord, StoreError> {
        self.within(async {
            let tenant = match self.tenant_of(site).await {
                Err(StoreError::Missing { .. }) => return Err(missing("link", path)),
                tenant => tenant?,
            };
            let read = |pool: PgPool| {
                let tenant = Arc::clone(&tenant);
                async move { links::one(&pool, &tenant, site, path).await }
            };
            let found = self.near(freshness, read).await?;
            found.ok_or_else(|| missing("link", path))
        })
        .await
    }

    async fn write_links(
        &self,
        tenant: &Name,
        site: SiteId,
        links: Vec<(LinkPath, Link)>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        let change = || links::write(self, tenant, site, &links, mode);
        self.within(self.untied(change)).await
    }

    async fn delete_link(&self, site: SiteId, path: &LinkPath) -> Result<(), StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            self.untied(|| links::delete(self, &tenant, site, path)).await
        })
        .await
    }

    async fn rules(&self, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            rules::list(self.primary()?, &tenant, site).await
        })
        .await
    }

    async fn create_rule(&self, tenant: &Name, site: SiteId, rule: Rule) -> Result<RuleRecord, StoreError> {
        let change = || rules::create(self, tenant, site, rule.clone());
        self.within(self.untied(change)).await
    }

    async fn delete_rule(&self, site: SiteId, id: u64) -> Result<(), StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            self.untied(|| rules::delete(self, &tenant, site, id)).await
        })
        .await
    }

    async fn push_policy(&self, tenant: &Name, policy: PolicyRecord, component: Vec<u8>) -> Result<(), StoreError> {
        let change = || policies::push(self, tenant, &policy, &component);
        self.within(self.untied(change)).await
    }

    async fn policies(&self, tenant: &Name, name: Option<&Name>) -> Result<Vec<PolicyRecord>, StoreError> {
        self.within(async { policies::list(self.primary()?, tenant, name).await })
            .await
    }

    /// A digest names its bytes wherever they are read; only the primary's word counts that there are none.
    async fn component(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        self.within(async {
            if let Some(replica) = &self.replica
                && let Ok(Some(bytes)) = policies::component(replica, digest).await
            {
                return Ok(bytes);
            }
            let bytes = policies::component(self.primary()?, digest).await?;
            bytes.ok_or_else(|| missing("policy version", digest))
        })
        .await
    }

    async fn bindings(&self, site: SiteId) -> Result<Vec<Binding>, StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            bindings::list(self.primary()?, &tenant, site).await
        })
        .await
    }

    async fn bind(&self, tenant: &Name, site: SiteId, binding: Binding) -> Result<(), StoreError> {
        let change = || bindings::bind(self, tenant, site, &binding);
        self.within(self.untied(change)).await
    }

    async fn unbind(&self, site: SiteId, prefix: &str) -> Result<(), StoreError> {
        self.within(async {
            let tenant = self.tenant_of(site).await?;
            self.untied(|| bindings::unbind(self, &tenant, site, prefix)).await
        })
        .await
    }

    async fn roll_back(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<Binding, StoreError> {
        let change = || bindings::roll_back(self, tenant, site, prefix);
        self.within(self.untied(change)).await
    }

    async fn create_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        self.within(async { tokens::create(self.primary()?, &token).await })
            .await
    }

    async fn token(&self, id: &TokenId, freshness: Freshness) -> Result<Option<TokenRecord>, StoreError> {
        self.within(async {
            if let Some(replica) = self.replica.as_ref().filter(|_| freshness == Freshness::Any)
                && let Ok(Some(token)) = tokens::one(replica, id).await
            {
                return Ok(Some(token));
            }
            tokens::one(self.primary()?, id).await
        })
        .await
    }

    async fn tokens(&self, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
        self.within(async { tokens::list(self.primary()?, tenant).await }).await
    }

    async fn revoke_token(&self, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError> {
        self.within(async { tokens::revoke(self.primary()?, tenant, id).await })
            .await
    }

    async fn invite_node(&self, node: NodeRecord) -> Result<(), StoreError> {
        self.within(async { nodes::invite(self.primary()?, &node).await }).await
    }

    async fn enrol_node(&self, id: &NodeId, key: &PublicKey, now_s: u64) -> Result<(), StoreError> {
        self.within(async { nodes::enrol(self.primary()?, id, key, now_s).await })
            .await
    }

    async fn node(&self, id: &NodeId, freshness: Freshness) -> Result<Option<NodeRecord>, StoreError> {
        self.within(async {
            if let Some(replica) = self.replica.as_ref().filter(|_| freshness == Freshness::Any)
                && let Ok(Some(node)) = nodes::one(replica, id).await
            {
                return Ok(Some(node));
            }
            nodes::one(self.primary()?, id).await
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.within(async { nodes::list(self.primary()?).await }).await
    }

    async fn revoke_node(&self, id: &NodeId, now_s: u64) -> Result<(), StoreError> {
        self.within(async { nodes::revoke(self.primary()?, id, now_s).await })
            .await
    }

    async fn directory(&self, freshness: Freshness) -> Result<EdgeDirectory, StoreError> {
        self.within(async {
            let read = |pool: PgPool| async move { changes::directory(&pool).await };
            match self.near(freshness, read).await {
                // It names its position: whoever was told of more sees that it is older.
                Err(StoreError::Unavailable(error))
                    if freshness == Freshness::Newest
                        && let Some(replica) = &self.replica =>
                {
                    let old = changes::directory(replica).await;
                    old.map(|old| old.value).map_err(|_| StoreError::Unavailable(error))
                }
                read => read,
            }
        })
        .await
    }

    async fn snapshot(
        &self,
        after: Option<&SnapshotKey>,
        limit: u32,
        first: Option<Position>,
    ) -> Result<SnapshotPage, StoreError> {
        self.within(async {
            // The first part may be of any instant: it names which.
            let freshness = first.map_or(Freshness::Any, Freshness::Since);
            let read = |pool: PgPool| async move { links::part(&pool, after, limit).await };
            let page = self.near(freshness, read).await?;
            match first {
                Some(first) if first.epoch != page.position.epoch => Err(StoreError::AnotherRecord {
                    expected: first.epoch,
                    found: page.position.epoch,
                }),
                _ => Ok(page),
            }
        })
        .await
    }

    async fn changes(&self, epoch: Option<Epoch>, cursor: Cursor, limit: u32) -> Result<FeedPage, StoreError> {
        self.within(self.page(epoch, cursor, limit)).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.heads.subscribe()
    }

    async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.background.close().await;
        self.primary.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }

    /// Postgres has its own tool, which knows more.
    async fn back_up(&self, _: &std::path::Path) -> Result<(), StoreError> {
        Err(StoreError::Conflict {
            what: "backup",
            name: "of a record in Postgres".to_owned(),
            reason: "is taken by `pg_dump`, or by your Postgres's own backups".to_owned(),
        })
    }
}
