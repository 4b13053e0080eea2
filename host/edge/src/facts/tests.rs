//! One path has one form: whatever a visitor writes, a policy is told what bindings, links and rules go by.

use std::sync::Arc;

use proptest::prelude::*;
use wayside_decide::{
    facts::Facts as _,
    name::Name,
    path::LinkPath,
    question::{Answer, Question},
    rule::RuleSet,
    site::{Privacy, Site, SiteId},
};

use super::{AssetFacts, Place, RequestFacts, Sources};
use crate::{
    clock::Clock,
    directory::{Directory, LiveSite},
    geo::Database,
    head::{Fields, Head},
    visit::Visit,
};

fn sources() -> Sources {
    let site = Site {
        id: SiteId(1),
        tenant: Name::parse("tenant", "acme").expect("a name"),
        name: Name::parse("site name", "go").expect("a name"),
        hosts: Vec::new(),
        bindings: Vec::new(),
        rules: RuleSet::default(),
        not_found: None,
        max_age_s: None,
        privacy: Privacy::Redacted,
        streams: None,
        bucket_key: [7; 32],
    };
    Sources {
        site: Arc::new(LiveSite::without_guests(site, &Directory::default())),
        binding: None,
        geo: Arc::new(Database::default()),
        place: Arc::new(Place::default()),
        now_s: 1_000,
        demo_country: None,
    }
}

/// What is answered about a path as it was sent: by the request, and by its copy for a guest.
fn answers(path: &str, question: &Question) -> [Answer; 2] {
    answers_of(path, None, question)
}

/// The same, where this asset is asked for.
fn answers_of(path: &str, asset: Option<AssetFacts>, question: &Question) -> [Answer; 2] {
    let head = Head {
        method: "GET",
        path,
        query: None,
        authority: Some("go.example"),
        is_authority_bound: false,
        fields: Fields(&[]),
        body: &[],
    };
    let peer = "192.0.2.1".parse().expect("an address");
    let visit = Visit::read(&head, peer, &[], Clock::new().now()).expect("a visit");
    let mut facts = RequestFacts::new(&visit, sources());
    asset.map(Arc::new).into_iter().for_each(|asset| facts.set_asset(asset));
    assert!(facts.asset().is_none() || facts.can_answer(&Question::LinkExists));
    [facts.answer(question), facts.freeze().answer(question)]
}

/// A path, and one of the ways to write it: each byte as it is, or escaped in either case.
fn written() -> impl Strategy<Value = (String, String)> {
    let written = |(text, ways): (String, Vec<u8>)| {
        let mut sent = String::from("/");
        for (character, way) in text.chars().zip(ways) {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                match (way, character) {
                    (_, '/') | (0, _) => {
                        sent.push(character);
                        break;
                    }
                    (1, _) => sent.push_str(&format!("%{byte:02x}")),
                    _ => sent.push_str(&format!("%{byte:02X}")),
                }
            }
        }
        (format!("/{text}"), sent)
    };
    ("[a-z~.ü]([a-z~.ü/]{0,6})", prop::collection::vec(0_u8..3, 7)).prop_map(written)
}

proptest! {
    #[test]
    fn however_a_path_is_written_a_policy_is_told_the_same((path, sent) in written(), index in 0_u32..4) {
        let normal = LinkPath::parse(&path).expect("a path");
        let expected = Answer::text(Some(normal.as_str()));
        prop_assert_eq!(answers(&sent, &Question::Path), [expected.clone(), expected], "{}", &sent);
        let segment = Question::Segment(index);
        prop_assert_eq!(answers(&sent, &segment), answers(&path, &segment), "{}", &sent);
    }
}

#[test]
fn segments_are_those_of_the_path_that_links_stand_at() {
    let secret = Answer::text(Some("secret"));
    for sent in ["/secret", "/%73ecret", "/%73%65%63%72%65%74", "/secret/x"] {
        assert_eq!(
            answers(sent, &Question::Segment(0)),
            [secret.clone(), secret.clone()],
            "{sent}"
        );
    }
    // An escaped slash ends no segment.
    let escaped = Answer::text(Some("a%2Fb"));
    assert_eq!(answers("/a%2fb", &Question::Segment(0)), [escaped.clone(), escaped]);
}

#[test]
fn what_an_owner_says_of_an_asset_and_who_has_a_copy_is_told_and_that_there_is_no_link() {
    let name = |text: &str| Name::parse("name", text).expect("a name");
    let asset = AssetFacts::new(
        name("film"),
        ["vod".into(), "4k".into()].into(),
        [("rights".into(), "eu".into())].into(),
        vec![(name("cdn-b"), name("us")), (name("cdn-a"), name("eu"))],
    );
    let list = |items: &[&str]| Answer::List(items.iter().map(|&item| item.into()).collect());
    let absent = || Answer::Absent;
    for (question, expected, without) in [
        (Question::AssetId, Answer::text(Some("film")), absent()),
        (Question::AssetTags, list(&["vod", "4k"]), list(&[])),
        (
            Question::AssetAttribute("rights".into()),
            Answer::text(Some("eu")),
            absent(),
        ),
        (Question::AssetAttribute("right".into()), absent(), absent()),
        (Question::AssetTargets, list(&["cdn-a", "cdn-b"]), list(&[])),
        (
            Question::TargetRegion("cdn-b".into()),
            Answer::text(Some("us")),
            absent(),
        ),
        (Question::TargetRegion("cdn-c".into()), absent(), absent()),
        (Question::LinkExists, Answer::Flag(false), Answer::Flag(false)),
        (Question::LinkTags, list(&[]), list(&[])),
        (Question::LinkKey, absent(), absent()),
    ] {
        let told = answers_of("/video/film/", Some(asset.clone()), &question);
        assert_eq!(told, [expected.clone(), expected], "{question}");
        assert_eq!(
            answers("/video/film/", &question),
            [without.clone(), without],
            "{question}"
        );
    }
}
