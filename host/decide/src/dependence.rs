//! What a response depends on, in the words of HTTP caching (RFC 9111 §4.1): derived from what was asked, so that no
//! cache between edge and visitor gives one visitor another's answer.

use std::collections::BTreeSet;

use crate::{question::Question, trace::Trace, tree::Outcome};

/// What a response depends on besides its URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependence {
    /// Whether it depends on who asks or where, which no request field tells a cache.
    is_private: bool,
    /// The request fields it depends on, in lower case.
    fields: BTreeSet<Box<str>>,
    /// Whether it depends on the link at the path, and so on its window.
    is_of_link: bool,
    /// Whether it is no decision but what holds without one.
    is_fallback: bool,
}

impl Dependence {
    /// What an outcome and the response made of it depend on.
    #[must_use]
    pub fn of(trace: &Trace, outcome: &Outcome) -> Self {
        let mut dependence = Self {
            is_fallback: outcome.is_err(),
            ..Self::default()
        };
        for (question, _) in trace.iter() {
            dependence.add(question);
        }
        if let Ok(crate::decision::Decision::Redirect { location, .. }) = outcome {
            for question in location.asks() {
                dependence.add(&question);
            }
        }
        dependence
    }

    /// Adds what the answer to `question` depends on.
    pub fn add(&mut self, question: &Question) {
        match question.source() {
            Source::Url | Source::Record => {}
            Source::Link => self.is_of_link = true,
            Source::Field(name) => {
                self.fields.insert(name.into());
            }
            Source::Agent => {
                let names = ["user-agent", "sec-ch-ua-mobile", "sec-ch-ua-platform"];
                self.fields.extend(names.map(Into::into));
            }
            Source::Visitor => self.is_private = true,
        }
    }

    /// What it holds outside itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let texts: usize = self.fields.iter().map(|field| field.len()).sum();
        // Nodes of the set hold up to eleven, half of them as a mean.
        texts + self.fields.len() * 2 * size_of::<Box<str>>()
    }

    /// Whether no cache that serves more than one visitor may keep the response.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.is_private
    }

    /// Whether it may change when the link at the path begins or ends: see [`crate::link::Link::changes_at`]. That
    /// belongs to the link, not to the question, so that no horizon of a walk accounts for it.
    #[must_use]
    pub const fn is_of_link(&self) -> bool {
        self.is_of_link
    }

    /// Whether nothing was decided, so that nobody may keep the response.
    #[must_use]
    pub const fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// The request fields that choose the response, for `Vary` (RFC 9110 §12.5.5).
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| &**field)
    }
}

/// Where the answer to a question comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'q> {
    /// The request's URL and method, which are every cache's key.
    Url,
    /// What the owner set, and the clock: a response's lifetime accounts for them.
    Record,
    /// The link at the path.
    Link,
    /// One request field that visitors send themselves.
    Field(&'q str),
    /// The fields that tell what the visitor's program is.
    Agent,
    /// The visitor's address, cookies, the node that answers, or a field that may not be the visitor's.
    Visitor,
}

impl Question {
    /// Where its answer comes from.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Method
            | Self::Scheme
            | Self::Host
            | Self::Path
            | Self::Segment(_)
            | Self::RawQuery
            | Self::Query(_) => Source::Url,
            Self::LinkExists | Self::LinkKey | Self::LinkTarget | Self::LinkTags | Self::LinkAttribute(_) => {
                Source::Link
            }
            Self::AtOrAfter(_)
            | Self::Weekday(_)
            | Self::Hour(_)
            | Self::Setting(_)
            | Self::AssetId
            | Self::AssetTags
            | Self::AssetAttribute(_)
            | Self::AssetTargets
            | Self::TargetRegion(_) => Source::Record,
            Self::Header(name) if is_sent_by_browsers(name) => Source::Field(name),
            Self::Header(_) => Source::Visitor,
            Self::Prefers(_) => Source::Field("accept-language"),
            Self::Device | Self::Os | Self::Browser | Self::Bot => Source::Agent,
            Self::Cookie(_)
            | Self::Country
            | Self::Continent
            | Self::Subdivision
            | Self::City
            | Self::TimeZone
            | Self::InEu
            | Self::Asn
            | Self::InNetwork(_)
            | Self::Nearest(_)
            | Self::Bucket { .. }
            | Self::Region
            | Self::Pop => Source::Visitor,
        }
    }
}

/// Fields that browsers send for everybody to read, so that a cache before this node has them as this node has.
///
/// Any other may be written by a proxy on the way: addresses, countries, users, certificates, under names that each maker
/// chooses. A cache that does so itself looks for the field of `Vary` in what the visitor sent (RFC 9111 §4.1), finds it
/// missing with everybody, and gives one visitor another's answer.
const SENT_BY_BROWSERS: [&str; 22] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "ect",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "range",
    "referer",
    "rtt",
    "save-data",
    "upgrade-insecure-requests",
    "user-agent",
    "viewport-width",
    "width",
];

/// Client hints, fetch metadata and the like: no page may set them, and no proxy has a reason to.
const SENT_BY_BROWSERS_PREFIX: &str = "sec-";

fn is_sent_by_browsers(name: &str) -> bool {
    name.starts_with(SENT_BY_BROWSERS_PREFIX) || SENT_BY_BROWSERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Dependence;
    use crate::{
        decision::Decision,
        facts::Facts,
        point::Points,
        question::{Answer, Question},
        status::RedirectStatus,
        template::Template,
        trace::{Recorder, Trace},
        zone::Zone,
    };

    struct Nothing;

    impl Facts for Nothing {
        fn answer(&self, _: &Question) -> Answer {
            Answer::Absent
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    fn of(questions: &[Question]) -> (bool, Vec<String>) {
        let mut dependence = Dependence::default();
        for question in questions {
            dependence.add(question);
        }
        (
            dependence.is_private(),
            dependence.fields().map(str::to_owned).collect(),
        )
    }

    #[test]
    fn what_was_asked_about_the_link_or_is_filled_in_from_it_is_of_the_link() {
        let outcome = |location: &str| {
            Ok(Decision::Redirect {
                status: RedirectStatus::Found,
                location: Template::parse(location).expect("a template"),
            })
        };
        let mut asked = Recorder::new(Arc::new(Nothing));
        asked.ask(Question::LinkTags).expect("an answer");
        for (trace, location, expected) in [
            (Trace::default(), "https://a.example/", false),
            (Trace::default(), "{link.target}", true),
            (Trace::default(), "https://a.example{link.key}", true),
            (asked.into_trace(), "https://a.example/", true),
        ] {
            let dependence = Dependence::of(&trace, &outcome(location));
            assert_eq!(dependence.is_of_link(), expected, "{location}");
        }
    }

    #[test]
    fn a_response_depends_on_what_was_asked_and_nothing_else() {
        assert_eq!(
            of(&[Question::Path, Question::Query("q".into()), Question::LinkTags]),
            (false, vec![])
        );
        let of_asset = [
            Question::AssetId,
            Question::AssetTags,
            Question::AssetAttribute("a".into()),
            Question::AssetTargets,
            Question::TargetRegion("t".into()),
        ];
        assert_eq!(of(&of_asset), (false, vec![]));
        let zone = Zone::parse("Europe/Berlin").expect("a zone");
        assert_eq!(
            of(&[
                Question::AtOrAfter(7),
                Question::Hour(zone.clone()),
                Question::Weekday(zone)
            ]),
            (false, vec![])
        );
        assert_eq!(
            of(&[Question::Prefers(Box::default())]),
            (false, vec!["accept-language".to_owned()])
        );
        for field in ["accept", "referer", "sec-ch-ua-model", "save-data"] {
            assert_eq!(of(&[Question::Header(field.into())]), (false, vec![field.to_owned()]));
        }
        let (is_private, fields) = of(&[Question::Device, Question::Os]);
        assert!(!is_private && fields.contains(&"user-agent".to_owned()), "{fields:?}");
        for question in [
            Question::Country,
            Question::Cookie("a".into()),
            Question::Header("cookie".into()),
            Question::Header("authorization".into()),
            Question::Header("x-forwarded-for".into()),
            Question::Header("x-real-ip".into()),
            Question::Header("forwarded".into()),
            Question::Header("cf-ipcountry".into()),
            Question::Header("cloudfront-viewer-country".into()),
            Question::Header("x-chosen-by-somebody".into()),
            Question::Bucket {
                salt: "s".into(),
                count: 2,
            },
            Question::Pop,
            Question::Nearest(Points::new([("a", 0.0, 0.0)]).expect("points")),
        ] {
            assert!(of(std::slice::from_ref(&question)).0, "{question}");
        }
    }
}
