//! The record in one SQLite file: no server, one writer.
//!
//! One connection writes, so commits happen in the order of their sequence numbers and the feed can follow those
//! numbers without skipping anything. Others read beside it (WAL). `synchronous = FULL` makes every commit durable
//! before it is acknowledged.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;
use wayside_decide::{
    binding::Binding, digest::Digest, link::Link, name::Name, path::LinkPath, rule::Rule, site::SiteId,
};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Cursor, EdgeDirectory, Epoch, Position, SnapshotPage},
};

use super::{
    FeedPage, Freshness, LinkRecord, PolicyRecord, RuleRecord, SiteContent, SiteRecord, SnapshotKey, Store, StoreError,
    TokenRecord, WriteMode,
};
use crate::{node::NodeRecord, token::TokenId};

mod batches;
mod bindings;
mod changes;
mod links;
mod policies;
mod rules;
mod sites;
mod streams;

// What both engines write alike, for what these are here.
#[path = "assets.rs"]
mod assets;
#[path = "nodes.rs"]
mod nodes;
#[path = "targets.rs"]
mod targets;
#[path = "tokens.rs"]
mod tokens;
#[path = "zones.rs"]
mod zones;

/// How many connections read.
const READERS: u32 = 4;
/// How long a statement waits for another to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder cannot be made or its lock cannot be taken.
    #[error("{}: {source}", path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("{}: another process is using this database; stop it first", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// It is no database of ours, or a damaged one.
    #[error("{}: expected a Wayside database, found: {source}", path.display())]
    Unusable {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The record in a file.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    head: watch::Sender<Position>,
    /// Held while the store lives.
    _lock: std::fs::File,
}

type Engine = SqliteStore;
type Pool = SqlitePool;
type Connection = SqliteConnection;
type Write<'c> = Transaction<'c, Sqlite>;
type Read<'c> = Transaction<'c, Sqlite>;
/// The number of a change.
type Noted = Cursor;

/// Notes that something in the directory changed.
async fn note_directory(write: &mut Write<'_>, _: &Name) -> Result<Noted, StoreError> {
    changes::note_directory(write).await
}

impl SqliteStore {
    /// Opens the database at `path`, making it and its folder when they are missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let unusable = |source: sqlx::Error| OpenError::Unusable {
            path: path.to_owned(),
            source: source.into(),
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        // After some errors, a full disk among them, SQLite rolls back by itself and the driver believes that the
        // transaction goes on: the next would be a savepoint within it that is never committed.
        let one = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }));
        let writer = one.connect_with(options.clone()).await.map_err(unusable)?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writer)
            .await
            .map_err(|source| OpenError::Unusable {
                path: path.to_owned(),
                source: source.into(),
            })?;
        let many = SqlitePoolOptions::new().max_connections(READERS);
        let readers = many.connect_with(options.read_only(true)).await.map_err(unusable)?;
        let head = changes::head(&readers).await.map_err(|source| OpenError::Unusable {
            path: path.to_owned(),
            source: source.into(),
        })?;
        Ok(Self {
            writer,
            readers,
            head: watch::Sender::new(head),
            _lock: lock,
        })
    }

    /// What is read from here on is always the newest of this record: whether that is as new as it must be.
    async fn reaches(&self, freshness: Freshness) -> Result<(), StoreError> {
        let head = *self.head.borrow();
        if freshness.is_met_by(head).is_ok() {
            return Ok(());
        }
        // A feed may have read what is committed and not yet announced.
        freshness.is_met_by(changes::head(&self.readers).await?)
    }

    async fn begin(&self) -> Result<Write<'static>, StoreError> {
        Ok(self.writer.begin().await?)
    }

    /// As [`Self::commit`], for what both engines write alike.
    async fn finish(&self, write: Write<'_>, noted: Noted) -> Result<(), StoreError> {
        self.commit(write, noted).await
    }

    /// Ends a transaction and wakes the feeds. Whoever comes here must come to its end: see `api::finish_writes`.
    async fn commit(&self, write: Write<'_>, seq: Cursor) -> Result<(), StoreError> {
        write.commit().await?;
        self.head.send_if_modified(|head| {
            let is_newer = seq > head.cursor;
            head.cursor = seq.max(head.cursor);
            is_newer
        });
        Ok(())
    }
}

/// Takes the lock that says that a process uses the database at `path`.
pub(crate) fn lock(path: &Path) -> Result<std::fs::File, OpenError> {
    let file_error = |source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(file_error)?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let options = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path);
    let file = options.map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(file_error(source)),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        sites::create(self, tenant, name, content).await
    }

    async fn sites(&self, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError> {
        sites::list(&self.readers, tenant).await
    }

    async fn site(&self, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError> {
        sites::one(&self.readers, tenant, name).await
    }

    async fn replace_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        sites::replace(self, tenant, name, content).await
    }

    async fn delete_site(&self, tenant: &Name, name: &Name) -> Result<(), StoreError> {
        sites::delete(self, tenant, name).await
    }

    /// A site's number says enough here.
    async fn links(
        &self,
        _: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<LinkRecord>, StoreError> {
        links::list(&self.readers, site, prefix, after, limit).await
    }

    async fn link(&self, site: SiteId, path: &LinkPath, freshness: Freshness) -> Result<LinkRecord, StoreError> {
        self.reaches(freshness).await?;
        links::one(&self.readers, site, path).await
    }

    async fn write_links(
        &self,
        tenant: &Name,
        site: SiteId,
        links: Vec<(LinkPath, Link)>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        links::write(self, tenant, site, &links, mode).await
    }

    async fn delete_link(&self, _: &Name, site: SiteId, path: &LinkPath) -> Result<(), StoreError> {
        links::delete(self, site, path).await
    }

    async fn rules(&self, _: &Name, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
        rules::list(&self.readers, site).await
    }

    async fn create_rule(&self, tenant: &Name, site: SiteId, rule: Rule) -> Result<RuleRecord, StoreError> {
        rules::create(self, tenant, site, rule).await
    }

    async fn delete_rule(&self, _: &Name, site: SiteId, id: u64) -> Result<(), StoreError> {
        rules::delete(self, site, id).await
    }

    async fn push_policy(&self, tenant: &Name, policy: PolicyRecord, component: Vec<u8>) -> Result<(), StoreError> {
        policies::push(self, tenant, &policy, &component).await
    }

    async fn policies(&self, tenant: &Name, name: Option<&Name>) -> Result<Vec<PolicyRecord>, StoreError> {
        policies::list(&self.readers, tenant, name).await
    }

    async fn component(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        policies::component(&self.readers, digest).await
    }

    async fn bindings(&self, _: &Name, site: SiteId) -> Result<Vec<Binding>, StoreError> {
        bindings::list(&self.readers, site).await
    }

    async fn bind(&self, tenant: &Name, site: SiteId, binding: Binding) -> Result<(), StoreError> {
        bindings::bind(self, tenant, site, &binding).await
    }

    async fn unbind(&self, _: &Name, site: SiteId, prefix: &str) -> Result<(), StoreError> {
        bindings::unbind(self, site, prefix).await
    }

    async fn roll_back(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<Binding, StoreError> {
        bindings::roll_back(self, tenant, site, prefix).await
    }

    async fn create_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        tokens::create(&self.writer, &token).await
    }

    async fn token(&self, id: &TokenId, _: Freshness) -> Result<Option<TokenRecord>, StoreError> {
        tokens::one(&self.readers, id).await
    }

    async fn tokens(&self, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
        tokens::list(&self.readers, tenant).await
    }

    async fn revoke_token(&self, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError> {
        tokens::revoke(&self.writer, tenant, id).await
    }

    async fn invite_node(&self, node: NodeRecord) -> Result<(), StoreError> {
        nodes::invite(&self.writer, &node).await
    }

    async fn enrol_node(&self, id: &NodeId, key: &PublicKey) -> Result<(), StoreError> {
        nodes::enrol(&self.writer, id, key).await
    }

    async fn node(&self, id: &NodeId, _: Freshness) -> Result<Option<NodeRecord>, StoreError> {
        nodes::one(&self.readers, id).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        nodes::list(&self.readers).await
    }

    async fn revoke_node(&self, id: &NodeId) -> Result<(), StoreError> {
        nodes::revoke(&self.writer, id).await
    }

    async fn directory(&self, freshness: Freshness) -> Result<EdgeDirectory, StoreError> {
        self.reaches(freshness).await?;
        changes::directory(&self.readers).await
    }

    async fn snapshot(
        &self,
        after: Option<&SnapshotKey>,
        limit: u32,
        first: Option<Position>,
    ) -> Result<SnapshotPage, StoreError> {
        self.reaches(first.into()).await?;
        links::part(&self.readers, after, limit).await
    }

    async fn changes(&self, epoch: Option<Epoch>, cursor: Cursor, limit: u32) -> Result<FeedPage, StoreError> {
        changes::after(&self.readers, epoch, cursor, limit).await
    }

    fn readers(&self) -> u32 {
        READERS
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    async fn close(&self) {
        // The last connection to close folds the log into the file, which only a writer may do.
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_str().ok_or_else(|| StoreError::Conflict {
            what: "backup",
            name: to.display().to_string(),
            reason: "has a path that is not UTF-8, which SQLite cannot write to".to_owned(),
        })?;
        sqlx::query("VACUUM INTO ?").bind(to).execute(&self.readers).await?;
        Ok(())
    }
}
