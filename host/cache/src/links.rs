//! Links in memory, before the disk and whatever is further away: look-up, single flight, freshness, invalidation.
//!
//! An entry is *fresh* until its time to live is over. After that it is *stale*: still served while a refresh runs
//! behind the request, for as long as the stale limit says, so that a dead origin is not noticed. That there is no
//! such link is remembered too, but briefly, never stale, and in memory only.
//!
//! An invalidation ends everything older than itself: what is in memory, what is on disk or queued for it, loads under
//! way and reads under way. All of them come under the one lock of the flights, so each lies wholly before or wholly
//! after it.

use std::{
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use quick_cache::sync::Cache;
use tokio::{runtime::Handle, sync::Semaphore};
use wayside_balance::level::{AtomicLevel, Level};
use wayside_decide::{link::Link, site::SiteId};

use self::{
    flights::{Flights, Why},
    held::{Bytes, Lifetime},
    seen::Horizon,
};
use crate::{
    clock::NodeClock,
    counts::Counts,
    disk::{Disk, Found, OnDisk},
    epochs::Epochs,
    key::{Key, KeyRef},
    load::{LoadError, LoadLink, Seen},
    shared::SharedCache,
};

mod flights;
mod held;
mod keeping;
mod popular;
mod resync;
mod seen;

pub use self::{held::Held, popular::Popular};

/// What most entries take at most, in bytes: only the size of the first table follows from it.
const TYPICAL_ENTRY_BYTES: u64 = 512;

/// How long a stale link waits after a refresh that failed before the next is tried, so that a dead origin is not
/// asked again for every visitor; and how long all of them wait.
const REFRESH_REST: Duration = Duration::from_secs(1);
/// Refreshes under way at the same time: a node that comes back does not ask for everything at once.
const REFRESHES_MAX: usize = 64;
/// Reads that wait for the disk at the same time.
const DISK_READS_MAX: usize = 16;
/// Counters of invalidations; keys share them, which costs a read from disk now and then.
const GENERATIONS: usize = 4096;

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
    /// Loads that may be under way at the same time.
    pub loads_max: usize,
}

/// What is asked before the loader.
pub struct Tiers {
    /// What is kept on disk ages by this.
    pub clock: NodeClock,
    /// The node's disk.
    pub disk: Option<Arc<Disk>>,
    /// What the nodes of the PoP share.
    pub pop: Option<Arc<SharedCache>>,
}

/// What memory holds for a key right now.
#[derive(Debug)]
pub enum Lookup {
    /// An answer that can be used. When it was stale, a refresh has been started behind it.
    Held(Arc<Held>),
    /// Nothing that can be used.
    Missing,
}

/// How much is held.
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
    clock: NodeClock,
    memory: Cache<Key, Arc<Held>, Bytes, RandomState>,
    flights: Flights,
    /// Grows with each invalidation of a key that falls on it.
    generations: Box<[AtomicU64]>,
    disk: Option<Arc<Disk>>,
    /// What the nodes of the PoP share.
    pop: Option<Arc<SharedCache>>,
    disk_turns: Arc<Semaphore>,
    epochs: Arc<Epochs>,
    horizon: Horizon,
    loader: Arc<dyn LoadLink>,
    runtime: Handle,
    jitter: RandomState,
    started: Instant,
    refreshes: AtomicUsize,
    /// What is left undone.
    level: Arc<AtomicLevel>,
    /// No refresh at all before this, in milliseconds since the cache was made.
    refreshes_after_ms: AtomicU64,
}

impl Shared {
    fn since_start_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn generation(&self, key: KeyRef<'_>) -> &AtomicU64 {
        let hash = usize::try_from(self.jitter.hash_one(key)).unwrap_or(0);
        &self.generations[hash % GENERATIONS]
    }

    fn lifetime(&self, key: KeyRef<'_>, is_link: bool) -> Lifetime {
        let Settings {
            ttl,
            negative_ttl,
            stale_max,
            ..
        } = self.settings;
        if !is_link {
            return Lifetime {
                fresh: negative_ttl,
                stale: Duration::ZERO,
            };
        }
        // 90 % to 110 % of the time to live, by the key's hash: spread evenly, and no random numbers needed.
        let spread = u32::try_from(self.jitter.hash_one(key) % 201).unwrap_or(100);
        Lifetime {
            fresh: ttl * (900 + spread) / 1000,
            stale: stale_max,
        }
    }
}

impl LinkCache {
    /// An empty cache before `tiers`. It loads through `loader` on `runtime`, so that a visitor who hangs up does not end
    /// a load that others wait for.
    ///
    /// It leaves undone what `level` leaves undone: from [`Level::Reduced`] on nothing is renewed ahead of its time, from
    /// [`Level::CoreOnly`] on nothing is loaded, and at [`Level::Emergency`] memory alone is asked. Invalidations are
    /// never left undone.
    #[must_use]
    pub fn new(
        settings: Settings,
        tiers: Tiers,
        level: Arc<AtomicLevel>,
        loader: Arc<dyn LoadLink>,
        runtime: Handle,
    ) -> Self {
        let Tiers { clock, disk, pop } = tiers;
        let memory = Cache::with(
            usize::try_from(settings.bytes_max / TYPICAL_ENTRY_BYTES).unwrap_or(usize::MAX),
            settings.bytes_max,
            Bytes,
            RandomState::default(),
            Default::default(),
        );
        let epochs = disk
            .as_ref()
            .map_or_else(|| Arc::new(Epochs::new(1, 1)), |disk| disk.epochs());
        let shared = Shared {
            settings,
            clock,
            memory,
            flights: Flights::default(),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            disk,
            pop,
            disk_turns: Arc::new(Semaphore::new(DISK_READS_MAX)),
            epochs,
            horizon: Horizon::default(),
            loader,
            runtime,
            jitter: RandomState::default(),
            started: Instant::now(),
            refreshes: AtomicUsize::new(0),
            level,
            refreshes_after_ms: AtomicU64::new(0),
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
        self.refresh(key.to_key(), &held, now);
        Lookup::Held(held)
    }

    /// Gets what [`LinkCache::look_up`] found missing: from disk where that needs no waiting, else by a load. All who
    /// ask for one key at the same time share one load.
    ///
    /// # Errors
    /// [`LoadError`] when the loader failed, took too long, or is not asked now.
    pub async fn load(&self, site: SiteId, path: &str) -> Result<Arc<Held>, LoadError> {
        let key = KeyRef { site, path };
        if self.shared.level.get() == Level::Emergency {
            return Err(LoadError::Shed);
        }
        let why = match self.ask_disk_now(key, Instant::now()) {
            Ok(held) => return Ok(held),
            Err(why) => why,
        };
        let mut landing = self.flight(key.to_key(), why);
        let landed = landing
            .wait_for(Option::is_some)
            .await
            .map_err(|_| LoadError::Aborted)?;
        landed.clone().unwrap_or(Err(LoadError::Aborted))
    }

    /// Loads under way, and how many may be.
    #[must_use]
    pub fn loads(&self) -> (usize, usize) {
        (self.shared.flights.lock().len(), self.shared.settings.loads_max)
    }

    /// The node has been told of every change up to `seen`, and has forgotten what changed.
    pub fn follow(&self, seen: Seen) {
        self.shared.horizon.follow(seen);
    }

    /// Forgets the link at `path` of `site`, which changed at `cursor`, the last change that the node was told of: the next
    /// look-up loads it anew, as of that change, whatever is under way now.
    pub fn invalidate(&self, site: SiteId, path: &str, cursor: u64) {
        let key = KeyRef { site, path };
        let mut flights = self.shared.flights.lock();
        flights.remove(&key.to_key());
        self.shared.horizon.change(self.shared.jitter.hash_one(key), cursor);
        if let Some(disk) = &self.shared.disk {
            disk.remove(key.to_key());
        }
        // Only now: who reads the disk of before must not find the generation of after.
        self.shared.generation(key).fetch_add(1, Ordering::SeqCst);
        self.shared.memory.remove(&key);
    }

    /// Puts in a link of now, as if it had been loaded.
    pub fn restore(&self, site: SiteId, path: &str, link: Link, now: Instant) {
        let key = KeyRef { site, path };
        let (lifetime, epoch) = (self.shared.lifetime(key, true), self.shared.epochs.current());
        if let Some(held) = Held::aged(Some(link), lifetime, Duration::ZERO, epoch, now) {
            self.shared.memory.insert(key.to_key(), Arc::new(held));
        }
    }

    /// How much is held in memory.
    #[must_use]
    pub fn size(&self) -> Size {
        let memory = &self.shared.memory;
        Size {
            entries: u64::try_from(memory.len()).unwrap_or(u64::MAX),
            bytes: memory.weight(),
        }
    }

    /// What the tiers behind memory have counted, by name.
    #[must_use]
    pub fn tiers(&self) -> Vec<(&'static str, Counts)> {
        let disk = self.shared.disk.as_ref();
        let pop = self.shared.pop.as_ref();
        let disk = disk.map(|disk| ("disk", disk.counts()));
        let pop = pop.map(|pop| ("shared", pop.counts()));
        disk.into_iter().chain(pop).collect()
    }

    /// Whether the PoP's shared cache is asked, is left alone, or is probed: `closed`, `open` or `half-open`, as its
    /// breaker is; none without one.
    #[must_use]
    pub fn shared_state(&self) -> Option<&'static str> {
        self.shared.pop.as_ref().map(|pop| pop.state())
    }

    /// What the links on disk take there, in bytes.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.shared.disk.as_ref().map_or(0, |disk| disk.bytes())
    }

    /// What the disk has, if it says so at once; else why a load is needed.
    fn ask_disk_now(&self, key: KeyRef<'_>, now: Instant) -> Result<Arc<Held>, Why> {
        let missing = |asks_disk| Why::Missing { asks_disk };
        let Some(disk) = &self.shared.disk else {
            return Err(missing(false));
        };
        // Read before the disk is: an invalidation from here on is noticed below.
        let generation = self.shared.generation(key).load(Ordering::SeqCst);
        match disk.read_now(key) {
            Found::Link(on_disk) => {
                let held = self.adopt(key, on_disk, generation, now).ok_or_else(|| missing(true))?;
                if held.fresh_until <= now {
                    self.refresh(key.to_key(), &held, now);
                }
                Ok(held)
            }
            Found::Nothing => Err(missing(false)),
            Found::Unknown => Err(missing(true)),
        }
    }

    /// Takes into memory what was read from disk at `generation`; none when it is too old, or was invalidated meanwhile.
    fn adopt(&self, key: KeyRef<'_>, on_disk: OnDisk, generation: u64, now: Instant) -> Option<Arc<Held>> {
        let shared = &self.shared;
        let held = Arc::new(self.revived(key, on_disk, now)?);
        let flights = shared.flights.lock();
        if let Some(newer) = shared.memory.peek(&key) {
            return (now < newer.stale_until).then_some(newer);
        }
        let is_current = shared.generation(key).load(Ordering::SeqCst) == generation;
        if !is_current || held.epoch < shared.epochs.floor() {
            return None;
        }
        shared.memory.insert(key.to_key(), Arc::clone(&held));
        drop(flights);
        Some(held)
    }

    /// Starts a refresh of `held` behind the request, unless it or all of them are to rest.
    fn refresh(&self, key: Key, held: &Held, now: Instant) {
        let shared = &self.shared;
        if shared.level.get() >= Level::CoreOnly {
            return;
        }
        let now_ms = shared.since_start_ms(now);
        if now_ms < held.refresh_after_ms.load(Ordering::Relaxed)
            || now_ms < shared.refreshes_after_ms.load(Ordering::Relaxed)
        {
            return;
        }
        if shared.refreshes.fetch_add(1, Ordering::Relaxed) >= REFRESHES_MAX {
            shared.refreshes.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        // The result goes into memory; nobody waits for it here.
        drop(self.flight(key, Why::Refresh));
    }

    /// Puts off the next refresh of what is held for `key`, and of everything.
    fn rest(&self, key: &Key) {
        let next = self.shared.since_start_ms(Instant::now() + REFRESH_REST);
        if let Some(held) = self.shared.memory.peek(key) {
            held.refresh_after_ms.store(next, Ordering::Relaxed);
        }
        self.shared.refreshes_after_ms.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
