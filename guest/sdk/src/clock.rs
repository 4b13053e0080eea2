//! What can be asked about the time.
//!
//! There is no "now": a policy asks whether an instant has come, so that the host knows until when its answer holds.

use crate::bindings::wayside::policy::clock as contract;

/// Whether it is this instant or later, in seconds since 1970 UTC.
#[must_use]
pub fn at_or_after(instant: u64) -> bool {
    contract::at_or_after(instant)
}
