//! The id under which a client and the log speak of the same request.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header field it travels in.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// How long an id of the client's own may be, in bytes.
const OWN_BYTES_MAX: usize = 64;

/// The client's own id, where it is one, else a new one.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    let own = headers.get(HEADER).filter(|value| is_id(value.as_bytes()));
    own.cloned().unwrap_or_else(next)
}

/// What may stand in a log line as it is.
fn is_id(bytes: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=OWN_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_allowed)
}

fn next() -> HeaderValue {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    // Without randomness from the system, the ids are still unique within the process.
    let process = *PROCESS.get_or_init(|| getrandom::u64().unwrap_or_default());
    let id = format!("{process:016x}-{:x}", NUMBER.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}
