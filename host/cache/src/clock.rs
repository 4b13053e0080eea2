//! The node's own count of seconds, by which what is kept on disk ages.
//!
//! It goes on with the monotonic clock while the node runs, so a calendar that jumps changes nothing. Across a restart
//! it goes on by what the calendar says has passed since it was last kept, never backwards: a calendar that was set
//! back meanwhile adds nothing, one that was set an hour ahead makes everything an hour older.
//!
//! What the calendar added at a start is kept for good only once an origin was heard: until then a calendar that is days
//! ahead, and right at the next start, has changed nothing.

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
    /// What the clock went on from.
    from: Kept,
}

impl NodeClock {
    /// A clock that goes on from `kept`, or begins with the calendar. `wall_s` is the calendar's second of `now`.
    #[must_use]
    pub fn resume(kept: Option<Kept>, wall_s: u64, now: Instant) -> Self {
        let from = kept.unwrap_or(Kept { node_s: wall_s, wall_s });
        let base_s = from.node_s + wall_s.saturating_sub(from.wall_s);
        Self {
            base_s,
            base: now,
            from,
        }
    }

    /// How long the node was off, by the calendar.
    #[must_use]
    pub const fn off_s(&self) -> u64 {
        self.base_s - self.from.node_s
    }

    /// What is to be kept at `now`, when the calendar is at `wall_s`. `has_heard` says whether an origin was heard since the
    /// start: what was loaded from it is of the seconds that the calendar added, which therefore stay.
    #[must_use]
    pub fn kept(&self, now: Instant, wall_s: u64, has_heard: bool) -> Kept {
        if has_heard || self.off_s() == 0 {
            let node_s = self.seconds(now);
            return Kept { node_s, wall_s };
        }
        let runs_s = now.saturating_duration_since(self.base).as_secs();
        Kept {
            node_s: self.from.node_s + runs_s,
            wall_s: self.from.wall_s + runs_s,
        }
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

    #[test]
    fn a_calendar_that_was_ahead_at_one_start_counts_at_the_next_only_if_an_origin_was_heard() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let two_days = 2 * 86_400;
        let kept = Kept {
            node_s: 1_000_000,
            wall_s: 1_700_000_000,
        };
        let ahead = NodeClock::resume(Some(kept), kept.wall_s + two_days, start);
        assert_eq!(ahead.off_s(), two_days);
        // After a minute it is kept, and at the next start, another minute later, the calendar is right.
        let after = |has_heard| {
            let kept = ahead.kept(start + minute, kept.wall_s + two_days + 60, has_heard);
            NodeClock::resume(Some(kept), 1_700_000_120, start).seconds(start)
        };
        assert_eq!(after(false), 1_000_120);
        assert_eq!(
            after(true),
            1_000_060 + two_days,
            "what was loaded meanwhile is not of the future"
        );
        // Was the calendar right, then the node was off for two days whoever was heard.
        let again = ahead.kept(start + minute, kept.wall_s + two_days + 60, false);
        let clock = NodeClock::resume(Some(again), kept.wall_s + two_days + 120, start);
        assert_eq!(clock.seconds(start), 1_000_120 + two_days);
        // One that is behind does not keep the time from going on.
        let behind = NodeClock::resume(Some(kept), 0, start).kept(start + minute, 60, false);
        assert_eq!((behind.node_s, behind.wall_s), (1_000_060, 60));
    }
}
