//! Following the origin: the directory, the guests it names, and the change feed.
//!
//! Two tasks. The *follower* reads the feed and forgets what changed; it never waits for anything else, so that a
//! change shows at once. The *keeper* reads the directory when the follower says that it changed, swaps it in, and has
//! the guests it names prepared, which may take minutes and keeps no further directory waiting.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use wayside_decide::site::SiteId;
use wayside_upstream::{
    client::OriginError,
    origins::{Origins, feed::Feed},
    protocol::{Change, Cursor, EdgeDirectory, Epoch, FeedEvent, Position},
};

use self::{preparing::Preparing, retry::Retry};
use crate::{directory::Directory, guests::Guests, pipeline::Edge};

mod preparing;
mod resync;
mod retry;

/// While policies come one after another, the directory is swapped in no more often: with ten thousand sites that takes a
/// while.
const SWAP_INTERVAL: Duration = Duration::from_millis(100);
/// Over how long nodes spread their reading of a directory that changed.
const DIRECTORY_SPREAD: Duration = Duration::from_millis(100);
/// How long a feed must go on to be one that works: one that breaks off at once, again and again, does not.
const STEADY_AFTER: Duration = Duration::from_secs(10);

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

/// Why a feed was left.
enum Ended {
    /// The origin ended it.
    ByOrigin,
    /// What is held has to be checked first.
    Resync,
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

    /// Follows the feed. Ends never.
    pub(crate) async fn follow_feed(self: Arc<Self>) {
        let mut retry = Retry::default();
        loop {
            if let Err(error) = self.resync(&mut retry).await {
                retry.tell("what is held cannot be checked; trying again", &error);
                retry.rest().await;
                // One origin's word for it is too little to begin anew: the feeds of all decide which record it is.
                if error.is_another_record()
                    && let Err(error) = self.connect().await
                {
                    retry.tell("the origin's changes do not arrive; trying again", &error);
                }
                continue;
            }
            match self.connect().await {
                Err(error) => retry.tell("the origin's changes do not arrive; trying again", &error),
                Ok(None) => continue,
                Ok(Some(feed)) => {
                    self.begin_feed(&feed, &mut retry);
                    let ended = self.read_feed(feed, &mut retry).await;
                    self.edge.metrics.show_feed(false);
                    match ended {
                        Ok(Ended::ByOrigin) => retry.mention("the origin ended the feed; following again"),
                        Ok(Ended::Resync) => continue,
                        Err(error) => retry.tell("the feed broke; following again", &error),
                    }
                }
            }
            retry.rest().await;
        }
    }

    /// Opens a feed; none when the node went over to the record that it tells.
    async fn connect(self: &Arc<Self>) -> Result<Option<Feed>, OriginError> {
        if self.place().position().is_none() {
            self.begin_at_directory().await;
        }
        let place = self.place();
        let opened = self.origins.feed(place.cursor.unwrap_or_default(), place.epoch).await;
        self.edge.metrics.count_origin_request("feed", opened.is_ok());
        let mut feed = opened?;
        match (place.epoch, feed.epoch()) {
            (Some(mine), Some(told)) if mine != told => {
                self.go_over(told, &mut feed).await?;
                Ok(None)
            }
            _ => Ok(Some(feed)),
        }
    }

    /// A node that knows nothing begins where its first directory was read.
    async fn begin_at_directory(&self) {
        let mut directories = self.wire.subscribe();
        let first = directories.wait_for(Option::is_some).await.ok();
        if let Some(wire) = first.and_then(|wire| wire.clone()) {
            self.go_on_from(Place {
                epoch: wire.epoch,
                cursor: Some(wire.cursor),
                ..self.place()
            });
        }
    }

    fn begin_feed(&self, feed: &Feed, retry: &mut Retry) {
        let place = self.place();
        self.go_on_from(Place {
            epoch: place.epoch.or_else(|| feed.epoch()),
            cursor: Some(place.cursor.unwrap_or_default()),
            ..place
        });
        self.hear();
        self.edge.metrics.show_feed(true);
        retry.mention(&format!("following the changes of {}", feed.origin()));
        // What changed in the directory while nobody followed.
        self.directory_changed.notify_one();
    }

    async fn read_feed(self: &Arc<Self>, mut feed: Feed, retry: &mut Retry) -> Result<Ended, OriginError> {
        let opened = Instant::now();
        let mut cursor = self.place().cursor.unwrap_or_default();
        while let Some(event) = feed.next().await? {
            if opened.elapsed() >= STEADY_AFTER {
                *retry = Retry::default();
            }
            if !follows(cursor, &event) {
                tracing::warn!(
                    at = cursor,
                    told = event.seq,
                    "the origin cannot go on from where this node was; checking what it holds"
                );
                self.begin_resync(feed.epoch(), event.seq).await;
                return Ok(Ended::Resync);
            }
            cursor = event.seq;
            if let Change::Link { site_id, path } = &event.change {
                self.edge.links.invalidate(SiteId(*site_id), path, event.seq);
            }
            self.go_on_from(Place {
                cursor: Some(event.seq),
                ..self.place()
            });
            // With the change in the place, so that what is read now has it.
            if event.change == Change::Directory {
                self.directory_changed.notify_one();
            }
            self.hear();
        }
        Ok(Ended::ByOrigin)
    }

    /// Resolves a little after something changed in the directory, and everything with it that changed meanwhile.
    async fn directory_change(&self) {
        self.directory_changed.notified().await;
        retry::anywhere_within(DIRECTORY_SPREAD).await;
        let _ = self.directory_changed.notified().now_or_never();
    }

    /// An origin tells of the record that is followed.
    fn hear(&self) {
        *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        self.edge.directory.store(Arc::new(directory));
    }
}

/// Whether an event is what comes next after a cursor: changes are numbered without gaps. Anything else was told of
/// numbers that are lost, or has skipped some.
fn follows(cursor: Cursor, event: &FeedEvent) -> bool {
    match event.change {
        Change::Link { .. } | Change::Directory => cursor.checked_add(1) == Some(event.seq),
        Change::Heartbeat => event.seq == cursor,
        Change::Resync => false,
    }
}

#[cfg(test)]
mod tests {
    use wayside_upstream::protocol::{Change, FeedEvent};

    use super::follows;

    #[test]
    fn a_change_that_is_not_the_next_is_a_gap() {
        let link = || Change::Link {
            site_id: 1,
            path: "/a".to_owned(),
        };
        let follows = |seq, change| follows(7, &FeedEvent { seq, change });
        assert!(follows(8, link()) && follows(8, Change::Directory) && follows(7, Change::Heartbeat));
        for seq in [6, 7, 9] {
            assert!(!follows(seq, link()) && !follows(seq, Change::Directory), "{seq}");
        }
        assert!(!follows(6, Change::Heartbeat) && !follows(8, Change::Heartbeat));
        assert!(!follows(8, Change::Resync));
    }
}
