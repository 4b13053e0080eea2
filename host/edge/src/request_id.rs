//! The id under which a visitor and the log speak of the same request.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// An id that no other request of this process has, and in all likelihood none of any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId {
    process: u64,
    number: u64,
}

impl RequestId {
    /// The header field it travels in.
    pub(crate) const HEADER: &'static str = "x-request-id";

    /// The next id.
    pub(crate) fn next() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        // Without randomness from the system, the ids are still unique within the process.
        let process = *PROCESS.get_or_init(|| getrandom::u64().unwrap_or_default());
        Self {
            process,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{:x}", self.process, self.number)
    }
}
