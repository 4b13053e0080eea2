//! Following the origin: the directory, the guests it names, and the change feed.
//!
//! Two tasks. The *follower* reads the feed and forgets what changed; it never waits for anything else, so that a
//! change shows at once. The *keeper* reads the directory when the follower says that it changed, swaps it in, and has
//! the guests it names prepared, which may take minutes and keeps no further directory waiting.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use wayside_upstream::{
    client::OriginError,
    origins::Origins,
    protocol::{Cursor, EdgeDirectory, Epoch, Position},
};

use self::{preparing::Preparing, retry::Retry};
use crate::{directory::Directory, guests::Guests, pipeline::Edge};

mod feed;
mod preparing;
mod resync;
mod retry;

/// While policies come one after another, the directory is swapped in no more often: with ten thousand sites that takes a
/// while.
const SWAP_INTERVAL: Duration = Duration::from_millis(100);
/// Over how long nodes spread their reading of a directory that changed.
const DIRECTORY_SPREAD: Duration = Duration::from_millis(100);

/// How far the feed has been followed: everything up to here is forgotten where it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Which record; none until an origin has said it.
    pub(crate) epoch: Option<Epoch>,
    /// The last change; none before the first directory.
    pub(crate) cursor: Option<Cursor>,
    /// Where what is held has to be checked first: how far that has come.
    pub(crate) resync: Option<Progress>,
}

/// How far what is held has been checked against all that the origin has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The position of the first part, from which the feed is followed afterwards; none before it was read.
    first: Option<Position>,
    /// What the next part is asked with.
    after: Option<String>,
}

impl Place {
    /// The position that a request names: what it answers is to be no older.
    fn position(&self) -> Option<Position> {
        // While all is checked, no older than the first part.
        if let Some(progress) = &self.resync {
            return progress.first;
        }
        let (epoch, cursor) = self.epoch.zip(self.cursor)?;
        Some(Position { epoch, cursor })
    }
}

/// Keeps a node in step with its origin.
pub(crate) struct Follower {
    edge: Arc<Edge>,
    origins: Origins,
    guests: Arc<Guests>,
    /// What the directory was built from, to build it again when a guest is ready.
    wire: watch::Sender<Option<Arc<EdgeDirectory>>>,
    place: watch::Sender<Place>,
    /// Since when origins tell of older records, and none of the one that is followed.
    missed: Mutex<Option<Instant>>,
    directory_changed: Notify,
    /// Whether the guests of some directory have all been loaded or refused.
    is_settled: AtomicBool,
}

impl Follower {
    /// A follower that knows nothing yet.
    pub(crate) fn new(edge: Arc<Edge>, origins: Origins, guests: Arc<Guests>) -> Self {
        let (wire, place) = (watch::Sender::new(None), watch::Sender::default());
        Self {
            edge,
            origins,
            guests,
            wire,
            place,
            missed: Mutex::default(),
            directory_changed: Notify::new(),
            is_settled: AtomicBool::new(false),
        }
    }

    /// The directory as the origin sent it last.
    pub(crate) fn wire(&self) -> Option<Arc<EdgeDirectory>> {
        self.wire.borrow().clone()
    }

    /// Whether every binding of a directory runs its policy, or is known to have none that could run.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// How far the feed has been followed.
    pub(crate) fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    /// Goes on from a place in the feed: what is held is forgotten where something changed since.
    pub(crate) fn go_on_from(&self, place: Place) {
        if let Some(position) = place.position() {
            self.edge.links.follow(resync::seen(position));
            self.edge.streams.seen(resync::seen(position));
        }
        self.place.send_replace(place);
    }

    /// What is held may be older than any place: checks all of it before the feed is followed.
    pub(crate) fn check_all(&self) {
        self.place.send_replace(Place {
            resync: Some(Progress::default()),
            ..Place::default()
        });
    }

    /// Brings a directory that was kept to life, with the guests that are kept compiled, before the origin is asked.
    pub(crate) fn revive(&self, wire: EdgeDirectory) {
        let wire = Arc::new(wire);
        self.wire.send_replace(Some(Arc::clone(&wire)));
        // What has to be compiled is, by the keeper, while visitors are served.
        let is_whole = self.guests.missing(&wire).is_empty();
        self.swap(&wire);
        self.is_settled.store(is_whole, Ordering::Relaxed);
    }

    /// Keeps the directory. Ends never.
    pub(crate) async fn keep_directory(self: Arc<Self>) {
        let mut retry = Retry::default();
        let mut preparing = Preparing::new(Arc::clone(&self.guests));
        loop {
            let read = self.swap_meanwhile(&mut preparing, self.read_directory()).await;
            let has_read = read.is_ok();
            match read {
                Ok(()) => {
                    if retry.is_under_way() {
                        tracing::info!("read the origin's directory again");
                    }
                    retry = Retry::default();
                }
                Err(error) => retry.tell("the directory stays as it is; trying again", &error),
            }
            // Also those of a revived directory, where the origin cannot be asked.
            if let Some(wire) = self.wire().filter(|_| has_read || !self.is_settled()) {
                preparing.want(self.guests.missing(&wire));
                // What was kept since the last start is there already.
                self.swap(&wire);
                self.note_settled(&preparing);
                if has_read {
                    self.guests.clean_up(&wire).await;
                }
            }
            if has_read {
                self.swap_meanwhile(&mut preparing, self.directory_change()).await;
            } else {
                self.swap_meanwhile(&mut preparing, retry.rest()).await;
            }
        }
    }

    /// Waits for `until`, and meanwhile swaps the directory in anew as guests come.
    async fn swap_meanwhile<T>(&self, preparing: &mut Preparing, until: impl Future<Output = T>) -> T {
        tokio::pin!(until);
        let mut swapped: Option<Instant> = None;
        // When the next swap is due; none while there is nothing new.
        let mut due: Option<Instant> = None;
        loop {
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                output = &mut until => {
                    if due.is_some() {
                        self.swap_current(preparing);
                    }
                    return output;
                }
                () = preparing.next() => {
                    let now = Instant::now();
                    due = due.or_else(|| Some(swapped.map_or(now, |swapped| swapped + SWAP_INTERVAL)));
                }
                () = is_due => {
                    self.swap_current(preparing);
                    (swapped, due) = (Some(Instant::now()), None);
                }
            }
        }
    }

    fn swap_current(&self, preparing: &Preparing) {
        if let Some(wire) = self.wire() {
            self.swap(&wire);
        }
        self.note_settled(preparing);
    }

    fn note_settled(&self, preparing: &Preparing) {
        if preparing.has_first() {
            self.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Resolves a little after something changed in the directory, and everything with it that changed meanwhile.
    async fn directory_change(&self) {
        self.directory_changed.notified().await;
        retry::anywhere_within(DIRECTORY_SPREAD).await;
        let _ = self.directory_changed.notified().now_or_never();
    }

    async fn read_directory(&self) -> Result<(), OriginError> {
        let place = self.place();
        let known = place.position();
        let held = self.wire();
        let read = match held.as_ref().and_then(|held| held.tag.as_deref()) {
            Some(tag) => self.origins.changed_directory(known, tag).await,
            None => self.origins.directory(known).await.map(Some),
        };
        if matches!(read, Ok(None)) {
            self.edge.metrics.count_unchanged_directory();
            return Ok(());
        }
        self.edge.metrics.count_origin_request("directory", read.is_ok());
        // What another origin told before may be newer, and then has all that this one was asked for; unless that is lost.
        let is_newer = |held: &EdgeDirectory, read: &EdgeDirectory| {
            place.resync.is_none() && held.epoch == read.epoch && held.cursor > read.cursor
        };
        if let Some(wire) = read?
            && !held.is_some_and(|held| is_newer(&held, &wire))
        {
            self.wire.send_replace(Some(Arc::new(wire)));
        }
        Ok(())
    }

    fn swap(&self, wire: &EdgeDirectory) {
        let previous = self.edge.directory.load_full();
        let directory = Directory::build(wire, &previous, &self.edge.metrics.accounts, |digest| {
            self.guests.state(digest)
        });
        self.edge.metrics.show_sites(directory.site_count());
        self.edge.streams.follow(wire);
        self.edge.directory.store(Arc::new(directory));
    }
}
