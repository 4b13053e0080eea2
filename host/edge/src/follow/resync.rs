//! Checking all that the node holds against all that the origin has, when the feed cannot tell what changed.
//!
//! Visitors are served from what is held meanwhile. How far it has come is kept with the place in the feed, so that a
//! node that ends goes on where it was.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use wayside_cache::load::Seen;
use wayside_decide::{link::Link, site::SiteId};
use wayside_upstream::{
    client::OriginError,
    origins::feed::Feed,
    protocol::{Cursor, Epoch, Position, SnapshotLink, SnapshotPage},
};

use super::{Follower, Progress, Retry};

/// How long a node looks for an origin of its own record before it goes back to an older one: long enough to have tried
/// each origin, whatever the waits between.
const LOOKS_FOR: Duration = Duration::from_secs(60);
/// How long to wait for a disk that has work enough.
const DISK_PAUSE: Duration = Duration::from_millis(2);

/// A position as the cache knows it.
pub(super) const fn seen(position: Position) -> Seen {
    Seen {
        epoch: position.epoch.0,
        cursor: position.cursor,
    }
}

impl Follower {
    /// Checks what is held, where that is due, and goes on from where the first part was read.
    pub(super) async fn resync(self: &Arc<Self>, retry: &mut Retry) -> Result<(), OriginError> {
        let Some(mut progress) = self.place().resync else {
            return Ok(());
        };
        if progress.after.is_none() {
            retry.spread().await;
        }
        let mut links = 0;
        loop {
            let page = self.read_part(&progress).await?;
            *retry = Retry::default();
            if progress.first.is_none() {
                self.enter(page.position).await;
            }
            self.hear();
            links += page.links.len();
            for link in page.links {
                while self.edge.links.is_disk_busy() {
                    tokio::time::sleep(DISK_PAUSE).await;
                }
                self.confirm(link);
            }
            let first = *progress.first.get_or_insert(page.position);
            progress.after = page.next;
            if progress.after.is_none() {
                self.end(first).await;
                tracing::info!(links, "checked what this node holds against all that the origin has");
                return Ok(());
            }
            self.set_progress(&progress);
        }
    }

    async fn read_part(&self, progress: &Progress) -> Result<SnapshotPage, OriginError> {
        let read = self.origins.snapshot(progress.after.as_deref(), progress.first).await;
        self.edge.metrics.count_origin_request("snapshot", read.is_ok());
        read
    }

    /// A feed tells of another record than the node's: goes over to it, or says why not.
    pub(super) async fn go_over(self: &Arc<Self>, epoch: Epoch, feed: &mut Feed) -> Result<(), OriginError> {
        // Whatever it says first is as of a position.
        let Some(event) = feed.next().await? else {
            return Err(OriginError::Malformed {
                operation: "follow the feed",
                reason: "it ended before it said anything".to_owned(),
            });
        };
        let cursor = event.seq;
        // A record that goes on from a copy of another begins far beyond it, so the one that is behind is older.
        let is_older = self.place().position().is_some_and(|mine| cursor <= mine.cursor);
        if is_older && !self.has_looked() {
            feed.blame();
            return Err(OriginError::OlderRecord(Position { epoch, cursor }));
        }
        tracing::warn!(%epoch, cursor, "the origin's record is another one; checking what this node holds");
        self.begin_resync(Some(epoch), cursor).await;
        Ok(())
    }

    /// Whether no origin has told of the node's own record for long, while others told of older ones.
    fn has_looked(&self) -> bool {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.get_or_insert_with(Instant::now).elapsed() >= LOOKS_FOR
    }

    /// What is held has to be checked, as the feed goes on elsewhere.
    pub(super) async fn begin_resync(self: &Arc<Self>, record: Option<Epoch>, cursor: Cursor) {
        match record.or_else(|| self.place().epoch) {
            Some(epoch) => self.enter(Position { epoch, cursor }).await,
            None => self.place.send_modify(|place| place.resync = Some(Progress::default())),
        }
        self.directory_changed.notify_one();
    }

    /// From here on the record is followed from `first`. What is loaded now is no older, and needs no confirmation; what is
    /// held or under way does.
    async fn enter(self: &Arc<Self>, first: Position) {
        self.edge.links.begin_following(seen(first));
        self.edge.streams.seen(seen(first));
        self.edge.streams.distrust_all();
        self.on_disk(|follower| follower.edge.links.begin_resync()).await;
        self.place.send_modify(|place| {
            place.epoch = Some(first.epoch);
            place.cursor = Some(first.cursor);
            place.resync = Some(Progress {
                first: Some(first),
                after: None,
            });
        });
        self.hear();
    }

    fn confirm(&self, part: SnapshotLink) {
        match Link::try_from(part.link) {
            Ok(link) => {
                let site = SiteId(part.site_id);
                self.edge.links.confirm(site, &part.path, &link, Instant::now());
            }
            // What this node cannot read it does not serve: it is dropped like what is gone.
            Err(error) => tracing::debug!(path = part.path, %error, "a link of the origin's cannot be read"),
        }
    }

    async fn end(self: &Arc<Self>, first: Position) {
        self.on_disk(|follower| follower.edge.links.end_resync()).await;
        self.place.send_modify(|place| {
            place.epoch = Some(first.epoch);
            place.cursor = Some(first.cursor);
            place.resync = None;
        });
        self.directory_changed.notify_one();
    }

    fn set_progress(&self, progress: &Progress) {
        self.place.send_modify(|place| place.resync = Some(progress.clone()));
    }

    /// Does what waits for the disk. Where the disk fails, memory is right nevertheless, and the place is not kept.
    async fn on_disk(self: &Arc<Self>, work: impl FnOnce(&Self) -> std::io::Result<()> + Send + 'static) {
        let follower = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&follower)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "keep on disk which links count"),
            Err(_) => tracing::error!("keeping on disk which links count panicked"),
        }
    }
}
