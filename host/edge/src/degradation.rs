//! The node's level of degradation: what is looked at, how often, and who is told of a change.
//!
//! In: how late the listening threads are, the process' memory, the queues, the origins' state. Out: a [`Level`] that
//! whoever does something reads where it is done. What decides is [`Ladder`], which is pure. Followers of the feed never
//! read it: invalidations go on at every level. Events will be sampled from [`Level::Reduced`] on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;
use wayside_balance::{
    level::{self, AtomicLevel, Cause, Ladder, Level, Signals, Transition},
    moment::Moment,
};
use wayside_upstream::origins::Origins;

use self::{memory::Usage, pulse::Pulse};
use crate::pipeline::Edge;

mod memory;
pub(crate) mod metrics;
pub(crate) mod pulse;
pub(crate) mod shown;

/// How often the signals are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// By what a node's level goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Settings {
    /// Thresholds and times.
    pub ladder: level::Settings,
    /// Memory that the process may take, in bytes; none stands for the limit of its cgroup, or else the machine's memory.
    pub memory_bytes_max: Option<u64>,
}

/// The node's level and why it is that.
pub(crate) struct Degradation {
    /// Whoever leaves something undone by it has it.
    level: Arc<AtomicLevel>,
    memory_bytes_max: Option<u64>,
    started: Instant,
    pulses: Mutex<Vec<Weak<Pulse>>>,
    state: Mutex<State>,
}

struct State {
    ladder: Ladder,
    signals: Signals,
    memory: Usage,
    transitions: BTreeMap<(Level, Level, Cause), u64>,
}

impl Degradation {
    pub(crate) fn new(settings: Settings) -> Self {
        let ladder = Ladder::new(settings.ladder, Moment::default());
        let level = Arc::new(AtomicLevel::default());
        level.set(ladder.level());
        Self {
            level,
            memory_bytes_max: settings.memory_bytes_max,
            started: Instant::now(),
            pulses: Mutex::default(),
            state: Mutex::new(State {
                ladder,
                signals: Signals::default(),
                memory: Usage::default(),
                transitions: BTreeMap::new(),
            }),
        }
    }

    /// The level, for those who leave something undone by it.
    pub(crate) fn shared_level(&self) -> Arc<AtomicLevel> {
        Arc::clone(&self.level)
    }

    /// The level now: one relaxed load.
    pub(crate) fn level(&self) -> Level {
        self.level.get()
    }

    /// The pulse of a new listening thread; it counts as long as the thread holds it.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.push(Arc::downgrade(&pulse));
        pulse
    }

    /// How late the latest of the threads is.
    fn latency(&self, now: Instant) -> Duration {
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        let living = pulses.iter().filter_map(Weak::upgrade);
        living.map(|pulse| pulse.late(now)).max().unwrap_or_default()
    }

    fn take_in(&self, signals: Signals, memory: Usage) -> Option<Transition> {
        let mut state = self.state();
        (state.signals, state.memory) = (signals, memory);
        let change = state.ladder.look(&signals, self.now())?;
        let key = (change.from, change.to, change.cause);
        *state.transitions.entry(key).or_default() += 1;
        self.level.set(change.to);
        Some(change)
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is behind this lock is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the signals from time to time, and has the level follow them. Ends never.
pub(crate) async fn watch(edge: Arc<Edge>, origins: Origins) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let memory = memory::usage(edge.degradation.memory_bytes_max);
        let signals = Signals {
            latency: edge.degradation.latency(Instant::now()),
            memory: memory.share(),
            policy_queue: share(edge.policies.waiting()),
            loads: share(edge.links.loads()),
            origins_fail: origins.all_fail(),
        };
        if let Some(change) = edge.degradation.take_in(signals, memory) {
            tell(&change, &signals);
        }
    }
}

/// One line for each change: what brought it, and how all signals are.
fn tell(change: &Transition, signals: &Signals) {
    let (from, to, cause) = (change.from.as_str(), change.to.as_str(), change.cause.as_str());
    let latency_ms = signals.latency.as_millis();
    let [memory_percent, policy_queue_percent, loads_percent] =
        [signals.memory, signals.policy_queue, signals.loads].map(shown::percent);
    let origins_fail = signals.origins_fail;
    macro_rules! say {
        ($level:ident, $words:literal) => {
            tracing::$level!(
                from,
                to,
                cause,
                latency_ms,
                memory_percent,
                policy_queue_percent,
                loads_percent,
                origins_fail,
                $words
            )
        };
    }
    if change.to > change.from {
        say!(warn, "the node leaves more undone than before");
    } else {
        say!(info, "the node leaves less undone than before");
    }
}

/// How much of what there may be there is.
fn share((count, max): (usize, usize)) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(count) / number(max.max(1))
}
