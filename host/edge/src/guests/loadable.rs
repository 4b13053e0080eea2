//! A policy that can run here: in memory, or loaded when a visitor first needs it.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time};
use wayside_decide::{decision::Failure, digest::Digest};
use wayside_policy::guest::Guest;

use super::shop::Shop;

/// How long a visitor waits for a policy that is being loaded. Loading goes on for those who come later.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// One policy, loaded at most once.
pub(crate) struct Loadable {
    digest: Digest,
    shop: Arc<Shop>,
    /// Where loading runs: the visitor's own thread serves others meanwhile.
    runtime: Handle,
    guest: Arc<OnceLock<Arc<Guest>>>,
    loading: Mutex<Option<watch::Receiver<Option<Loaded>>>>,
}

type Loaded = Result<(), Failure>;

impl Loadable {
    /// One whose compiled form is kept. Must be called on the runtime that is to load it.
    pub(super) fn new(shop: &Arc<Shop>, digest: Digest) -> Self {
        Self {
            digest,
            shop: Arc::clone(shop),
            runtime: Handle::current(),
            guest: Arc::default(),
            loading: Mutex::default(),
        }
    }

    /// One that is in memory.
    pub(super) fn loaded(shop: &Arc<Shop>, guest: Guest) -> Self {
        let loadable = Self::new(shop, guest.digest());
        // It was just made: nobody else has set it.
        let _ = loadable.guest.set(Arc::new(guest));
        loadable
    }

    /// The guest, after waiting a little for it if need be.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when it is not there by then, or cannot be loaded; the next visitor tries again.
    pub(crate) async fn guest(&self) -> Result<Arc<Guest>, Failure> {
        if let Some(guest) = self.guest.get() {
            return Ok(Arc::clone(guest));
        }
        let mut loading = self.begin();
        let landed = time::timeout(WAIT_MAX, loading.wait_for(Option::is_some)).await;
        if let Ok(Ok(landed)) = landed
            && let Some(Err(failure)) = &*landed
        {
            return Err(failure.clone());
        }
        let still = || Failure::Unavailable("it is still being loaded".to_owned());
        self.guest.get().map(Arc::clone).ok_or_else(still)
    }

    /// Begins to load it unless somebody has.
    fn begin(&self) -> watch::Receiver<Option<Loaded>> {
        let mut loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = loading.as_ref().filter(|loading| loading.borrow().is_none())
            && under_way.has_changed().is_ok()
        {
            return under_way.clone();
        }
        let (tell, told) = watch::channel(None);
        *loading = Some(told.clone());
        let (shop, digest, guest) = (Arc::clone(&self.shop), self.digest, Arc::clone(&self.guest));
        self.runtime.spawn(async move {
            let loaded = shop.load(digest).await.map(|loaded| {
                let _ = guest.set(Arc::new(loaded));
            });
            if let Err(failure) = &loaded {
                tracing::error!(%digest, %failure, "load a policy");
            }
            tell.send_replace(Some(loaded));
        });
        told
    }
}
