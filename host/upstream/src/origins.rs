//! All origins of a node, in regions: whoever is well answers, and nobody notices who was not.
//!
//! In: regions in order of preference, each with its origins. Out: the same reads as those of one [`OriginClient`], and a
//! feed that moves to another origin. Whom to ask is decided by [`Fleet`], which is pure; here are the sockets, the clock
//! and the randomness. A request is sent to another origin when one fails, and links also when one takes long. It must not
//! know what the answers are for.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::Notify, task::JoinHandle};
use wayside_balance::{
    breaker,
    fleet::{
        Fleet, OriginIndex,
        attempt::{Attempt, Ended, Read},
        settings::{self as fleet_settings, RegionSpec},
    },
    level::{AtomicLevel, Level},
    moment::Moment,
    random::Random,
};
use wayside_decide::{digest::Digest, site::SiteId};

use self::{feed::Feed, told::Transitions};
use crate::{
    access::Access,
    client::{OriginClient, OriginError},
    protocol::{Cursor, EdgeDirectory, EdgeLink, Epoch, Position, SnapshotPage},
};

pub mod feed;
pub mod shown;
mod streams;
mod told;

/// How long a large answer may take. The client has limits of its own, which are shorter than this where it matters.
const LARGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than the first ejection the longest is.
const EJECTION_GROWTH: u32 = 10;

/// Origins that are near each other and fail together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// What it is called.
    pub name: String,
    /// Lower goes first; of equals, the quicker one.
    pub preference: u32,
    /// The URLs of its origins, at least one.
    pub origins: Vec<String>,
}

/// How origins are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long one origin may take to answer about a link before another is asked.
    pub timeout: Duration,
    /// Whether another origin is asked, too, when an answer takes longer than nearly all.
    pub has_hedges: bool,
    /// How long an origin that fails again and again is not asked the first time, at most; later up to ten times that.
    pub ejection: Duration,
    /// How long each step takes in which a region gets its traffic back, at least.
    pub failback_step: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let fleet = fleet_settings::Settings::default();
        Self {
            // Two origins that hang leave time for a third within two seconds.
            timeout: Duration::from_millis(750),
            has_hedges: fleet.has_hedges,
            ejection: fleet.breaker.ejection_base,
            failback_step: fleet.step,
        }
    }
}

/// Speaks to all origins. Cheap to clone.
#[derive(Clone)]
pub struct Origins(Arc<Shared>);

struct Shared {
    regions: Vec<Region>,
    /// Region after region.
    clients: Vec<OriginClient>,
    timeout: Duration,
    /// What the node leaves undone.
    level: Arc<AtomicLevel>,
    started: Instant,
    state: Mutex<State>,
    /// Wakes whoever follows an origin when something changed.
    changed: Notify,
}

struct State {
    fleet: Fleet,
    random: Random,
    transitions: Transitions,
    /// Whose feed is open.
    followed: Option<OriginIndex>,
    /// Whose feed was open last, or could not be opened.
    left: Option<OriginIndex>,
}

impl Origins {
    /// A client for the origins of `regions`, to which the node shows who it is by `access`. It leaves undone what `level`
    /// leaves undone: from [`Level::Reduced`] on no origin is asked beside another.
    ///
    /// # Errors
    /// [`OriginError::Unusable`] when a URL or the certificates to believe cannot be used, or there is no origin.
    pub fn new(
        regions: &[Region],
        access: &Access,
        settings: Settings,
        level: Arc<AtomicLevel>,
    ) -> Result<Self, OriginError> {
        let urls = regions.iter().flat_map(|region| &region.origins);
        let clients = urls
            .map(|url| OriginClient::new(url, access))
            .collect::<Result<Vec<_>, _>>()?;
        let spec = |region: &Region| RegionSpec {
            preference: region.preference,
            origins: region.origins.len(),
        };
        let specs: Vec<RegionSpec> = regions.iter().map(spec).collect();
        let fleet = Fleet::new(&specs, fleet_settings(settings), Moment::default()).map_err(|error| {
            let region = regions.get(error.region);
            OriginError::Unusable {
                url: region.map_or_else(|| "none".to_owned(), |region| region.name.clone()),
                reason: error.to_string(),
            }
        })?;
        // Without randomness all nodes choose alike, which is worse than not, and better than nothing.
        let random = Random::new(getrandom::u64().unwrap_or_default());
        let transitions = Transitions::new(clients.len(), regions.len());
        Ok(Self(Arc::new(Shared {
            regions: regions.to_vec(),
            clients,
            timeout: settings.timeout,
            level,
            started: Instant::now(),
            changed: Notify::new(),
            state: Mutex::new(State {
                fleet,
                random,
                transitions,
                followed: None,
                left: None,
            }),
        })))
    }

    /// Whether most origins of every region fail.
    #[must_use]
    pub fn all_fail(&self) -> bool {
        self.0.state().fleet.is_in_panic()
    }

    /// As [`OriginClient::directory`].
    ///
    /// # Errors
    /// [`OriginError`] when no origin gave a usable answer: that of the last one asked.
    pub async fn directory(&self, known: Option<Position>) -> Result<EdgeDirectory, OriginError> {
        self.read(Read::Large, move |origin| async move { origin.directory(known).await })
            .await
    }

    /// As [`OriginClient::changed_directory`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn changed_directory(
        &self,
        known: Option<Position>,
        tag: &str,
    ) -> Result<Option<EdgeDirectory>, OriginError> {
        let tag: Arc<str> = tag.into();
        let ask = move |origin: OriginClient| {
            let tag = Arc::clone(&tag);
            async move { origin.changed_directory(known, &tag).await }
        };
        self.read(Read::Large, ask).await
    }

    /// As [`OriginClient::link`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn link(
        &self,
        site: SiteId,
        path: &str,
        known: Option<Position>,
    ) -> Result<Option<EdgeLink>, OriginError> {
        let path: Arc<str> = path.into();
        let ask = move |origin: OriginClient| {
            let path = Arc::clone(&path);
            async move { origin.link(site, &path, known).await }
        };
        self.read(Read::Small, ask).await
    }

    /// As [`OriginClient::policy`].
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn policy(&self, digest: Digest) -> Result<Bytes, OriginError> {
        self.read(Read::Large, move |origin| async move { origin.policy(digest).await })
            .await
    }

    /// As [`OriginClient::snapshot`]: parts may come from different origins, for each names the position of the first.
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub async fn snapshot(&self, after: Option<&str>, first: Option<Position>) -> Result<SnapshotPage, OriginError> {
        let after: Option<Arc<str>> = after.map(Into::into);
        let ask = move |origin: OriginClient| {
            let after = after.clone();
            async move { origin.snapshot(after.as_deref(), first).await }
        };
        self.read(Read::Large, ask).await
    }

    /// As [`OriginClient::feed`], of another origin than the last time, where there is one that is well. Origins tell the
    /// same changes under the same cursors, so the cursor carries over.
    ///
    /// # Errors
    /// [`OriginError`] when that origin's feed cannot be opened: the next call tries another.
    pub async fn feed(&self, cursor: Cursor, epoch: Option<Epoch>) -> Result<Feed, OriginError> {
        self.follow(|origin| async move { origin.feed(cursor, epoch).await })
            .await
    }

    /// Asks one origin after another until one answers, as long as there may be retries.
    async fn read<T, Asked>(&self, read: Read, ask: impl Fn(OriginClient) -> Asked) -> Result<T, OriginError>
    where
        T: Send + 'static,
        Asked: Future<Output = Result<T, OriginError>> + Send + 'static,
    {
        let (attempt, hedge_wait) = self.0.with(|state, now| {
            let attempt = state.fleet.first(read, now, &mut state.random);
            let may_hedge = read == Read::Small && self.0.level.get() == Level::Full;
            let wait = if may_hedge { state.fleet.hedge_wait(now) } else { None };
            (attempt, wait)
        });
        let mut tried = vec![attempt.origin()];
        // Tasks of their own: whoever is slower than another goes on, so that what it did is known.
        let mut asked: FuturesUnordered<_> = [self.send(attempt, read, &ask)].into_iter().collect();
        let hedge = tokio::time::sleep(hedge_wait.unwrap_or_default());
        tokio::pin!(hedge);
        let mut may_hedge = hedge_wait.is_some();
        loop {
            let error = tokio::select! {
                ended = asked.next() => match ended {
                    Some(Ok(Ok(answer))) => return Ok(answer),
                    Some(Ok(Err(error))) if error.is_answer() => return Err(error),
                    Some(Ok(Err(error))) => error,
                    // It panicked, or the runtime ends.
                    Some(Err(_)) | None => OriginError::TimedOut(self.0.limit(read)),
                },
                () = &mut hedge, if may_hedge => {
                    may_hedge = false;
                    let attempt = self.0.with(|state, now| state.fleet.hedge(&tried, now, &mut state.random));
                    if let Some(attempt) = attempt {
                        tried.push(attempt.origin());
                        asked.push(self.send(attempt, read, &ask));
                    }
                    continue;
                }
            };
            if !asked.is_empty() {
                continue;
            }
            may_hedge = false;
            let retry = self
                .0
                .with(|state, now| state.fleet.retry(read, &tried, now, &mut state.random));
            let Some(attempt) = retry else { return Err(error) };
            tracing::debug!(error = &error as &dyn std::error::Error, "asking another origin");
            tried.push(attempt.origin());
            asked.push(self.send(attempt, read, &ask));
        }
    }

    fn send<T, Asked>(
        &self,
        attempt: Attempt,
        read: Read,
        ask: &impl Fn(OriginClient) -> Asked,
    ) -> JoinHandle<Result<T, OriginError>>
    where
        T: Send + 'static,
        Asked: Future<Output = Result<T, OriginError>> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let asked = ask(shared.clients[attempt.origin().0].clone());
        tokio::spawn(async move {
            let limit = shared.limit(read);
            let answer = tokio::time::timeout(limit, asked).await;
            let answer = answer.unwrap_or(Err(OriginError::TimedOut(limit)));
            let is_answered = answer.as_ref().map_or_else(OriginError::is_answer, |_| true);
            let ended = if is_answered { Ended::Answered } else { Ended::Failed };
            shared.with(|state, now| state.fleet.finish(&attempt, ended, now, &mut state.random));
            answer
        })
    }
}

impl Shared {
    const fn limit(&self, read: Read) -> Duration {
        match read {
            Read::Small => self.timeout,
            Read::Large => LARGE_TIMEOUT,
        }
    }

    /// Does something to the fleet, and says what changed by it.
    fn with<T>(&self, act: impl FnOnce(&mut State, Moment) -> T) -> T {
        let (done, changed) = {
            let mut state = self.state();
            let done = act(&mut state, self.now());
            let changed = state.fleet.take_transitions();
            state.transitions.count(&changed);
            (done, changed)
        };
        if !changed.is_empty() {
            self.changed.notify_waiters();
        }
        for transition in &changed {
            told::log(self, transition);
        }
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, origin: OriginIndex) -> &str {
        let urls = self.regions.iter().flat_map(|region| &region.origins);
        urls.into_iter().nth(origin.0).map_or("", |url| url)
    }

    fn region_of(&self, origin: OriginIndex) -> Option<&Region> {
        let mut rest = origin.0;
        self.regions.iter().find(|region| {
            let is_here = rest < region.origins.len();
            rest = rest.saturating_sub(region.origins.len());
            is_here
        })
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }
}

fn fleet_settings(settings: Settings) -> fleet_settings::Settings {
    let default = fleet_settings::Settings::default();
    fleet_settings::Settings {
        breaker: breaker::Settings {
            ejection_base: settings.ejection,
            ejection_max: settings.ejection.saturating_mul(EJECTION_GROWTH),
            ..default.breaker
        },
        step: settings.failback_step,
        latency_of_failure: settings.timeout,
        has_hedges: settings.has_hedges,
        ..default
    }
}
