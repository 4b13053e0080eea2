//! Tokens of signed URLs, made ahead and kept.
//!
//! A token holds for all that stands below a copy's folder and for everybody, for a window of time. In: the tenant, how its
//! target signs, the folder, the instant. Out: what to put on URLs. Who comes first in a window waits for the token; who
//! comes towards its end has the next one made behind. It must not know who asks.

use std::{
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use foldhash::fast::FixedState;
use quick_cache::sync::Cache;
use tokio::{
    runtime::Handle,
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};
use wayside_decide::{
    name::Name,
    stream::{base::BaseUrl, signing::SigningSpec},
    target::Target,
};
use wayside_stream::{
    pathway::Proof,
    sign::{self, Coverage, Signing, token::Token, validity::Window},
};

use super::secrets::{LiveSigner, SecretError, Signer, Signers};

/// Folders whose tokens are kept.
const SOURCES_MAX: usize = 65_536;
/// How long before a window's end the next token is made at the earliest, in seconds; a tenth of short windows.
const AHEAD_S: u64 = 60;
/// Signatures that are made at the same time: each keeps a core for a third of a millisecond.
const SIGNING_MAX: usize = 2;

/// Why a URL has no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SigningError {
    /// There is no key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key cannot sign this.
    #[error(transparent)]
    Sign(#[from] sign::Error),
    /// Making the token failed in a way that is a mistake of ours.
    #[error("making the token panicked")]
    Panicked,
}

/// A token and for how long it is given out.
#[derive(Debug)]
pub(crate) struct Minted {
    /// What stands on URLs.
    token: Token,
    /// When it is given out, and for how much longer it holds.
    window: Window,
    /// By which signer it was made: another key is another one.
    signer: u64,
    /// No other has it.
    id: u64,
}

/// What to put on the URLs of a target.
#[derive(Debug, Clone)]
pub(crate) enum Pass {
    /// Nothing.
    Open,
    /// A token that was made.
    Token(Arc<Minted>),
    /// For each URL one of its own, which is cheap to make.
    Each(Arc<Signer>, Window),
}

impl Pass {
    /// As playlists are given it; none when each URL has one of its own, for which media playlists would have to be
    /// rewritten.
    pub(crate) fn proof(&self) -> Option<Proof<'_>> {
        match self {
            Self::Open => Some(Proof::Open),
            Self::Token(minted) => Some(Proof::Token(&minted.token)),
            Self::Each(..) => None,
        }
    }

    /// The URL of what stands at a path below a folder, with its token, where nothing in it needs a parser to look at it.
    pub(crate) fn below(&self, base: &BaseUrl, path: &str) -> Option<Target> {
        match self {
            Self::Open => base.join_plain(path),
            Self::Token(minted) => minted.token.below(base, path),
            Self::Each(..) => None,
        }
    }

    /// One URL with its token.
    ///
    /// # Errors
    /// [`sign::Error`] when the URL has a parameter of the token's name already, or cannot be expressed.
    pub(crate) fn sign(&self, url: Target) -> Result<Target, sign::Error> {
        match self {
            Self::Open => Ok(url),
            Self::Token(minted) => minted.token.add_to(&url),
            Self::Each(signer, window) => signer.signing.sign(&url, window),
        }
    }

    /// What tells it from the next one. 0 for none.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Open => 0,
            Self::Token(minted) => minted.id,
            Self::Each(_, window) => window.issued_s,
        }
    }
}

/// Where the tokens of one folder come from.
#[derive(Debug)]
pub(crate) struct TokenSource {
    folder: BaseUrl,
    signer: Arc<LiveSigner>,
    /// Spreads the ends of windows over time: all nodes' alike.
    phase: u64,
    current: ArcSwapOption<Minted>,
    next: ArcSwapOption<Minted>,
    minting: Mutex<()>,
    is_renewing: AtomicBool,
    /// The signer and the window for which a token could not be made ahead.
    failed: ArcSwapOption<(u64, u64)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    turns: Semaphore,
    minted: AtomicU64,
}

type SourceKey = (Name, SigningSpec, BaseUrl);

/// The tokens of all folders.
#[derive(Debug)]
pub(crate) struct Tokens {
    signers: Signers,
    sources: Cache<SourceKey, Arc<TokenSource>>,
    shared: Arc<Shared>,
}

impl Tokens {
    /// Tokens by these signers. What is made ahead is made on the current runtime.
    pub(crate) fn new(signers: Signers) -> Self {
        Self {
            signers,
            sources: Cache::new(SOURCES_MAX),
            shared: Arc::new(Shared {
                runtime: Handle::current(),
                turns: Semaphore::new(SIGNING_MAX),
                minted: AtomicU64::new(1),
            }),
        }
    }

    /// Where the tokens of a folder come from. To be kept beside what the folder belongs to.
    pub(crate) fn source(&self, tenant: &Name, spec: &SigningSpec, folder: &BaseUrl) -> Arc<TokenSource> {
        let key = (tenant.clone(), spec.clone(), folder.clone());
        if let Some(source) = self.sources.get(&key) {
            return source;
        }
        let source = Arc::new(TokenSource {
            folder: folder.clone(),
            signer: self.signers.of(tenant, spec),
            phase: FixedState::with_seed(0).hash_one(folder.as_str()),
            current: ArcSwapOption::empty(),
            next: ArcSwapOption::empty(),
            minting: Mutex::default(),
            is_renewing: AtomicBool::new(false),
            failed: ArcSwapOption::empty(),
            shared: Arc::clone(&self.shared),
        });
        // Of two that come at the same time one stays.
        let held = self
            .sources
            .get_or_insert_with(&key, || Ok::<_, SigningError>(Arc::clone(&source)));
        held.unwrap_or(source)
    }

    /// Follows the files of keys. Ends never.
    pub(crate) async fn watch(self: Arc<Self>) {
        self.signers.watch().await;
    }
}

impl TokenSource {
    /// What to put on URLs at `now_s`, when that is there; none when it has to be made ([`TokenSource::pass`]).
    pub(crate) fn ready(self: &Arc<Self>, now_s: u64) -> Option<Result<Pass, SigningError>> {
        let signer = match self.signer.current()? {
            Ok(signer) => signer,
            Err(error) => return Some(Err(error.into())),
        };
        if signer.signing.coverage() == Coverage::Url {
            let window = signer.validity.window(now_s, self.phase);
            return Some(Ok(Pass::Each(signer, window)));
        }
        let fits = |minted: &Arc<Minted>| {
            minted.signer == signer.id && (minted.window.issued_s..minted.window.next_s).contains(&now_s)
        };
        let current = self.current.load();
        let minted = match current.as_ref().filter(|minted| fits(minted)) {
            Some(minted) => Arc::clone(minted),
            None => {
                let next = self.next.load_full().filter(fits)?;
                self.current.store(Some(Arc::clone(&next)));
                next
            }
        };
        let Window { issued_s, next_s, .. } = minted.window;
        if now_s + AHEAD_S.min((next_s - issued_s) / 10) >= next_s {
            self.renew(&signer, next_s);
        }
        Some(Ok(Pass::Token(minted)))
    }

    /// Has the key read, unless somebody did. What is wrong with it is told there.
    pub(crate) async fn read_key(&self) {
        if self.signer.current().is_none() {
            let _ = self.signer.read().await;
        }
    }

    /// Whether the key was read, and cannot be used.
    pub(crate) fn is_keyless(&self) -> bool {
        self.signer.is_unusable()
    }

    /// What to put on URLs at `now_s`. Waits for it when it has to be made; however many wait, it is made once.
    ///
    /// # Errors
    /// [`SigningError`] when there is no key, or the folder cannot be signed.
    pub(crate) async fn pass(self: &Arc<Self>, now_s: u64) -> Result<Pass, SigningError> {
        if let Some(ready) = self.ready(now_s) {
            return ready;
        }
        let _one = self.minting.lock().await;
        if let Some(ready) = self.ready(now_s) {
            return ready;
        }
        let signer = self.signer.read().await?;
        if signer.signing.coverage() == Coverage::Folder {
            let minted = self.mint(&signer, now_s).await?;
            self.current.store(Some(Arc::clone(&minted)));
            return Ok(Pass::Token(minted));
        }
        let window = signer.validity.window(now_s, self.phase);
        Ok(Pass::Each(signer, window))
    }

    /// Has the token of the next window made, unless it is there or on its way, or that has failed: it would again.
    fn renew(self: &Arc<Self>, signer: &Arc<Signer>, next_s: u64) {
        let is_there = |next: &Arc<Minted>| next.signer == signer.id && next.window.issued_s == next_s;
        let has_failed = |failed: &Arc<(u64, u64)>| **failed == (signer.id, next_s);
        if self.next.load().as_ref().is_some_and(is_there)
            || self.failed.load().as_ref().is_some_and(has_failed)
            || self.is_renewing.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let (source, signer) = (Arc::clone(self), Arc::clone(signer));
        self.shared.runtime.spawn(async move {
            match source.mint(&signer, next_s).await {
                Ok(minted) => source.next.store(Some(minted)),
                Err(error) => {
                    // Once: who comes when the window has ended is told.
                    tracing::warn!(%error, folder = %source.folder, "make a token ahead");
                    source.failed.store(Some(Arc::new((signer.id, next_s))));
                }
            }
            source.is_renewing.store(false, Ordering::Relaxed);
        });
    }

    async fn mint(&self, signer: &Arc<Signer>, now_s: u64) -> Result<Arc<Minted>, SigningError> {
        let window = signer.validity.window(now_s, self.phase);
        let token = if matches!(signer.signing, Signing::CloudFront(_)) {
            let _turn = self.shared.turns.acquire().await;
            let (signer, folder) = (Arc::clone(signer), self.folder.clone());
            let signed = spawn_blocking(move || signer.signing.token(&folder, &window)).await;
            signed.map_err(|_| SigningError::Panicked)??
        } else {
            signer.signing.token(&self.folder, &window)?
        };
        Ok(Arc::new(Minted {
            token,
            window,
            signer: signer.id,
            id: self.shared.minted.fetch_add(1, Ordering::Relaxed),
        }))
    }
}

#[cfg(test)]
mod tests;
