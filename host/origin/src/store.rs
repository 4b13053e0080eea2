//! The record of everything that is configured, behind one trait: in a file of SQLite's, or in Postgres.
//!
//! Each method is one operation of the domain and, where it changes something, one transaction that also notes the
//! change for the feed: when it returns, the change is durable and will be told. Stores know domain types only; what
//! is given to them has been checked.

use async_trait::async_trait;
use tokio::sync::watch;
use wayside_decide::{
    binding::{Binding, Prefix},
    digest::Digest,
    host::{HostName, HostPattern},
    invalid::Invalid,
    link::Link,
    name::Name,
    path::LinkPath,
    rule::Rule,
    site::{Privacy, SiteId},
    target::Target,
};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Cursor, EdgeDirectory, Epoch, FeedEvent, Position, SnapshotPage},
};

use crate::{
    clock,
    node::NodeRecord,
    token::{Grant, TokenId},
};

pub mod postgres;
pub mod sqlite;
pub mod streams;

mod directory;
mod rows;
mod snapshot;

pub use snapshot::SnapshotKey;

use streams::StreamStore;

/// Why an operation did not happen. Nothing of it did.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} {name} does not exist")]
    Missing {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There was one, and it was deleted.
    #[error("{what} {name} was deleted")]
    Gone {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something is in the way.
    #[error("{what} {name} {reason}")]
    Conflict {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is in the way.
        reason: String,
    },
    /// What is to be written does not go with something else of the record.
    #[error("{invalid}")]
    Unfit {
        /// The field that it stands in.
        field: &'static str,
        /// What is wrong with it, and with what it does not go.
        invalid: Invalid,
    },
    /// The database holds something that this version cannot read.
    #[error("the record is damaged: {0}")]
    Damaged(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    NoRandomness(getrandom::Error),
    /// What was asked to go on is of a record that is no longer here: restored, or another one.
    #[error("the record is another one: expected epoch {expected}, found {found}")]
    AnotherRecord {
        /// Which record was asked of.
        expected: Epoch,
        /// Which record this is.
        found: Epoch,
    },
    /// The record has not come as far as somebody was told.
    #[error("the record is behind: expected all changes up to {expected}, found those up to {found}")]
    Behind {
        /// What somebody was told.
        expected: Cursor,
        /// The newest change here.
        found: Cursor,
    },
    /// The disk is full.
    #[error("the record's disk is full: {0}")]
    Full(#[source] sqlx::Error),
    /// The database cannot do this now: it is away, restarts, is overloaded or took too long.
    #[error("the database cannot be used now: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match (code.as_deref(), &error) {
            // SQLITE_FULL, <https://sqlite.org/rescode.html#full>, and disk_full of Postgres.
            (Some("13" | "53100"), _) => Self::Full(error),
            (Some(code), _) if passes(code) => Self::Unavailable(error),
            // Postgres keeps no NUL.
            (Some("22021" | "22P05"), _) => Self::Conflict {
                what: "text",
                name: "with a NUL character".to_owned(),
                reason: "cannot be kept in Postgres".to_owned(),
            },
            (None, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// Whether an error of Postgres's is about its state and not about what was asked of it: tried again, the same may go well.
/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
fn passes(code: &str) -> bool {
    // Connections that break, end or are refused; memory and locks that run out; what is cut off after a time or to
    // untie transactions; a server that became a standby.
    let classes = ["08", "53"];
    let codes = [
        "25006", "25P03", "40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "57P05",
    ];
    code.len() == 5 && (classes.iter().any(|class| code.starts_with(class)) || codes.contains(&code))
}

/// The time as it is recorded: each operation reads it itself.
fn now_s() -> i64 {
    rows::signed(clock::now_s())
}

fn missing(what: &'static str, name: impl ToString) -> StoreError {
    StoreError::Missing {
        what,
        name: name.to_string(),
    }
}

/// A site that ended since it was looked up is a site that is not there.
fn of_ended_site(error: sqlx::Error, site: SiteId) -> StoreError {
    let is_orphan = error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
    if is_orphan { missing("site", site) } else { error.into() }
}

/// What is beyond every path, or id, of a prefix: both are ASCII.
const BEYOND: &str = "\u{7f}";

/// A host's name from its end: what is below a domain is then one range.
fn backwards(name: &HostName) -> String {
    name.as_str().chars().rev().collect()
}

/// What a site is made or remade of.
#[derive(Debug, Clone)]
pub struct SiteContent {
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Where unknown paths lead.
    pub not_found: Option<Target>,
    /// How long caches may keep a redirect at most, in seconds; 0 for not at all.
    pub max_age_s: Option<u32>,
    /// What nodes may keep of its visitors' requests.
    pub privacy: Privacy,
    /// Below which path its assets are.
    pub streams: Option<Prefix>,
}

/// A site as it is recorded.
#[derive(Debug, Clone)]
pub struct SiteRecord {
    /// Its number.
    pub id: SiteId,
    /// Its name.
    pub name: Name,
    /// Its content.
    pub content: SiteContent,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    pub updated_at: u64,
}

/// A link as it is recorded.
#[derive(Debug, Clone)]
pub struct LinkRecord {
    /// Its path.
    pub path: LinkPath,
    /// Its content.
    pub link: Link,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    pub updated_at: u64,
}

/// Whether writing a link may replace one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// A link at the path is a conflict.
    Create,
    /// A link at the path is replaced.
    Replace,
}

/// A rule as it is recorded.
#[derive(Debug, Clone)]
pub struct RuleRecord {
    /// Its number.
    pub id: u64,
    /// Its content.
    pub rule: Rule,
}

/// A version of a policy as it is recorded.
#[derive(Debug, Clone)]
pub struct PolicyRecord {
    /// The policy's name.
    pub name: Name,
    /// The version.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The world it exports.
    pub world: String,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// When it was pushed, in seconds since 1970 UTC.
    pub created_at: u64,
}

/// A token as it is recorded: never its secret.
#[derive(Debug, Clone)]
pub struct TokenRecord {
    /// Its public part.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// What it allows.
    pub grant: Grant,
    /// What its owner calls it.
    pub name: String,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
    /// When it was revoked, in seconds since 1970 UTC.
    pub revoked_at: Option<u64>,
}

/// A part of the feed.
#[derive(Debug, PartialEq, Eq)]
pub enum FeedPage {
    /// The changes of a record after a cursor, in order; perhaps not all of them.
    Changes(Epoch, Vec<FeedEvent>),
    /// The cursor is not one of this record, or too old. The feed goes on from here.
    Resync(Position),
}

/// How new what is read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// All that was acknowledged is in it.
    Newest,
    /// All changes up to a position are in it: who was told of a change must not read what was before.
    Since(Position),
    /// As it is where it is read soonest.
    Any,
}

impl Freshness {
    /// Whether what was read as of `position` is new enough, and of the right record; the error says what it is.
    fn is_met_by(self, position: Position) -> Result<(), StoreError> {
        match self {
            Self::Since(known) if known.epoch != position.epoch => Err(StoreError::AnotherRecord {
                expected: known.epoch,
                found: position.epoch,
            }),
            Self::Since(known) if known.cursor > position.cursor => Err(StoreError::Behind {
                expected: known.cursor,
                found: position.cursor,
            }),
            Self::Since(_) | Self::Newest | Self::Any => Ok(()),
        }
    }
}

impl From<Option<Position>> for Freshness {
    fn from(known: Option<Position>) -> Self {
        known.map_or(Self::Newest, Self::Since)
    }
}

/// The record.
#[async_trait]
pub trait Store: StreamStore {
    /// Makes a site.
    async fn create_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError>;
    /// The sites of a tenant, by name.
    async fn sites(&self, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError>;
    /// One site.
    async fn site(&self, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError>;
    /// Gives a site another content.
    async fn replace_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError>;
    /// Ends a site with its links, rules, bindings and assets.
    async fn delete_site(&self, tenant: &Name, name: &Name) -> Result<(), StoreError>;

    /// The links of a site whose path starts with `prefix`, from the first after `after`, by path.
    async fn links(
        &self,
        tenant: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<LinkRecord>, StoreError>;
    /// One link; nodes know the site and not the tenant.
    async fn link(&self, site: SiteId, path: &LinkPath, freshness: Freshness) -> Result<LinkRecord, StoreError>;
    /// Writes links: all of them or none.
    async fn write_links(
        &self,
        tenant: &Name,
        site: SiteId,
        links: Vec<(LinkPath, Link)>,
        mode: WriteMode,
    ) -> Result<(), StoreError>;
    /// Ends a link.
    async fn delete_link(&self, tenant: &Name, site: SiteId, path: &LinkPath) -> Result<(), StoreError>;

    /// The rules of a site in the order they are tried.
    async fn rules(&self, tenant: &Name, site: SiteId) -> Result<Vec<RuleRecord>, StoreError>;
    /// Makes a rule.
    async fn create_rule(&self, tenant: &Name, site: SiteId, rule: Rule) -> Result<RuleRecord, StoreError>;
    /// Ends a rule.
    async fn delete_rule(&self, tenant: &Name, site: SiteId, id: u64) -> Result<(), StoreError>;

    /// Keeps a version of a policy; the newest from now on, also when it was there before.
    async fn push_policy(&self, tenant: &Name, policy: PolicyRecord, component: Vec<u8>) -> Result<(), StoreError>;
    /// The versions of one policy, or of all, newest first.
    async fn policies(&self, tenant: &Name, name: Option<&Name>) -> Result<Vec<PolicyRecord>, StoreError>;
    /// The bytes of a version, whoever's it is.
    async fn component(&self, digest: Digest) -> Result<Vec<u8>, StoreError>;

    /// The bindings of a site, by prefix.
    async fn bindings(&self, tenant: &Name, site: SiteId) -> Result<Vec<Binding>, StoreError>;
    /// Binds, or binds anew; what was bound before can be rolled back to.
    async fn bind(&self, tenant: &Name, site: SiteId, binding: Binding) -> Result<(), StoreError>;
    /// Ends a binding.
    async fn unbind(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<(), StoreError>;
    /// Goes back to what was bound before.
    async fn roll_back(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<Binding, StoreError>;

    /// Keeps a new token.
    async fn create_token(&self, token: TokenRecord) -> Result<(), StoreError>;
    /// One token.
    async fn token(&self, id: &TokenId, freshness: Freshness) -> Result<Option<TokenRecord>, StoreError>;
    /// The tokens of a tenant, or the operators'.
    async fn tokens(&self, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError>;
    /// Ends a token of a tenant, or an operator's.
    async fn revoke_token(&self, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError>;

    /// Keeps a node that was invited.
    async fn invite_node(&self, node: NodeRecord) -> Result<(), StoreError>;
    /// Takes the key of a node that was invited: once, and in time. The same key again changes nothing.
    async fn enrol_node(&self, id: &NodeId, key: &PublicKey) -> Result<(), StoreError>;
    /// One node.
    async fn node(&self, id: &NodeId, freshness: Freshness) -> Result<Option<NodeRecord>, StoreError>;
    /// All nodes, the latest invited first.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;
    /// Ends a node.
    async fn revoke_node(&self, id: &NodeId) -> Result<(), StoreError>;

    /// Everything small about every site, as of one position of the feed.
    async fn directory(&self, freshness: Freshness) -> Result<EdgeDirectory, StoreError>;
    /// A part of all links, at most `limit`: the first, or the one after a key that an earlier part ended with. `first` is
    /// the position of the first part.
    async fn snapshot(
        &self,
        after: Option<&SnapshotKey>,
        limit: u32,
        first: Option<Position>,
    ) -> Result<SnapshotPage, StoreError>;
    /// The changes after `cursor`, at most `limit`. Without `epoch`, the cursor is taken for one of this record.
    async fn changes(&self, epoch: Option<Epoch>, cursor: Cursor, limit: u32) -> Result<FeedPage, StoreError>;
    /// How many reads may be under way at the same time.
    fn readers(&self) -> u32;
    /// The newest position of the feed; changes when it does.
    fn head(&self) -> watch::Receiver<Position>;

    /// Ends the use of the record: what is committed is in its own file then, and nothing beside it.
    async fn close(&self);

    /// Writes a consistent copy of the record to a new file while it is in use.
    async fn back_up(&self, to: &std::path::Path) -> Result<(), StoreError>;
}
