//! The calendar, since 1970 UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time, in seconds.
pub(crate) fn now_s() -> u64 {
    since_1970().as_secs()
}

/// The time, in milliseconds.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
