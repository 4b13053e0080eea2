//! Files of coverage zones.

#![no_main]

#[path = "../../host/upstream/tests/zones/laws.rs"]
mod laws;
/// The decoder's own file: its crate brings an HTTP client along, which takes minutes to build with coverage.
#[path = "../../host/upstream/src/protocol/zones.rs"]
#[allow(dead_code, reason = "the limit is for who receives the file")]
mod zones;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(groups) = zones::parse(bytes) {
        laws::zones(&groups);
    }
});
