//! One reading of the time a request, and the date in the form of HTTP.

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The instant that everything about a request is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// The same by the calendar: seconds since 1970 UTC, 0 on a clock before that.
    pub(crate) unix_s: u64,
}

/// A thread's clock: reads the calendar once a second only.
#[derive(Debug)]
pub(crate) struct Clock(RefCell<Second>);

#[derive(Debug)]
struct Second {
    unix_s: u64,
    ends: Instant,
    /// RFC 9110 §5.6.7.
    date: String,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Second::at(Instant::now())))
    }

    /// The time now.
    pub(crate) fn now(&self) -> Now {
        let instant = Instant::now();
        let mut second = self.0.borrow_mut();
        if instant >= second.ends {
            *second = Second::at(instant);
        }
        Now {
            instant,
            unix_s: second.unix_s,
        }
    }

    /// Hands on the date of the last reading, as a `Date` field has it.
    pub(crate) fn with_date<T>(&self, use_date: impl FnOnce(&str) -> T) -> T {
        use_date(&self.0.borrow().date)
    }
}

impl Second {
    fn at(instant: Instant) -> Self {
        let since = since_1970();
        let rest = Duration::from_secs(1).saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
        Self {
            unix_s: since.as_secs(),
            ends: instant + rest,
            date: httpdate::fmt_http_date(UNIX_EPOCH + since),
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
