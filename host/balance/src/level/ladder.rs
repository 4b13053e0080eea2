//! Up the ladder when things get worse, and down step by step when they are well again.
//!
//! A cause takes the node to a level when its signal has been that bad at every look for a while. The node stays there
//! until every signal has been well under that level's threshold for a longer while, and then goes one step down. So a
//! signal around a threshold changes nothing, and what the better level takes up again is taken up in portions.

use std::time::Duration;

use super::{Cause, Level, Signals, Thresholds};
use crate::moment::Moment;

/// What a ladder goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// From which values on a signal is bad.
    pub thresholds: Thresholds,
    /// At which share of a threshold a signal that was bad still is.
    pub eased: f64,
    /// How long a signal must have been bad.
    pub confirm: Duration,
    /// How long all must have been well for each step down.
    pub recover: Duration,
    /// The level beyond which no signal takes the node.
    pub worst: Level,
    /// The level at which the node stays, whatever the signals say.
    pub pinned: Option<Level>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            eased: 0.8,
            confirm: Duration::from_secs(1),
            recover: Duration::from_secs(10),
            worst: Level::Emergency,
            pinned: None,
        }
    }
}

/// A change of the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The level before.
    pub from: Level,
    /// The level from now on.
    pub to: Level,
    /// What took the node up; on the way down, what had kept it there.
    pub cause: Cause,
}

/// A node's level.
#[derive(Debug, Clone)]
pub struct Ladder {
    settings: Settings,
    level: Level,
    /// What keeps the node at its level; none at the best.
    cause: Option<Cause>,
    since: Moment,
    /// Since when each cause has asked for each level but the best, or a worse one, at every look.
    bad_since: [[Option<Moment>; 3]; 5],
    /// Since when nothing has asked for the level.
    well_since: Option<Moment>,
}

impl Ladder {
    /// A node that is well, or where the operator has put it.
    #[must_use]
    pub fn new(settings: Settings, now: Moment) -> Self {
        Self {
            settings,
            level: settings.pinned.unwrap_or_default(),
            cause: settings.pinned.map(|_| Cause::Pinned),
            since: now,
            bad_since: Default::default(),
            well_since: None,
        }
    }

    /// The level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What keeps the node at its level; none at the best, unless it is pinned there.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Since when the level has been what it is.
    #[must_use]
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Takes a look at the signals; the change that follows. To be called a few times in the time that confirms.
    pub fn look(&mut self, signals: &Signals, now: Moment) -> Option<Transition> {
        if self.settings.pinned.is_some() {
            return None;
        }
        if let Some((level, cause)) = self.confirmed(signals, now)
            && level > self.level
        {
            self.cause = Some(cause);
            return Some(self.go(level, cause, now));
        }
        let asked = self.settings.thresholds.judge(signals, self.settings.eased);
        let keeps = asked.into_iter().filter(|(_, level)| *level >= self.level);
        if self.level == Level::Full {
            return None;
        }
        if let Some((cause, _)) = keeps.max_by_key(|(_, level)| *level) {
            self.well_since = None;
            self.cause = Some(cause);
            return None;
        }
        let well_since = *self.well_since.get_or_insert(now);
        if now.since(well_since) < self.settings.recover {
            return None;
        }
        let cause = self.cause?;
        let change = self.go(self.level.better(), cause, now);
        // The next step has a while of its own.
        self.well_since = Some(now);
        if self.level == Level::Full {
            self.cause = None;
        }
        Some(change)
    }

    /// The worst level that one cause has asked for long enough.
    fn confirmed(&mut self, signals: &Signals, now: Moment) -> Option<(Level, Cause)> {
        let Settings { confirm, worst, .. } = self.settings;
        let asked = self.settings.thresholds.judge(signals, 1.0);
        let mut confirmed: Option<(Level, Cause)> = None;
        for ((cause, asked), bad_since) in asked.into_iter().zip(&mut self.bad_since) {
            for (level, since) in Level::ALL.into_iter().skip(1).zip(bad_since) {
                if asked < level {
                    *since = None;
                    continue;
                }
                let since = *since.get_or_insert(now);
                let level = level.min(worst);
                if now.since(since) >= confirm && confirmed.is_none_or(|(before, _)| level > before) {
                    confirmed = Some((level, cause));
                }
            }
        }
        confirmed
    }

    fn go(&mut self, to: Level, cause: Cause, now: Moment) -> Transition {
        let from = std::mem::replace(&mut self.level, to);
        self.since = now;
        self.well_since = None;
        Transition { from, to, cause }
    }
}
