//! MPDs: read, spliced, read again.

#![no_main]
#![allow(clippy::expect_used, reason = "a law that does not hold is told by a panic")]

#[path = "../../host/stream/tests/mutated/laws.rs"]
#[allow(dead_code, reason = "those of the other targets")]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(laws::mpd(bytes)));
