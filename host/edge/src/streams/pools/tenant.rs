//! One tenant's targets, and all that is known of them on this node.
//!
//! In: targets as they change, how probes end, who plays from where, what is reported. Out: how each target does. All of it
//! is behind one lock, held for as long as a choice takes; nothing is waited for or worked out at length under it. The
//! targets themselves are read without it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use wayside_balance::{moment::Moment, random::Random};
use wayside_decide::name::Name;
use wayside_stream::{
    quality::{Network, NoSettings, Quality},
    reports::{Plays, Reporter},
    select::{
        live::{Health, Live, Probe, Report, Standing},
        set::{TargetIndex, TargetSet},
    },
    sessions::{Count, PARTS, Player, Seen, Sessions},
};

use super::{Settings, selectors::Selectors, targets::Targets};
use crate::streams::ingest::Recordings;

/// How much is kept of what is wrong with a probe.
const PROBLEM_CHARS_MAX: usize = 200;

/// A tenant's targets and what is known of them.
pub(crate) struct TenantPool {
    pub(crate) tenant: Name,
    /// Those of `inner`, which change together.
    targets: ArcSwap<Targets>,
    inner: Mutex<Inner>,
    /// Where its recorders are.
    pub(in crate::streams) recordings: Recordings,
    /// Whether a choice asks where the visitor is.
    asks_where: AtomicBool,
    started: Instant,
}

pub(super) struct Inner {
    pub(super) targets: Arc<Targets>,
    pub(super) live: Live,
    pub(super) quality: Quality,
    pub(super) sessions: Sessions,
    pub(super) selectors: Selectors,
    pub(super) random: Random,
    /// What was wrong with the last probe of a target, where that failed.
    pub(super) problems: HashMap<Name, Box<str>>,
}

/// How a target does on this node.
pub(crate) struct Stands {
    pub(crate) standing: Standing,
    /// What plays from it by this node.
    pub(crate) count: Count,
    /// What was wrong with its last probe, if that failed.
    pub(crate) problem: Option<Box<str>>,
}

impl TenantPool {
    pub(super) fn new(
        tenant: &Name,
        targets: Arc<Targets>,
        settings: &Settings,
        started: Instant,
    ) -> Result<Self, NoSettings> {
        let now = Moment::after_start(started.elapsed());
        let seed = seed();
        let quality = Quality::new(settings.quality, seed, now)?;
        let mut live = Live::new(&targets.pool, settings.score, settings.slow_start, now);
        serve_as_told(&mut live, &targets, now);
        let pool = Self {
            tenant: tenant.clone(),
            targets: ArcSwap::new(Arc::clone(&targets)),
            recordings: Recordings::default(),
            asks_where: AtomicBool::new(false),
            started,
            inner: Mutex::new(Inner {
                live,
                quality,
                sessions: Sessions::new(settings.silence_max, settings.address_sessions_max),
                selectors: Selectors::default(),
                random: Random::new(seed),
                problems: HashMap::new(),
                targets,
            }),
        };
        pool.note_asks_where(&pool.lock());
        Ok(pool)
    }

    /// The targets now.
    pub(crate) fn targets(&self) -> Arc<Targets> {
        self.targets.load_full()
    }

    /// Whether a choice needs to know where the visitor is, which costs a look-up.
    pub(crate) fn asks_where(&self) -> bool {
        self.asks_where.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whatever was half changed by a panic is a count; it is made good by the next one that is made whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    pub(super) fn change(&self, targets: Arc<Targets>) {
        let now = self.now();
        let mut inner = self.lock();
        let from = Arc::clone(&inner.targets);
        inner.live = inner.live.moved(&from.pool, &targets.pool, now);
        serve_as_told(&mut inner.live, &targets, now);
        inner.quality.follow(&from.pool, &targets.pool);
        inner.sessions.follow(|target| {
            let known = from.pool.target(target)?;
            targets.pool.find(known.name.as_str())
        });
        inner.selectors = Selectors::default();
        let is_probed = |name: &Name| {
            let known = targets.pool.find(name.as_str()).and_then(|index| targets.get(index));
            known.is_some_and(|target| target.probe.is_some())
        };
        inner.problems.retain(|name, _| is_probed(name));
        self.targets.store(Arc::clone(&targets));
        inner.targets = targets;
        inner.count_all();
        self.note_asks_where(&inner);
    }

    fn note_asks_where(&self, inner: &Inner) {
        let asks = inner.targets.pool.asks_where() || inner.quality.cells() > 0;
        self.asks_where.store(asks, Ordering::Relaxed);
    }

    /// Learns how a probe of the target of this name ended, or what was wrong with it; true when its health changed.
    pub(crate) fn probed(&self, name: &Name, probed: Result<Duration, &str>) -> bool {
        let now = self.now();
        let mut inner = self.lock();
        let targets = Arc::clone(&inner.targets);
        let Some(index) = targets.pool.find(name.as_str()) else {
            return false;
        };
        let probe = match probed {
            Ok(took) => {
                inner.problems.remove(name);
                Probe::Answered(took)
            }
            Err(why) => {
                // It may name what a server said.
                let told = why.chars().take(PROBLEM_CHARS_MAX).collect::<String>();
                inner.problems.insert(name.clone(), told.into());
                Probe::Failed
            }
        };
        inner.live.probe(&targets.pool, index, probe, now)
    }

    /// Learns what is known elsewhere of the target of this name.
    pub(crate) fn told(&self, name: &str, report: Report) {
        let mut inner = self.lock();
        let targets = Arc::clone(&inner.targets);
        if let Some(index) = targets.pool.find(name)
            && let Err(error) = inner.live.report(&targets.pool, index, report)
        {
            tracing::warn!(tenant = %self.tenant, %error, "the origin told of a load that is none");
        }
    }

    /// How each target does, in their order.
    pub(crate) fn standings(&self) -> (Arc<Targets>, Vec<Stands>) {
        let inner = self.lock();
        let targets = Arc::clone(&inner.targets);
        let standings = targets
            .iter()
            .filter_map(|(index, target)| {
                Some(Stands {
                    standing: inner.live.standing(index)?,
                    count: inner.sessions.count(index),
                    problem: inner.problems.get(&target.name).cloned(),
                })
            })
            .collect();
        drop(inner);
        (targets, standings)
    }

    /// What this node counts on each target: sessions, kbit/s.
    pub(crate) fn counts(&self) -> Vec<(Name, u32, u64)> {
        let inner = self.lock();
        let counts = inner.targets.iter().map(|(index, target)| {
            let count = inner.sessions.count(index);
            (target.name.clone(), count.sessions, count.kbit_s)
        });
        counts.collect()
    }

    /// Learns what a session says of these targets: `hear` is handed what is known of the session, and gives from where it
    /// plays. Nothing is learnt when the targets have changed since.
    pub(crate) fn hear(
        &self,
        targets: &Targets,
        player: Player,
        networks: &[Network],
        hear: impl FnOnce(&Reporter<'_>, &mut Quality) -> Option<Plays>,
    ) {
        let now = self.now();
        let mut inner = self.lock();
        if inner.targets.version == targets.version {
            inner.hear(&player, networks, now, hear);
        }
    }

    /// Counts a session on the target that it was sent to. Nothing is learnt when the targets have changed since.
    pub(crate) fn see(&self, targets: &Targets, player: Player, target: TargetIndex) {
        let now = self.now();
        let mut inner = self.lock();
        if inner.targets.version == targets.version {
            let fetches = None;
            inner.see(&player, &Plays { target, fetches }, now);
        }
    }

    /// The targets now, and which of them serve: neither down nor on their way out.
    pub(crate) fn serving(&self) -> (Arc<Targets>, TargetSet) {
        let inner = self.lock();
        let serves = |index| matches!(inner.live.health(index), Health::Healthy | Health::Degraded);
        let mut serving = TargetSet::EMPTY;
        for (index, _) in inner.targets.iter() {
            serving.set(index, serves(index));
        }
        (Arc::clone(&inner.targets), serving)
    }

    /// Forgets sessions that have ended and looks at what was reported; for once a second. Who asks meanwhile waits for a
    /// part of that at most.
    pub(crate) fn tend(&self) {
        self.tend_at(self.now());
    }

    pub(super) fn tend_at(&self, now: Moment) {
        let parts = if self.lock().sessions.is_empty() { 0 } else { PARTS };
        for part in 0..parts {
            self.lock().sessions.forget_silent_in(part, now);
        }
        let heard = {
            let mut inner = self.lock();
            let version = inner.targets.version;
            let Inner { quality, sessions, .. } = &mut *inner;
            let heard = quality.heard(now, |target| sessions.count(target).sessions);
            heard.map(|heard| (heard, version))
        };
        let learnt = heard.map(|(heard, version)| (heard.medians(), version));
        let mut inner = self.lock();
        match learnt {
            // What was said of other targets than there are now is of no use.
            Some((medians, version)) if version == inner.targets.version => inner.quality.learn(&medians, now),
            _ => {}
        }
        inner.count_all();
        let targets = Arc::clone(&inner.targets);
        inner.live.tend(&targets.pool, now);
        self.note_asks_where(&inner);
    }
}

impl Inner {
    /// Learns what a session says, and from where it plays, which comes back.
    pub(super) fn hear(
        &mut self,
        player: &Player,
        networks: &[Network],
        now: Moment,
        hear: impl FnOnce(&Reporter<'_>, &mut Quality) -> Option<Plays>,
    ) -> Option<Plays> {
        let reporter = Reporter {
            speaker: player.speaker,
            networks,
            playing: self.sessions.playing(player.speaker.session),
            now,
        };
        let plays = hear(&reporter, &mut self.quality)?;
        self.see(player, &plays, now);
        Some(plays)
    }

    /// Learns from where a session plays, which counts there from now on.
    pub(super) fn see(&mut self, player: &Player, plays: &Plays, now: Moment) {
        let before = self.sessions.count(plays.target);
        let left = match self.sessions.see(player, plays.target, plays.fetches, now) {
            Seen::Stayed if self.sessions.count(plays.target) == before => return,
            Seen::Moved { from } => Some(from),
            Seen::New | Seen::Stayed | Seen::NoRoom => None,
        };
        for index in left.into_iter().chain([plays.target]) {
            let count = self.sessions.count(index);
            self.live
                .set_counted(&self.targets.pool, index, count.sessions, count.kbit_s);
        }
    }

    /// Has the targets' counts follow those of the sessions.
    fn count_all(&mut self) {
        let targets = Arc::clone(&self.targets);
        for (index, _) in targets.iter() {
            let count = self.sessions.count(index);
            self.live
                .set_counted(&targets.pool, index, count.sessions, count.kbit_s);
        }
    }
}

/// What operators say of their targets.
fn serve_as_told(live: &mut Live, targets: &Targets, now: Moment) {
    for (index, target) in targets.iter() {
        live.set_service(&targets.pool, index, target.service, now);
    }
}

/// A number that nobody can guess, or on a system without randomness one that differs by the time.
pub(in crate::streams) fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_nanos() as u64)
        }
    }
}
