//! Links in memory: look-up, single flight, freshness, invalidation.
//!
//! An entry is *fresh* until its time to live is over. After that it is *stale*: still served while a refresh runs
//! behind the request, for as long as the stale limit says, so that a dead origin is not noticed. That there is no
//! such link is remembered too, but briefly and never stale.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use quick_cache::{Weighter, sync::Cache};
use tokio::{runtime::Handle, sync::watch};
use wayside_decide::{link::Link, site::SiteId};

use crate::{
    key::{Key, KeyRef},
    load::{LoadError, LoadLink},
};

/// What an entry costs in memory besides its link and its path: the table's own record and what the
/// allocator rounds up.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// What most entries take at most, in bytes: only the size of the first table follows from it.
const TYPICAL_ENTRY_BYTES: u64 = 512;

/// How long a stale link waits after a refresh that failed before the next is tried, so that a dead origin is not
/// asked again for every visitor.
const REFRESH_REST: Duration = Duration::from_secs(1);

/// How the cache behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory for entries, in bytes.
    pub bytes_max: u64,
    /// How long a link is fresh; each entry varies it by up to a tenth, so that entries do not expire together.
    pub ttl: Duration,
    /// How long "there is no such link" holds.
    pub negative_ttl: Duration,
    /// How long past its time to live a link may be served while it cannot be refreshed.
    pub stale_max: Duration,
    /// How long a look-up waits for the loader.
    pub load_timeout: Duration,
}

/// A link, or the certainty that there is none, as of some instant.
#[derive(Debug)]
pub struct Held {
    /// The link; `None` when there is none.
    pub link: Option<Link>,
    fresh_until: Instant,
    stale_until: Instant,
    /// No refresh before this, in milliseconds since the cache was made.
    refresh_after_ms: AtomicU64,
}

impl Held {
    const fn new(link: Option<Link>, fresh_until: Instant, stale_until: Instant) -> Self {
        Self {
            link,
            fresh_until,
            stale_until,
            refresh_after_ms: AtomicU64::new(0),
        }
    }
}

/// What memory holds for a key right now.
#[derive(Debug)]
pub enum Lookup {
    /// An answer that can be used. When it was stale, a refresh has been started behind it.
    Held(Arc<Held>),
    /// Nothing that can be used.
    Missing,
}

/// Counts since start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Entries held, absent links included.
    pub entries: u64,
    /// Their weight, in bytes.
    pub bytes: u64,
}

/// The cache. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct LinkCache {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    memory: Cache<Key, Arc<Held>, Bytes, RandomState>,
    /// The loads under way. A flight is the current one for its key only while it stands here: an invalidation takes
    /// it out, and then its result, which may be older than the change, is not kept.
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    loader: Arc<dyn LoadLink>,
    runtime: Handle,
    jitter: RandomState,
    started: Instant,
    /// Counts what was put in and taken out.
    changes: AtomicU64,
}

impl Shared {
    fn keep(&self, key: Key, held: Arc<Held>) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.memory.insert(key, held);
    }

    fn since_start_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

type Landed = Result<Arc<Held>, LoadError>;

struct Flight {
    result: watch::Sender<Option<Landed>>,
}

impl LinkCache {
    /// An empty cache that loads through `loader` on `runtime`, so that a visitor who hangs up does not end a load
    /// that others wait for.
    #[must_use]
    pub fn new(settings: Settings, loader: Arc<dyn LoadLink>, runtime: Handle) -> Self {
        let memory = Cache::with(
            usize::try_from(settings.bytes_max / TYPICAL_ENTRY_BYTES).unwrap_or(usize::MAX),
            settings.bytes_max,
            Bytes,
            RandomState::default(),
            Default::default(),
        );
        let shared = Shared {
            settings,
            memory,
            flights: Mutex::default(),
            loader,
            runtime,
            jitter: RandomState::default(),
            started: Instant::now(),
            changes: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What memory holds for `path` (in normal form) of `site`. Never waits.
    #[must_use]
    pub fn look_up(&self, site: SiteId, path: &str, now: Instant) -> Lookup {
        let key = KeyRef { site, path };
        let Some(held) = self.shared.memory.get(&key) else {
            return Lookup::Missing;
        };
        if now < held.fresh_until {
            return Lookup::Held(held);
        }
        if now >= held.stale_until {
            return Lookup::Missing;
        }
        if self.shared.since_start_ms(now) >= held.refresh_after_ms.load(Ordering::Relaxed) {
            // The result goes into memory; nobody waits for it here.
            drop(self.flight(key.to_key()));
        }
        Lookup::Held(held)
    }

    /// Loads what [`LinkCache::look_up`] found missing. All who ask for one key at the same time share one load.
    ///
    /// # Errors
    /// [`LoadError`] when the loader failed or took too long.
    pub async fn load(&self, site: SiteId, path: &str) -> Result<Arc<Held>, LoadError> {
        let mut landing = self.flight(KeyRef { site, path }.to_key());
        let landed = landing
            .wait_for(Option::is_some)
            .await
            .map_err(|_| LoadError::Aborted)?;
        landed.clone().unwrap_or(Err(LoadError::Aborted))
    }

    /// Forgets the link at `path` of `site`: the next look-up loads it anew, whatever is under way now.
    pub fn invalidate(&self, site: SiteId, path: &str) {
        let key = KeyRef { site, path };
        let mut flights = self.flights();
        flights.remove(&key.to_key());
        self.shared.changes.fetch_add(1, Ordering::Relaxed);
        self.shared.memory.remove(&key);
    }

    /// Forgets everything.
    pub fn invalidate_all(&self) {
        let mut flights = self.flights();
        flights.clear();
        self.shared.changes.fetch_add(1, Ordering::Relaxed);
        self.shared.memory.clear();
    }

    /// Puts in a link known from a snapshot, as stale: served at once and refreshed at first use.
    pub fn restore(&self, site: SiteId, path: &str, link: Link, now: Instant) {
        let held = Held::new(Some(link), now, now + self.shared.settings.stale_max);
        self.shared.keep(KeyRef { site, path }.to_key(), Arc::new(held));
    }

    /// Every link held at this moment, for a snapshot. Walks the whole cache.
    pub fn links(&self) -> impl Iterator<Item = (SiteId, Box<str>, Arc<Held>)> + '_ {
        let entries = self.shared.memory.iter().filter(|(_, held)| held.link.is_some());
        entries.map(|(key, held)| (key.site, key.path, held))
    }

    /// A number that grows with every change of what is held.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Relaxed)
    }

    /// How much is held.
    #[must_use]
    pub fn size(&self) -> Size {
        let memory = &self.shared.memory;
        Size {
            entries: u64::try_from(memory.len()).unwrap_or(u64::MAX),
            bytes: memory.weight(),
        }
    }

    /// Joins the flight for `key`, or starts one.
    fn flight(&self, key: Key) -> watch::Receiver<Option<Landed>> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&key) {
            return flight.result.subscribe();
        }
        let (result, landing) = watch::channel(None);
        let flight = Arc::new(Flight { result });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        let cache = self.clone();
        self.shared.runtime.spawn(async move { cache.fly(key, &flight).await });
        landing
    }

    async fn fly(&self, key: Key, flight: &Arc<Flight>) {
        let Settings { load_timeout, .. } = self.shared.settings;
        let guard = Boarded {
            cache: self,
            key: &key,
            flight,
        };
        let loaded = tokio::time::timeout(load_timeout, self.shared.loader.load(key.site, &key.path)).await;
        let landed = loaded
            .unwrap_or(Err(LoadError::TimedOut {
                timeout_ms: load_timeout.as_millis(),
            }))
            .map(|link| Arc::new(self.held(&key, link, Instant::now())));
        guard.land(landed);
    }

    fn held(&self, key: &Key, link: Option<Link>, now: Instant) -> Held {
        let Settings {
            ttl,
            negative_ttl,
            stale_max,
            ..
        } = self.shared.settings;
        if link.is_none() {
            return Held::new(link, now + negative_ttl, now + negative_ttl);
        }
        // 90 % to 110 % of the time to live, by the key's hash: spread evenly, and no random numbers needed.
        let spread = u32::try_from(self.shared.jitter.hash_one(key) % 201).unwrap_or(100);
        let fresh_until = now + ttl * (900 + spread) / 1000;
        Held::new(link, fresh_until, fresh_until + stale_max)
    }

    /// Puts off the next refresh of what is held for `key`.
    fn rest(&self, key: &Key) {
        if let Some(held) = self.shared.memory.get(key) {
            let next = self.shared.since_start_ms(Instant::now() + REFRESH_REST);
            held.refresh_after_ms.store(next, Ordering::Relaxed);
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight out of the list on every way out of its task, a panic of the loader included: a flight that stays
/// would keep its key waiting for ever.
struct Boarded<'a> {
    cache: &'a LinkCache,
    key: &'a Key,
    flight: &'a Arc<Flight>,
}

impl Boarded<'_> {
    fn land(self, landed: Landed) {
        {
            let flights = self.cache.flights();
            let is_current = flights
                .get(self.key)
                .is_some_and(|current| Arc::ptr_eq(current, self.flight));
            match &landed {
                // Still under the lock: an invalidation comes wholly before (and took the flight out) or wholly after.
                Ok(held) if is_current => self.cache.shared.keep(self.key.clone(), Arc::clone(held)),
                Ok(_) => {}
                Err(_) => self.cache.rest(self.key),
            }
        }
        self.flight.result.send_replace(Some(landed));
    }
}

impl Drop for Boarded<'_> {
    fn drop(&mut self) {
        let mut flights = self.cache.flights();
        if flights
            .get(self.key)
            .is_some_and(|current| Arc::ptr_eq(current, self.flight))
        {
            flights.remove(self.key);
        }
        if self.flight.result.borrow().is_none() {
            self.flight.result.send_replace(Some(Err(LoadError::Aborted)));
        }
    }
}

/// Weighs entries by what they take in memory.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<Key, Arc<Held>> for Bytes {
    fn weight(&self, key: &Key, held: &Arc<Held>) -> u64 {
        let link = held.link.as_ref().map_or(0, Link::weight);
        u64::try_from(ENTRY_OVERHEAD_BYTES + size_of::<Held>() + key.path.len() + link).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
