//! Good playlists, MPDs and reports, spoiled in a few places: what almost is one finds mistakes that random bytes do not.
//!
//! Each file of `corpus/` is read as it is first. Mutations are drawn anew in each run; proptest keeps what fails.

#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use quick_xml::{Reader, events::Event};
use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};
use wayside_stream::{
    cmcd, dash,
    hls::{multivariant, renditions},
    pathway::{Pathway, Proof, Source},
    splice::SPLICED_BYTES_MAX,
    steering::request,
};

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

struct Names {
    source: Source,
    copies: Vec<(Name, BaseUrl)>,
}

impl Names {
    fn new(file: &str) -> Self {
        let folder = BaseUrl::parse("https://origin.example/vod/").expect("a folder");
        let url = folder.join(&format!("film/{file}")).expect("a URL");
        let copy = |id: &str| {
            let base = BaseUrl::parse(&format!("https://{id}.example/x")).expect("a folder");
            (Name::parse("id", id).expect("a name"), base)
        };
        Self {
            source: Source::new(&url, &folder).expect("below"),
            copies: vec![copy("one"), copy("two")],
        }
    }

    fn pathways(&self) -> Vec<Pathway<'_>> {
        let pathway = |(id, base)| Pathway {
            id,
            base,
            proof: Proof::Open,
        };
        self.copies.iter().map(|(id, base)| pathway((id, base))).collect()
    }
}

fn server() -> Target {
    Target::parse("https://site.example/.wayside/steer/film?session=x").expect("a URL")
}

/// The playlist with two pathways; none when it is refused.
fn playlist(bytes: &[u8]) -> Option<String> {
    let names = Names::new("main.m3u8");
    let prepared = multivariant::prepare(bytes, &names.source, &names.pathways(), Existing::Replace).ok()?;
    let steered = prepared
        .steered(&server(), &names.copies[1].0)
        .expect("a pathway of it");
    Some(String::from_utf8(steered).expect("text"))
}

/// The MPD with two pathways; none when it is refused.
fn mpd(bytes: &[u8]) -> Option<String> {
    let names = Names::new("live.mpd");
    let prepared = dash::prepare(bytes, &names.source, &names.pathways(), Existing::Replace).ok()?;
    let server = server();
    let steering = dash::Steering {
        server: &server,
        mpd: &server,
    };
    let steered = prepared
        .steered(&steering, &names.copies[1].0)
        .expect("a pathway of it");
    Some(String::from_utf8(steered).expect("text"))
}

#[test]
fn the_corpus_is_good() {
    let playlist = playlist(MULTIVARIANT).expect("a playlist");
    assert_eq!(playlist.matches("#EXT-X-STREAM-INF").count(), 4, "{playlist}");
    assert_eq!(renditions::read(MULTIVARIANT).expect("a playlist").len(), 2);
    let mpd = mpd(MPD).expect("an MPD");
    assert!(
        mpd.contains("<m:ContentSteering ") && !mpd.contains("PatchLocation"),
        "{mpd}"
    );
    assert_eq!(dash::renditions::read(MPD).len(), 2);
    let batch = cmcd::from_body(CMCD).expect("short");
    assert_eq!((batch.reports.len(), batch.refused), (3, 0));
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]

    #[test]
    fn what_is_spliced_into_a_spoiled_playlist_has_one_steering_and_is_read_again(changes in changes()) {
        let bytes = changed(MULTIVARIANT, &changes);
        let _ = renditions::read(&bytes);
        if let Some(steered) = playlist(&bytes) {
            prop_assert!(steered.len() <= SPLICED_BYTES_MAX);
            prop_assert!(steered.contains("SERVER-URI=\"https://site.example/.wayside/steer/film?session=x\",PATHWAY-ID=\"two\""));
            let lines = |text: &str| text.lines().filter(|line| line.trim_start_matches('\u{feff}').starts_with("#EXT-X-CONTENT-STEERING:")).count();
            prop_assert_eq!(lines(&steered), 1);
        }
    }

    #[test]
    fn what_is_spliced_into_a_spoiled_mpd_is_well_formed(changes in changes()) {
        let bytes = changed(MPD, &changes);
        let _ = dash::renditions::read(&bytes);
        if let Some(steered) = mpd(&bytes) {
            prop_assert!(steered.len() <= SPLICED_BYTES_MAX);
            let mut reader = Reader::from_str(&steered);
            while reader.read_event().expect("well-formed") != Event::Eof {}
            prop_assert_eq!(steered.matches("serviceLocation=\"one\"").count(), 1);
        }
    }

    #[test]
    fn spoiled_reports_are_counted_and_claim_nothing_beyond_bounds(changes in changes()) {
        let bytes = changed(CMCD, &changes);
        if let Ok(batch) = cmcd::from_body(&bytes) {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            prop_assert_eq!(batch.reports.len() + batch.refused, lines);
        }
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let _ = cmcd::from_query(&format!("CMCD={line}"));
            let _ = cmcd::from_headers([("CMCD-Object", line), ("CMCD-Status", line)]);
            let _ = request::read(line);
        }
    }
}
