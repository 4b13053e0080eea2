//! Checking all that the node holds against all that the origin has, when the feed cannot tell what changed.
//!
//! Visitors are served from what is held meanwhile. How far it has come is kept with the place in the feed, so that a
//! node that ends goes on where it was.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wayside_cache::load::Seen;
use wayside_decide::{link::Link, site::SiteId};
use wayside_upstream::{
    client::OriginError,
    protocol::{Position, SnapshotLink, SnapshotPage},
};

use super::{Follower, Place, Progress, Retry};

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
    /// Checks what is held, where that is due, and goes on from the position that the first part named.
    pub(super) async fn resync(self: &Arc<Self>, retry: &mut Retry) -> Result<(), OriginError> {
        let Some(mut progress) = self.place().resync else {
            return Ok(());
        };
        if progress.after.is_none() {
            retry.spread().await;
        }
        let mut links = 0;
        loop {
            let page = self.read_part(&mut progress).await?;
            *retry = Retry::default();
            if progress.first.is_none() {
                self.begin(page.position).await;
            }
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

    async fn read_part(&self, progress: &mut Progress) -> Result<SnapshotPage, OriginError> {
        let read = self.origins.snapshot(progress.after.as_deref(), progress.first).await;
        self.edge.metrics.count_origin_request("snapshot", read.is_ok());
        if read.as_ref().is_err_and(OriginError::is_another_record) {
            // The record was replaced meanwhile: everything from the beginning.
            *progress = Progress::default();
            self.set_progress(progress);
        }
        read
    }

    /// What is loaded from here on is no older than the first part, and needs no confirmation; what is held or under way
    /// does.
    async fn begin(self: &Arc<Self>, first: Position) {
        self.edge.links.begin_following(seen(first));
        self.on_disk(|follower| follower.edge.links.begin_resync()).await;
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
        self.place.send_replace(Place {
            epoch: Some(first.epoch),
            cursor: Some(first.cursor),
            resync: None,
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
