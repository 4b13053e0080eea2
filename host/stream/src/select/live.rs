//! How targets do: health, sessions, bitrate, latency.
//!
//! In: probes, sessions that begin and end, what other nodes and operators report, instants. Out: sets of targets by
//! state, and the signals of a score, kept up to date so that a choice only reads them. It must not know who asks for a
//! target.
//!
//! A target is down after two probes in a row failed, or when its operator says so. It comes back in the steps of
//! [`wayside_balance::failback`], each guarded by its probes; one that is not probed, by time alone.

use std::time::Duration;

use wayside_balance::{
    adaptive::{Adaptive, Signals},
    failback::Share,
    latency::PeakEwma,
    moment::Moment,
    random::Random,
};

use wayside_decide::stream::target::Service;

use super::{
    moves::Moves,
    scores::crowd,
    session_key,
    set::{TargetIndex, TargetSet},
    target::{Pool, TargetSpec},
};

/// Failed probes in a row after which a target is down.
const FAILED_PROBES: u32 = 2;
/// What a target is taken to need before its first answer.
const LATENCY_EXPECTED: Duration = Duration::from_millis(100);
/// How fast latencies are forgotten.
const LATENCY_DECAY: Duration = Duration::from_secs(30);

/// Targets that went down within this time, or within twice as long as the last, are down for one reason as far as anybody
/// knows: their probes come at different times.
const DOWN_TOGETHER: Duration = Duration::from_secs(10);

/// How a target does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should.
    Healthy,
    /// It serves, but badly: taken when no healthy one is left.
    Degraded,
    /// Its operator takes it out of service.
    Draining,
    /// It does not answer, or is out of service.
    Down,
}

/// How a target stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How it does.
    pub health: Health,
    /// How much of its sessions it takes, in percent: below 100 while it comes back.
    pub share_percent: u8,
    /// Its sessions, everywhere.
    pub sessions: u32,
    /// How long its probes took of late; none when none was ever answered.
    pub latency: Option<Duration>,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The target answered, after so long.
    Answered(Duration),
    /// It did not, or with an error.
    Failed,
}

/// What is known from elsewhere of a target.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Report {
    /// Sessions that other nodes count.
    pub sessions: u32,
    /// What other nodes have players fetch, in kbit/s.
    pub kbit_s: u64,
    /// How loaded the operator says it is, from 0; at 1 it is full. Counts when it is more than what is counted.
    pub load: Option<f64>,
}

/// A load that is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("load of target {name}: found {found}, expected a number from 0")]
pub struct NoLoad {
    name: String,
    found: f64,
}

/// What is known of the targets of a pool.
#[derive(Debug, Clone)]
pub struct Live {
    targets: Vec<State>,
    adaptive: Adaptive,
    slow_start: Duration,
    /// The rest is worked out from the states whenever one changes.
    sets: Sets,
    /// The load of each is how full it is, or what its operator reports.
    signals: Vec<Signals>,
    crowds: Vec<f64>,
    sessions: Vec<u32>,
    quickest: Duration,
    /// Sessions for a unit of weight, over all targets: what is usual.
    usual_crowd: f64,
    /// How many sessions there were when that was worked out.
    usual_of: u64,
    sessions_all: u64,
    /// How many sessions that are moved each target may take; choices count there what they give.
    pub(super) moves: Moves,
}

/// Targets by state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sets {
    pub(super) down: TargetSet,
    /// Their operators took them out of service: nobody gets them, whatever happens.
    pub(super) out: TargetSet,
    pub(super) draining: TargetSet,
    pub(super) degraded: TargetSet,
    /// They can take nobody more.
    pub(super) full: TargetSet,
    /// They send more than is paid for anyhow.
    pub(super) over_commit: TargetSet,
    /// They come back, and take a share of what they will.
    pub(super) returning: TargetSet,
}

#[derive(Debug, Clone)]
struct State {
    service: Service,
    is_degraded: bool,
    failed_in_a_row: u32,
    /// Since when it has not answered.
    fails_since: Option<Moment>,
    /// Whether its latency is more than what was expected.
    has_answered: bool,
    share: Share,
    latency: PeakEwma,
    own_sessions: u32,
    own_kbit_s: u64,
    elsewhere: Report,
}

impl State {
    const fn new(slow_start: Duration, now: Moment) -> Self {
        Self {
            service: Service::In,
            is_degraded: false,
            failed_in_a_row: 0,
            fails_since: None,
            has_answered: false,
            share: Share::new(slow_start),
            latency: PeakEwma::new(LATENCY_EXPECTED, LATENCY_DECAY, now),
            own_sessions: 0,
            own_kbit_s: 0,
            elsewhere: Report {
                sessions: 0,
                kbit_s: 0,
                load: None,
            },
        }
    }

    /// Forgets what only probes have said that nobody sends any more, and only they could take back.
    fn forget_verdicts(&mut self, spec: &TargetSpec) {
        if !spec.is_probed {
            self.failed_in_a_row = 0;
            self.fails_since = None;
        }
        self.is_degraded &= spec.is_probed && spec.late_after.is_some();
    }

    const fn sessions(&self) -> u32 {
        self.own_sessions.saturating_add(self.elsewhere.sessions)
    }

    const fn kbit_s(&self) -> u64 {
        self.own_kbit_s.saturating_add(self.elsewhere.kbit_s)
    }
}

impl Live {
    /// Targets of which nothing bad is known. Each step of coming back takes `slow_start`.
    #[must_use]
    pub fn new(pool: &Pool, adaptive: Adaptive, slow_start: Duration, now: Moment) -> Self {
        let signals = Signals {
            load: 0.0,
            latency: LATENCY_EXPECTED,
            bandwidth: 0.0,
        };
        let mut live = Self {
            targets: vec![State::new(slow_start, now); pool.count()],
            adaptive,
            slow_start,
            sets: Sets::default(),
            signals: vec![signals; pool.count()],
            crowds: vec![0.0; pool.count()],
            sessions: vec![0; pool.count()],
            quickest: LATENCY_EXPECTED,
            usual_crowd: 0.0,
            usual_of: 0,
            sessions_all: 0,
            moves: Moves::new(),
        };
        live.refresh_all(pool);
        live
    }

    /// What is known when the pool changes: of the targets of `to` that `from` has by the same name all, of new ones nothing.
    #[must_use]
    pub fn moved(&self, from: &Pool, to: &Pool, now: Moment) -> Self {
        let mut moved = Self::new(to, self.adaptive, self.slow_start, now);
        for (state, spec) in moved.targets.iter_mut().zip(to.targets()) {
            let known = from.find(spec.name.as_str());
            if let Some(known) = known.and_then(|known| self.targets.get(known.place())) {
                state.clone_from(known);
                state.forget_verdicts(spec);
            }
        }
        for target in to.all().iter() {
            moved.follow(to, target, now);
        }
        moved.refresh_all(to);
        moved
    }

    /// Learns how a probe ended. True when the target's health changed.
    pub fn probe(&mut self, pool: &Pool, target: TargetIndex, probe: Probe, now: Moment) -> bool {
        let before = self.health(target);
        let (Some(state), Some(spec)) = (self.targets.get_mut(target.place()), pool.target(target)) else {
            return false;
        };
        state.share.count_asked();
        let epoch = state.share.epoch();
        match probe {
            Probe::Answered(took) => {
                state.failed_in_a_row = 0;
                state.fails_since = None;
                state.has_answered = true;
                state.latency.observe(took, now);
                state.is_degraded = spec.late_after.is_some_and(|late| took > late);
            }
            Probe::Failed => {
                state.failed_in_a_row = state.failed_in_a_row.saturating_add(1);
                state.fails_since.get_or_insert(now);
            }
        }
        state.share.count_ended(epoch, matches!(probe, Probe::Answered(_)));
        self.follow(pool, target, now);
        self.refresh(pool, target);
        self.quickest = self.find_quickest();
        before != self.health(target)
    }

    /// Lets time pass for targets that nobody probes: they come back by it alone. For now and then.
    pub fn tend(&mut self, pool: &Pool, now: Moment) {
        for target in self.sets.down.or(self.sets.returning).iter() {
            if pool.target(target).is_some_and(|spec| !spec.is_probed) {
                self.follow(pool, target, now);
                self.refresh(pool, target);
            }
        }
    }

    /// Learns what the operator says of a target.
    pub fn set_service(&mut self, pool: &Pool, target: TargetIndex, service: Service, now: Moment) {
        if let Some(state) = self.targets.get_mut(target.place()) {
            state.service = service;
            self.follow(pool, target, now);
            self.refresh(pool, target);
        }
    }

    /// Learns how many sessions of this node play from a target, and what they fetch, in kbit/s.
    pub fn set_counted(&mut self, pool: &Pool, target: TargetIndex, sessions: u32, kbit_s: u64) {
        if let Some(state) = self.targets.get_mut(target.place()) {
            state.own_sessions = sessions;
            state.own_kbit_s = kbit_s;
            self.refresh(pool, target);
        }
    }

    /// Learns what is known elsewhere.
    ///
    /// # Errors
    /// [`NoLoad`] when the load is below 0, or no number; then nothing changes.
    pub fn report(&mut self, pool: &Pool, target: TargetIndex, report: Report) -> Result<(), NoLoad> {
        if let (Some(found), Some(spec)) = (report.load, pool.target(target))
            && !(found.is_finite() && found >= 0.0)
        {
            let name = spec.name.to_string();
            return Err(NoLoad { name, found });
        }
        if let Some(state) = self.targets.get_mut(target.place()) {
            state.elsewhere = report;
            self.refresh(pool, target);
        }
        Ok(())
    }

    /// How a target does.
    #[must_use]
    pub fn health(&self, target: TargetIndex) -> Health {
        if self.sets.down.has(target) {
            Health::Down
        } else if self.sets.draining.has(target) {
            Health::Draining
        } else if self.sets.degraded.has(target) {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }

    /// How a target stands; none when it is of another pool.
    #[must_use]
    pub fn standing(&self, target: TargetIndex) -> Option<Standing> {
        let state = self.targets.get(target.place())?;
        Some(Standing {
            health: self.health(target),
            share_percent: state.share.percent(),
            sessions: state.sessions(),
            latency: state.has_answered.then(|| state.latency.last()),
        })
    }

    /// How much of its sessions a target takes, in percent: below 100 while it comes back.
    #[must_use]
    pub fn share_percent(&self, target: TargetIndex) -> u8 {
        self.targets
            .get(target.place())
            .map_or(0, |state| state.share.percent())
    }

    /// Sessions on a target, everywhere.
    #[must_use]
    pub fn sessions(&self, target: TargetIndex) -> u32 {
        self.sessions.get(target.place()).copied().unwrap_or_default()
    }

    /// What players fetch from a target everywhere, in kbit/s.
    #[must_use]
    pub fn kbit_s(&self, target: TargetIndex) -> u64 {
        self.targets.get(target.place()).map_or(0, State::kbit_s)
    }

    pub(super) const fn sets(&self) -> &Sets {
        &self.sets
    }

    pub(super) fn all_sessions(&self) -> &[u32] {
        &self.sessions
    }

    pub(super) fn signals(&self, place: usize) -> Option<&Signals> {
        self.signals.get(place)
    }

    /// How full the target at a place is or is said to be: 1 when it is full, more past that.
    pub(super) fn fullness(&self, place: usize) -> f64 {
        self.signals.get(place).map_or(1.0, |signals| signals.load)
    }

    /// How crowded the target at a place is by all its sessions: [`crowd`].
    pub(super) fn crowd(&self, place: usize) -> f64 {
        self.crowds.get(place).copied().unwrap_or_default()
    }

    /// The score of the target at a place with this load, from 0 to 1.
    pub(super) fn score(&self, place: usize, load: f64) -> f64 {
        self.signals.get(place).map_or(0.0, |signals| {
            let signals = Signals { load, ..*signals };
            self.adaptive.score(&signals, self.quickest)
        })
    }

    /// The cost of one more session by latency, where there are `sessions`.
    pub(super) fn latency_cost(&self, place: usize, sessions: u32, now: Moment) -> f64 {
        let state = self.targets.get(place);
        state.map_or(f64::INFINITY, |state| state.latency.cost(sessions, now))
    }

    /// Those of `among` that are coming back and do not take the session yet. Its key decides, so that a session that was
    /// let in is let in by every later step, too.
    pub(super) fn not_yet(&self, among: TargetSet, session: &[u8]) -> TargetSet {
        let returning = self.sets.returning.and(among);
        if returning.is_empty() {
            return TargetSet::EMPTY;
        }
        let key = session_key(session);
        let waits = |target: &TargetIndex| {
            let drawn = Random::new(key ^ target.place() as u64).below(100);
            drawn >= usize::from(self.share_percent(*target))
        };
        returning.iter().filter(waits).collect()
    }

    /// Those of `among` that went down together with the one that did last.
    pub(super) fn down_last(&self, among: TargetSet, now: Moment) -> TargetSet {
        let down_for = |target: TargetIndex| {
            let since = self.targets.get(target.place()).and_then(|state| state.fails_since);
            since.map_or(Duration::ZERO, |since| now.since(since))
        };
        let least = among.iter().map(down_for).min().unwrap_or_default();
        let together = |target: &TargetIndex| down_for(*target) <= 2 * least + DOWN_TOGETHER;
        among.iter().filter(together).collect()
    }

    /// Follows service and probes with the share.
    fn follow(&mut self, pool: &Pool, target: TargetIndex, now: Moment) {
        let (Some(state), Some(spec)) = (self.targets.get_mut(target.place()), pool.target(target)) else {
            return;
        };
        if !spec.is_probed {
            // What nobody asks is taken to answer.
            state.share.count_asked();
            state.share.count_ended(state.share.epoch(), true);
        }
        let is_bad = state.failed_in_a_row >= FAILED_PROBES || state.service == Service::Out;
        state.share.update(is_bad, now);
    }

    /// Works out sets and signals of one target; of all when sessions became twice or half as many.
    fn refresh(&mut self, pool: &Pool, target: TargetIndex) {
        let Some(state) = self.targets.get(target.place()) else {
            return;
        };
        let had = u64::from(self.sessions(target));
        self.sessions_all = (self.sessions_all + u64::from(state.sessions())).saturating_sub(had);
        let is_usual = self.sessions_all / 2 <= self.usual_of && self.usual_of / 2 <= self.sessions_all;
        if is_usual {
            self.refresh_one(pool, target);
        } else {
            self.refresh_all(pool);
        }
    }

    fn refresh_all(&mut self, pool: &Pool) {
        let weights: u64 = pool.targets().iter().map(|target| u64::from(target.weight)).sum();
        let sessions: u64 = self.targets.iter().map(|state| u64::from(state.sessions())).sum();
        self.sessions_all = sessions;
        self.usual_of = sessions;
        self.usual_crowd = (sessions as f64 / weights.max(1) as f64).max(f64::MIN_POSITIVE);
        for target in pool.all().iter() {
            self.refresh_one(pool, target);
        }
        self.quickest = self.find_quickest();
    }

    fn refresh_one(&mut self, pool: &Pool, target: TargetIndex) {
        let place = target.place();
        let (Some(state), Some(spec)) = (self.targets.get(place), pool.target(target)) else {
            return;
        };
        let (sessions, kbit_s) = (state.sessions(), state.kbit_s());
        let reported = state.elsewhere.load.unwrap_or_default();
        let is_at = |most: Option<u64>| most.is_some_and(|most| kbit_s >= most);
        let has_no_room = spec.sessions_max.is_some_and(|most| sessions >= most);
        let sets = &mut self.sets;
        let percent = state.share.percent();
        sets.out.set(target, state.service == Service::Out);
        sets.down.set(target, state.service == Service::Out || percent == 0);
        sets.returning.set(target, (1..100).contains(&percent));
        sets.draining.set(target, state.service == Service::Draining);
        sets.degraded.set(target, state.is_degraded);
        sets.full
            .set(target, has_no_room || is_at(spec.kbit_s_max) || reported >= 1.0);
        sets.over_commit.set(target, is_at(spec.kbit_s_commit));
        let used = |is: f64, most: f64| is / most.max(1.0);
        let sessions_used = spec.sessions_max.map_or(0.0, |most| used(sessions.into(), most.into()));
        self.signals[place] = Signals {
            load: sessions_used.max(reported),
            latency: state.latency.last(),
            bandwidth: spec.kbit_s_max.map_or(0.0, |most| used(kbit_s as f64, most as f64)),
        };
        self.crowds[place] = crowd(sessions, spec.weight, self.usual_crowd);
        self.sessions[place] = sessions;
    }

    /// The latency of the quickest that is up.
    fn find_quickest(&self) -> Duration {
        let up = self
            .signals
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.sets.down.has_place(*place));
        up.map(|(_, signals)| signals.latency).min().unwrap_or(LATENCY_EXPECTED)
    }
}
