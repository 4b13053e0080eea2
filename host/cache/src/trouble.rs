//! Saying once what goes wrong again and again, and once more when it does so after it went well for a while.
//!
//! In: each failure and each success, with its instant. Out: whether this one is to be said. Writes no log itself.

use std::time::{Duration, Instant};

/// How long nothing must have failed for all to be called well again. What fails and succeeds in turns, as writes to a full
/// cache beside reads from it, is one trouble.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// What is remembered of failures.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    last: Option<Instant>,
    is_told: bool,
}

impl Trouble {
    /// Something failed; whether that is to be said.
    pub(crate) fn happened(&mut self, now: Instant) -> bool {
        self.last = Some(now);
        !std::mem::replace(&mut self.is_told, true)
    }

    /// Something went well; whether it is to be said that all does again.
    pub(crate) fn went_well(&mut self, now: Instant) -> bool {
        let is_over = self.is_told && !self.is_within(WELL_AFTER, now);
        self.is_told &= !is_over;
        is_over
    }

    /// Whether something failed less than `time` before `now`.
    pub(crate) fn is_within(&self, time: Duration, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) < time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Trouble, WELL_AFTER};

    #[test]
    fn a_trouble_is_said_once_and_again_when_all_was_well_in_between() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut trouble = Trouble::default();
        assert!(!trouble.went_well(start), "nothing was wrong");
        assert!(trouble.happened(start));
        // In turns with what goes well, it is one trouble.
        for at in 1..100 {
            assert!(!trouble.happened(start + second * at), "{at}");
            assert!(!trouble.went_well(start + second * at), "{at}");
        }
        let well = start + second * 99 + WELL_AFTER;
        assert!(!trouble.went_well(well - second));
        assert!(trouble.went_well(well));
        assert!(!trouble.went_well(well + second), "that is said once as well");
        assert!(trouble.happened(well + second), "and then a trouble is a new one");
        assert!(!trouble.happened(well + second));
    }
}
