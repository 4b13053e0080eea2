//! What a node finds on its disk when it starts, and how that comes to be served.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use wayside_balance::level::{AtomicLevel, Level};
use wayside_cache::{
    clock::NodeClock,
    disk::{self, Disk},
    links::{LinkCache, Tiers},
    load::LoadLink,
    shared::{SharedCache, SharedCacheError},
};

use crate::{
    checkpoint::{Checkpoint, unix_s},
    follow::Follower,
    node::Settings,
    pipeline::Edge,
    snapshot::{Position, Snapshot},
};

/// Links taken into memory between two pauses of warming.
const WARM_AT_ONCE: usize = 256;
/// How long such a pause is.
const WARM_REST: Duration = Duration::from_millis(1);
/// How long warming waits before it looks again whether the node leaves something undone.
const WARM_REST_UNTIL_WELL: Duration = Duration::from_secs(1);

/// What a node finds on its disk when it starts.
pub(crate) struct Held {
    snapshot: Option<Snapshot>,
    position: Option<Position>,
    clock: NodeClock,
    disk: Option<Arc<Disk>>,
}

impl Held {
    /// Opens what is kept.
    pub(crate) async fn open(settings: &Settings) -> Self {
        let (data, bytes_max) = (settings.data.clone(), settings.disk_bytes_max);
        let read = tokio::task::spawn_blocking(move || {
            let disk = data.as_ref().filter(|_| bytes_max > 0).and_then(|data| {
                let folder = data.join("links");
                Disk::open(&disk::Settings { folder, bytes_max })
            });
            let snapshot = data.map(Snapshot::of);
            let position = snapshot.as_ref().and_then(Snapshot::position);
            (snapshot, position, disk)
        });
        let (snapshot, position, disk) = read.await.unwrap_or_else(|_| {
            tracing::error!("reading what the node kept panicked; starting without");
            (None, None, None)
        });
        let clock = NodeClock::resume(position.as_ref().map(Position::clock), unix_s(), Instant::now());
        let served_s = (settings.cache.ttl + settings.cache.stale_max).as_secs();
        if clock.off_s() > served_s {
            tracing::warn!(
                off_s = clock.off_s(),
                served_s,
                "by the calendar the node was off for longer than links are served without an origin; was the calendar \
                 ahead, set it and start the node again"
            );
        }
        Self {
            snapshot,
            position,
            clock,
            disk: disk.map(Arc::new),
        }
    }

    /// The cache in which it is, and what is shared with the nodes beside it. To be called on the runtime that loads.
    pub(crate) fn links(
        &self,
        settings: &Settings,
        level: Arc<AtomicLevel>,
        loader: Arc<dyn LoadLink>,
    ) -> Result<LinkCache, SharedCacheError> {
        let pop = settings.shared_cache.as_ref().map(SharedCache::connect).transpose()?;
        let tiers = Tiers {
            clock: self.clock,
            disk: self.disk.clone(),
            pop: pop.map(Arc::new),
        };
        let runtime = Handle::current();
        Ok(LinkCache::new(settings.cache.clone(), tiers, level, loader, runtime))
    }

    /// Serves what was kept, and keeps it from now on.
    pub(crate) async fn revive(self, edge: &Arc<Edge>, follower: &Arc<Follower>) -> Option<Arc<Checkpoint>> {
        let snapshot = self.snapshot?;
        // The place is that of other files of links when the node ran without these.
        let kept = self.disk.as_ref().filter(|disk| disk.was_there());
        let of_disk = |position: &Position| kept.is_none_or(|disk| position.is_of(disk));
        let position = self.position.filter(of_disk);
        let cursor = position.as_ref().and_then(|position| position.place.cursor);
        let is_known = position
            .as_ref()
            .is_some_and(|position| position.place.resync.is_none());
        if let Some(position) = position {
            follower.go_on_from(position.place);
        } else if kept.is_some() {
            tracing::warn!(
                "the node's place in the feed is lost, or not that of the links that it kept; checking them"
            );
            follower.check_all();
        }
        let reading = snapshot.clone();
        let read = tokio::task::spawn_blocking(move || (reading.directory(), reading.assets())).await;
        let (directory, assets) = read.unwrap_or_default();
        edge.streams.restore(assets);
        if !is_known {
            edge.streams.distrust_all();
        }
        if let Some(directory) = directory {
            tracing::info!(cursor, "starting with what the node kept");
            follower.revive(directory);
        }
        Some(Arc::new(Checkpoint {
            snapshot,
            clock: self.clock,
            disk: self.disk,
            edge: Arc::clone(edge),
            follower: Arc::clone(follower),
            kept: Default::default(),
        }))
    }
}

/// Takes the links that were popular before the restart into memory, behind the requests, and only while the node leaves
/// nothing undone.
pub(crate) async fn warm(checkpoint: Arc<Checkpoint>) {
    let snapshot = checkpoint.snapshot.clone();
    let Ok(mut popular) = tokio::task::spawn_blocking(move || snapshot.popular()).await else {
        return;
    };
    let count = popular.len();
    while !popular.is_empty() {
        // Visitors first: they share the disk and the processor.
        tokio::time::sleep(WARM_REST).await;
        if checkpoint.edge.degradation.level() > Level::Full {
            tokio::time::sleep(WARM_REST_UNTIL_WELL).await;
            continue;
        }
        let rest = popular.split_off(popular.len().min(WARM_AT_ONCE));
        let (links, edge) = (std::mem::replace(&mut popular, rest), Arc::clone(&checkpoint.edge));
        let has_room = tokio::task::spawn_blocking(move || {
            let now = Instant::now();
            links.iter().all(|link| edge.links.warm(link, now))
        });
        if !has_room.await.unwrap_or(false) {
            break;
        }
    }
    tracing::debug!(links = count - popular.len(), "took popular links into memory");
}
