//! What holds for every input of this crate's decoders, however spoiled: asserted of mutations (`mutated.rs`), of the corpus
//! that fuzzing has left, and by the fuzz targets themselves (`fuzz/fuzz_targets`).
//!
//! In: bytes that anybody may have written. Each function panics when what the decoder makes of them breaks a law.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};
use wayside_stream::{
    cmcd::{self, BATCH_BYTES_MAX, EVENTS_MAX, REPORT_BYTES_MAX, Report},
    dash,
    hls::{multivariant, renditions},
    pathway::{Pathway, Proof, Source},
    splice::SPLICED_BYTES_MAX,
    steering::request::{self, THROUGHPUT_MAX, USED_MAX},
};

/// Tags of which each pathway has copies.
const COPIED: [&str; 3] = ["#EXT-X-STREAM-INF", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-MEDIA"];
const STEERING: &str = "#EXT-X-CONTENT-STEERING";
const BOM: char = '\u{feff}';

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

/// A multivariant playlist with two pathways; none when it is refused.
///
/// What is spliced in is one tag of steering, which begins on `two`, and a copy of each variant. Lines that nothing is spliced
/// into stand there as they stood, in their order, their ends included.
pub(crate) fn playlist(bytes: &[u8]) -> Option<String> {
    let names = Names::new("main.m3u8");
    let known = renditions::read(bytes);
    let prepared = multivariant::prepare(bytes, &names.source, &names.pathways(), Existing::Replace).ok()?;
    let steered = prepared
        .steered(&server(), &names.copies[1].0)
        .expect("a pathway of it");
    assert!(steered.len() <= SPLICED_BYTES_MAX, "{} bytes", steered.len());
    let steered = String::from_utf8(steered).expect("text");
    let text = std::str::from_utf8(bytes).expect("refused when it is none");
    let steering: Vec<&str> = lines(&steered).filter(|line| tag(line) == Some(STEERING)).collect();
    let expected = format!("{STEERING}:SERVER-URI=\"{}\",PATHWAY-ID=\"two\"", server());
    assert_eq!(steering, [expected], "{steered}");
    check_kept(text, &steered);
    let renditions = |read: Result<Vec<_>, _>| read.expect("a playlist").len();
    let (before, after) = (renditions(known), renditions(renditions::read(steered.as_bytes())));
    assert!(
        after == 2 * before || after == RENDITIONS_MAX,
        "{before} renditions became {after}: {steered}"
    );
    Some(steered)
}

fn check_kept(playlist: &str, steered: &str) {
    let mut written = lines_with_ends(steered);
    for line in kept(playlist) {
        // Behind a last line without an end there may stand copies.
        let is_there =
            written.any(|other| other == line || (!line.ends_with('\n') && other.trim_end() == line.trim_end()));
        assert!(is_there, "{line:?} is not kept of {playlist:?} in {steered:?}");
    }
}

/// As many renditions as are told of.
const RENDITIONS_MAX: usize = 64;

/// Lines without their ends. A byte order mark is one at the start of the file only.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix(BOM).unwrap_or(text).lines()
}

fn lines_with_ends(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix(BOM).unwrap_or(text).split_inclusive('\n')
}

/// The name of a line's tag, as forgiving readers take it.
fn tag(line: &str) -> Option<&str> {
    let line = line.trim_matches([' ', '\t']);
    let (name, _) = line.split_once(':').unwrap_or((line, ""));
    name.starts_with("#EXT").then(|| name.trim_matches([' ', '\t']))
}

/// Lines into which nothing is spliced: comments, and tags that steering does not know.
fn kept(playlist: &str) -> impl Iterator<Item = &str> {
    lines_with_ends(playlist).filter(|line| {
        let bare = line.trim_end_matches('\n');
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        match tag(bare) {
            Some(name) => name != STEERING && !COPIED.contains(&name),
            None => bare.trim_matches([' ', '\t']).starts_with('#'),
        }
    })
}

/// An MPD with two pathways; none when it is refused.
///
/// What comes out is well-formed. The root has the base URLs of both pathways and no other, one element of steering, its
/// own location at most once, and no location of patches.
pub(crate) fn mpd(bytes: &[u8]) -> Option<String> {
    let _ = dash::renditions::read(bytes);
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
    assert!(steered.len() <= SPLICED_BYTES_MAX, "{} bytes", steered.len());
    let steered = String::from_utf8(steered).expect("text");
    let children = children(&steered);
    let of = |name: &'static str| children.iter().filter(move |(other, _)| other == name);
    let locations: Vec<_> = of("BaseURL").map(|(_, location)| location.as_deref()).collect();
    assert_eq!(locations, [Some("one"), Some("two")], "{steered}");
    assert_eq!(of("ContentSteering").count(), 1, "{steered}");
    assert!(of("Location").count() <= 1, "{steered}");
    assert_eq!(of("PatchLocation").count(), 0, "{steered}");
    let _ = dash::renditions::read(steered.as_bytes());
    Some(steered)
}

/// The children of the root that have its prefix: the rest of their names, and their `serviceLocation`.
fn children(mpd: &str) -> Vec<(String, Option<String>)> {
    let mut reader = Reader::from_str(mpd.strip_prefix(BOM).unwrap_or(mpd));
    let (mut depth, mut prefix, mut children) = (0_usize, String::new(), Vec::new());
    let mut see = |tag: &BytesStart<'_>, depth: usize| {
        let name = tag.name().0.to_owned();
        if depth == 0 {
            prefix = name.rfind(':').map_or("", |colon| &name[..=colon]).to_owned();
        } else if let (1, Some(local)) = (depth, name.strip_prefix(&prefix)) {
            let mut attributes = tag.attributes();
            let mut attributes = attributes.with_checks(false).flatten();
            let location = attributes.find(|attribute| attribute.key.0 == "serviceLocation");
            children.push((local.to_owned(), location.map(|location| location.value.into_owned())));
        }
    };
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) => {
                see(&tag, depth);
                depth += 1;
            }
            Event::Empty(tag) => see(&tag, depth),
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "an element without an end: {mpd}");
    children
}

/// A batch of reports; and each of its lines, and the whole, as a query and as headers.
///
/// Every line is counted, what is claimed is within bounds, and a report says the same by each way.
pub(crate) fn reports(bytes: &[u8]) {
    let lines = || {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !line.is_empty())
    };
    match cmcd::from_body(bytes) {
        Ok(batch) => {
            assert_eq!(batch.reports.len() + batch.refused, lines().count());
            assert_eq!(batch.refused > 0, batch.first.is_some());
            batch.reports.iter().for_each(bounded);
        }
        Err(_) => assert!(
            bytes.len() > BATCH_BYTES_MAX || lines().count() > EVENTS_MAX,
            "nothing else refuses a batch"
        ),
    }
    for line in lines().filter_map(|line| std::str::from_utf8(line).ok()) {
        report(line);
    }
    let whole = String::from_utf8_lossy(bytes);
    for refused_or_not in [
        cmcd::from_query(&whole),
        cmcd::from_query(&format!("a=b&CMCD={whole}")),
        cmcd::from_headers([("CMCD-Object", &*whole), ("cmcd-status", &*whole), ("Accept", &*whole)]),
    ] {
        let read = refused_or_not.ok().flatten();
        read.iter().for_each(bounded);
    }
}

/// A line of a batch, by each way.
fn report(line: &str) {
    let in_batch = cmcd::from_body(line.as_bytes()).expect("one line");
    let in_batch = in_batch.reports.into_iter().next();
    let query: String = form_encoded(line);
    if line.len() <= REPORT_BYTES_MAX && query.len() <= 3 * REPORT_BYTES_MAX {
        assert_eq!(cmcd::from_query(&query).ok().flatten(), in_batch, "{line:?} in a query");
        let in_header = cmcd::from_headers([("CMCD-Session", line)]);
        assert_eq!(in_header.ok().flatten(), in_batch, "{line:?} in a header");
    }
}

/// A query with a report, every byte of it escaped that may be.
fn form_encoded(report: &str) -> String {
    let escaped = report.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    std::iter::once("CMCD=".to_owned()).chain(escaped).collect()
}

fn bounded(report: &Report) {
    const ID_BYTES_MAX: usize = 256;
    const URL_BYTES_MAX: usize = 4 * 1024;
    const KBIT_S_MAX: u64 = 100_000_000;
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    assert!(length(&report.session) <= ID_BYTES_MAX, "{report:?}");
    assert!(length(&report.url) <= URL_BYTES_MAX, "{report:?}");
    for kbit_s in [report.bitrate_kbit_s, report.throughput_kbit_s].into_iter().flatten() {
        assert!(kbit_s <= KBIT_S_MAX, "{report:?}");
    }
}

/// The query of a request for a steering manifest: whatever it says, what is made of it is within bounds.
pub(crate) fn steering(query: &str) {
    let asked = request::read(query);
    assert!(asked.used.len() <= USED_MAX, "{asked:?}");
    assert!(asked.protocol.is_some() || asked.used.is_empty(), "{asked:?}");
    for throughput in asked.used.iter().filter_map(|used| used.throughput) {
        assert!(throughput <= THROUGHPUT_MAX, "{asked:?}");
    }
    if !query.starts_with('?') {
        assert_eq!(
            request::read(&format!("?{query}")),
            asked,
            "with the mark that it stands behind"
        );
    }
}
