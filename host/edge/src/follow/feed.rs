//! Following the feed of one origin, and forgetting what changed.
//!
//! Changes are taken in order and without gaps, of one record; anything else has all that the node holds checked first
//! (`resync`).

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use wayside_decide::site::SiteId;
use wayside_upstream::{
    client::OriginError,
    origins::feed::Feed,
    protocol::{Change, Cursor, FeedEvent},
};

use super::{Follower, Place, Retry};

/// How long a feed must go on to be one that works: one that breaks off at once, again and again, does not.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Why a feed was left.
enum Ended {
    /// The origin ended it.
    ByOrigin,
    /// What is held has to be checked first.
    Resync,
}

impl Follower {
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
            if let Change::Asset { site_id, id } = &event.change {
                self.edge.streams.invalidate(SiteId(*site_id), id, event.seq);
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

    /// An origin tells of the record that is followed.
    pub(super) fn hear(&self) {
        *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether an event is what comes next after a cursor: changes are numbered without gaps. Anything else was told of
/// numbers that are lost, or has skipped some.
fn follows(cursor: Cursor, event: &FeedEvent) -> bool {
    match event.change {
        Change::Link { .. } | Change::Asset { .. } | Change::Directory | Change::Unknown => {
            cursor.checked_add(1) == Some(event.seq)
        }
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
