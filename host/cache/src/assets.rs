//! Assets in memory: look-up, single flight, freshness, invalidation.
//!
//! In: look-ups by site and id, invalidations from the change feed, a [`LoadAsset`] that asks further away. Out: what the
//! loader made of each asset, shared by all who ask, and never older than the last invalidation of its key. It must not
//! know what an asset is: what is kept is the caller's, which says what it takes ([`Held`]).
//!
//! Unlike links, assets are few beside what is done for each, so they have no disk behind them; what was held is served
//! on while nobody further away can be asked.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use equivalent::Equivalent;
use foldhash::fast::RandomState;
use quick_cache::{Weighter, sync::Cache};
use tokio::{runtime::Handle, sync::watch};
use wayside_balance::level::{AtomicLevel, Level};
use wayside_decide::site::SiteId;

use crate::load::{LoadError, Seen};

/// How long an asset that could not be renewed is served before that is tried again.
const REFRESH_REST: Duration = Duration::from_secs(1);
/// What an asset usually takes, with all that is worked out of it.
const USUAL_BYTES: u64 = 2 * 1024;
/// What the cache itself takes for each.
const ENTRY_BYTES: usize = 64;

/// What is kept of an asset.
pub trait Held: PartialEq + Send + Sync + 'static {
    /// What it takes in memory, in bytes, with all that will be worked out of it while it is held.
    fn weight(&self) -> usize;
}

/// Whether there is an asset.
#[derive(Debug)]
pub enum Known<V> {
    /// There is.
    There(Arc<V>),
    /// There was, and its owner deleted it.
    Gone,
    /// There never was.
    Missing,
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        match self {
            Self::There(asset) => Self::There(Arc::clone(asset)),
            Self::Gone => Self::Gone,
            Self::Missing => Self::Missing,
        }
    }
}

impl<V: Held> Known<V> {
    fn weight(&self) -> usize {
        match self {
            Self::There(asset) => asset.weight(),
            Self::Gone | Self::Missing => 0,
        }
    }
}

/// An asset that is held.
#[derive(Debug)]
pub struct HeldAsset<V> {
    /// Its site.
    pub site: SiteId,
    /// The asset.
    pub asset: Arc<V>,
    /// Whether nothing said that it may have changed since it was loaded.
    pub is_trusted: bool,
}

/// What a load ends with.
pub type Loaded<V> = Result<Known<V>, LoadError>;

/// A load under way.
pub type Loading<'a, V> = Pin<Box<dyn Future<Output = Loaded<V>> + Send + 'a>>;

/// Fetches one asset from further away. The edge implements it with the origin's client.
pub trait LoadAsset<V>: Send + Sync + 'static {
    /// Asks for the asset `id` of `site`, no older than what the node has `seen`. The cache puts a timeout around it.
    fn load<'a>(&'a self, site: SiteId, id: &'a str, seen: Option<Seen>) -> Loading<'a, V>;
}

/// The epoch of what is loaded anew before it is served: before any other.
const DISTRUSTED: u64 = 0;

/// How the cache behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all that is held may take, in bytes.
    pub bytes_max: u64,
    /// How long an asset is fresh. Changes come by the feed; this bounds what a lost one hides.
    pub ttl: Duration,
    /// How long "there is no such asset" holds.
    pub negative_ttl: Duration,
    /// How long past its time to live an asset is served while it cannot be renewed.
    pub stale_max: Duration,
    /// How long a look-up waits for the loader.
    pub load_timeout: Duration,
    /// Loads that may be under way at the same time.
    pub loads_max: usize,
}

/// The cache. Cheap to clone: clones share everything.
pub struct AssetCache<V>(Arc<Shared<V>>);

impl<V> Clone for AssetCache<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<V> {
    settings: Settings,
    memory: Cache<Key, Entry<V>, Weights, RandomState>,
    flights: Mutex<HashMap<Key, Arc<Flight<V>>>>,
    /// Entries of an earlier one are loaded anew before they are served, if anybody answers.
    epoch: AtomicU64,
    /// Grows with every asset that is another than the one before.
    changes: AtomicU64,
    seen: RwLock<Option<Seen>>,
    loader: Arc<dyn LoadAsset<V>>,
    level: Arc<AtomicLevel>,
    runtime: Handle,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    site: SiteId,
    id: Box<str>,
}

#[derive(Hash)]
struct KeyRef<'k> {
    site: SiteId,
    id: &'k str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.site == key.site && self.id == &*key.id
    }
}

struct Entry<V> {
    known: Known<V>,
    /// As of when it was put in: a weight must not change under the cache.
    weight: usize,
    fresh_until: Instant,
    stale_until: Instant,
    epoch: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            ..*self
        }
    }
}

#[derive(Debug, Clone)]
struct Weights;

impl<V> Weighter<Key, Entry<V>> for Weights {
    fn weight(&self, key: &Key, entry: &Entry<V>) -> u64 {
        (size_of::<(Key, Entry<V>)>() + ENTRY_BYTES + key.id.len() + entry.weight) as u64
    }
}

struct Flight<V> {
    result: watch::Sender<Option<Loaded<V>>>,
    epoch: u64,
}

impl<V: Held> AssetCache<V> {
    /// An empty cache that loads through `loader` on `runtime`. From [`Level::CoreOnly`] on it loads nothing.
    #[must_use]
    pub fn new(settings: Settings, loader: Arc<dyn LoadAsset<V>>, level: Arc<AtomicLevel>, runtime: Handle) -> Self {
        let usual = usize::try_from(settings.bytes_max / USUAL_BYTES).unwrap_or(usize::MAX);
        Self(Arc::new(Shared {
            memory: Cache::with(
                usual,
                settings.bytes_max,
                Weights,
                RandomState::default(),
                Default::default(),
            ),
            settings,
            flights: Mutex::default(),
            epoch: AtomicU64::new(DISTRUSTED + 1),
            changes: AtomicU64::new(0),
            seen: RwLock::default(),
            loader,
            level,
            runtime,
        }))
    }

    /// What memory holds, if that may be served; it is renewed behind the request when it is no longer fresh.
    #[must_use]
    pub fn look_up(&self, site: SiteId, id: &str, now: Instant) -> Option<Known<V>> {
        let key = KeyRef { site, id };
        let entry = self.0.memory.get(&key)?;
        if entry.epoch != self.0.epoch.load(Ordering::SeqCst) || now >= entry.stale_until {
            return None;
        }
        if now >= entry.fresh_until && self.0.level.get() < Level::CoreOnly {
            // Nobody waits for it here.
            drop(self.flight(key));
        }
        Some(entry.known)
    }

    /// Gets what [`AssetCache::look_up`] found missing. All who ask for one asset at the same time share one load. What is
    /// held from before is served when nobody can be asked, for as long as it may be.
    ///
    /// # Errors
    /// [`LoadError`] when the loader failed, took too long, or is not asked now, and nothing is held.
    pub async fn load(&self, site: SiteId, id: &str) -> Loaded<V> {
        let key = KeyRef { site, id };
        let loaded = if self.0.level.get() >= Level::CoreOnly {
            Err(LoadError::Shed)
        } else {
            let mut landing = self.flight(key);
            let landed = landing.wait_for(Option::is_some).await;
            let landed = landed.map(|landed| landed.clone());
            landed.ok().flatten().unwrap_or(Err(LoadError::Aborted))
        };
        loaded.or_else(|error| self.held(site, id).ok_or(error))
    }

    /// Whatever is held and not too old, whether or not something changed since.
    fn held(&self, site: SiteId, id: &str) -> Option<Known<V>> {
        let entry = self.0.memory.get(&KeyRef { site, id })?;
        (Instant::now() < entry.stale_until).then_some(entry.known)
    }

    /// The node has been told of every change up to `seen`, and has forgotten what changed.
    pub fn follow(&self, seen: Seen) {
        let mut known = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(seen);
    }

    /// Forgets an asset, which changed at `cursor`, the last change that the node was told of: the next look-up loads it anew,
    /// as of that change, whatever is under way now.
    pub fn invalidate(&self, site: SiteId, id: &str, cursor: u64) {
        let mut flights = self.lock();
        let key = KeyRef { site, id };
        // Before it is forgotten: a load that begins then must not be content with less.
        if let Some(seen) = &mut *self.0.seen.write().unwrap_or_else(PoisonError::into_inner) {
            seen.cursor = seen.cursor.max(cursor);
        }
        flights.remove(&key.to_key());
        self.0.memory.remove(&key);
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whatever is held may have changed: it is loaded anew before it is served, unless nobody answers.
    pub fn distrust_all(&self) {
        let mut flights = self.lock();
        flights.clear();
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Differs from what it was when an asset has changed since, may have, or is known again not to have: what was only renewed
    /// or let go of is as it was.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    /// Assets that are held and may be served, at most so many: what a restart begins with.
    #[must_use]
    pub fn held_assets(&self, most: usize, now: Instant) -> Vec<HeldAsset<V>> {
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        let held = self.0.memory.iter().filter(|(_, entry)| now < entry.stale_until);
        let assets = held.filter_map(|(key, entry)| match entry.known {
            Known::There(asset) => Some(HeldAsset {
                site: key.site,
                asset,
                is_trusted: entry.epoch == epoch,
            }),
            Known::Gone | Known::Missing => None,
        });
        assets.take(most).collect()
    }

    /// Puts in an asset that was held before a restart, as if it had been loaded now; one that was not trusted then is loaded
    /// anew before it is served, if anybody answers.
    pub fn restore(&self, site: SiteId, id: &str, asset: V, is_trusted: bool, now: Instant) {
        let Settings { ttl, stale_max, .. } = self.0.settings;
        let current = self.0.epoch.load(Ordering::SeqCst);
        let entry = Entry {
            weight: asset.weight(),
            known: Known::There(Arc::new(asset)),
            fresh_until: now + ttl,
            stale_until: now + ttl + stale_max,
            epoch: if is_trusted { current } else { DISTRUSTED },
        };
        self.0.memory.insert(KeyRef { site, id }.to_key(), entry);
    }

    /// What all that is held takes, in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.0.memory.weight()
    }

    /// How many assets are held, those that are known not to be included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.memory.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.memory.is_empty()
    }

    /// Joins the flight for a key, or starts one.
    fn flight(&self, key: KeyRef<'_>) -> watch::Receiver<Option<Loaded<V>>> {
        let mut flights = self.lock();
        let key = key.to_key();
        if let Some(flight) = flights.get(&key) {
            return flight.result.subscribe();
        }
        let max = self.0.settings.loads_max;
        if flights.len() >= max {
            return watch::channel(Some(Err(LoadError::TooMany { max }))).1;
        }
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        let (result, landing) = watch::channel(None);
        let flight = Arc::new(Flight { result, epoch });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        let boarded = Boarded {
            cache: self.clone(),
            key,
            flight,
        };
        self.0.runtime.spawn(boarded.fly());
        landing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight<V>>>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyRef<'_> {
    fn to_key(&self) -> Key {
        Key {
            site: self.site,
            id: self.id.into(),
        }
    }
}

/// Takes a flight out of the list on every way out of its task, a panic of the loader included.
struct Boarded<V: Held> {
    cache: AssetCache<V>,
    key: Key,
    flight: Arc<Flight<V>>,
}

impl<V: Held> Boarded<V> {
    async fn fly(self) {
        let shared = &self.cache.0;
        let timeout = shared.settings.load_timeout;
        // Taken before the load begins: what it brings is at least as new.
        let seen = *shared.seen.read().unwrap_or_else(PoisonError::into_inner);
        let loading = shared.loader.load(self.key.site, &self.key.id, seen);
        let loaded = tokio::time::timeout(timeout, loading).await;
        let loaded = loaded.unwrap_or(Err(LoadError::TimedOut {
            timeout_ms: timeout.as_millis(),
        }));
        self.land(loaded);
    }

    fn land(self, mut loaded: Loaded<V>) {
        let shared = &self.cache.0;
        let now = Instant::now();
        // Under the lock: an invalidation comes wholly before, and took the flight out, or wholly after.
        let flights = self.cache.lock();
        if self.is_current(&flights) {
            match &mut loaded {
                Ok(known) => {
                    let has_changed = self.compare(known);
                    let (fresh, stale) = match known {
                        Known::There(_) => (shared.settings.ttl, shared.settings.stale_max),
                        // Links stand where an asset might: they need no origin for as long as they are served themselves.
                        Known::Missing => (shared.settings.negative_ttl, shared.settings.stale_max),
                        Known::Gone => (shared.settings.negative_ttl, Duration::ZERO),
                    };
                    let entry = Entry {
                        weight: known.weight(),
                        known: known.clone(),
                        fresh_until: now + fresh,
                        stale_until: now + fresh + stale,
                        epoch: self.flight.epoch,
                    };
                    shared.memory.insert(self.key.clone(), entry);
                    // Only now: who keeps what is held as of this version has it.
                    shared.changes.fetch_add(u64::from(has_changed), Ordering::SeqCst);
                }
                Err(_) => {
                    if let Some(mut entry) = shared.memory.get(&self.key) {
                        entry.fresh_until = entry.fresh_until.max(now + REFRESH_REST);
                        shared.memory.insert(self.key.clone(), entry);
                    }
                }
            }
        }
        drop(flights);
        self.flight.result.send_replace(Some(loaded));
    }

    /// Whether what was loaded is another than what is held, or the same that is trusted again: of two that are the same the
    /// older one stays, with all that was worked out of it.
    fn compare(&self, loaded: &mut Known<V>) -> bool {
        let held = self.cache.0.memory.get(&self.key);
        let is_trusted = held.as_ref().is_some_and(|entry| entry.epoch == self.flight.epoch);
        match (held.map(|entry| entry.known), loaded) {
            (Some(Known::There(held)), Known::There(new)) if held == *new => {
                *new = held;
                !is_trusted
            }
            (Some(Known::There(_)), _) | (_, Known::There(_)) => true,
            _ => false,
        }
    }

    fn is_current(&self, flights: &HashMap<Key, Arc<Flight<V>>>) -> bool {
        let current = flights.get(&self.key);
        current.is_some_and(|current| Arc::ptr_eq(current, &self.flight))
    }
}

impl<V: Held> Drop for Boarded<V> {
    fn drop(&mut self) {
        let mut flights = self.cache.lock();
        if self.is_current(&flights) {
            flights.remove(&self.key);
        }
        drop(flights);
        if self.flight.result.borrow().is_none() {
            self.flight.result.send_replace(Some(Err(LoadError::Aborted)));
        }
    }
}

#[cfg(test)]
mod tests;
