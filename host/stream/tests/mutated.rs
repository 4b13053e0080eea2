//! Good playlists, MPDs and reports, spoiled in a few places: what almost is one finds mistakes that random bytes do not.
//!
//! Each file of `corpus/` is read as it is first. Mutations are drawn anew in each run; proptest keeps what fails.

#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

use std::{fs, path::Path};

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use wayside_stream::{cmcd, dash, hls::renditions};

#[path = "mutated/laws.rs"]
mod laws;

const MULTIVARIANT: &[u8] = include_bytes!("corpus/multivariant.m3u8");
const MPD: &[u8] = include_bytes!("corpus/live.mpd");
const CMCD: &[u8] = include_bytes!("corpus/events.cmcd");

/// What formats are made of.
const PIECES: [&str; 28] = [
    "\n",
    "\r",
    "\r\n",
    "\"",
    "'",
    ",",
    "=",
    ":",
    ";",
    "(",
    ")",
    "<",
    ">",
    "/>",
    "&",
    "&amp;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "#EXT-X-STREAM-INF:",
    "PATHWAY-ID=\"a\"",
    "{$x}",
    "../../",
    "//",
    "\u{feff}",
    "99999999999999999999",
    "\0",
];

/// One change, at a place between 0 and 1 of what there is.
#[derive(Debug, Clone)]
enum Change {
    Flip(u8),
    Remove(usize),
    Repeat(usize),
    Insert(usize),
    Cut,
}

fn changes() -> impl Strategy<Value = Vec<(f64, Change)>> {
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Flip),
        (1_usize..80).prop_map(Change::Remove),
        (1_usize..80).prop_map(Change::Repeat),
        (0..PIECES.len()).prop_map(Change::Insert),
        Just(Change::Cut),
    ];
    proptest::collection::vec((0.0..1.0, change), 1..8)
}

fn changed(whole: &[u8], changes: &[(f64, Change)]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for (place, change) in changes {
        let at = (place * bytes.len() as f64) as usize;
        let end = |length: &usize| (at + length).min(bytes.len());
        match change {
            Change::Flip(bits) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits),
            Change::Remove(length) => drop(bytes.drain(at..end(length))),
            Change::Repeat(length) => {
                let piece = bytes[at..end(length)].to_vec();
                bytes.splice(at..at, piece);
            }
            Change::Insert(piece) => drop(bytes.splice(at..at, PIECES[*piece].bytes())),
            Change::Cut => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn the_corpus_is_good() {
    let playlist = laws::playlist(MULTIVARIANT).expect("a playlist");
    assert_eq!(playlist.matches("#EXT-X-STREAM-INF").count(), 4, "{playlist}");
    assert_eq!(renditions::read(MULTIVARIANT).expect("a playlist").len(), 2);
    let mpd = laws::mpd(MPD).expect("an MPD");
    assert!(
        mpd.contains("<m:ContentSteering ") && !mpd.contains("PatchLocation"),
        "{mpd}"
    );
    assert_eq!(dash::renditions::read(MPD).len(), 2);
    let batch = cmcd::from_body(CMCD).expect("short");
    assert_eq!((batch.reports.len(), batch.refused), (3, 0));
}

/// All that fuzzing has left for a target, each time: `fuzz/run` keeps what reached code that nothing before it did.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the corpus grows by files, and a failure's output is to end with the one that led to it"
)]
fn each_of_the_corpus(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let file = file.expect("a file").path();
        eprintln!("{}", file.display());
        check(&fs::read(&file).expect("a file"));
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", folder.display());
}

#[test]
fn laws_hold_for_the_playlists_that_fuzzing_found() {
    each_of_the_corpus("hls", |bytes| drop(laws::playlist(bytes)));
}

#[test]
fn laws_hold_for_the_mpds_that_fuzzing_found() {
    each_of_the_corpus("mpd", |bytes| drop(laws::mpd(bytes)));
}

#[test]
fn laws_hold_for_the_reports_that_fuzzing_found() {
    each_of_the_corpus("cmcd", laws::reports);
}

#[test]
fn laws_hold_for_the_queries_that_fuzzing_found() {
    each_of_the_corpus("steering", |bytes| laws::steering(&String::from_utf8_lossy(bytes)));
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]

    #[test]
    fn what_is_spliced_into_a_spoiled_playlist_has_one_steering_and_is_read_again(changes in changes()) {
        laws::playlist(&changed(MULTIVARIANT, &changes));
    }

    #[test]
    fn what_is_spliced_into_a_spoiled_mpd_is_well_formed(changes in changes()) {
        laws::mpd(&changed(MPD, &changes));
    }

    #[test]
    fn spoiled_reports_are_counted_and_claim_nothing_beyond_bounds(changes in changes()) {
        let bytes = changed(CMCD, &changes);
        laws::reports(&bytes);
        String::from_utf8_lossy(&bytes).lines().for_each(laws::steering);
    }
}
