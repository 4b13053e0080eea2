//! Coverage zones as fuzzing spoiled them: its corpus, each file read as it is.

#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

use std::{fs, path::Path};

use wayside_upstream::protocol::zones::parse;

#[path = "zones/laws.rs"]
mod laws;

#[test]
fn laws_hold_for_the_zones_that_fuzzing_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/zones");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let (mut read, mut refused) = (0, 0);
    for file in files {
        let file = file.expect("a file").path();
        match parse(&fs::read(&file).expect("a file")) {
            Ok(groups) => {
                laws::zones(&groups);
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 5 && refused > 5, "{read} read, {refused} refused");
}
