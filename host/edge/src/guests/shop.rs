//! Where guests come from: the node's own disk, else the origin and the compiler.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use tokio::task::spawn_blocking;
use wayside_decide::{decision::Failure, digest::Digest, name::Name};
use wayside_policy::{admission::Admission, artefact::Artefact, guest::Guest};
use wayside_upstream::origins::Origins;

use super::kept::Kept;
use crate::{causes::told, metrics::Metrics};

/// Why a policy cannot run here.
pub(super) enum NotReady {
    /// The component is refused, and would be again.
    Refused(String),
    /// It cannot be had now.
    Away(String),
}

/// What it takes to get guests.
pub(super) struct Shop {
    admission: Admission,
    origins: Origins,
    kept: Option<Arc<Kept>>,
    metrics: Arc<Metrics>,
}

impl Shop {
    pub(super) fn new(admission: Admission, origins: Origins, kept: Option<Kept>, metrics: Arc<Metrics>) -> Self {
        Self {
            admission,
            origins,
            kept: kept.map(Arc::new),
            metrics,
        }
    }

    /// Whether [`Shop::load`] needs neither origin nor compiler.
    pub(super) fn has_compiled(&self, digest: Digest) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.compiled(digest).is_some())
    }

    /// Maps what is kept of a policy; makes it anew when that is damaged.
    pub(super) async fn load(self: Arc<Self>, digest: Digest) -> Result<Guest, Failure> {
        if let Some(guest) = self.open(digest).await {
            self.metrics.count_policy_load("opened");
            return Ok(guest);
        }
        self.make(digest, None).await.map_err(|not_ready| match not_ready {
            NotReady::Refused(reason) | NotReady::Away(reason) => Failure::Unavailable(reason),
        })
    }

    async fn open(&self, digest: Digest) -> Option<Guest> {
        let kept = Arc::clone(self.kept.as_ref()?);
        let compiled = kept.compiled(digest)?;
        let admission = self.admission.clone();
        let opened = spawn_blocking(move || {
            let opened = admission.open(&compiled.path, compiled.artefact, digest, compiled.class);
            if let Err(error) = &opened {
                let path = compiled.path.display();
                tracing::error!(%digest, %path, %error, "a compiled policy cannot be used; compiling it again");
                kept.forget(digest);
            }
            opened.ok()
        });
        opened.await.ok().flatten()
    }

    /// Fetches and compiles a policy, in the turns of a tenant where it is known for whom, and keeps what comes of it.
    pub(super) async fn make(&self, digest: Digest, tenant: Option<Name>) -> Result<Guest, NotReady> {
        let component = self.component(digest).await.map_err(NotReady::Away)?;
        let admission = match &tenant {
            Some(tenant) => self.admission.for_tenant(tenant),
            None => self.admission.clone(),
        };
        let kept = self.kept.clone();
        let made = spawn_blocking(move || {
            let (guest, artefact) = admission.compile(&component)?;
            if let Some(kept) = kept {
                keep(&kept, &guest, &artefact);
            }
            Ok(guest)
        });
        let made = made.await.unwrap_or_else(|panicked| {
            tracing::error!(%digest, %panicked, "compiling a policy panicked");
            Err(wayside_policy::refusal::Refusal::NoCompiler("it panicked".to_owned()))
        });
        self.metrics
            .count_policy_load(if made.is_ok() { "compiled" } else { "refused" });
        made.map_err(|refusal| match refusal.is_final() {
            true => NotReady::Refused(refusal.to_string()),
            false => NotReady::Away(refusal.to_string()),
        })
    }

    /// Admits a component that nobody has published, as at upload, without keeping it. The error is for its author.
    pub(super) async fn admit(&self, component: Bytes) -> Result<Arc<Guest>, String> {
        let admission = self.admission.clone();
        match spawn_blocking(move || admission.admit(&component)).await {
            Ok(Ok((_, guest))) => Ok(Arc::new(guest)),
            Ok(Err(refusal)) => Err(refusal.to_string()),
            Err(panicked) => {
                tracing::error!(%panicked, "admitting a policy to plan panicked");
                Err("the compiler failed on it".to_owned())
            }
        }
    }

    /// The component, from disk if it is whole there.
    async fn component(&self, digest: Digest) -> Result<Bytes, String> {
        if let Some(kept) = self.kept.clone()
            && let Ok(Some(bytes)) = spawn_blocking(move || kept.component(digest)).await
        {
            return Ok(bytes.into());
        }
        let fetched = self.origins.policy(digest).await;
        self.metrics.count_origin_request("policy", fetched.is_ok());
        let bytes = fetched.map_err(|error| told(&error))?;
        if let Some(kept) = self.kept.clone() {
            let copy = bytes.clone();
            let written = spawn_blocking(move || kept.keep_component(digest, &copy)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(%digest, %error, "keep a policy for the next start");
            }
        }
        Ok(bytes)
    }

    /// Removes from the disk what belongs to none of `named`.
    pub(super) async fn clean_up(&self, named: HashSet<Digest>) {
        if let Some(kept) = self.kept.clone() {
            // What a panic leaves behind is removed the next time.
            let _ = spawn_blocking(move || kept.retain(&named)).await;
        }
    }
}

/// A full disk costs the next start time, and nothing now.
fn keep(kept: &Kept, guest: &Guest, artefact: &Artefact) {
    if let Err(error) = kept.keep_compiled(guest.digest(), guest.class(), artefact) {
        tracing::warn!(digest = %guest.digest(), %error, "keep a compiled policy for the next start");
    }
}
