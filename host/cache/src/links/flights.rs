//! Loads under way: one for each key, however many ask, and none whose result outlives an invalidation.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use wayside_balance::level::Level;
use wayside_decide::link::Link;

use super::{LinkCache, held::Held};
use crate::{
    disk::OnDisk,
    key::{Key, KeyRef},
    load::{LoadError, Seen},
};

/// How long a read from a slow disk is waited for before the link is loaded from further away.
const DISK_WAIT_MAX: Duration = Duration::from_millis(50);

/// What a load ended with.
pub(super) type Landed = Result<Arc<Held>, LoadError>;

/// Why a load was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody waits for what no tier here is known to have.
    Missing {
        /// Whether the disk could not say at once what it has.
        asks_disk: bool,
    },
    /// What is held is to be renewed.
    Refresh,
}

/// A load under way.
pub(super) struct Flight {
    result: watch::Sender<Option<Landed>>,
    why: Why,
    /// The epoch in which it began.
    epoch: u32,
}

/// A flight is the current one for its key only while it stands here: an invalidation takes it out, and then its
/// result, which may be older than the change, is not kept.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Arc<Flight>>>);

impl Flights {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkCache {
    /// Joins the flight for `key`, or starts one.
    pub(super) fn flight(&self, key: Key, why: Why) -> watch::Receiver<Option<Landed>> {
        let mut flights = self.shared.flights.lock();
        if let Some(flight) = flights.get(&key) {
            if why == Why::Refresh {
                self.shared.refreshes.fetch_sub(1, Ordering::Relaxed);
            }
            return flight.result.subscribe();
        }
        // Who missed just before a load landed finds what it brought: both happen under this lock.
        let landed = self.shared.memory.peek(&key);
        let landed = landed.filter(|held| why != Why::Refresh && Instant::now() < held.stale_until);
        if let Some(held) = landed {
            return watch::channel(Some(Ok(held))).1;
        }
        if let Err(error) = self.may_begin(why, flights.len()) {
            if why == Why::Refresh {
                self.shared.refreshes.fetch_sub(1, Ordering::Relaxed);
            }
            return watch::channel(Some(Err(error))).1;
        }
        let (result, landing) = watch::channel(None);
        let epoch = self.shared.epochs.current();
        let flight = Arc::new(Flight { result, why, epoch });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        let cache = self.clone();
        self.shared.runtime.spawn(async move { cache.fly(key, &flight).await });
        landing
    }

    /// Whether one more flight may begin beside those under way.
    fn may_begin(&self, why: Why, under_way: usize) -> Result<(), LoadError> {
        let shared = &self.shared;
        let is_near = why == Why::Missing { asks_disk: true } || (why != Why::Refresh && shared.pop.is_some());
        if shared.level.get() >= Level::CoreOnly && !is_near {
            return Err(LoadError::Shed);
        }
        let max = shared.settings.loads_max;
        if under_way < max {
            Ok(())
        } else {
            Err(LoadError::TooMany { max })
        }
    }

    async fn fly(&self, key: Key, flight: &Arc<Flight>) {
        let mut guard = Boarded {
            cache: self,
            key: &key,
            flight,
            may_be_on_disk: flight.why == Why::Refresh,
        };
        let mut reading = pin!(self.ask_slow_disk(&key));
        let mut has_read = false;
        if flight.why == (Why::Missing { asks_disk: true }) {
            match tokio::time::timeout(DISK_WAIT_MAX, reading.as_mut()).await {
                Ok(on_disk) => {
                    has_read = true;
                    guard.may_be_on_disk = on_disk.is_some();
                    match guard.land_from_disk(on_disk) {
                        Some(back) => guard = back,
                        None => return,
                    }
                }
                Err(_) => guard.may_be_on_disk = true,
            }
        }
        let load_timeout = self.shared.settings.load_timeout;
        // Taken before the load begins: what it brings is at least as new.
        let seen = self.shared.horizon.seen();
        if let Some(seen) = seen
            && let Some((link, age)) = self.ask_pop(&key, seen).await
        {
            return guard.land(Ok(Some(link)), age);
        }
        let loaded = if self.shared.level.get() >= Level::CoreOnly {
            Err(LoadError::Shed)
        } else {
            let loading = self.shared.loader.load(key.site, &key.path, seen);
            let loaded = tokio::time::timeout(load_timeout, loading).await;
            loaded.unwrap_or(Err(LoadError::TimedOut {
                timeout_ms: load_timeout.as_millis(),
            }))
        };
        // Nobody further away has it either: then a slow disk is worth waiting for, if anybody waits.
        if loaded.is_err()
            && guard.may_be_on_disk
            && !has_read
            && flight.result.receiver_count() > 0
            && let Ok(on_disk) = tokio::time::timeout(load_timeout, reading).await
        {
            match guard.land_from_disk(on_disk) {
                Some(back) => guard = back,
                None => return,
            }
        }
        if let (Some(seen), Ok(Some(link)), Some(pop)) = (seen, &loaded, &self.shared.pop) {
            pop.put(key.view(), link, seen, self.shared.lifetime(key.view(), true).fresh);
        }
        guard.land(loaded, Duration::ZERO);
    }

    /// What the nodes of the PoP share, if it is surely no older than what this node was told of; and how long ago it was
    /// loaded.
    async fn ask_pop(&self, key: &Key, seen: Seen) -> Option<(Link, Duration)> {
        let shared = &self.shared;
        let pop = shared.pop.as_ref()?;
        let found = pop.get(seen.epoch, key.view()).await?;
        let hash = shared.jitter.hash_one(key.view());
        // Its end is that of the one who wrote it, whose time to live may be another.
        let fresh = shared.lifetime(key.view(), true).fresh.min(found.fresh);
        let is_of_use = !fresh.is_zero() && shared.horizon.covers(hash, found.seen);
        pop.count_use(is_of_use);
        let age = shared.lifetime(key.view(), true).fresh - fresh;
        is_of_use.then_some((found.link, age))
    }

    /// What the disk has that is of use, however long it takes to say so. Readers that wait for it are bounded: a disk that
    /// hangs costs a few threads.
    async fn ask_slow_disk(&self, key: &Key) -> Option<OnDisk> {
        let turn = Arc::clone(&self.shared.disk_turns).acquire_owned().await.ok()?;
        let (cache, wanted) = (self.clone(), key.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            cache.shared.disk.as_ref()?.read(wanted.view())
        });
        reading.await.ok()?
    }

    /// What was kept on disk, as an entry; none when it is too old. Then it stays on disk all the same: by the calendar of the
    /// next start it may not be.
    pub(super) fn revived(&self, key: KeyRef<'_>, on_disk: OnDisk, now: Instant) -> Option<Held> {
        let shared = &self.shared;
        let age = shared.clock.seconds(now).saturating_sub(on_disk.loaded_s);
        let lifetime = shared.lifetime(key, true);
        let age = Duration::from_secs(age);
        let held = Held::aged(Some(on_disk.link), lifetime, age, on_disk.epoch, now)?;
        Some(held.with_hits(on_disk.hits.into()))
    }
}

/// Takes a flight out of the list on every way out of its task, a panic of the loader included: a flight that stays
/// would keep its key waiting for ever.
struct Boarded<'a> {
    cache: &'a LinkCache,
    key: &'a Key,
    flight: &'a Arc<Flight>,
    /// Whether the disk may keep something for the key that is not known here.
    may_be_on_disk: bool,
}

impl Boarded<'_> {
    /// What was loaded `age` ago has come.
    fn land(self, loaded: Result<Option<Link>, LoadError>, age: Duration) {
        let shared = &self.cache.shared;
        let now = Instant::now();
        if loaded.is_ok() {
            shared.refreshes_after_ms.store(0, Ordering::Relaxed);
        }
        let landed = loaded.map(|link| {
            let lifetime = shared.lifetime(self.key.view(), link.is_some());
            Held::aged(link, lifetime, age, self.flight.epoch, now)
        });
        let landed = match landed {
            Ok(held) => held.ok_or(LoadError::Aborted),
            Err(error) => Err(error),
        };
        let landed = match landed {
            Ok(held) => {
                let before = shared.memory.peek(self.key).map_or(0, |before| before.hits());
                let held = Arc::new(held.with_hits(before));
                // Under the lock: an invalidation comes wholly before (and took the flight out) or wholly after.
                let flights = shared.flights.lock();
                if self.is_current(flights.get(self.key)) && self.flight.epoch >= shared.epochs.floor() {
                    let loaded_s = shared.clock.seconds(now).saturating_sub(age.as_secs());
                    shared.keep_on_disk(self.key, &held, self.may_be_on_disk, loaded_s);
                    shared.memory.insert(self.key.clone(), Arc::clone(&held));
                }
                drop(flights);
                Ok(held)
            }
            Err(error) => {
                self.cache.rest(self.key);
                Err(error)
            }
        };
        self.flight.result.send_replace(Some(landed));
    }

    /// What the disk had has come. Gives itself back when that is nothing, too old, or does not count any more.
    fn land_from_disk(self, on_disk: Option<OnDisk>) -> Option<Self> {
        let shared = &self.cache.shared;
        let now = Instant::now();
        let Some(held) = on_disk.and_then(|on_disk| self.cache.revived(self.key.view(), on_disk, now)) else {
            return Some(self);
        };
        let held = Arc::new(held);
        let is_stale = held.fresh_until <= now;
        let flights = shared.flights.lock();
        if held.epoch < shared.epochs.floor() {
            drop(flights);
            return Some(self);
        }
        if self.is_current(flights.get(self.key)) {
            shared.memory.insert(self.key.clone(), Arc::clone(&held));
        }
        // Still under the lock: nobody joins between the look at the epoch and the result.
        self.flight.result.send_replace(Some(Ok(Arc::clone(&held))));
        drop(flights);
        let cache = self.cache.clone();
        let key = self.key.clone();
        drop(self);
        if is_stale {
            cache.refresh(key, &held, Instant::now());
        }
        None
    }

    fn is_current(&self, current: Option<&Arc<Flight>>) -> bool {
        current.is_some_and(|current| Arc::ptr_eq(current, self.flight))
    }
}

impl Drop for Boarded<'_> {
    fn drop(&mut self) {
        let shared = &self.cache.shared;
        let mut flights = shared.flights.lock();
        if self.is_current(flights.get(self.key)) {
            flights.remove(self.key);
        }
        drop(flights);
        if self.flight.why == Why::Refresh {
            shared.refreshes.fetch_sub(1, Ordering::Relaxed);
        }
        if self.flight.result.borrow().is_none() {
            self.flight.result.send_replace(Some(Err(LoadError::Aborted)));
        }
    }
}
