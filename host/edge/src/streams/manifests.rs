//! Playlists and MPDs that players begin with: fetched from their origin, kept, and given pathways.
//!
//! In: an asset, which of its manifests, and its pathways with what their URLs are signed by. Out: the manifest with
//! steering spliced in. What was fetched is kept by its freshness; while the origin is away, or its manifest broken, the
//! last good one is served, also after a restart ([`shelf`]). It must not know who watches or how a target is chosen.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quick_cache::sync::Cache;
use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};
use wayside_balance::level::{AtomicLevel, Level};
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::asset::{Asset, AssetState, Existing},
};
use wayside_stream::{rendition::Rendition, splice};

use self::{
    content::Content,
    disk::Disk,
    heavy::{Heavy, LIGHT_BYTES_MAX, Reader, Unread},
    held::{Prepared, ReadyKey, SlotKey, SlotRef, Weights, cache},
    kind::Kind,
    ready::{Place, QUICK_BYTES_MAX, Ready, Session, prepare},
    seats::Seats,
    shelf::Shelf,
    slot::{Owner, Slot, Step},
};
use super::fetch::Fetcher;

mod content;
mod disk;
pub(crate) mod heavy;
mod held;
pub(crate) mod kind;
pub(crate) mod ready;
mod seats;
mod shelf;
mod slot;

/// A manifest of an asset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) tenant: &'a Name,
    pub(crate) site: SiteId,
    /// What the log calls the site.
    pub(crate) site_name: &'a Name,
    pub(crate) asset: &'a Asset,
    pub(crate) kind: Kind,
}

/// Why there is no manifest.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NoManifest {
    /// There is none, and none is to come.
    #[error("{0}: found none, expected the manifest that the asset names")]
    Missing(Arc<str>),
    /// There is none yet: the asset is being transcoded.
    #[error("{0}: found none yet, for the asset is being transcoded")]
    NotYet(Arc<str>),
    /// It cannot be fetched.
    #[error("{0}")]
    Away(Arc<str>),
    /// It is broken, or cannot be given these pathways.
    #[error("{0}")]
    Broken(Arc<str>),
    /// The node has too much to do.
    #[error("{0}: not fetched, for the node has too much to do")]
    Shed(Arc<str>),
    /// Players are slow to read what was written.
    #[error("found large manifests that {of} did not read yet, expected room for one of {bytes} bytes more")]
    Unread {
        /// Whose share of the room they take.
        of: Arc<str>,
        /// What this one takes.
        bytes: usize,
    },
}

/// How manifests are kept.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Memory, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// The folder, and how many bytes of it may be used; none are kept on disk when absent.
    pub(crate) disk: Option<(PathBuf, u64)>,
    /// How long the last one is served while there is no newer one.
    pub(crate) stale_max: Duration,
    /// How long a request waits.
    pub(crate) wait_max: Duration,
}

/// All manifests of a node.
pub(crate) struct Manifests {
    shared: Arc<Shared>,
    /// What was prepared, and what is wrong with what cannot be.
    ready: Cache<ReadyKey, Prepared, Weights>,
    /// Heavy manifests on their way to players.
    unread: Unread,
    level: Arc<AtomicLevel>,
}

/// What fetches need, which go on when who asked has gone.
struct Shared {
    settings: Settings,
    /// Each with what it took when it was put there: a weight must not change under the cache.
    slots: Cache<SlotKey, (Arc<Slot>, usize), Weights>,
    fetcher: Arc<Fetcher>,
    disk: Option<Disk>,
    runtime: Handle,
    seats: Seats,
    contents: AtomicU64,
}

impl Manifests {
    /// Nothing is held yet. What is fetched is fetched on the current runtime.
    pub(crate) fn new(settings: Settings, fetcher: Arc<Fetcher>, level: Arc<AtomicLevel>) -> Self {
        let half = settings.memory_bytes_max / 2;
        Self {
            ready: cache(half),
            unread: Unread::default(),
            level,
            shared: Arc::new(Shared {
                slots: cache(half),
                disk: settings
                    .disk
                    .clone()
                    .map(|(folder, bytes_max)| Disk::new(Shelf::new(folder, bytes_max))),
                settings,
                fetcher,
                runtime: Handle::current(),
                seats: Seats::default(),
                contents: AtomicU64::new(0),
            }),
        }
    }

    /// A manifest with these pathways, which are in the same order for all sessions.
    ///
    /// # Errors
    /// [`NoManifest`], with a message for the log.
    pub(crate) async fn ready(&self, wanted: &Wanted<'_>, places: Vec<Place>) -> Result<Arc<Ready>, NoManifest> {
        let content = self.content(wanted).await?;
        let existing = wanted.asset.existing;
        let key = ReadyKey {
            content: content.id,
            replaces: existing == Existing::Replace,
            places: places
                .iter()
                .map(|place| (place.id.clone(), place.base.clone(), place.pass.id()))
                .collect(),
        };
        let preparing = async {
            let (work, url) = (Arc::clone(&content), Arc::clone(&content.url));
            // What is written grows with the pathways.
            let bytes = content.body.len().saturating_mul(places.len());
            let prepare = move || prepare(&work, &places, existing);
            let prepared = match bytes > QUICK_BYTES_MAX {
                true => spawn_blocking(prepare)
                    .await
                    .map_err(|_| NoManifest::Broken("preparing it panicked".into()))?,
                false => prepare(),
            };
            // It would fail again for each who asks: that is remembered, too.
            let broken = |error: splice::Error| format!("{url}: {error}").into();
            Ok(prepared.map(Arc::new).map_err(broken))
        };
        let prepared = self.ready.get_or_insert_async(&key, preparing).await?;
        prepared.map_err(NoManifest::Broken)
    }

    /// The manifest of one session, to be written. A heavy one holds a part of what there may be of them until it was, or
    /// its connection has ended.
    ///
    /// # Errors
    /// [`NoManifest::Unread`], and [`NoManifest::Broken`] when the session begins on a pathway that is not in it.
    pub(crate) async fn write(
        &self,
        ready: &Arc<Ready>,
        session: Session,
        reader: &Reader<'_>,
    ) -> Result<Bytes, NoManifest> {
        let broken = |error: splice::Error| NoManifest::Broken(error.to_string().into());
        let bytes = ready.weight();
        if bytes <= LIGHT_BYTES_MAX {
            return ready.steered(&session).map(Bytes::from).map_err(broken);
        }
        let room = self.unread.take(reader, bytes);
        let room = room.map_err(|of| NoManifest::Unread { of: of.into(), bytes })?;
        let ready = Arc::clone(ready);
        // It is copied as a whole, which would keep everybody waiting whom this thread serves.
        let writing = spawn_blocking(move || {
            let bytes = ready.steered(&session)?;
            Ok(Bytes::from_owner(Heavy { bytes, _room: room }))
        });
        let written = writing.await;
        let written = written.map_err(|_| NoManifest::Broken("writing it panicked".into()))?;
        written.map_err(broken)
    }

    /// The renditions that a manifest lists, when the node has it. It is asked for behind where that is due.
    pub(crate) fn renditions(&self, wanted: &Wanted<'_>) -> Option<Arc<[Rendition]>> {
        let slot = self.slot(wanted).ok()?;
        let held = match self.step(&slot) {
            Step::Held(content) => Some(content),
            Step::Failed(_) | Step::Wait(_) => slot.last(),
        };
        held.map(|content| Arc::clone(&content.renditions))
    }

    /// Where a manifest is kept.
    fn slot(&self, wanted: &Wanted<'_>) -> Result<Arc<Slot>, NoManifest> {
        let Wanted {
            asset,
            kind,
            site,
            site_name,
            tenant,
        } = *wanted;
        let id = || format!("asset {} of site {site_name}", asset.id).into();
        let (Some(folder), Some(path)) = (&asset.source, kind.path(asset)) else {
            return Err(NoManifest::Missing(id()));
        };
        let known = SlotRef {
            site,
            kind,
            folder,
            path,
        };
        if let Some((slot, _)) = self.shared.slots.get(&known) {
            return Ok(slot);
        }
        let url = folder.join(path);
        let url = url.map_err(|invalid| NoManifest::Broken(invalid.to_string().into()))?;
        let key = known.to_key();
        let owner = || Owner {
            tenant: tenant.clone(),
            site: site_name.clone(),
            asset: asset.id.clone(),
        };
        let new = || Ok((Arc::new(Slot::new(key.clone(), owner(), url)), 0));
        self.shared.slots.get_or_insert_with(&key, new).map(|(slot, _)| slot)
    }

    fn step(&self, slot: &Arc<Slot>) -> Step {
        let may_fetch = self.level.get() < Level::CoreOnly;
        slot.step(Instant::now(), may_fetch, &self.shared)
    }

    /// A manifest as it came.
    async fn content(&self, wanted: &Wanted<'_>) -> Result<Arc<Content>, NoManifest> {
        let slot = self.slot(wanted)?;
        let found = match self.step(&slot) {
            Step::Held(content) => Ok(content),
            Step::Failed(error) => Err(error),
            Step::Wait(mut landing) => {
                let landed = timeout(self.shared.settings.wait_max, landing.wait_for(Option::is_some)).await;
                let outcome = match landed {
                    Ok(Ok(landed)) => landed.clone(),
                    // It took too long, or came to no end.
                    _ => None,
                };
                let late = || {
                    slot.last()
                        .ok_or_else(|| NoManifest::Away(format!("{}: no answer in time", slot.url).into()))
                };
                outcome.unwrap_or_else(late)
            }
        };
        found.map_err(|error| match error {
            NoManifest::Missing(url) if wanted.asset.state == AssetState::Transcoding => NoManifest::NotYet(url),
            error => error,
        })
    }
}

#[cfg(test)]
mod tests;
