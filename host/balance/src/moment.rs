//! Instants without a clock.

use std::{ops::Add, time::Duration};

/// An instant: so much time after a start that all moments of a process share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The instant `elapsed` after the start.
    #[must_use]
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after `earlier` this is; nothing when it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Moment;

    #[test]
    fn time_that_has_not_passed_is_none() {
        let second = Duration::from_secs(1);
        let early = Moment::after_start(second);
        let late = early + second;
        assert_eq!((late.since(early), early.since(late)), (second, Duration::ZERO));
        assert_eq!((late + Duration::MAX).since(late), Duration::MAX - 2 * second);
    }
}
