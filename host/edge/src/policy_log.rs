//! What policies say on fresh runs, and how those go that give no decision: the last lines, and those to come.
//!
//! In: lines. Out: for whoever asks at the admin endpoint. Bounded: old lines go, and who reads too slowly misses some.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use wayside_decide::{binding::Binding, site::Site};

/// Lines that are kept.
const KEPT_MAX: usize = 1_000;
/// Lines that a reader may be behind.
const BEHIND_MAX: usize = 1_000;

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Seconds since 1970 UTC.
    pub(crate) at_s: u64,
    pub(crate) tenant: String,
    pub(crate) site: String,
    pub(crate) prefix: String,
    pub(crate) policy: String,
    pub(crate) digest: String,
    /// What the policy gave it, or `failure` where the node says why there was no decision.
    pub(crate) level: String,
    pub(crate) message: String,
}

impl Line {
    /// What is said, at this instant in seconds since 1970 UTC, of the policy that is bound there.
    pub(crate) fn new(site: &Site, binding: &Binding, at_s: u64, level: &str, message: &str) -> Self {
        Self {
            at_s,
            tenant: site.tenant.to_string(),
            site: site.name.to_string(),
            prefix: binding.prefix.to_string(),
            policy: binding.policy.to_string(),
            digest: binding.digest.to_string(),
            level: level.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// Whose lines are wanted; all where nothing is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) tenant: String,
    pub(crate) site: Option<String>,
    pub(crate) prefix: Option<String>,
    /// Whether to go on with the lines to come.
    #[serde(default)]
    pub(crate) follow: bool,
}

impl Wanted {
    /// Whether a line is wanted.
    pub(crate) fn has(&self, line: &Line) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.tenant == line.tenant && is(&self.site, &line.site) && is(&self.prefix, &line.prefix)
    }
}

/// The lines of a node.
pub(crate) struct PolicyLog {
    kept: Mutex<VecDeque<Line>>,
    told: broadcast::Sender<Line>,
}

impl Default for PolicyLog {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            told: broadcast::Sender::new(BEHIND_MAX),
        }
    }
}

impl PolicyLog {
    /// Keeps a line and tells it to all who follow.
    pub(crate) fn push(&self, line: Line) {
        let mut kept = self.lock();
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        // Under the lock, so that whoever begins to follow sees it once. Nobody may be following.
        let _ = self.told.send(line.clone());
        kept.push_back(line);
    }

    /// The lines that are kept, oldest first, and those to come.
    pub(crate) fn follow(&self) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let kept = self.lock();
        (kept.iter().cloned().collect(), self.told.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MAX, Line, PolicyLog, Wanted};

    fn line(site: &str, message: &str) -> Line {
        Line {
            at_s: 0,
            tenant: "t".to_owned(),
            site: site.to_owned(),
            prefix: "/".to_owned(),
            policy: "p".to_owned(),
            digest: String::new(),
            level: "info".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_last_lines_are_kept_and_those_to_come_are_told() {
        let log = PolicyLog::default();
        for number in 0..=KEPT_MAX {
            log.push(line("s", &number.to_string()));
        }
        let (kept, mut coming) = log.follow();
        assert_eq!((kept.len(), &*kept[0].message), (KEPT_MAX, "1"));
        log.push(line("s", "new"));
        assert_eq!(coming.try_recv().expect("a line").message, "new");
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let wanted = |tenant: &str, site: Option<&str>| Wanted {
            tenant: tenant.to_owned(),
            site: site.map(str::to_owned),
            prefix: None,
            follow: false,
        };
        let line = line("s", "x");
        assert!(wanted("t", None).has(&line) && wanted("t", Some("s")).has(&line));
        assert!(!wanted("u", None).has(&line) && !wanted("t", Some("other")).has(&line));
    }
}
