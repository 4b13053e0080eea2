//! What is spliced in, what stays as it was, and what is refused.

use proptest::prelude::{any, prop_assert_eq, proptest};
use quick_xml::{Reader, events::Event};
use wayside_decide::{
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};

use super::{Steering, prepare};
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

fn with(mpd: &[u8], ids: &[&str], existing: Existing, proof: Proof<'_>) -> Result<Vec<u8>, Error> {
    let folder = BaseUrl::parse("https://origin.example/vod").expect("a folder");
    let url = Target::parse("https://origin.example/vod/film/main.mpd").expect("a URL");
    let source = Source::new(&url, &folder).expect("below");
    let named = copies(ids);
    let pathways: Vec<Pathway<'_>> = named.iter().map(|(id, base)| Pathway { id, base, proof }).collect();
    let steering = Steering {
        server: &Target::parse("https://edge.example/steer?a=1&b=2").expect("a URL"),
        mpd: &Target::parse("https://edge.example/film/main.mpd").expect("a URL"),
    };
    prepare(mpd, &source, &pathways, existing)?.steered(&steering, &named[0].0)
}

fn text(mpd: &str, ids: &[&str]) -> String {
    let found = with(mpd.as_bytes(), ids, Existing::Replace, Proof::Open).expect("spliced");
    String::from_utf8(found).expect("text")
}

fn refused(mpd: &str) -> String {
    with(mpd.as_bytes(), &["a", "b"], Existing::Replace, Proof::Open)
        .expect_err(mpd)
        .to_string()
}

const STEERED: &str = "<ContentSteering defaultServiceLocation=\"a\" queryBeforeStart=\"false\" clientRequirement=\"true\">\
    https://edge.example/steer?a=1&amp;b=2</ContentSteering>";

#[test]
fn base_urls_and_steering_come_before_the_first_child_that_may_follow_them() {
    let mpd = "<?xml version=\"1.0\"?>\r\n<!-- c -->\r\n<MPD type='static' >\r\n  <ProgramInformation/>\r\n\r\n  \
        <Period id=\"1\">\r\n<x:any xmlns:x=\"y\">&amp;</x:any><BaseURL>v/</BaseURL></Period>\r\n</MPD>\r\n";
    let expected = format!(
        "<?xml version=\"1.0\"?>\r\n<!-- c -->\r\n<MPD type='static' >\r\n  <ProgramInformation/>\r\n\r\n  \
         <BaseURL serviceLocation=\"a\">https://a.example/x/film/</BaseURL>\r\n\r\n  \
         <BaseURL serviceLocation=\"b\">https://b.example/x/film/</BaseURL>\r\n\r\n  {STEERED}\r\n\r\n  \
         <Period id=\"1\">\r\n<x:any xmlns:x=\"y\">&amp;</x:any><BaseURL>v/</BaseURL></Period>\r\n</MPD>\r\n"
    );
    assert_eq!(text(mpd, &["a", "b"]), expected);
}

#[test]
fn a_base_url_of_the_origin_s_own_is_taken_along_with_its_attributes() {
    for (own, expected) in [
        (
            "<BaseURL>video/?x=1&amp;y=2</BaseURL>",
            "<BaseURL serviceLocation=\"a\">https://a.example/x/film/video/?x=1&amp;y=2</BaseURL>",
        ),
        (
            "<BaseURL availabilityTimeOffset='7'  serviceLocation = \"old\" dvb:weight=\"1\">../b/</BaseURL>",
            "<BaseURL availabilityTimeOffset='7' dvb:weight=\"1\" serviceLocation=\"a\">https://a.example/x/b/</BaseURL>",
        ),
        (
            "<BaseURL> https://origin.example/vod/ </BaseURL>",
            "<BaseURL serviceLocation=\"a\">https://a.example/x/</BaseURL>",
        ),
        (
            "<BaseURL>./</BaseURL>",
            "<BaseURL serviceLocation=\"a\">https://a.example/x/film/</BaseURL>",
        ),
    ] {
        let found = text(&format!("<MPD>{own}<Period/></MPD>"), &["a"]);
        assert_eq!(found, format!("<MPD>{expected}{STEERED}<Period/></MPD>"));
    }
}

#[test]
fn elements_have_the_prefix_of_the_root() {
    let found = text(
        "<d:MPD xmlns:d=\"urn:mpeg:dash:schema:mpd:2011\"><d:BaseURL>a/</d:BaseURL><d:Period/></d:MPD>",
        &["a"],
    );
    assert!(
        found.contains("<d:BaseURL serviceLocation=\"a\">https://a.example/x/film/a/</d:BaseURL><d:ContentSteering "),
        "{found}"
    );
    assert!(found.ends_with("</d:ContentSteering><d:Period/></d:MPD>"), "{found}");
}

#[test]
fn elements_of_others_are_left_alone() {
    let others = "<x:Location xmlns:x=\"y\">z</x:Location><x:BaseURL xmlns:x=\"y\">z</x:BaseURL>";
    let found = text(&format!("<MPD>{others}<Period/></MPD>"), &["a"]);
    assert!(
        found.ends_with(&format!("</ContentSteering>{others}<Period/></MPD>")),
        "{found}"
    );
    let prefixed = "<d:MPD xmlns:d=\"u\"><Location>z</Location><d:Period/></d:MPD>";
    assert!(text(prefixed, &["a"]).contains("<Location>z</Location>"));
}

#[test]
fn locations_lead_back_to_the_edge_and_patches_go() {
    let mpd = "<MPD><Location serviceLocation=\"x\">https://origin.example/vod/film/main.mpd</Location><Location>b</Location>\
        <PatchLocation ttl=\"5\">p</PatchLocation><Period/></MPD>";
    let found = text(mpd, &["a"]);
    let expected = "</ContentSteering><Location>https://edge.example/film/main.mpd</Location><Period/></MPD>";
    assert!(found.ends_with(expected), "{found}");
}

#[test]
fn steering_of_the_origin_s_own_is_replaced_or_refused() {
    let mpd = "<MPD>\n<ContentSteering proxyServerURL='x'>https://other.example/</ContentSteering>\n<Period/></MPD>";
    let found = text(mpd, &["a"]);
    let expected = format!(
        "<MPD>\n<BaseURL serviceLocation=\"a\">https://a.example/x/film/</BaseURL>\n{STEERED}\n<Period/></MPD>"
    );
    assert_eq!(found, expected);
    let text = with(mpd.as_bytes(), &["a"], Existing::Refuse, Proof::Open)
        .expect_err("refused")
        .to_string();
    assert_eq!(
        text,
        "line 2: found ContentSteering, expected no steering of the origin's own"
    );
    let twice = mpd.replace("<Period/>", "<ContentSteering/><Period/>");
    assert_eq!(
        refused(&twice),
        "line 3: found ContentSteering again, expected one at most"
    );
}

#[test]
fn only_a_token_in_the_path_reaches_segments() {
    let mpd = b"<MPD><Period/></MPD>";
    let window = Window {
        issued_s: 0,
        starts_s: None,
        expires_s: 77,
        next_s: 1,
    };
    let base = BaseUrl::parse("https://a.example/x").expect("a folder");
    let key = |placement| Signing::Hmac(PlainHmac::new(Secret::from_bytes(*b"k").expect("a key"), placement));
    let token = key(Placement::Path).token(&base, &window).expect("a token");
    let found = with(mpd, &["a"], Existing::Replace, Proof::Token(&token)).expect("spliced");
    assert!(String::from_utf8_lossy(&found).contains("\">https://a.example/77_2_"));
    let token = key(Placement::Query).token(&base, &window).expect("a token");
    let text = with(mpd, &["a"], Existing::Replace, Proof::Token(&token))
        .expect_err("refused")
        .to_string();
    assert!(
        text.starts_with("line 1: found a token in the query for pathway a, expected one in the path"),
        "{text}"
    );
}

#[test]
fn broken_manifests_are_named_by_their_line() {
    for (mpd, expected) in [
        ("", "line 1: found the end of the file, expected an MPD"),
        ("#EXTM3U\n", "line 1: found \"#EXTM3U\", expected an MPD"),
        ("<html/>", "line 1: found \"html\", expected one MPD"),
        ("<MPD/>", "line 1: found no Period, expected one at least"),
        (
            "\n<MPD><Period></MPD>",
            "line 2: found ill-formed document: expected `</Period>`, but `</MPD>` was found, expected well-formed XML",
        ),
        (
            "<MPD>\n<Period>\n",
            "line 3: found the end of the file, expected the end of each element",
        ),
        (
            "<MPD><Period/></MPD>\n<MPD/>",
            "line 2: found \"MPD\", expected one MPD",
        ),
        (
            "<!DOCTYPE a [<!ENTITY b \"c\">]><MPD><Period/></MPD>",
            "line 1: found a document type, expected none",
        ),
        (
            "<MPD><BaseURL>a<b/></BaseURL><Period/></MPD>",
            "line 1: found \"a<b/>\", expected text, with no entities but XML's own",
        ),
        (
            "<MPD>\n<BaseURL>&b;</BaseURL><Period/></MPD>",
            "line 2: found \"&b;\", expected no & but those of XML's own entities, as &amp;",
        ),
        (
            "<MPD>\n<BaseURL>a/</BaseURL>\n<BaseURL>b/</BaseURL><Period/></MPD>",
            "line 3: found a second BaseURL of the MPD, expected one at most: others cannot be added",
        ),
        (
            "<MPD><BaseURL a>a/</BaseURL><Period/></MPD>",
            "line 1: found \" a\", expected attributes, name=\"value\"",
        ),
        (
            "<MPD><BaseURL>https://cdn.example/</BaseURL><Period/></MPD>",
            "line 1: found \"https://cdn.example/\", expected a BaseURL below the asset's folder: with one elsewhere nothing is left for the targets",
        ),
        (
            "<MPD><BaseURL>../../</BaseURL><Period/></MPD>",
            "line 1: found \"../../\", expected a URI below the asset's folder https://origin.example/vod/",
        ),
        (
            "<MPD><Period>\n\n<BaseURL>https://origin.example/vod/v/</BaseURL></Period></MPD>",
            "line 3: found \"https://origin.example/vod/v/\", expected a relative one: an absolute one leads past the targets",
        ),
        (
            "<MPD><BaseURL>data:,x</BaseURL><Period/></MPD>",
            "line 1: found \"data:,x\", expected a BaseURL below the asset's folder: with one elsewhere nothing is left for the targets",
        ),
    ] {
        assert_eq!(refused(mpd), expected, "{mpd}");
    }
}

/// An MPD whose base is one folder below the asset's, with one representation in it.
fn nested(period: &str, set: &str, representation: &str) -> String {
    format!(
        "<MPD>\n<Period>{period}\n<AdaptationSet>{set}\n<Representation id=\"v\">{representation}</Representation>\
         </AdaptationSet></Period></MPD>"
    )
}

const ABSOLUTE: &str = "a relative one: an absolute one leads past the targets";
const BELOW: &str = "a URI below the asset's folder https://origin.example/vod/";

#[test]
fn addresses_further_in_lead_out_of_no_folder() {
    for (period, set, representation, expected) in [
        (
            "",
            "<SegmentTemplate media=\"../../$RepresentationID$/$Number$.m4s\"/>",
            "",
            format!("line 3: found media=\"../../$RepresentationID$/$Number$.m4s\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "",
            "",
            "<SegmentTemplate initialization='/top/i.mp4'/>",
            format!("line 4: found initialization=\"/top/i.mp4\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "<SegmentTemplate index='../../i'/>",
            "",
            "",
            format!("line 2: found index=\"../../i\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "",
            "<SegmentTemplate bitstreamSwitching='/b'/>",
            "",
            format!("line 3: found bitstreamSwitching=\"/b\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "",
            "",
            "<SegmentList><Initialization sourceURL='../../i'/><SegmentURL media='s'/></SegmentList>",
            format!("line 4: found sourceURL=\"../../i\" of Initialization, expected {BELOW}"),
        ),
        (
            "",
            "",
            "<SegmentList><SegmentURL media='&#x2e;&#46;/../s' index='s'/></SegmentList>",
            format!("line 4: found media=\"&#x2e;&#46;/../s\" of SegmentURL, expected {BELOW}"),
        ),
        (
            "",
            "",
            "<SegmentBase><RepresentationIndex sourceURL='..%2f..%2fi'/></SegmentBase>",
            "line 4: found sourceURL=\"..%2f..%2fi\" of RepresentationIndex, expected no segment that is two dots once \
             slashes are unescaped"
                .to_owned(),
        ),
        (
            "",
            "",
            "<SegmentTemplate media='https://ORIGIN.example/vod/film/s'/>",
            format!("line 4: found media=\"https://ORIGIN.example/vod/film/s\" of SegmentTemplate, expected {ABSOLUTE}"),
        ),
    ] {
        assert_eq!(refused(&nested(period, set, representation)), expected);
    }
    let identified = nested("", "", "").replace("id=\"v\"", "id=\"../../v\"");
    assert_eq!(
        refused(&identified),
        "line 4: found id=\"../../v\" of Representation, expected an identifier without segments of dots"
    );
}

#[test]
fn base_urls_further_in_lead_out_of_no_folder_and_name_no_pathway() {
    for (period, set, representation, expected) in [
        ("<BaseURL>../../x/</BaseURL>", "", "", format!("line 2: found \"../../x/\", expected {BELOW}")),
        ("", "<BaseURL>/vod/film/</BaseURL>", "", format!("line 3: found \"/vod/film/\", expected {BELOW}")),
        // What stands in the set is resolved against the base of the representation.
        (
            "",
            "<SegmentTemplate media='../s'/>",
            "<BaseURL>../</BaseURL>",
            format!("line 3: found media=\"../s\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "",
            "",
            "<SegmentTemplate media='../../s'/><BaseURL>v/</BaseURL><BaseURL>w</BaseURL>",
            format!("line 4: found media=\"../../s\" of SegmentTemplate, expected {BELOW}"),
        ),
        (
            "<BaseURL serviceLocation=\"a\">v/</BaseURL>",
            "",
            "",
            "line 2: found a serviceLocation of a BaseURL further in, expected none: pathways are those of the MPD, and \
             others cannot be added to its own"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(&nested(period, set, representation)), expected);
    }
}

#[test]
fn addresses_that_stay_below_or_are_elsewhere_stay_as_they_are() {
    for (period, set, representation) in [
        (
            "",
            "<SegmentTemplate media=\"../$RepresentationID$/$Number$.m4s\"/>",
            "",
        ),
        (
            "<BaseURL>a/b/</BaseURL>",
            "<BaseURL>../</BaseURL>",
            "<SegmentTemplate media='../../s'/>",
        ),
        ("", "<SegmentTemplate media='../../s'/>", "<BaseURL>v/</BaseURL>"),
        (
            "<BaseURL>https://ads.example/a/</BaseURL>",
            "<SegmentTemplate media='/s' index='../../../i'/>",
            "",
        ),
        (
            "",
            "",
            "<SegmentTemplate media='https://cdn.example/../s' initialization='data:,x'/>",
        ),
        ("<x:SegmentTemplate xmlns:x='y' media='/s'/>", "<Label media='/s'/>", ""),
    ] {
        let mpd = nested(period, set, representation);
        let found = text(&mpd, &["a"]);
        let rest = mpd.strip_prefix("<MPD>").expect("the root");
        assert!(found.ends_with(rest), "{found}");
    }
    // A base of the MPD's own is where all begin.
    let deeper =
        nested("", "<SegmentTemplate media='../../s'/>", "").replace("<MPD>", "<MPD><BaseURL>v/?a=/x/</BaseURL>");
    text(&deeper, &["a"]);
    refused(&deeper.replace("v/?", "v?"));
}

#[test]
fn what_a_browser_s_parser_refuses_is_refused() {
    for (mpd, expected) in [
        (
            "<MPD type=\"dynamic\"\n x='' type=\"static\"><Period/></MPD>",
            "line 1: found attribute type of MPD again, expected each attribute once",
        ),
        (
            "<MPD>\n<Period id=\"a&b\"/></MPD>",
            "line 2: found id=\"a&b\" of Period, expected no & but those of XML's own entities, as &amp;",
        ),
        (
            "<MPD>\n<Period><Title>a &nbsp; b</Title></Period></MPD>",
            "line 2: found \"&nbsp;\", expected no & but those of XML's own entities, as &amp;",
        ),
        (
            "<MPD><Period a='<'/></MPD>",
            "line 1: found a=\"<\" of Period, expected no < in a value",
        ),
        (
            "<MPD><Period a=1/></MPD>",
            "line 1: found \" a=1\", expected attributes, name=\"value\"",
        ),
        (
            "<MPD><Period/>]]></MPD>",
            "line 1: found ]]> in text, expected it at the end of CDATA alone",
        ),
        (
            "\n<?xml version='1.0'?><MPD><Period/></MPD>",
            "line 2: found an XML declaration, expected it at the beginning alone",
        ),
        (
            "<MPD><Period/>\n\u{1}</MPD>",
            "line 2: found \"\\u{1}\", expected characters that XML may have",
        ),
    ] {
        assert_eq!(refused(mpd), expected, "{mpd}");
    }
    refused("<MPD><!-- a -- b --><Period/></MPD>");
    refused("<MPD><Period/>a & b</MPD>");
    // It takes no longer for being large.
    let periods = "<Period a='' b='' c=''/>".repeat(400_000);
    text(&format!("<MPD>{periods}</MPD>"), &["a"]);
    let many: String = (0..1_000_000).map(|number| format!(" a{number}=''")).collect();
    assert_eq!(
        refused(&format!(
            "<MPD{}><Period/></MPD>",
            &many[..9_000_000].rsplit_once(' ').expect("many").0
        )),
        "line 1: found attributes of MPD past 64, expected 64 at most"
    );
}

#[test]
fn sizes_and_depths_are_bounded() {
    let long = format!("<MPD><{}>", "a".repeat(1_000_000));
    assert!(refused(&format!("{long}</b>")).len() < 300 && refused(&long).len() < 300);
    let wide = format!(
        "<MPD><BaseURL a='{}'>b/</BaseURL><Period/></MPD>",
        "x".repeat(9 * 1024 * 1024)
    );
    let ids: Vec<String> = (0..64).map(|place| format!("p{place}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let found = with(wide.as_bytes(), &ids, Existing::Replace, Proof::Open);
    assert!(matches!(found, Err(Error::Spliced { .. })));
    // What is large and good is spliced.
    let periods = "<Period id=\"p\"/>".repeat(640_000);
    let good = text(&format!("<MPD>{periods}</MPD>"), &["a"]);
    assert!(periods.len() > 9_500_000 && good.ends_with(&format!("</ContentSteering>{periods}</MPD>")));
    let deep = format!("<MPD>{}", "<a>".repeat(70));
    assert_eq!(
        refused(&deep),
        "line 1: found elements in elements past 64, expected 64 at most"
    );
    let broken = with(b"<MPD>\n\xff", &["a"], Existing::Replace, Proof::Open)
        .expect_err("no text")
        .to_string();
    assert_eq!(broken, "line 2: found bytes that are no UTF-8, expected UTF-8");
    let mut large = b"<MPD>".to_vec();
    large.resize(10 * 1024 * 1024 + 1, b' ');
    assert!(matches!(
        with(&large, &["a"], Existing::Replace, Proof::Open),
        Err(Error::Size { .. })
    ));
}

/// Takes out what [`prepare`] put in, by another way: from the text alone.
fn removed(found: &str) -> String {
    let start = found
        .find("<BaseURL serviceLocation=\"a\">")
        .expect("the first base URL");
    let end = found.find("</ContentSteering>").expect("steering") + "</ContentSteering>".len();
    let space = found[..start].len() - found[..start].trim_end().len();
    format!("{}{}", &found[..start], &found[end + space..])
}

proptest! {
    #[test]
    fn removing_what_was_spliced_gives_the_manifest_back(
        before in "(<!-- [a-z<>é]{0,8} -->|[ \r\n\t]{0,3})", inner in "(<[A-D]{1,2} x='[a-z> é]{0,5}'/>|[ \r\n\t]{0,3}|<!\\[CDATA\\[[a-z<&]{0,6}\\]\\]>|&amp;){0,5}",
        space in "[ \r\n\t]{0,4}", has_bom in any::<bool>(), has_information in any::<bool>(),
    ) {
        let information = if has_information { "<ProgramInformation a=\"b\"> <Title>x</Title></ProgramInformation>" } else { "" };
        let mark = if has_bom { "\u{feff}" } else { "" };
        let mpd = format!("{mark}{before}<MPD a='>'>{information}{space}<Period>{inner}</Period><Metrics/>{inner}</MPD>{space}");
        let found = text(&mpd, &["a", "b"]);
        prop_assert_eq!(removed(&found), mpd);
    }

    #[test]
    fn no_bytes_are_too_strange_and_what_is_spliced_is_well_formed(
        bytes in proptest::collection::vec(any::<u8>(), 0..100), pieces in proptest::collection::vec(0_usize..16, 0..30),
    ) {
        const PIECES: [&str; 16] = [
            "<BaseURL>", "</BaseURL>", "<Period>", "</Period>", "<Location/>", "<ContentSteering>", "</ContentSteering>", "<!--", "-->",
            "a/", "&amp;", " x='", "'", ">", "<![CDATA[", "é",
        ];
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for input in [bytes, text.clone().into_bytes(), format!("<MPD>{text}<Period/></MPD>").into_bytes()] {
            let Ok(found) = with(&input, &["a", "b"], Existing::Replace, Proof::Open) else { continue };
            let found = String::from_utf8(found).expect("text");
            let mut reader = Reader::from_str(&found);
            while reader.read_event().expect("well-formed") != Event::Eof {}
        }
    }
}
