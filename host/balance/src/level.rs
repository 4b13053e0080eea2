//! Degradation levels: what a node leaves undone when it has too much to do, before it collapses.
//!
//! In: how a node is ([`Signals`]) and the instant. Out: its [`Level`], and each change of it with its [`Cause`]. It must
//! not know where the signals come from, nor what is left undone at which level.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

pub use self::ladder::{Ladder, Settings, Transition};

mod ladder;
#[cfg(test)]
mod tests;

/// How much a node leaves undone. A greater one leaves undone what the lesser ones do, and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    #[default]
    Full,
    /// What only saves time later: renewing ahead, warming, asking twice, keeping samples.
    Reduced,
    /// What needs a run of a policy or an origin: what is held and what is remembered answer.
    CoreOnly,
    /// Everything but what memory answers.
    Emergency,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Full, Self::Reduced, Self::CoreOnly, Self::Emergency];

    /// Its name, as configuration, metrics and logs write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::CoreOnly => "core-only",
            Self::Emergency => "emergency",
        }
    }

    /// The level one step better.
    const fn better(self) -> Self {
        match self {
            Self::Full | Self::Reduced => Self::Full,
            Self::CoreOnly => Self::Reduced,
            Self::Emergency => Self::CoreOnly,
        }
    }
}

/// A level that many threads read and one sets.
#[derive(Debug, Default)]
pub struct AtomicLevel(AtomicU8);

impl AtomicLevel {
    /// The level now: one relaxed load. Who does something for a request by it may be a moment late; nothing else is
    /// ordered by it.
    #[must_use]
    pub fn get(&self) -> Level {
        let place = usize::from(self.0.load(Ordering::Relaxed));
        Level::ALL[place.min(Level::ALL.len() - 1)]
    }

    /// Sets it.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
    }
}

/// What brings a level about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The threads that serve visitors are late.
    Latency,
    /// Memory is short.
    Memory,
    /// Too many runs of policies wait.
    PolicyQueue,
    /// Too many loads from origins are under way.
    Loads,
    /// Most origins of every region fail.
    Origins,
    /// The operator wants it so.
    Pinned,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Latency,
        Self::Memory,
        Self::PolicyQueue,
        Self::Loads,
        Self::Origins,
        Self::Pinned,
    ];

    /// Its name, as metrics and logs write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::PolicyQueue => "policy-queue",
            Self::Loads => "loads",
            Self::Origins => "origins",
            Self::Pinned => "pinned",
        }
    }
}

/// How a node is at some instant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signals {
    /// How late the threads that serve visitors come to what is due, at least, since the last look: the latest of them.
    pub latency: Duration,
    /// Memory in use, as a share of what there is.
    pub memory: f64,
    /// Runs of policies that wait, as a share of those that may.
    pub policy_queue: f64,
    /// Loads from origins under way, as a share of those that may be.
    pub loads: f64,
    /// Whether most origins of every region fail.
    pub origins_fail: bool,
}

/// From which values on a signal means a level: the first is that of [`Level::Reduced`], the next that of the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Of [`Signals::latency`].
    pub latency: [Duration; 3],
    /// Of [`Signals::memory`].
    pub memory: [f64; 3],
    /// Of [`Signals::policy_queue`]. No queue asks for more than that nothing is put into it.
    pub policy_queue: [f64; 2],
    /// Of [`Signals::loads`]. Loads pile up where origins are slow: that, like origins that fail, takes nothing from
    /// visitors that needs no origin, so policies go on and there is but one threshold.
    pub loads: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            latency: [100, 500, 2_000].map(Duration::from_millis),
            memory: [0.85, 0.95, 0.98],
            policy_queue: [0.5, 0.9],
            loads: 0.5,
        }
    }
}

impl Thresholds {
    /// The level that each cause asks for, were every threshold `eased` times what it is.
    fn judge(&self, signals: &Signals, eased: f64) -> [(Cause, Level); 5] {
        let latency_s = self.latency.map(|latency| latency.as_secs_f64() * eased);
        let (memory, queue) = (self.memory.map(|t| t * eased), self.policy_queue.map(|t| t * eased));
        let origins = [Level::Full, Level::Reduced][usize::from(signals.origins_fail)];
        [
            (Cause::Latency, reached(signals.latency.as_secs_f64(), &latency_s)),
            (Cause::Memory, reached(signals.memory, &memory)),
            (Cause::PolicyQueue, reached(signals.policy_queue, &queue)),
            (Cause::Loads, reached(signals.loads, &[self.loads * eased])),
            (Cause::Origins, origins),
        ]
    }
}

/// The level of the greatest threshold that `value` has reached; a value that is no number has reached none.
fn reached(value: f64, thresholds: &[f64]) -> Level {
    let levels = Level::ALL.into_iter().skip(1);
    let passed = levels.zip(thresholds).filter(|(_, threshold)| value >= **threshold);
    passed.map(|(level, _)| level).next_back().unwrap_or_default()
}
