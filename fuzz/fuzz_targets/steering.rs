//! What players say when they ask for a steering manifest.

#![no_main]
#![allow(clippy::expect_used, reason = "a law that does not hold is told by a panic")]

#[path = "../../host/stream/tests/mutated/laws.rs"]
#[allow(dead_code, reason = "those of the other targets")]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| laws::steering(&String::from_utf8_lossy(bytes)));
