//! The policies of a node: fetched by digest, admitted, compiled, kept while a binding names them.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use wayside_decide::digest::Digest;
use wayside_policy::{admission::Admission, guest::Guest};
use wayside_upstream::{client::OriginClient, protocol::EdgeDirectory};

use crate::{causes::told, directory::GuestState, files, metrics::Metrics};

/// What stands for each digest that some binding names.
enum Known {
    Ready(Arc<Guest>),
    /// This node refuses the component; the same bytes would be refused again.
    Refused(Arc<str>),
    /// It could not be fetched; the next directory, or a reconnect, tries again.
    Unfetched(Arc<str>),
}

/// Fetches and keeps guests.
pub(crate) struct Guests {
    admission: Admission,
    origin: OriginClient,
    /// Where components are kept, so that a node starts without its origin.
    folder: Option<PathBuf>,
    known: Mutex<HashMap<Digest, Known>>,
}

impl Guests {
    pub(crate) fn new(admission: Admission, origin: OriginClient, folder: Option<PathBuf>) -> Self {
        Self {
            admission,
            origin,
            folder,
            known: Mutex::default(),
        }
    }

    /// What a binding to `digest` can run.
    pub(crate) fn state(&self, digest: Digest) -> GuestState {
        match self.known().get(&digest) {
            Some(Known::Ready(guest)) => GuestState::Ready(Arc::clone(guest)),
            Some(Known::Refused(reason) | Known::Unfetched(reason)) => GuestState::Refused(Arc::clone(reason)),
            None => GuestState::Pending,
        }
    }

    /// The digests that `directory` names and that are still to be loaded. Forgets those that it no longer names.
    pub(crate) fn missing(&self, directory: &EdgeDirectory) -> Vec<Digest> {
        let bindings = directory.sites.iter().flat_map(|site| &site.bindings);
        let named: HashSet<Digest> = bindings
            .filter_map(|binding| Digest::parse(&binding.digest).ok())
            .collect();
        let mut known = self.known();
        known.retain(|digest, state| named.contains(digest) && !matches!(state, Known::Unfetched(_)));
        named.into_iter().filter(|digest| !known.contains_key(digest)).collect()
    }

    /// Fetches, admits and compiles one component. Its outcome is then known to [`Guests::state`].
    pub(crate) async fn load(&self, digest: Digest, metrics: &Metrics) {
        let outcome = match self.fetch(digest, metrics).await {
            Ok(bytes) => self.compile(digest, bytes).await,
            Err(reason) => Known::Unfetched(reason.into()),
        };
        match &outcome {
            Known::Ready(_) => tracing::info!(%digest, "loaded a policy"),
            Known::Refused(reason) => tracing::error!(%digest, %reason, "quarantined a policy"),
            Known::Unfetched(reason) => tracing::warn!(%digest, %reason, "a policy cannot be fetched"),
        }
        self.known().insert(digest, outcome);
    }

    async fn fetch(&self, digest: Digest, metrics: &Metrics) -> Result<Bytes, String> {
        if let Some(bytes) = self.read_kept(digest).await {
            return Ok(bytes);
        }
        let fetched = self.origin.policy(digest).await;
        metrics.count_origin_request("policy", fetched.is_ok());
        let bytes = fetched.map_err(|error| told(&error))?;
        if let Some(folder) = self.folder.clone() {
            let (path, copy) = (folder.join(file_name(digest)), bytes.clone());
            let kept = tokio::task::spawn_blocking(move || files::replace(&path, |out| out.write_all(&copy))).await;
            if let Ok(Err(error)) = kept {
                tracing::warn!(%digest, %error, "keep a policy for the next start");
            }
        }
        Ok(bytes)
    }

    /// A kept component whose bytes are still those of its digest.
    async fn read_kept(&self, digest: Digest) -> Option<Bytes> {
        let path = self.folder.as_ref()?.join(file_name(digest));
        let bytes = tokio::fs::read(path).await.ok()?;
        (Digest::of(&bytes) == digest).then(|| Bytes::from(bytes))
    }

    /// Admits a component that nobody has published, as at upload, without keeping it. The error is for its author.
    pub(crate) async fn admit(&self, component: Bytes) -> Result<Arc<Guest>, String> {
        let admission = self.admission.clone();
        let admitted = tokio::task::spawn_blocking(move || {
            admission.admit(&component)?;
            admission.load(&component)
        });
        match admitted.await {
            Ok(Ok(guest)) => Ok(Arc::new(guest)),
            Ok(Err(refusal)) => Err(refusal.to_string()),
            Err(error) => {
                tracing::error!(%error, "compiling a policy to plan panicked");
                Err("the compiler failed on it".to_owned())
            }
        }
    }

    /// Compiling takes milliseconds to seconds, so it runs apart from the control plane's own work.
    async fn compile(&self, digest: Digest, bytes: Bytes) -> Known {
        let admission = self.admission.clone();
        match tokio::task::spawn_blocking(move || admission.load(&bytes)).await {
            Ok(Ok(guest)) => Known::Ready(Arc::new(guest)),
            Ok(Err(refusal)) => Known::Refused(refusal.to_string().into()),
            Err(error) => {
                tracing::error!(%digest, %error, "compiling a policy panicked");
                Known::Refused("the compiler failed on it".into())
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
}
