//! A request that was decided, kept so that any question can be asked about it again.
//!
//! In: the facts of a request. Out: the same facts later, under other settings, at another instant. How much is kept is
//! the site's choice. Redacted, the address is cut to its network, where the visitor is and what it runs is kept as it
//! was answered, and of cookies, query and most header fields only the names: a question that needs more is noted as
//! one that cannot be answered, unless the policy itself had asked it, whose tree holds the answer anyway.

use std::{
    hash::BuildHasher as _,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::quality::FixedState;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wayside_decide::{
    agent::Agent,
    facts::Facts,
    question::{Answer, Question},
    site::Privacy,
};

use crate::{
    facts::{AssetFacts, LinkKnown, OwnedText, RequestFacts, RequestText, Sources, cookies_of},
    geo::Geography,
};

/// The header fields whose values a redacted witness keeps: few visitors send others than everybody.
const FIELDS_KEPT: [&str; 9] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "dnt",
    "host",
    "save-data",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-gpc",
];
/// How much of an address a redacted witness keeps, in bits: of IPv4 and of IPv6.
const NETWORK_BITS: (u8, u8) = (24, 48);

/// A request that was kept.
pub(crate) struct Witness {
    text: Arc<OwnedText>,
    scheme: &'static str,
    visitor: Visitor,
    /// The asset that was asked for, as it was then.
    asset: Option<Arc<AssetFacts>>,
}

/// What is kept of whoever asked.
enum Visitor {
    Full {
        address: IpAddr,
        demo_country: Option<String>,
    },
    Redacted(Box<Redacted>),
}

struct Redacted {
    network: IpNet,
    geography: Geography,
    agent: Agent,
    /// The names of what was sent and is not kept.
    fields: Box<[Box<str>]>,
    cookies: Box<[Box<str>]>,
    parameters: Box<[Box<str>]>,
    has_query: bool,
    /// What the policy asked of what is not kept otherwise.
    asked: Box<[(Question, Answer)]>,
    /// Stands in for the visitor where the policy did not ask for the bucket.
    random: u64,
}

impl Witness {
    /// What may be kept of a request. `asked` is what the policy asked of it.
    pub(crate) fn of<T: RequestText>(facts: &RequestFacts<T>, asked: &[(Arc<Question>, Answer)], random: u64) -> Self {
        let (text, visitor) = match facts.sources().site.site.privacy {
            Privacy::Full => {
                let visitor = Visitor::Full {
                    address: facts.address(),
                    demo_country: facts.sources().demo_country.clone(),
                };
                (OwnedText::of(facts.text()), visitor)
            }
            Privacy::Redacted => {
                let text = OwnedText::with(facts.text(), None, is_kept_field);
                (text, Visitor::Redacted(Box::new(Redacted::of(facts, asked, random))))
            }
        };
        Self {
            text: Arc::new(text),
            scheme: facts.scheme(),
            visitor,
            asset: facts.asset().cloned(),
        }
    }

    /// The memory it takes, in bytes, by estimate.
    pub(crate) fn bytes(&self) -> usize {
        let visitor = match &self.visitor {
            Visitor::Full { .. } => 0,
            Visitor::Redacted(redacted) => redacted.bytes(),
        };
        // Others may have it, too; but they need not keep it as long.
        let asset = self
            .asset
            .as_ref()
            .map_or(0, |asset| size_of::<AssetFacts>() + asset.heap_bytes());
        size_of::<Self>() + self.text.bytes() + visitor + asset
    }

    /// The path of its link, in normal form.
    pub(crate) fn key(&self) -> &str {
        self.text.key()
    }
}

/// Whether a redacted witness keeps the value of this header field.
pub(crate) fn is_kept_field(field: &str) -> bool {
    FIELDS_KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(field))
}

fn network_of(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => Ipv4Net::new(address, NETWORK_BITS.0).map(|network| network.trunc().into()),
        IpAddr::V6(address) => Ipv6Net::new(address, NETWORK_BITS.1).map(|network| network.trunc().into()),
    }
    // Neither length is longer than its kind of address.
    .unwrap_or_else(|_| IpNet::from(address))
}

impl Redacted {
    fn of<T: RequestText>(facts: &RequestFacts<T>, asked: &[(Arc<Question>, Answer)], random: u64) -> Self {
        let text = facts.text();
        let names = text.fields().map(|(name, _)| name).filter(|name| !is_kept_field(name));
        let query = text.query().unwrap_or_default();
        let parameters = url::form_urlencoded::parse(query.as_bytes());
        let asked = asked.iter().filter(|(question, _)| is_of_what_goes(question));
        Self {
            network: network_of(facts.address()),
            geography: facts.geography().clone(),
            agent: *facts.agent(),
            fields: names.map(|name| name.to_ascii_lowercase().into()).collect(),
            cookies: cookies_of(text).map(|(name, _)| name.into()).collect(),
            parameters: parameters.map(|(name, _)| name.into()).collect(),
            has_query: text.query().is_some(),
            asked: asked
                .map(|(question, answer)| ((**question).clone(), answer.clone()))
                .collect(),
            random,
        }
    }

    fn bytes(&self) -> usize {
        let names = [&self.fields, &self.cookies, &self.parameters];
        let names = names.into_iter().flatten();
        let names: usize = names.map(|name| size_of::<Box<str>>() + name.len()).sum();
        let asked = self.asked.iter();
        let asked: usize = asked
            .map(|(question, answer)| size_of::<(Question, Answer)>() + question.heap_bytes() + answer.heap_bytes())
            .sum();
        size_of::<Self>() + names + asked + self.geography.heap_bytes()
    }

    /// What is known of it; none where that is not kept.
    fn answer(&self, question: &Question, facts: &RequestFacts<Arc<OwnedText>>) -> Option<Answer> {
        let asked = || self.asked.iter().find(|(known, _)| known == question);
        let asked = || asked().map(|(_, answer)| answer.clone());
        let unless = |was_sent: bool| if was_sent { asked() } else { Some(Answer::Absent) };
        let has = |names: &[Box<str>], name: &str| names.iter().any(|known| **known == *name);
        match question {
            Question::RawQuery => unless(self.has_query),
            Question::Query(name) => unless(has(&self.parameters, name)),
            Question::Cookie(name) => unless(has(&self.cookies, name)),
            Question::Header(name) if has(&self.fields, name) => asked(),
            Question::InNetwork(networks) => asked().or_else(|| self.is_in(networks).map(Answer::Flag)),
            Question::Bucket { salt, count } => Some(Answer::Number(self.bucket(salt, *count))),
            Question::Header(_)
            | Question::Method
            | Question::Scheme
            | Question::Host
            | Question::Path
            | Question::Segment(_)
            | Question::Prefers(_)
            | Question::Country
            | Question::Continent
            | Question::Subdivision
            | Question::City
            | Question::TimeZone
            | Question::InEu
            | Question::Asn
            | Question::Nearest(_)
            | Question::Device
            | Question::Os
            | Question::Browser
            | Question::Bot
            | Question::LinkExists
            | Question::LinkKey
            | Question::LinkTarget
            | Question::LinkTags
            | Question::LinkAttribute(_)
            | Question::AtOrAfter(_)
            | Question::Weekday(_)
            | Question::Hour(_)
            | Question::Region
            | Question::Pop
            | Question::Setting(_)
            | Question::AssetId
            | Question::AssetTags
            | Question::AssetAttribute(_)
            | Question::AssetTargets
            | Question::TargetRegion(_) => Some(facts.answer(question)),
        }
    }

    /// Whether the address is in one of the networks; none where some of its own network is and some is not.
    fn is_in(&self, networks: &[IpNet]) -> Option<bool> {
        if networks.iter().any(|network| network.contains(&self.network)) {
            return Some(true);
        }
        let is_apart = !networks.iter().any(|network| self.network.contains(network));
        is_apart.then_some(false)
    }

    /// The bucket as it was asked. For the same salt and another count, one that goes with it; for another salt, any,
    /// but always the same.
    fn bucket(&self, salt: &str, count: u32) -> u64 {
        let asked = self.asked.iter().find_map(|(question, answer)| match question {
            Question::Bucket { salt: known, count } if **known == *salt => Some((answer.as_number()?, *count)),
            _ => None,
        });
        let count = u128::from(count.max(1));
        let random = u128::from(FixedState::with_seed(self.random).hash_one(salt));
        let bucket = match asked {
            Some((known, of)) if u128::from(of) == count => u128::from(known),
            // Anywhere within the known bucket: (known + random / 2^64) / of * count.
            Some((known, of)) => (((u128::from(known) << 64) + random) / u128::from(of.max(1)) * count) >> 64,
            None => (random * count) >> 64,
        };
        u64::try_from(bucket).unwrap_or(0)
    }
}

/// Whether what answers the question is not kept, or not whole.
const fn is_of_what_goes(question: &Question) -> bool {
    matches!(
        question,
        Question::RawQuery
            | Question::Query(_)
            | Question::Cookie(_)
            | Question::Header(_)
            | Question::InNetwork(_)
            | Question::Bucket { .. }
    )
}

/// The facts of a witness, for one run.
pub(crate) struct Replayed {
    witness: Arc<Witness>,
    facts: RequestFacts<Arc<OwnedText>>,
    lacks: Mutex<Lacks>,
}

/// What a run asked for and did not get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// The link, which nobody has looked up or which cannot be had.
    pub(crate) link: bool,
    /// Something that the witness does not keep.
    pub(crate) redacted: bool,
}

impl Replayed {
    /// The facts of `witness` where `sources` and `link` are what answers the rest.
    pub(crate) fn new(witness: &Arc<Witness>, sources: Sources, link: LinkKnown) -> Self {
        let (address, demo_country, visitor) = match &witness.visitor {
            Visitor::Full { address, demo_country } => (*address, demo_country.clone(), None),
            Visitor::Redacted(redacted) => {
                let visitor = (redacted.geography.clone(), redacted.agent);
                (redacted.network.addr(), None, Some(visitor))
            }
        };
        let sources = Sources {
            demo_country,
            ..sources
        };
        let text = Arc::clone(&witness.text);
        Self {
            witness: Arc::clone(witness),
            facts: RequestFacts::of_kept(
                text,
                witness.scheme,
                address,
                visitor,
                sources,
                link,
                witness.asset.clone(),
            ),
            lacks: Mutex::default(),
        }
    }

    /// What was asked for and could not be answered.
    pub(crate) fn lacks(&self) -> Lacks {
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Lacks)) {
        note(&mut self.lacks.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Facts for Replayed {
    fn answer(&self, question: &Question) -> Answer {
        if question.is_about_link() && !self.facts.knows_link() {
            self.note(|lacks| lacks.link = true);
            return Answer::Absent;
        }
        let answer = match &self.witness.visitor {
            Visitor::Full { .. } => Some(self.facts.answer(question)),
            Visitor::Redacted(redacted) => redacted.answer(question, &self.facts),
        };
        answer.unwrap_or_else(|| {
            self.note(|lacks| lacks.redacted = true);
            Answer::Absent
        })
    }

    fn now_s(&self) -> u64 {
        self.facts.now_s()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use httparse::Header;
    use wayside_decide::{
        binding::{Binding, FailureMode, Prefix, VisitorKey},
        digest::Digest,
        facts::Facts as _,
        name::Name,
        question::{Answer, Question},
        rule::RuleSet,
        site::{Privacy, Site, SiteId},
    };

    use super::{Lacks, Replayed, Witness};
    use crate::{
        clock::Clock,
        directory::{Directory, LiveSite},
        facts::{AssetFacts, LinkKnown, Place, RequestFacts, Sources},
        geo::Database,
        head::{Fields, Head},
        visit::Visit,
    };

    const SENT: [(&str, &str); 6] = [
        ("Host", "go.example"),
        ("Accept-Language", "de, en;q=0.5"),
        (
            "User-Agent",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 serial-4711",
        ),
        ("Cookie", "session=s3cret; variant=blue"),
        ("Authorization", "Bearer t0ken"),
        ("X-Plan", "gold-customer"),
    ];

    fn sources(privacy: Privacy) -> Sources {
        let site = Site {
            id: SiteId(1),
            tenant: Name::parse("tenant", "acme").expect("a name"),
            name: Name::parse("site name", "go").expect("a name"),
            hosts: Vec::new(),
            bindings: Vec::new(),
            rules: RuleSet::default(),
            not_found: None,
            max_age_s: None,
            privacy,
            streams: None,
            bucket_key: [7; 32],
        };
        let binding = Binding {
            prefix: Prefix::parse("/").expect("a prefix"),
            policy: Name::parse("policy", "p").expect("a name"),
            digest: Digest::of(b""),
            settings: [("place".into(), "here".into())].into(),
            on_failure: FailureMode::Closed,
            visitor_key: VisitorKey::Address,
        };
        Sources {
            site: Arc::new(LiveSite::without_guests(site, &Directory::default())),
            binding: Some(Arc::new(binding)),
            geo: Arc::new(Database::default()),
            place: Arc::new(Place::default()),
            now_s: 1_000,
            demo_country: Some("DE".to_owned()),
        }
    }

    /// A request, what is asked of it, and the same asked of its witness.
    fn replayed(privacy: Privacy, address: &str, asked: &[Question], random: u64) -> (Vec<Answer>, Replayed) {
        replayed_of(None, privacy, address, asked, random)
    }

    /// The same for a stream of this asset.
    fn replayed_of(
        asset: Option<AssetFacts>,
        privacy: Privacy,
        address: &str,
        asked: &[Question],
        random: u64,
    ) -> (Vec<Answer>, Replayed) {
        let fields = SENT.map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        });
        let head = Head {
            method: "GET",
            path: "/shoes/red",
            query: Some("size=47-wide&mail=me%40example.org"),
            authority: None,
            is_authority_bound: false,
            fields: Fields(&fields),
            body: &[],
        };
        let visit = Visit::read(&head, address.parse().expect("an address"), &[], Clock::new().now()).expect("a visit");
        let mut facts = RequestFacts::new(&visit, sources(privacy));
        asset.map(Arc::new).into_iter().for_each(|asset| facts.set_asset(asset));
        let answers: Vec<Answer> = asked.iter().map(|question| facts.answer(question)).collect();
        let asked: Vec<_> = asked.iter().cloned().map(Arc::new).zip(answers.clone()).collect();
        let witness = Arc::new(Witness::of(&facts, &asked, random));
        assert!(witness.bytes() > 200 && witness.bytes() < 4_000, "{}", witness.bytes());
        let later = Sources {
            now_s: 2_000,
            demo_country: None,
            ..sources(privacy)
        };
        (answers, Replayed::new(&witness, later, LinkKnown::NotYet))
    }

    fn bucket(salt: &str, count: u32) -> Question {
        Question::Bucket {
            salt: salt.into(),
            count,
        }
    }

    fn network(text: &str) -> Question {
        Question::InNetwork([text.parse().expect("a network")].into())
    }

    fn costly() -> Vec<Question> {
        vec![
            Question::RawQuery,
            Question::Query("size".into()),
            Question::Header("user-agent".into()),
            Question::Header("cookie".into()),
            Question::Header("authorization".into()),
            Question::Header("x-plan".into()),
            Question::Cookie("session".into()),
            network("198.51.100.64/26"),
            bucket("exp", 10),
        ]
    }

    fn harmless() -> Vec<Question> {
        vec![
            Question::Method,
            Question::Scheme,
            Question::Host,
            Question::Path,
            Question::Segment(1),
            Question::Prefers(["en".into(), "de".into()].into()),
            Question::Header("accept-language".into()),
            Question::Header("x-other".into()),
            Question::Cookie("other".into()),
            Question::Query("other".into()),
            Question::Country,
            Question::Device,
            Question::Os,
            Question::Setting("place".into()),
            network("198.51.0.0/16"),
            network("192.0.2.0/24"),
            network("2001:db8::/32"),
        ]
    }

    #[test]
    fn a_full_witness_answers_everything_as_the_request_did() {
        let asked = [costly(), harmless()].concat();
        let (_, replayed_unasked) = replayed(Privacy::Full, "198.51.100.77", &[], 1);
        let (answers, _) = replayed(Privacy::Full, "198.51.100.77", &asked, 1);
        for (question, answer) in asked.iter().zip(answers) {
            assert_eq!(replayed_unasked.answer(question), answer, "{question}");
        }
        assert_eq!(replayed_unasked.lacks(), Lacks::default());
        assert_eq!(
            replayed_unasked.answer(&Question::AtOrAfter(1_500)),
            Answer::Flag(true),
            "the later instant"
        );
    }

    #[test]
    fn a_redacted_witness_answers_what_was_asked_and_what_is_no_secret() {
        let asked = [costly(), harmless()].concat();
        let (answers, replayed_asked) = replayed(Privacy::Redacted, "198.51.100.77", &asked, 1);
        for (question, answer) in asked.iter().zip(&answers) {
            assert_eq!(replayed_asked.answer(question), *answer, "{question}");
        }
        assert_eq!(replayed_asked.lacks(), Lacks::default());
        let (_, unasked) = replayed(Privacy::Redacted, "198.51.100.77", &[], 1);
        for (question, answer) in harmless().iter().zip(&answers[costly().len()..]) {
            assert_eq!(unasked.answer(question), *answer, "{question}");
        }
        assert_eq!(unasked.lacks(), Lacks::default());
        for question in costly()
            .iter()
            .filter(|question| !matches!(question, Question::Bucket { .. }))
        {
            let (_, unasked) = replayed(Privacy::Redacted, "198.51.100.77", &[], 1);
            assert_eq!(unasked.answer(question), Answer::Absent, "{question}");
            assert!(unasked.lacks().redacted, "{question}");
        }
        assert_eq!(unasked.answer(&Question::LinkExists), Answer::Absent);
        assert!(unasked.lacks().link);
    }

    #[test]
    fn a_witness_of_a_stream_knows_the_asset_and_that_there_is_no_link() {
        let name = |text: &str| Name::parse("name", text).expect("a name");
        let targets = vec![(name("cdn-a"), name("eu"))];
        let asset = AssetFacts::new(name("film"), ["vod".into()].into(), Box::default(), targets);
        for privacy in [Privacy::Full, Privacy::Redacted] {
            let (_, unasked) = replayed_of(Some(asset.clone()), privacy, "198.51.100.77", &[], 1);
            for (question, expected) in [
                (Question::AssetId, Answer::text(Some("film"))),
                (Question::AssetTags, Answer::List(["vod".into()].into())),
                (Question::TargetRegion("cdn-a".into()), Answer::text(Some("eu"))),
                (Question::LinkExists, Answer::Flag(false)),
            ] {
                assert_eq!(unasked.answer(&question), expected, "{question}");
            }
            assert_eq!(unasked.lacks(), Lacks::default());
        }
    }

    #[test]
    fn a_redacted_witness_cannot_say_where_in_its_network_the_visitor_is() {
        for (address, inside, around, apart) in [
            (
                "198.51.100.77",
                "198.51.100.77/32",
                "198.51.100.0/24",
                "198.51.101.0/24",
            ),
            (
                "2001:db8:1:2::3",
                "2001:db8:1:2::/64",
                "2001:db8:1::/48",
                "2001:db8:2::/48",
            ),
        ] {
            let (_, unasked) = replayed(Privacy::Redacted, address, &[], 1);
            assert_eq!(unasked.answer(&network(around)), Answer::Flag(true), "{address}");
            assert_eq!(unasked.answer(&network(apart)), Answer::Flag(false), "{address}");
            assert!(!unasked.lacks().redacted);
            assert_eq!(unasked.answer(&network(inside)), Answer::Absent, "{address}");
            assert!(unasked.lacks().redacted);
        }
    }

    #[test]
    fn buckets_of_a_redacted_witness_go_with_those_that_were_asked_and_are_even() {
        let mut counts = [0_u32; 10];
        for visitor in 0..2_000_u32 {
            let address = format!("10.0.{}.{}", visitor / 256, visitor % 256);
            let asked = [bucket("exp", 10)];
            let (answers, replayed) = replayed(Privacy::Redacted, &address, &asked, u64::from(visitor) << 7);
            let in_buckets = |salt, count| replayed.answer(&bucket(salt, count)).as_number().expect("a number");
            let known = answers[0].as_number().expect("a number");
            assert_eq!(in_buckets("exp", 10), known);
            assert_eq!(in_buckets("exp", 1_000) / 100, known, "finer, and within");
            assert_eq!(in_buckets("exp", 2), known / 5, "coarser, and around");
            assert_eq!(in_buckets("new", 10), in_buckets("new", 10), "always the same");
            counts[usize::try_from(in_buckets("new", 10)).expect("small")] += 1;
        }
        // Five standard deviations around 200 of 2,000.
        assert!(counts.iter().all(|count| (133..267).contains(count)), "{counts:?}");
    }
}
