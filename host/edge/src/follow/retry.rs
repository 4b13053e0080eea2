//! Waits between attempts, and what is said of them: each thing once, until all has gone well again.

use std::{collections::HashSet, time::Duration};

use wayside_upstream::client::OriginError;

use crate::causes::told;

/// The first wait before another attempt, doubled each time.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);
/// Over how long nodes spread what all of them do at the same moment. Origins bound what is under way themselves: this keeps
/// the first rush from them.
const SPREAD: Duration = Duration::from_secs(3);

/// Waits that grow and differ between nodes, so that a fleet does not come back at once. A new one is due when things
/// have gone well.
#[derive(Default)]
pub(super) struct Retry {
    attempts: u32,
    has_spread: bool,
    said: HashSet<String>,
}

impl Retry {
    /// Whether an attempt has failed since things last went well.
    pub(super) const fn is_under_way(&self) -> bool {
        self.attempts > 0
    }

    /// Says why an attempt failed. That others are served first is no trouble.
    pub(super) fn tell(&mut self, what: &str, error: &OriginError) {
        let is_trouble = !error.is_crowded();
        let error = told(error);
        if is_trouble && self.said.insert(what.to_owned()) {
            tracing::warn!(error, "{what}");
        } else {
            tracing::debug!(error, "{what}");
        }
    }

    /// Says what is no trouble by itself.
    pub(super) fn mention(&mut self, what: &str) {
        if self.said.insert(what.to_owned()) {
            tracing::info!("{what}");
        } else {
            tracing::debug!("{what}");
        }
    }

    pub(super) async fn rest(&mut self) {
        let longest = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts += 1;
        anywhere_within(longest).await;
    }

    /// Waits before what every node does now; once, until all has gone well again.
    pub(super) async fn spread(&mut self) {
        if !std::mem::replace(&mut self.has_spread, true) {
            anywhere_within(SPREAD).await;
        }
    }
}

/// Full jitter: waits anywhere between nothing and `longest`. Without randomness, half of it.
pub(super) async fn anywhere_within(longest: Duration) {
    let share = getrandom::u32().unwrap_or(u32::MAX / 2);
    tokio::time::sleep(longest.mul_f64(f64::from(share) / f64::from(u32::MAX))).await;
}
