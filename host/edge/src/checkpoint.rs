//! Keeping on disk what the node restarts from, while it runs and when it ends.
//!
//! The place in the feed is kept only after everything that changed before it has been forgotten on the disk itself, so
//! a crash at any moment leaves a place from which the feed tells all that the disk does not know yet.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wayside_cache::{clock::NodeClock, disk::Disk};
use wayside_upstream::protocol::{EdgeDirectory, streams::EdgeAsset};

use crate::{
    follow::{Follower, Place},
    pipeline::Edge,
    snapshot::{KeptAsset, Position, Snapshot},
};

/// How often the place in the feed is kept.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often it is kept when nothing changes, for the time's sake.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the popular links are kept.
const POPULAR_INTERVAL: Duration = Duration::from_secs(60);
/// How often what was popular counts for half as much.
const FADE_INTERVAL: Duration = Duration::from_secs(600);
/// Assets that are kept.
const ASSETS_MAX: usize = 10_000;
/// Popular links that are kept.
const POPULAR_MAX: usize = 50_000;

/// Keeps what a node restarts from.
pub(crate) struct Checkpoint {
    pub(crate) snapshot: Snapshot,
    pub(crate) clock: NodeClock,
    pub(crate) disk: Option<Arc<Disk>>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) kept: Mutex<Done>,
}

/// What was kept last.
#[derive(Default)]
pub(crate) struct Done {
    directory: Option<Arc<EdgeDirectory>>,
    position: Option<(Place, Instant)>,
    popular: Option<Instant>,
    faded: Option<Instant>,
    /// The version of the assets.
    assets: Option<u64>,
    has_told: bool,
    /// Whether the feed was followed since the start.
    has_heard: bool,
}

impl Checkpoint {
    /// Keeps everything from time to time. Ends never.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            Arc::clone(&self).now(false).await;
        }
    }

    /// Keeps what has changed; when `is_last`, all that there is.
    pub(crate) async fn now(self: Arc<Self>, is_last: bool) {
        let written = tokio::task::spawn_blocking(move || {
            self.edge.links.keep_what_was_lost();
            self.write(is_last);
        });
        if written.await.is_err() {
            tracing::error!("keeping what the node restarts from panicked");
        }
    }

    fn write(&self, is_last: bool) {
        let mut done = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        done.has_heard |= self.edge.metrics.feed_is_connected();
        let written = self
            .write_directory(&mut done)
            .and_then(|()| self.write_position(&mut done, is_last))
            .and_then(|()| self.write_popular(&mut done, is_last));
        match written {
            Ok(()) if done.has_told => {
                tracing::info!("what the node restarts from is kept again");
                done.has_told = false;
            }
            Ok(()) => {}
            Err(error) if done.has_told => tracing::debug!(%error, "keep what the node restarts from"),
            Err(error) => {
                tracing::error!(%error, "keep what the node restarts from; trying again");
                done.has_told = true;
            }
        }
    }

    fn write_directory(&self, done: &mut Done) -> io::Result<()> {
        let Some(wire) = self.follower.wire() else {
            return Ok(());
        };
        if done.directory.as_ref().is_some_and(|kept| *kept == wire) {
            return Ok(());
        }
        self.snapshot.keep_directory(&wire)?;
        done.directory = Some(wire);
        Ok(())
    }

    fn write_position(&self, done: &mut Done, is_last: bool) -> io::Result<()> {
        // The place first: what changes while the disk is flushed is told again.
        let place = self.follower.place();
        if place == Place::default() {
            return Ok(());
        }
        let is_known = done
            .position
            .as_ref()
            .is_some_and(|(kept, at)| *kept == place && at.elapsed() < IDLE_INTERVAL);
        if is_known && !is_last {
            return Ok(());
        }
        self.disk.as_ref().map_or(Ok(()), |disk| disk.flush())?;
        self.write_assets(done)?;
        let now = Instant::now();
        let clock = self.clock.kept(now, unix_s(), done.has_heard);
        self.snapshot
            .keep_position(&Position::new(place.clone(), clock, self.disk.as_deref()))?;
        done.position = Some((place, now));
        Ok(())
    }

    /// Assets as of the place in the feed that is kept next, or later.
    fn write_assets(&self, done: &mut Done) -> io::Result<()> {
        let assets = &self.edge.streams.assets;
        let version = assets.version();
        if done.assets == Some(version) || (done.assets.is_none() && version == 0) {
            return Ok(());
        }
        let held = assets.held_assets(ASSETS_MAX, Instant::now()).into_iter();
        self.snapshot.keep_assets(held.map(|held| KeptAsset {
            site_id: held.site.0,
            asset: EdgeAsset::from(&held.asset.asset),
            is_trusted: held.is_trusted,
        }))?;
        done.assets = Some(version);
        Ok(())
    }

    fn write_popular(&self, done: &mut Done, is_last: bool) -> io::Result<()> {
        let is_due = |at: Option<Instant>, interval| at.is_none_or(|at| at.elapsed() >= interval);
        if !is_last && !is_due(done.popular, POPULAR_INTERVAL) {
            return Ok(());
        }
        let popular = self.edge.links.popular(POPULAR_MAX);
        // Nothing popular yet is no reason to forget what was before the restart.
        if !popular.is_empty() {
            self.snapshot.keep_popular(&popular)?;
        }
        if is_due(done.faded, FADE_INTERVAL) {
            if done.faded.is_some() {
                self.edge.links.fade();
            }
            done.faded = Some(Instant::now());
        }
        done.popular = Some(Instant::now());
        Ok(())
    }
}

/// The calendar's second, 0 on a clock before 1970.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
