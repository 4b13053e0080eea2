//! One manifest through time: fresh, a little old, old, gone.
//!
//! In: instants and what fetches end with. Out: what is served meanwhile. One fetch at a time is under way, however many
//! ask; it goes on when they have gone. Nobody waits for the disk but for the last manifest, while the origin is away.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quick_cache::sync::{EntryAction, EntryResult};
use tokio::{sync::watch, task::spawn_blocking};
use wayside_decide::{name::Name, site::SiteId, target::Target};

use super::{
    NoManifest, Shared,
    content::{self, Content},
    disk::Word,
    held::SlotKey,
    seats::Seat,
    shelf::Shelved,
};
use crate::streams::fetch::{FetchError, Fetched, Validators};

/// How long until the next try after one that failed, and at most after many.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long "there is none" holds.
const MISSING: Duration = Duration::from_secs(2);
/// How often what is on disk is told, while it may be served, that the origin has confirmed it.
const CONFIRMATIONS: u32 = 16;

/// What a fetch ended with, once it has.
pub(super) type Landing = watch::Receiver<Option<Result<Arc<Content>, NoManifest>>>;

/// What to do for somebody who asks.
pub(super) enum Step {
    /// Serve this.
    Held(Arc<Content>),
    /// Say this.
    Failed(NoManifest),
    /// Wait for it.
    Wait(Landing),
}

/// Whose manifest it is, as the log tells.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) tenant: Name,
    pub(super) site: Name,
    /// The asset that asked for it first: others may have the same.
    pub(super) asset: Name,
}

/// A manifest at its URL.
pub(super) struct Slot {
    key: SlotKey,
    owner: Owner,
    pub(super) url: Target,
    state: Mutex<State>,
}

struct State {
    content: Option<Arc<Content>>,
    /// Until when it is served without asking again.
    fresh_until: Instant,
    /// Until when it is served while somebody asks again behind it: as long as it was fresh.
    soft_until: Instant,
    /// Until when it is served while nothing newer can be had.
    stale_until: Instant,
    /// From when on it may be asked for.
    retry_at: Instant,
    /// From when on what is on disk may be told again that the origin has confirmed it.
    confirm_at: Instant,
    /// Which content the disk has, as far as that is known.
    on_disk: Option<u64>,
    /// Whether what the disk may have was taken down: that is not served again.
    is_taken_down: bool,
    /// Tries that failed since the last that did not.
    failures: u32,
    error: Option<NoManifest>,
    flight: Option<Landing>,
}

impl Slot {
    pub(super) fn new(key: SlotKey, owner: Owner, url: Target) -> Self {
        let now = Instant::now();
        Self {
            key,
            owner,
            url,
            state: Mutex::new(State {
                content: None,
                fresh_until: now,
                soft_until: now,
                stale_until: now,
                retry_at: now,
                confirm_at: now,
                on_disk: None,
                is_taken_down: false,
                failures: 0,
                error: None,
                flight: None,
            }),
        }
    }

    /// What it takes in memory beside itself, in bytes.
    pub(super) fn weight(&self) -> usize {
        let state = self.lock();
        state.content.as_ref().map_or(0, |content| content.weight())
    }

    /// The last one that may be served.
    pub(super) fn last(&self) -> Option<Arc<Content>> {
        let state = self.lock();
        state.content.clone().filter(|_| Instant::now() < state.stale_until)
    }

    /// What to do for somebody who asks at `now`.
    pub(super) fn step(self: &Arc<Self>, now: Instant, may_fetch: bool, shared: &Arc<Shared>) -> Step {
        let mut state = self.lock();
        let held = state.content.clone().filter(|_| now < state.stale_until);
        if let Some(content) = held.clone().filter(|_| now < state.fresh_until) {
            return Step::Held(content);
        }
        if state.flight.is_none() && now >= state.retry_at && may_fetch {
            state.flight = self.take_off(&state, shared);
        }
        // Who would wait for a try that is like those that failed gets the last one instead.
        let is_waited_for = now >= state.soft_until && state.failures == 0;
        match (held, &state.flight) {
            (Some(_), Some(flight)) if is_waited_for => Step::Wait(flight.clone()),
            (Some(content), _) => Step::Held(content),
            (None, Some(flight)) => Step::Wait(flight.clone()),
            (None, None) => {
                let shed = || NoManifest::Shed(self.url.as_str().into());
                Step::Failed(
                    state
                        .error
                        .clone()
                        .filter(|_| now < state.retry_at)
                        .unwrap_or_else(shed),
                )
            }
        }
    }

    /// Begins to fetch; none when too much is fetched for the tenant already.
    fn take_off(self: &Arc<Self>, state: &State, shared: &Arc<Shared>) -> Option<Landing> {
        let seat = shared.seats.take(&self.owner.tenant)?;
        let (result, landing) = watch::channel(None);
        let known = state
            .content
            .as_ref()
            .map(|content| content.validators.clone())
            .unwrap_or_default();
        let flight = Flight {
            slot: Arc::clone(self),
            shared: Arc::clone(shared),
            _seat: seat,
        };
        shared.runtime.spawn(async move {
            let outcome = flight.fly(known).await;
            flight.slot.weigh(&flight.shared);
            // Nobody may wait any more.
            let _ = result.send(Some(outcome));
        });
        Some(landing)
    }

    /// What came weighs something else than what was there, whether or not anybody waited for it. Where memory let go of this
    /// slot meanwhile and another has its place, that one stays: it may know that the manifest was taken down.
    pub(super) fn weigh(self: &Arc<Self>, shared: &Shared) {
        let weighed = (Arc::clone(self), self.weight());
        let own = |_: &SlotKey, (other, _): &mut (Arc<Self>, usize)| {
            if Arc::ptr_eq(other, self) {
                EntryAction::ReplaceWithGuard
            } else {
                EntryAction::Retain(())
            }
        };
        let place = shared.slots.entry(&self.key, None, own);
        if let EntryResult::Replaced(place, _) | EntryResult::Vacant(place) = place {
            // Refused when somebody else has the place by now.
            let _ = place.insert(weighed);
        }
    }

    pub(super) fn content(&self) -> Option<Arc<Content>> {
        self.lock().content.clone()
    }

    pub(super) const fn site(&self) -> SiteId {
        self.key.site
    }

    pub(super) const fn tenant(&self) -> &Name {
        &self.owner.tenant
    }

    /// Whether the disk has what is held.
    pub(super) fn is_on_disk(&self) -> bool {
        let state = self.lock();
        let held = state.content.as_ref().map(|content| content.id);
        held.is_some() && held == state.on_disk
    }

    /// The disk has the content of this number now.
    pub(super) fn note_on_disk(&self, id: u64) {
        self.lock().on_disk = Some(id);
    }

    fn read(&self, id: u64, body: Bytes, validators: Validators) -> Result<Arc<Content>, String> {
        let SlotKey { kind, folder, .. } = &self.key;
        content::read(id, *kind, (&self.url, folder), body, validators).map(Arc::new)
    }

    /// As if it had been so much earlier that everything was fetched.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        let mut state = self.lock();
        let State {
            fresh_until,
            soft_until,
            stale_until,
            retry_at,
            confirm_at,
            ..
        } = &mut *state;
        for instant in [fresh_until, soft_until, stale_until, retry_at, confirm_at] {
            *instant -= by;
        }
    }

    /// Whether nothing is on its way.
    #[cfg(test)]
    pub(super) fn has_landed(&self) -> bool {
        self.lock().flight.is_none()
    }

    /// Puts the next try off, and says until when.
    #[cfg(test)]
    pub(super) fn delay(&self, by: Duration) -> Instant {
        let mut state = self.lock();
        state.retry_at += by;
        state.retry_at
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left half changed is asked for again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. When it ends, however it does, another may begin.
struct Flight {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    _seat: Seat,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.slot.lock().flight = None;
    }
}

impl Flight {
    async fn fly(&self, known: Validators) -> Result<Arc<Content>, NoManifest> {
        let slot = &self.slot;
        match self
            .shared
            .fetcher
            .fetch(slot.tenant().as_str(), &slot.url, &known)
            .await
        {
            Ok(Fetched::Unchanged { fresh }) => match slot.content() {
                Some(content) => {
                    let content = self.renew(content, fresh);
                    self.confirm();
                    Ok(content)
                }
                // It was asked with the validators of what is there, and only this flight changes that.
                None => Err(NoManifest::Away(
                    format!("{}: nothing that could be unchanged", slot.url).into(),
                )),
            },
            Ok(Fetched::Whole {
                body,
                validators,
                fresh,
                part: _part,
            }) => match self.read(body, validators).await {
                Ok(content) => {
                    let content = self.renew(content, fresh);
                    self.keep();
                    Ok(content)
                }
                Err(error) => self.failed(NoManifest::Broken(error)).await,
            },
            Err(FetchError::Status(404 | 410)) => Err(self.missing()),
            Err(FetchError::Room(_)) => self.failed(NoManifest::Shed(slot.url.as_str().into())).await,
            Err(error) => {
                self.failed(NoManifest::Away(format!("{}: {error}", slot.url).into()))
                    .await
            }
        }
    }

    async fn read(&self, body: Bytes, validators: Validators) -> Result<Arc<Content>, Arc<str>> {
        let slot = Arc::clone(&self.slot);
        let id = self.shared.contents.fetch_add(1, Ordering::Relaxed);
        let reading = spawn_blocking(move || {
            let read = slot.read(id, body, validators);
            read.map_err(|problem| format!("{}: {problem}", slot.url).into())
        });
        reading.await.unwrap_or_else(|_| Err("reading it panicked".into()))
    }

    fn renew(&self, content: Arc<Content>, fresh: Duration) -> Arc<Content> {
        let now = Instant::now();
        let mut state = self.slot.lock();
        state.fresh_until = now + fresh;
        state.soft_until = now + 2 * fresh;
        state.stale_until = state.soft_until + self.shared.settings.stale_max;
        state.retry_at = now;
        state.failures = 0;
        state.error = None;
        state.is_taken_down = false;
        state.content = Some(Arc::clone(&content));
        content
    }

    /// What was taken down is not to come back from the disk either.
    fn missing(&self) -> NoManifest {
        let error = NoManifest::Missing(self.slot.url.as_str().into());
        {
            let mut state = self.slot.lock();
            state.content = None;
            state.is_taken_down = true;
            state.failures = 0;
            state.retry_at = Instant::now() + MISSING;
            state.error = Some(error.clone());
        }
        if let Some(disk) = &self.shared.disk {
            disk.remove(&self.slot);
        }
        error
    }

    /// What is served when there is nothing newer: the last one, else what was kept on disk.
    async fn failed(&self, error: NoManifest) -> Result<Arc<Content>, NoManifest> {
        let slot = &self.slot;
        let Owner { tenant, site, asset } = &slot.owner;
        tracing::warn!(%tenant, %site, %asset, %error, "kept the manifest that was there, if any");
        let last = match slot.last() {
            Some(last) => Some((last, None)),
            None => self.shelved().await.map(|(content, left)| (content, Some(left))),
        };
        let now = Instant::now();
        let mut state = slot.lock();
        state.retry_at = now + RETRY.saturating_mul(1 << state.failures.min(10)).min(RETRY_MAX);
        state.failures = state.failures.saturating_add(1);
        state.error = Some(error.clone());
        let (content, left) = last.ok_or(error)?;
        if let Some(left) = left {
            state.stale_until = now + left;
            state.on_disk = Some(content.id);
            state.content = Some(Arc::clone(&content));
        }
        Ok(content)
    }

    /// Keeps the manifest on disk, for the next start; one that follows soon on another when its turn comes.
    fn keep(&self) {
        if let Some(disk) = &self.shared.disk
            && !disk.tell(&self.slot, Word::New)
        {
            // With the next confirmation, then.
            self.slot.lock().confirm_at = Instant::now();
        }
    }

    /// Has what is on disk be as good as new, now and then.
    fn confirm(&self) {
        let Some(disk) = &self.shared.disk else { return };
        let now = Instant::now();
        if now >= self.slot.lock().confirm_at && disk.tell(&self.slot, Word::Confirmed) {
            self.slot.lock().confirm_at = now + self.shared.settings.stale_max / CONFIRMATIONS;
        }
    }

    /// What was kept on disk, and for how long it may still be served.
    async fn shelved(&self) -> Option<(Arc<Content>, Duration)> {
        let disk = self.shared.disk.as_ref()?;
        if self.slot.lock().is_taken_down {
            return None;
        }
        let id = self.shared.contents.fetch_add(1, Ordering::Relaxed);
        let stale_max = self.shared.settings.stale_max;
        let read = move |slot: &Slot, (body, validators, age): Shelved| {
            let left = stale_max.checked_sub(age)?;
            Some((slot.read(id, body, validators).ok()?, left))
        };
        disk.read(&self.slot, read).await
    }
}
