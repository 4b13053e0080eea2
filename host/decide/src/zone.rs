//! Time zones: which hour and which day of the week it is there, and until when exactly.
//!
//! The zones' rules are compiled in, so the same build has the same answers everywhere. Instants are seconds since 1970
//! UTC; those past the year 9999 count as its end.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::invalid::Invalid;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// 1970-01-01 was a Thursday: so many days after a Monday.
const FIRST_WEEKDAY: i64 = 3;
/// The longest name in the database has 32 bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many changes of a zone's clock in a row may leave the answer as it is before the search for the one that changes
/// it ends early. A horizon that is too early costs a walk; one that is too late would be wrong.
const UNCHANGED_MAX: usize = 8;

/// A zone of the IANA time zone database. Its name is its identity, whatever its case was: two names of one place are
/// two zones. Weighs a pointer; the rules behind it are the process's, once for each zone.
#[derive(Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// Reads an IANA name such as `Europe/Berlin`, in any case.
    ///
    /// # Errors
    /// [`Invalid`] when the database knows no zone of that name.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let invalid = || {
            let expected = "the IANA name of a time zone, such as `Europe/Berlin` or `UTC`";
            Invalid::text("time zone", name, expected)
        };
        if name.len() > NAME_BYTES_MAX {
            return Err(invalid());
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| invalid())?;
        // `Etc/Unknown` is the name of having none.
        if zone.is_unknown() || zone.iana_name().is_none() {
            return Err(invalid());
        }
        Ok(Self(zone))
    }

    /// Its name, as the database writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        // One without a name is not parsed.
        self.0.iana_name().unwrap_or_default()
    }

    /// The day of the week there: 0 is Monday, 6 is Sunday.
    #[must_use]
    pub fn weekday(&self, now_s: u64) -> u64 {
        Local::Weekday.of(self.local_s(timestamp(now_s)))
    }

    /// The hour there, 0 to 23.
    #[must_use]
    pub fn hour(&self, now_s: u64) -> u64 {
        Local::Hour.of(self.local_s(timestamp(now_s)))
    }

    /// The first second after `now_s` with another day of the week there; none when there is none.
    #[must_use]
    pub fn weekday_holds_until(&self, now_s: u64) -> Option<u64> {
        self.holds_until(Local::Weekday, now_s)
    }

    /// The first second after `now_s` with another hour there; none when there is none.
    #[must_use]
    pub fn hour_holds_until(&self, now_s: u64) -> Option<u64> {
        self.holds_until(Local::Hour, now_s)
    }

    /// What the clock there shows, as seconds since it showed 1970.
    fn local_s(&self, at: Timestamp) -> i64 {
        at.as_second() + i64::from(self.0.to_offset(at).seconds())
    }

    /// Goes from one second at which the value may change to the next: a full period of the clock there, or a change of
    /// the clock itself. Either may leave the value as it is: when clocks go back from 3:00 to 2:00, it is 2 o'clock on
    /// both sides.
    fn holds_until(&self, local: Local, now_s: u64) -> Option<u64> {
        let mut at = timestamp(now_s);
        let now = local.of(self.local_s(at));
        let mut left = UNCHANGED_MAX;
        loop {
            let period_ends_s = local.period_s() - self.local_s(at).rem_euclid(local.period_s());
            let period_ends = Timestamp::from_second(at.as_second() + period_ends_s).ok();
            let clock_changes = self.0.following(at).next().map(|change| change.timestamp());
            at = [period_ends, clock_changes].into_iter().flatten().min()?;
            left -= 1;
            if left == 0 || local.of(self.local_s(at)) != now {
                return u64::try_from(at.as_second()).ok();
            }
        }
    }
}

/// What is read off the clock of a zone.
#[derive(Debug, Clone, Copy)]
enum Local {
    Weekday,
    Hour,
}

impl Local {
    const fn period_s(self) -> i64 {
        match self {
            Self::Weekday => DAY_S,
            Self::Hour => HOUR_S,
        }
    }

    fn of(self, local_s: i64) -> u64 {
        let number = match self {
            Self::Weekday => (local_s.div_euclid(DAY_S) + FIRST_WEEKDAY).rem_euclid(7),
            Self::Hour => local_s.rem_euclid(DAY_S) / HOUR_S,
        };
        number.unsigned_abs()
    }
}

fn timestamp(now_s: u64) -> Timestamp {
    let seconds = i64::try_from(now_s).ok();
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
