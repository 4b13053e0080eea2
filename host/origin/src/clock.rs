//! The calendar, in seconds since 1970 UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time.
pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
