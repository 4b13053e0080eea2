//! Where the cache gets what it does not hold.

use std::{future::Future, pin::Pin};

use wayside_decide::{link::Link, site::SiteId};

/// A link, or the certainty that there is none.
pub type Loaded = Result<Option<Link>, LoadError>;

/// A position of the origin's record: what a node has been told of, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which record.
    pub epoch: u64,
    /// The last change.
    pub cursor: u64,
}

/// Fetches one link from further away. The edge implements it with the origin's client.
pub trait LoadLink: Send + Sync + 'static {
    /// Asks for the link at `path` (in normal form) of `site`, no older than what the node has `seen`. The cache puts a
    /// timeout around it.
    fn load<'a>(
        &'a self,
        site: SiteId,
        path: &'a str,
        seen: Option<Seen>,
    ) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>>;
}

/// Why a link or an asset could not be loaded. Errors are shared by all who waited, and are not cached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The loader's own words.
    #[error("load: {0}")]
    Failed(String),
    /// It took too long.
    #[error("load: no answer within {timeout_ms} ms")]
    TimedOut {
        /// How long the cache waited, in milliseconds.
        timeout_ms: u128,
    },
    /// The node leaves loads undone now; see [`crate::links::LinkCache::new`].
    #[error("load: the node loads nothing now")]
    Shed,
    /// As many loads are under way as may be.
    #[error("load: {max} loads are under way, and no more may be")]
    TooMany {
        /// How many may be.
        max: usize,
    },
    /// The task that loaded it ended without a result.
    #[error("load: the loading task ended early")]
    Aborted,
}
