//! Loads under way: one for each key, however many ask, and none whose result outlives an invalidation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use wayside_decide::link::Link;

use super::{LinkCache, held::Held};
use crate::{
    disk::OnDisk,
    key::{Key, KeyRef},
    load::LoadError,
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
        let (result, landing) = watch::channel(None);
        let epoch = self.shared.epochs.current();
        let flight = Arc::new(Flight { result, why, epoch });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);
        let cache = self.clone();
        self.shared.runtime.spawn(async move { cache.fly(key, &flight).await });
        landing
    }

    async fn fly(&self, key: Key, flight: &Arc<Flight>) {
        let mut guard = Boarded {
            cache: self,
            key: &key,
            flight,
            may_be_on_disk: flight.why == Why::Refresh,
        };
        if flight.why == (Why::Missing { asks_disk: true }) {
            match self.ask_slow_disk(&key).await {
                Some(Some(held)) => return guard.land_from_disk(held),
                Some(None) => {}
                None => guard.may_be_on_disk = true,
            }
        }
        let load_timeout = self.shared.settings.load_timeout;
        // Taken before the load begins: what it brings is at least as new.
        let seen = self.shared.horizon.seen();
        let loading = self.shared.loader.load(key.site, &key.path, seen);
        let loaded = tokio::time::timeout(load_timeout, loading).await;
        let loaded = loaded.unwrap_or(Err(LoadError::TimedOut {
            timeout_ms: load_timeout.as_millis(),
        }));
        guard.land(loaded);
    }

    /// What the disk has that is of use; none when it does not say so in time. Readers that wait are bounded: a disk
    /// that hangs costs a few threads.
    async fn ask_slow_disk(&self, key: &Key) -> Option<Option<Held>> {
        let turn = Arc::clone(&self.shared.disk_turns).try_acquire_owned().ok()?;
        let (cache, wanted) = (self.clone(), key.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            cache.shared.disk.as_ref()?.read(wanted.view())
        });
        let on_disk = tokio::time::timeout(DISK_WAIT_MAX, reading).await.ok()?.ok()?;
        Some(on_disk.and_then(|on_disk| self.revived(key.view(), on_disk, Instant::now())))
    }

    /// What was kept on disk, as an entry; none when it is too old.
    pub(super) fn revived(&self, key: KeyRef<'_>, on_disk: OnDisk, now: Instant) -> Option<Held> {
        let shared = &self.shared;
        let age = shared.clock.seconds(now).saturating_sub(on_disk.loaded_s);
        let lifetime = shared.lifetime(key, true);
        let age = Duration::from_secs(age);
        let Some(held) = Held::aged(Some(on_disk.link), lifetime, age, on_disk.epoch, now) else {
            if let Some(disk) = &shared.disk {
                disk.remove(key.to_key());
            }
            return None;
        };
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
    fn land(self, loaded: Result<Option<Link>, LoadError>) {
        let shared = &self.cache.shared;
        let now = Instant::now();
        if loaded.is_ok() {
            shared.refreshes_after_ms.store(0, Ordering::Relaxed);
        }
        let landed = loaded.map(|link| {
            let lifetime = shared.lifetime(self.key.view(), link.is_some());
            let age = Duration::ZERO;
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
                    shared.keep_on_disk(self.key, &held, self.may_be_on_disk, now);
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

    fn land_from_disk(self, held: Held) {
        let shared = &self.cache.shared;
        let held = Arc::new(held);
        let is_stale = held.fresh_until <= Instant::now();
        let flights = shared.flights.lock();
        if self.is_current(flights.get(self.key)) && held.epoch >= shared.epochs.floor() {
            shared.memory.insert(self.key.clone(), Arc::clone(&held));
        }
        drop(flights);
        self.flight.result.send_replace(Some(Ok(Arc::clone(&held))));
        let cache = self.cache.clone();
        let key = self.key.clone();
        drop(self);
        if is_stale {
            cache.refresh(key, &held, Instant::now());
        }
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
