//! Playlists and MPDs that players begin with: fetched from their origin, kept, and given pathways.
//!
//! In: an asset, which of its manifests, and its pathways with what their URLs are signed by. Out: the manifest with
//! steering spliced in. What was fetched is kept by its freshness; while the origin is away, or its manifest broken, the
//! last good one is served, also after a restart ([`shelf`]). It must not know who watches or how a target is chosen.

use std::{
    hash::Hash,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use wayside_balance::level::{AtomicLevel, Level};
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::{
        asset::{Asset, AssetState, Existing},
        base::BaseUrl,
        signing::{Scheme, SigningSpec},
    },
    target::Target,
};
use wayside_stream::{dash, hls::multivariant, pathway::Pathway, rendition::Rendition, splice};

use self::{
    content::Content,
    seats::Seats,
    shelf::Shelf,
    slot::{Slot, Step},
};
use super::{fetch::Fetcher, tokens::Pass};

mod content;
mod seats;
mod shelf;
mod slot;

/// Up to which size, for all its pathways together, a manifest is given pathways by the thread that asks.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// Up to which weight a manifest is written however many others are, in bytes.
const LIGHT_BYTES_MAX: usize = 256 * 1024;
/// What heavier ones may take together until their players have read them, in KiB.
const HEAVY_KIB_MAX: usize = 64 * 1024;

/// What a manifest usually takes.
const USUAL_BYTES: u64 = 8 * 1024;

/// Which of an asset's manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// HLS: a multivariant playlist.
    Hls,
    /// DASH: an MPD.
    Dash,
}

/// A manifest of an asset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) tenant: &'a Name,
    pub(crate) site: SiteId,
    pub(crate) asset: &'a Asset,
    pub(crate) kind: Kind,
}

/// A copy of the asset as manifests name it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The target.
    pub(crate) id: Name,
    /// Where its copy begins.
    pub(crate) base: BaseUrl,
    /// What its URLs are signed by.
    pub(crate) pass: Pass,
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
    #[error(
        "found large manifests of {HEAVY_KIB_MAX} KiB that players have not read yet, expected room for one of {0} KiB more"
    )]
    Unread(u32),
}

/// A manifest with pathways, but for who steers a session.
#[derive(Debug)]
pub(crate) struct Ready {
    spliced: Spliced,
    /// What the best of its renditions takes, in kbit/s; none when it lists none.
    pub(crate) top_kbit_s: Option<u64>,
}

#[derive(Debug)]
enum Spliced {
    Hls(multivariant::Prepared),
    Dash(dash::Prepared),
}

/// What a manifest of a session says beside its pathways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session<'a> {
    /// Where the player asks for steering manifests.
    pub(crate) server: &'a Target,
    /// Where it got this manifest.
    pub(crate) own: &'a Target,
    /// The pathway on which it begins.
    pub(crate) first: &'a Name,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SlotKey {
    site: SiteId,
    kind: Kind,
    url: Box<str>,
}

/// Whole keys are compared: another content, another token or another URL is another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReadyKey {
    content: u64,
    replaces: bool,
    places: Box<[(Name, BaseUrl, u64)]>,
}

/// All manifests of a node.
pub(crate) struct Manifests {
    shared: Arc<Shared>,
    ready: Cache<ReadyKey, Arc<Ready>, Weights>,
    /// KiB of heavy manifests that may be written now.
    heavy: Arc<Semaphore>,
    level: Arc<AtomicLevel>,
}

/// What fetches need, which go on when who asked has gone.
struct Shared {
    settings: Settings,
    /// Each with what it took when it was put there: a weight must not change under the cache.
    slots: Cache<SlotKey, (Arc<Slot>, usize), Weights>,
    fetcher: Arc<Fetcher>,
    shelf: Option<Shelf>,
    runtime: Handle,
    seats: Seats,
    contents: AtomicU64,
}

#[derive(Debug, Clone)]
struct Weights;

impl Weighter<SlotKey, (Arc<Slot>, usize)> for Weights {
    fn weight(&self, key: &SlotKey, (_, weight): &(Arc<Slot>, usize)) -> u64 {
        (size_of::<Slot>() + key.url.len() + weight) as u64
    }
}

impl Weighter<ReadyKey, Arc<Ready>> for Weights {
    fn weight(&self, key: &ReadyKey, ready: &Arc<Ready>) -> u64 {
        let places = key.places.iter();
        let places: usize = places
            .map(|(id, base, _)| id.as_str().len() + base.as_str().len() + 40)
            .sum();
        (places + ready.weight()) as u64
    }
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Hls, Self::Dash];

    /// Which manifest of an asset a file below it is; none when it is another file.
    pub(crate) fn of(asset: &Asset, file: &str) -> Option<Self> {
        let is_named = |kind: &Self| kind.path(asset).is_some_and(|path| path == file);
        Self::ALL.into_iter().find(is_named)
    }

    /// Its type on the wire.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Hls => "application/vnd.apple.mpegurl",
            Self::Dash => "application/dash+xml",
        }
    }

    /// Whether a manifest can have pathways to a target that signs so. The error is why not.
    pub(crate) fn carries(self, signing: Option<&SigningSpec>) -> Result<(), String> {
        let Some(scheme) = signing.map(|signing| &signing.scheme) else {
            return Ok(());
        };
        let word = scheme.as_str();
        if scheme.is_for_one_url() {
            return Err(format!(
                "found a target signed by {word}, whose tokens hold for one URL each, expected one whose token holds for a \
                 folder: media playlists would have to be rewritten"
            ));
        }
        match (self, scheme) {
            (Self::Hls, _) | (Self::Dash, Scheme::Hmac { is_in_path: true }) => Ok(()),
            (Self::Dash, _) => Err(format!(
                "found a target signed by {word} with a token in the query, expected one in the path: DASH resolves segments \
                 without the query"
            )),
        }
    }

    /// Where it is below the asset's source.
    pub(super) fn path(self, asset: &Asset) -> Option<&str> {
        let path = match self {
            Self::Hls => asset.hls.as_ref(),
            Self::Dash => asset.dash.as_ref(),
        };
        path.map(|path| path.as_str())
    }
}

impl Manifests {
    /// Nothing is held yet. What is fetched is fetched on the current runtime.
    pub(crate) fn new(settings: Settings, fetcher: Arc<Fetcher>, level: Arc<AtomicLevel>) -> Self {
        let half = settings.memory_bytes_max / 2;
        Self {
            ready: cache(half),
            heavy: Arc::new(Semaphore::new(HEAVY_KIB_MAX)),
            level,
            shared: Arc::new(Shared {
                slots: cache(half),
                shelf: settings
                    .disk
                    .clone()
                    .map(|(folder, bytes_max)| Shelf::new(folder, bytes_max)),
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
        if let Some(place) = places.iter().find(|place| place.pass.proof().is_none()) {
            let found = format!(
                "target {}: found tokens for one URL each, expected one for the folder",
                place.id
            );
            return Err(NoManifest::Broken(
                format!("{found}: media playlists would have to be rewritten").into(),
            ));
        }
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
            let broken = |error: splice::Error| NoManifest::Broken(format!("{url}: {error}").into());
            prepared.map(Arc::new).map_err(broken)
        };
        self.ready.get_or_insert_async(&key, preparing).await
    }

    /// The manifest of one session, to be written. A heavy one holds a part of what there may be of them until it was, or
    /// its connection has ended.
    ///
    /// # Errors
    /// [`NoManifest::Unread`], and [`NoManifest::Broken`] when the session begins on a pathway that is not in it.
    pub(crate) fn write(&self, ready: &Ready, session: &Session<'_>) -> Result<Bytes, NoManifest> {
        let steered = || {
            let steered = ready.steered(session);
            steered.map_err(|error| NoManifest::Broken(error.to_string().into()))
        };
        let bytes = ready.weight();
        if bytes <= LIGHT_BYTES_MAX {
            return steered().map(Bytes::from);
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.heavy).try_acquire_many_owned(kib);
        Ok(Bytes::from_owner(Heavy {
            _permit: permit.map_err(|_| NoManifest::Unread(kib))?,
            bytes: steered()?,
        }))
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
            tenant,
        } = *wanted;
        let id = || format!("asset {} of site {site}", asset.id).into();
        let (Some(folder), Some(path)) = (&asset.source, kind.path(asset)) else {
            return Err(NoManifest::Missing(id()));
        };
        let url = folder
            .join(path)
            .map_err(|invalid| NoManifest::Broken(invalid.to_string().into()))?;
        let key = SlotKey {
            site,
            kind,
            url: url.as_str().into(),
        };
        let new = || {
            let slot = Slot::new(site, kind, tenant.clone(), url.clone(), folder.clone());
            Ok((Arc::new(slot), 0))
        };
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

/// A heavy manifest on its way to a player.
struct Heavy {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Heavy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Ready {
    /// What it takes in memory, in bytes: at least what is written of it, but for what is the session's own.
    fn weight(&self) -> usize {
        match &self.spliced {
            Spliced::Hls(prepared) => prepared.weight(),
            Spliced::Dash(prepared) => prepared.weight(),
        }
    }

    /// The manifest of one session.
    ///
    /// # Errors
    /// [`splice::Error`] when the session begins on a pathway that is not in it.
    fn steered(&self, session: &Session<'_>) -> Result<Vec<u8>, splice::Error> {
        let Session { server, own, first } = *session;
        match &self.spliced {
            Spliced::Hls(prepared) => prepared.steered(server, first),
            Spliced::Dash(prepared) => {
                let steering = dash::Steering { server, mpd: own };
                prepared.steered(&steering, first)
            }
        }
    }
}

fn prepare(content: &Content, places: &[Place], existing: Existing) -> Result<Ready, splice::Error> {
    let pathways = places.iter().filter_map(|place| {
        Some(Pathway {
            id: &place.id,
            base: &place.base,
            proof: place.pass.proof()?,
        })
    });
    let pathways: Vec<Pathway<'_>> = pathways.collect();
    let (body, source) = (&content.body, &content.source);
    let spliced = match content.kind {
        Kind::Hls => Spliced::Hls(multivariant::prepare(body, source, &pathways, existing)?),
        Kind::Dash => Spliced::Dash(dash::prepare(body, source, &pathways, existing)?),
    };
    let renditions = content.renditions.iter();
    let top = renditions.map(|rendition| rendition.bandwidth).max();
    Ok(Ready {
        spliced,
        top_kbit_s: top.map(|bits| bits / 1_000).filter(|kbit_s| *kbit_s > 0),
    })
}

/// A cache of so many bytes. In one piece: of several each would be too small for the largest manifest.
fn cache<K: Eq + Hash, V: Clone>(bytes_max: u64) -> Cache<K, V, Weights>
where
    Weights: Weighter<K, V>,
{
    let items = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
    let mut options = OptionsBuilder::new();
    options
        .estimated_items_capacity(items)
        .weight_capacity(bytes_max)
        .shards(1);
    let hasher = DefaultHashBuilder::default();
    match options.build() {
        Ok(options) => Cache::with_options(options, Weights, hasher, DefaultLifecycle::default()),
        // Only what is not set is refused.
        Err(_) => Cache::with_weighter(items, bytes_max, Weights),
    }
}

#[cfg(test)]
mod tests;
