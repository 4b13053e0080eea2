//! What is spliced in, what stays as it was, and what is refused.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};

use super::prepare;
use crate::{
    pathway::{Pathway, Proof, Source},
    samples::copies,
    sign::{
        Signing,
        hmac::{Placement, PlainHmac},
        secret::Secret,
        validity::Window,
    },
    splice::Error,
};

const SERVER: &str = "https://edge.example/.wayside/steer/event?session=a.b";

fn spliced(playlist: &[u8], ids: &[&str], existing: Existing) -> Result<Vec<u8>, Error> {
    let folder = BaseUrl::parse("https://origin.example/live").expect("a folder");
    let url = Target::parse("https://origin.example/live/event/main.m3u8").expect("a URL");
    let source = Source::new(&url, &folder).expect("below");
    let named = copies(ids);
    let pathways: Vec<Pathway<'_>> = named
        .iter()
        .map(|(id, base)| Pathway {
            id,
            base,
            proof: Proof::Open,
        })
        .collect();
    let server = Target::parse(SERVER).expect("a URL");
    let prepared = prepare(playlist, &source, &pathways, existing)?;
    prepared.steered(&server, &named[0].0)
}

fn text(playlist: &str, ids: &[&str]) -> String {
    let found = spliced(playlist.as_bytes(), ids, Existing::Replace).expect("spliced");
    String::from_utf8(found).expect("text")
}

fn refused(playlist: &str, ids: &[&str]) -> String {
    spliced(playlist.as_bytes(), ids, Existing::Replace)
        .expect_err(playlist)
        .to_string()
}

#[test]
fn variants_and_renditions_get_pathways_and_the_rest_stays() {
    let playlist = "#EXTM3U\n\
        #EXT-X-VERSION:12\n\
        # a comment\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"en, de\",URI=\"a/en.m3u8\",X=1\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"en\",INSTREAM-ID=\"CC1\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"aac\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"v1\"\n\
        # between\n\
        v1.m3u8?a=1\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"../i.m3u8\"\n\
        #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\"\n";
    let expected = "#EXTM3U\n\
        #EXT-X-CONTENT-STEERING:SERVER-URI=\"https://edge.example/.wayside/steer/event?session=a.b\",PATHWAY-ID=\"a\"\n\
        #EXT-X-VERSION:12\n\
        # a comment\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"en, de\",URI=\"https://a.example/x/event/a/en.m3u8\",X=1\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac@b\",NAME=\"en, de\",URI=\"https://b.example/x/event/a/en.m3u8\",X=1\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"en\",INSTREAM-ID=\"CC1\"\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc@b\",NAME=\"en\",INSTREAM-ID=\"CC1\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"aac\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"v1\",PATHWAY-ID=\"a\"\n\
        # between\n\
        https://a.example/x/event/v1.m3u8?a=1\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"aac@b\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"v1\",PATHWAY-ID=\"b\"\n\
        https://b.example/x/event/v1.m3u8?a=1\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"https://a.example/x/i.m3u8\",PATHWAY-ID=\"a\"\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"https://b.example/x/i.m3u8\",PATHWAY-ID=\"b\"\n\
        #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\"\n";
    assert_eq!(text(playlist, &["a", "b"]), expected);
}

#[test]
fn ends_of_lines_marks_and_missing_ends_stay_as_they_are() {
    let playlist = "\u{feff}#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1 \r\n v1.m3u8\t";
    let expected = "\u{feff}#EXTM3U\r\n\
        #EXT-X-CONTENT-STEERING:SERVER-URI=\"https://edge.example/.wayside/steer/event?session=a.b\",PATHWAY-ID=\"a\"\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"a\" \r\n https://a.example/x/event/v1.m3u8\t\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"b\" \r\nhttps://b.example/x/event/v1.m3u8";
    assert_eq!(text(playlist, &["a", "b"]), expected);
    let last = "#EXTM3U\n#EXT-X-STREAM-INF:A=1\nv\n#EXT-X-MEDIA:GROUP-ID=\"g\"";
    assert!(text(last, &["a", "b"]).ends_with("#EXT-X-MEDIA:GROUP-ID=\"g\"\n#EXT-X-MEDIA:GROUP-ID=\"g@b\""));
}

#[test]
fn steering_and_a_pathway_of_the_origin_s_own_are_replaced_or_refused() {
    let playlist =
        "#EXTM3U\n#EXT-X-STREAM-INF:PATHWAY-ID=\"old\",BANDWIDTH=1\nv\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"x\"\n";
    let found = text(playlist, &["a", "b"]);
    assert_eq!(
        found,
        format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:PATHWAY-ID=\"a\",BANDWIDTH=1\nhttps://a.example/x/event/v\n\
             #EXT-X-STREAM-INF:PATHWAY-ID=\"b\",BANDWIDTH=1\nhttps://b.example/x/event/v\n\
             #EXT-X-CONTENT-STEERING:SERVER-URI=\"{SERVER}\",PATHWAY-ID=\"a\"\n"
        )
    );
    let text = spliced(playlist.as_bytes(), &["a"], Existing::Refuse)
        .expect_err("refused")
        .to_string();
    assert_eq!(
        text,
        "line 4: found \"#EXT-X-CONTENT-STEERING:SERVER-URI=\\\"x\\\"\", expected no steering of the origin's own"
    );
    let twice = format!("{playlist}#EXT-X-CONTENT-STEERING:SERVER-URI=\"y\"");
    assert_eq!(
        refused(&twice, &["a"]),
        "line 5: found #EXT-X-CONTENT-STEERING again, expected one at most"
    );
    let several = "#EXTM3U\n#EXT-X-STREAM-INF:PATHWAY-ID=\"p\"\nv\n#EXT-X-STREAM-INF:PATHWAY-ID=\"q\"\nv\n";
    assert!(refused(several, &["a"]).starts_with("line 4: found PATHWAY-ID=\"q\", expected one pathway, \"p\": "));
}

#[test]
fn what_is_elsewhere_stays_there_and_data_stays_data() {
    let playlist = "#EXTM3U\n#EXT-X-MEDIA:GROUP-ID=\"g\",URI=\"data:application/vnd.apple.mpegurl,%23EXTM3U\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://other.example/v.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://origin.example/live/v.m3u8\n";
    let found = text(playlist, &["a", "b"]);
    assert_eq!(
        found
            .matches("URI=\"data:application/vnd.apple.mpegurl,%23EXTM3U\"")
            .count(),
        2
    );
    assert_eq!(found.matches("\nhttps://other.example/v.m3u8\n").count(), 2);
    assert!(found.contains("\nhttps://b.example/x/v.m3u8\n") && !found.contains("origin.example"));
}

#[test]
fn signed_targets_have_a_token_in_every_url() {
    let folder = BaseUrl::parse("https://origin.example/").expect("a folder");
    let url = Target::parse("https://origin.example/main.m3u8").expect("a URL");
    let source = Source::new(&url, &folder).expect("below");
    let key = |placement| Signing::Hmac(PlainHmac::new(Secret::from_bytes(*b"k").expect("a key"), placement));
    let window = Window {
        issued_s: 0,
        starts_s: None,
        expires_s: 77,
        next_s: 1,
    };
    let (id, base) = (
        Name::parse("id", "a").expect("a name"),
        BaseUrl::parse("https://a.example/x").expect("a folder"),
    );
    let server = Target::parse(SERVER).expect("a URL");
    let playlist = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8?q\n";
    for (placement, start) in [
        (Placement::Path, "https://a.example/77_2_"),
        (Placement::Query, "https://a.example/x/v1.m3u8?q&wayside-token=77_2_"),
    ] {
        let token = key(placement).token(&base, &window).expect("a token");
        let pathway = Pathway {
            id: &id,
            base: &base,
            proof: Proof::Token(&token),
        };
        let prepared = prepare(playlist, &source, &[pathway], Existing::Refuse).expect("spliced");
        let found = prepared.steered(&server, &id).expect("steered");
        let found = String::from_utf8(found).expect("text");
        let line = found.lines().nth(3).expect("a URL");
        assert!(line.starts_with(start), "{line}");
    }
    let token = key(Placement::Query).token(&base, &window).expect("a token");
    let pathway = Pathway {
        id: &id,
        base: &base,
        proof: Proof::Token(&token),
    };
    let taken = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8?wayside-token=1\n";
    let text = prepare(taken, &source, &[pathway], Existing::Refuse)
        .expect_err("a parameter of that name")
        .to_string();
    assert!(
        text.starts_with("line 3: query of https://a.example/x/v1.m3u8"),
        "{text}"
    );
}

#[test]
fn sessions_begin_on_pathways_of_their_own() {
    let folder = BaseUrl::parse("https://origin.example/").expect("a folder");
    let url = Target::parse("https://origin.example/main.m3u8").expect("a URL");
    let source = Source::new(&url, &folder).expect("below");
    let names = ["a", "b", "c"].map(|id| Name::parse("id", id).expect("a name"));
    let base = BaseUrl::parse("https://a.example/x").expect("a folder");
    let pathways = [0, 1].map(|place| Pathway {
        id: &names[place],
        base: &base,
        proof: Proof::Open,
    });
    let playlist = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n";
    let prepared = prepare(playlist, &source, &pathways, Existing::Refuse).expect("spliced");
    let steered = |server: &str, first: &Name| {
        let found = prepared.steered(&Target::parse(server).expect("a URL"), first);
        found.map(|found| String::from_utf8(found).expect("text"))
    };
    let one = steered("https://edge.example/1", &names[0]).expect("steered");
    let other = steered("https://edge.example/22", &names[1]).expect("steered");
    let tag = r#"#EXT-X-CONTENT-STEERING:SERVER-URI="https://edge.example/22",PATHWAY-ID="b""#;
    assert_eq!(other.lines().nth(1), Some(tag));
    let rest = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(&one), rest(&other));
    let text = steered("https://edge.example/", &names[2])
        .expect_err("no such pathway")
        .to_string();
    assert_eq!(
        text,
        "pathways: found c to begin on, expected one or more, each with a name of its own, to begin on one of them"
    );
}

#[test]
fn broken_playlists_are_named_by_their_line() {
    for (playlist, expected) in [
        ("", "line 1: found an empty file, expected #EXTM3U"),
        ("<html>", "line 1: found \"<html>\", expected #EXTM3U"),
        (
            "#EXTM3U",
            "line 1: found no variant, expected one #EXT-X-STREAM-INF at least",
        ),
        (
            "#EXTM3U\n#EXTINF:6,\n1.ts",
            "line 2: found \"#EXTINF:6,\", expected a multivariant playlist, without segments",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:A=1\n\n",
            "line 2: found the end of the file, expected the URI of the variant of line 2",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:A=1\n#EXT-X-STREAM-INF:A=2\nv",
            "line 3: found \"#EXT-X-STREAM-INF:A=2\", expected the URI of the variant of line 2",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:A=\"\nv",
            "line 2: found \"\\\"\", expected a closing quotation mark",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:A\nv",
            "line 2: found \"A\", expected an attribute, NAME=value",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF\nv",
            "line 2: found \"#EXT-X-STREAM-INF\", expected a colon and attributes",
        ),
        (
            "#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:A=1",
            "line 2: found no URI, expected one in #EXT-X-I-FRAME-STREAM-INF",
        ),
        (
            "#EXTM3U\n#EXT-X-MEDIA:URI=v",
            "line 2: found \"v\", expected a quoted URI",
        ),
        (
            "#EXTM3U\n#EXT-X-MEDIA:GROUP-ID=\"g@b\"\n",
            "line 2: found \"g@b\", expected a group whose name does not end with @b",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:A=1\n/other/v",
            "line 3: found \"/other/v\", expected a URI below the asset's folder https://origin.example/live/",
        ),
    ] {
        assert_eq!(refused(playlist, &["a", "b"]), expected);
    }
    let broken = spliced(b"#EXTM3U\n\n\xff\n", &["a"], Existing::Replace)
        .expect_err("no text")
        .to_string();
    assert_eq!(broken, "line 3: found bytes that are no UTF-8, expected UTF-8");
    let one = "#EXTM3U\n#EXT-X-STREAM-INF:A=1\nv";
    assert_eq!(
        refused(one, &[]),
        "pathways: found none, expected one or more, each with a name of its own, to begin on one of them"
    );
    assert_eq!(
        refused(one, &["a", "b", "a"]),
        "pathways: found a twice, expected one or more, each with a name of its own, to begin on one of them"
    );
}

#[test]
fn sizes_are_bounded_before_and_after() {
    let mut large = b"#EXTM3U\n".to_vec();
    large.resize(10 * 1024 * 1024 + 1, b'\n');
    assert!(matches!(
        spliced(&large, &["a"], Existing::Replace),
        Err(Error::Size { .. })
    ));
    let variants = format!("#EXT-X-STREAM-INF:A={}\nv\n", "x".repeat(2_000)).repeat(1_000);
    let ids: Vec<String> = (0..20).map(|place| format!("p{place}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let many = format!("#EXTM3U\n{variants}");
    assert!(matches!(
        spliced(many.as_bytes(), &ids, Existing::Replace),
        Err(Error::Spliced { .. })
    ));
}

#[test]
fn a_line_as_long_as_a_playlist_may_be_is_not_copied_without_end() {
    let ids: Vec<String> = (0..64).map(|place| format!("p{place}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let long = "x".repeat(9 * 1024 * 1024);
    for line in [
        format!("#EXT-X-MEDIA:A=\"{long}\""),
        format!("#EXT-X-STREAM-INF:A={long}\nv"),
    ] {
        let found = spliced(format!("#EXTM3U\n{line}").as_bytes(), &ids, Existing::Replace);
        assert!(matches!(found, Err(Error::Spliced { .. })));
    }
}

/// Takes out what [`prepare`] put in for pathways `a` and `b`, by another way: line by line, from the text alone.
fn removed(found: &str, ending: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut lines = found.split(ending);
    while let Some(line) = lines.next() {
        if line.starts_with("#EXT-X-CONTENT-STEERING:") || line.contains("@b\"") && line.starts_with("#EXT-X-MEDIA:") {
            continue;
        }
        if line.contains(",PATHWAY-ID=\"b\"") {
            if line.starts_with("#EXT-X-STREAM-INF") {
                lines.next();
            }
            continue;
        }
        let line = line.replace(",PATHWAY-ID=\"a\"", "");
        kept.push(line.replace("https://a.example/x/event/", ""));
    }
    kept.join(ending)
}

fn line() -> impl Strategy<Value = String> {
    let uri = "[a-z]{1,5}(/[a-z]{1,3}){0,2}\\.m3u8(\\?[a-z]=[0-9])?";
    let attributes = "(,[A-F]{2,8}=(\"[a-z ,:=é]{0,9}\"|[0-9x.]{1,5})){0,1}";
    proptest::prop_oneof![
        "#[a-z ,é]{0,12}".prop_map(|text| text),
        "#EXT-X-[A-D]{2,4}(:[a-z\",=]{0,9})?".prop_map(|text| text),
        (attributes, uri).prop_map(|(more, uri)| format!("#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"g\"{more}\n{uri}")),
        (attributes, uri).prop_map(|(more, uri)| format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",URI=\"{uri}\"{more}")),
        attributes.prop_map(|more| format!("#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\"{more}")),
        (attributes, uri).prop_map(|(more, uri)| format!("#EXT-X-I-FRAME-STREAM-INF:URI=\"{uri}\"{more}")),
        proptest::prelude::Just(String::new()),
    ]
}

proptest! {
    #[test]
    fn removing_what_was_spliced_gives_the_playlist_back(
        lines in proptest::collection::vec(line(), 0..12), has_crlf in any::<bool>(), has_end in any::<bool>(), has_bom in any::<bool>(),
    ) {
        let ending = if has_crlf { "\r\n" } else { "\n" };
        let variant = "#EXT-X-STREAM-INF:BANDWIDTH=2\nlast.m3u8";
        let mut playlist = format!("#EXTM3U\n{}\n{variant}", lines.join("\n")).replace('\n', ending);
        if has_end {
            playlist.push_str(ending);
        }
        if has_bom {
            playlist.insert(0, '\u{feff}');
        }
        let found = text(&playlist, &["a", "b"]);
        prop_assert_eq!(removed(&found, ending), playlist.clone());
        prop_assert_eq!(found.matches("#EXT-X-CONTENT-STEERING").count(), 1);
        let count = |name: &str| playlist.matches(name).count();
        for name in ["#EXT-X-STREAM-INF", "#EXT-X-MEDIA", "#EXT-X-I-FRAME"] {
            prop_assert_eq!(found.matches(name).count(), 2 * count(name));
        }
        let again = text(&found.replace("@b", "-b").replace("\"b\"", "\"a\""), &["a", "b"]);
        prop_assert_eq!(again.matches("#EXT-X-CONTENT-STEERING").count(), 1, "steering is replaced");
    }

    #[test]
    fn no_bytes_are_too_strange(
        bytes in proptest::collection::vec(any::<u8>(), 0..100), pieces in proptest::collection::vec(0_usize..12, 0..30),
    ) {
        const PIECES: [&str; 12] = [
            "#EXTM3U", "\n", "\r", "#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:", "URI=", "\"", "GROUP-ID=\"g\"", ",", "a.m3u8", "PATHWAY-ID=\"\"", "\u{feff}é",
        ];
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for input in [bytes, format!("#EXTM3U\n#EXT-X-STREAM-INF:\n{text}").into_bytes(), format!("#EXTM3U\n{text}").into_bytes()] {
            if let Ok(found) = spliced(&input, &["a", "b"], Existing::Replace) {
                prop_assert!(std::str::from_utf8(&found).is_ok());
            }
        }
    }
}
