//! The policies of a node: fetched by digest, admitted, compiled, kept on disk, and loaded when a visitor first needs one.
//!
//! In: the digests that a directory's bindings name. Out: for each a [`Loadable`], or why there is none.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use wayside_decide::{digest::Digest, name::Name};
use wayside_policy::{admission::Admission, guest::Guest};
use wayside_upstream::{origins::Origins, protocol::EdgeDirectory};

use self::{
    kept::Kept,
    shop::{NotReady, Shop},
};
use crate::{directory::GuestState, metrics::Metrics};

mod kept;
mod loadable;
mod shop;

pub(crate) use loadable::Loadable;

/// What stands for each digest that some binding names.
enum Known {
    /// It can be loaded, or has been.
    Ready(Arc<Loadable>),
    /// This node refuses the component; the same bytes would be refused again.
    Refused(Arc<str>),
    /// It could not be had; the next directory, or a reconnect, tries again.
    Away(Arc<str>),
}

/// Fetches and keeps guests.
pub(crate) struct Guests {
    shop: Arc<Shop>,
    known: Mutex<HashMap<Digest, Known>>,
}

impl Guests {
    /// `folder` is where components and what was compiled of them are kept, so that a node starts without its origin and
    /// without compiling; nothing is kept when absent. Must be called on the runtime that is to load guests.
    pub(crate) fn new(admission: Admission, origins: Origins, folder: Option<PathBuf>, metrics: Arc<Metrics>) -> Self {
        let kept = folder.map(|folder| Kept::open(folder, admission.engine().artefact_key()));
        Self {
            shop: Arc::new(Shop::new(admission, origins, kept, metrics)),
            known: Mutex::default(),
        }
    }

    /// What a binding to `digest` can run.
    pub(crate) fn state(&self, digest: Digest) -> GuestState {
        match self.known().get(&digest) {
            Some(Known::Ready(guest)) => GuestState::Ready(Arc::clone(guest)),
            Some(Known::Refused(reason) | Known::Away(reason)) => GuestState::Refused(Arc::clone(reason)),
            None => GuestState::Pending,
        }
    }

    /// The digests that `directory` names and that are still to be fetched or compiled, each with a tenant who names it.
    /// Forgets those that it no longer names.
    pub(crate) fn missing(&self, directory: &EdgeDirectory) -> Vec<(Digest, Name)> {
        let named = named(directory);
        let mut known = self.known();
        known.retain(|digest, state| named.contains_key(digest) && !matches!(state, Known::Away(_)));
        let mut missing = Vec::new();
        for (digest, tenant) in named {
            if known.contains_key(&digest) {
                continue;
            }
            if self.shop.has_compiled(digest) {
                known.insert(digest, Known::Ready(Arc::new(Loadable::new(&self.shop, digest))));
            } else {
                missing.push((digest, tenant));
            }
        }
        missing
    }

    /// Fetches, admits and compiles one component in a tenant's turns. Its outcome is then known to [`Guests::state`].
    pub(crate) async fn prepare(&self, digest: Digest, tenant: Name) {
        let outcome = match self.shop.make(digest, Some(tenant)).await {
            Ok(guest) => {
                tracing::info!(%digest, "compiled a policy");
                Known::Ready(Arc::new(Loadable::loaded(&self.shop, guest)))
            }
            Err(NotReady::Refused(reason)) => {
                tracing::error!(%digest, %reason, "quarantined a policy");
                Known::Refused(reason.into())
            }
            Err(NotReady::Away(reason)) => {
                tracing::warn!(%digest, %reason, "a policy cannot be had");
                Known::Away(reason.into())
            }
        };
        self.known().insert(digest, outcome);
    }

    /// Admits a component that nobody has published, as at upload, without keeping it. The error is for its author.
    pub(crate) async fn admit(&self, component: Bytes) -> Result<Arc<Guest>, String> {
        self.shop.admit(component).await
    }

    /// Removes from the disk what `directory`, which the origin has just sent, does not name.
    pub(crate) async fn clean_up(&self, directory: &EdgeDirectory) {
        self.shop.clean_up(named(directory).into_keys().collect()).await;
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digests that `directory` names, each with a tenant who does.
fn named(directory: &EdgeDirectory) -> HashMap<Digest, Name> {
    let bindings = directory
        .sites
        .iter()
        .flat_map(|site| site.bindings.iter().map(move |binding| (site, binding)));
    let named = bindings.filter_map(|(site, binding)| {
        let tenant = Name::parse("tenant", &site.tenant).ok()?;
        Some((Digest::parse(&binding.digest).ok()?, tenant))
    });
    named.collect()
}
