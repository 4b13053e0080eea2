//! What can be asked about the time.
//!
//! There is no "now": a policy asks whether an instant has come, or for the hour in a place, so that the host knows until
//! when its answer holds, to the second. A decision that asked for the hour is remembered once for each hour of the day.

use crate::contract::clock as contract;

/// Whether it is this instant or later, in seconds since 1970 UTC.
#[must_use]
pub fn at_or_after(instant: u64) -> bool {
    contract::at_or_after(instant)
}

/// The day of the week in this time zone, an IANA name such as `Europe/Berlin`: 0 is Monday, 6 is Sunday. A name that is
/// no zone's is a failure of the policy.
///
/// ```ignore
/// let is_weekend = clock::weekday("Europe/Berlin") >= 5;
/// ```
#[must_use]
pub fn weekday(zone: &str) -> u8 {
    contract::weekday(zone)
}

/// The hour in this time zone: 0 to 23. Clocks that go forward or back are accounted for. A name that is no zone's is a
/// failure of the policy.
///
/// ```ignore
/// let is_open = (9..18).contains(&clock::hour("Asia/Kolkata"));
/// ```
#[must_use]
pub fn hour(zone: &str) -> u8 {
    contract::hour(zone)
}
