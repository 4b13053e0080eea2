//! The node's own count of seconds, by which what is kept on disk ages.
//!
//! It goes on with the monotonic clock while the node runs, so a calendar that jumps changes nothing. Across a restart
//! it goes on by what the calendar says has passed since it was last kept, never backwards: a calendar that was set
//! back meanwhile adds nothing, one that was set an hour ahead makes everything an hour older, once.

use std::time::Instant;

/// What is kept of a clock, to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The node's seconds when it was kept.
    pub node_s: u64,
    /// The calendar's at the same instant: seconds since 1970 UTC.
    pub wall_s: u64,
}

/// The clock of a running node.
#[derive(Debug, Clone, Copy)]
pub struct NodeClock {
    base_s: u64,
    base: Instant,
}

impl NodeClock {
    /// A clock that goes on from `kept`, or begins with the calendar. `wall_s` is the calendar's second of `now`.
    #[must_use]
    pub fn resume(kept: Option<Kept>, wall_s: u64, now: Instant) -> Self {
        let base_s = kept.map_or(wall_s, |kept| kept.node_s + wall_s.saturating_sub(kept.wall_s));
        Self { base_s, base: now }
    }

    /// The node's second of `now`.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> u64 {
        self.base_s + now.saturating_duration_since(self.base).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Kept, NodeClock};

    #[test]
    fn a_jump_of_the_calendar_neither_ages_everything_nor_stops_time() {
        let start = Instant::now();
        let hour = 3_600;
        let kept = Kept {
            node_s: 1_000_000,
            wall_s: 1_700_000_000,
        };
        for (what, wall_s, expected) in [
            ("ten seconds down", kept.wall_s + 10, 1_000_010),
            ("set back meanwhile", kept.wall_s - hour, 1_000_000),
            ("set ahead meanwhile", kept.wall_s + hour, 1_000_000 + hour),
        ] {
            let clock = NodeClock::resume(Some(kept), wall_s, start);
            assert_eq!(clock.seconds(start), expected, "{what}");
            // While the node runs, only the monotonic clock counts.
            assert_eq!(clock.seconds(start + Duration::from_secs(90)), expected + 90, "{what}");
        }
        assert_eq!(NodeClock::resume(None, 5, start).seconds(start), 5);
    }
}
