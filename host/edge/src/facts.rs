//! The answers to a decider's questions about one request, frozen: one directory, one geography, one instant.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use wayside_cache::links::Held;
use wayside_decide::{
    agent::{self, Agent},
    binding::{Binding, VisitorKey},
    bucket::bucket,
    facts::Facts,
    language,
    point::Coordinates,
    question::{Answer, Question},
};

use crate::{
    directory::LiveSite,
    geo::{Database, Geography},
    visit::Visit,
};

/// Where a node stands.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Its region.
    pub region: Option<String>,
    /// Its point of presence.
    pub pop: Option<String>,
}

/// What the pipeline lends to the facts of one request.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) site: Arc<LiveSite>,
    pub(crate) binding: Option<Arc<Binding>>,
    pub(crate) geo: Arc<Database>,
    pub(crate) place: Arc<Place>,
    /// Seconds since 1970 UTC.
    pub(crate) now_s: u64,
    /// Overrides the country; only ever set in `wayside dev`.
    pub(crate) demo_country: Option<String>,
}

/// What is known of the link at the request's path.
#[derive(Clone)]
pub(crate) enum LinkKnown {
    /// Nobody has looked: questions about it wait.
    NotYet,
    /// This is held for the path.
    Held(Arc<Held>),
    /// It cannot be had. A decision that asked for it is none.
    Unavailable,
}

/// The text of a request, as the visitor sent it or kept for longer.
pub(crate) trait RequestText: Send + Sync {
    fn method(&self) -> &str;
    fn host(&self) -> &str;
    fn path(&self) -> &str;
    /// The path in the normal form of links.
    fn key(&self) -> &str;
    fn query(&self) -> Option<&str>;
    /// Every value of a header field.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]>;
}

impl RequestText for &Visit<'_> {
    fn method(&self) -> &str {
        self.head.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        self.head.path
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn query(&self) -> Option<&str> {
        self.head.query
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.head.fields.all(name)
    }
}

/// A request's text, copied.
pub(crate) struct OwnedText {
    method: Box<str>,
    host: Box<str>,
    path: Box<str>,
    key: Box<str>,
    query: Option<Box<str>>,
    fields: Box<[Field]>,
}

struct Field {
    name: Box<str>,
    value: Box<[u8]>,
}

impl OwnedText {
    fn of(visit: &Visit<'_>) -> Self {
        let fields = visit.head.fields.0.iter().map(|field| Field {
            name: field.name.into(),
            value: field.value.into(),
        });
        Self {
            method: visit.head.method.into(),
            host: (&*visit.host).into(),
            path: visit.head.path.into(),
            key: (&*visit.key).into(),
            query: visit.head.query.map(Into::into),
            fields: fields.collect(),
        }
    }
}

impl RequestText for OwnedText {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| &*field.value)
    }
}

/// Everything that can be asked about one request.
pub(crate) struct RequestFacts<T> {
    text: T,
    scheme: &'static str,
    address: IpAddr,
    sources: Sources,
    link: LinkKnown,
    geography: OnceLock<Geography>,
    agent: OnceLock<Agent>,
}

impl<'v> RequestFacts<&'v Visit<'v>> {
    /// The facts of a request whose link nobody has looked up.
    pub(crate) const fn new(visit: &'v Visit<'v>, sources: Sources) -> Self {
        Self {
            text: visit,
            scheme: visit.scheme(),
            address: visit.address,
            sources,
            link: LinkKnown::NotYet,
            geography: OnceLock::new(),
            agent: OnceLock::new(),
        }
    }

    /// Says what became of looking the link up.
    pub(crate) fn set_link(&mut self, link: LinkKnown) {
        self.link = link;
    }

    /// The same facts, owned, so that a guest can ask from another thread.
    pub(crate) fn freeze(&self) -> RequestFacts<OwnedText> {
        RequestFacts {
            text: OwnedText::of(self.text),
            scheme: self.scheme,
            address: self.address,
            sources: self.sources.clone(),
            link: self.link.clone(),
            geography: self.geography.clone(),
            agent: self.agent.clone(),
        }
    }
}

impl<T: RequestText> RequestFacts<T> {
    fn geography(&self) -> &Geography {
        self.geography.get_or_init(|| match &self.sources.demo_country {
            Some(country) => Geography {
                country: Some(country.clone()),
                ..Geography::default()
            },
            None => self.sources.geo.look_up(self.address),
        })
    }

    /// Where the visitor is. What is nowhere on the globe counts as unknown: the database is not ours.
    fn coordinates(&self) -> Option<Coordinates> {
        let geography = self.geography();
        Coordinates::new(geography.latitude?, geography.longitude?).ok()
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let field = |name| {
                self.text
                    .values(name)
                    .next()
                    .and_then(|value| str::from_utf8(value).ok())
            };
            let user_agent = field("user-agent").unwrap_or_default();
            agent::classify(user_agent, field("sec-ch-ua-mobile"), field("sec-ch-ua-platform"))
        })
    }

    /// Repeated fields are one list (RFC 9110 §5.3). Bytes outside UTF-8 are replaced: a guest reads text.
    fn header(&self, name: &str) -> Option<String> {
        let mut values = self.text.values(name).map(String::from_utf8_lossy);
        let first = values.next()?.into_owned();
        Some(values.fold(first, |joined, value| joined + ", " + &value))
    }

    /// RFC 6265 §5.4 sends one field; HTTP/2 may split it (RFC 9113 §8.2.3), which [`Self::header`] would join wrongly.
    fn cookie(&self, name: &str) -> Option<String> {
        let fields = self
            .text
            .values("cookie")
            .filter_map(|value| str::from_utf8(value).ok());
        fields.flat_map(|field| field.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    }

    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.text.query()?.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    fn link(&self) -> Option<&wayside_decide::link::Link> {
        let LinkKnown::Held(held) = &self.link else {
            return None;
        };
        let link = held.link.as_ref()?;
        link.is_live_at(self.sources.now_s).then_some(link)
    }

    fn bucket(&self, salt: &str, count: u32) -> u64 {
        let key = self.visitor_key().unwrap_or_else(|| match self.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            // A visitor's IPv6 address changes within its /64.
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        });
        u64::from(bucket(&self.sources.site.site.bucket_key, salt, &key, count))
    }

    /// What this visitor sent of what the binding tells visitors apart by. An empty value is none.
    fn visitor_key(&self) -> Option<Vec<u8>> {
        let key = match &self.sources.binding.as_ref()?.visitor_key {
            VisitorKey::Address => None,
            VisitorKey::Cookie(name) => self.cookie(name),
            VisitorKey::Header(name) => self.header(name),
        };
        key.filter(|key| !key.is_empty()).map(String::into_bytes)
    }

    fn about_request(&self, question: &Question) -> Option<Answer> {
        let text = |text: &str| Answer::Text(text.into());
        Some(match question {
            Question::Method => text(self.text.method()),
            Question::Scheme => text(self.scheme),
            Question::Host => text(self.text.host()),
            Question::Path => text(self.text.path()),
            Question::Segment(index) => {
                let segments = self.text.path().split('/').skip(1);
                Answer::text(
                    segments
                        .clone()
                        .nth(usize::try_from(*index).ok()?)
                        .filter(|segment| !segment.is_empty()),
                )
            }
            Question::RawQuery => Answer::text(self.text.query()),
            Question::Query(name) => Answer::text(self.query(name)),
            Question::Header(name) => Answer::text(self.header(name)),
            Question::Cookie(name) => Answer::text(self.cookie(name)),
            Question::Prefers(offered) => {
                Answer::text(language::preferred(self.header("accept-language").as_deref(), offered))
            }
            _ => return None,
        })
    }

    fn about_visitor(&self, question: &Question) -> Option<Answer> {
        let owned = |text: &Option<String>| Answer::text(text.as_deref());
        Some(match question {
            Question::Country => owned(&self.geography().country),
            Question::Continent => owned(&self.geography().continent),
            Question::Subdivision => owned(&self.geography().subdivision),
            Question::City => owned(&self.geography().city),
            Question::TimeZone => owned(&self.geography().time_zone),
            Question::InEu => Answer::Flag(self.geography().in_eu),
            Question::Asn => self
                .geography()
                .asn
                .map_or(Answer::Absent, |asn| Answer::Number(u64::from(asn))),
            Question::InNetwork(networks) => {
                Answer::Flag(networks.iter().any(|network| network.contains(&self.address)))
            }
            Question::Nearest(points) => {
                Answer::text(self.coordinates().as_ref().and_then(|place| points.nearest(place)))
            }
            Question::Device => Answer::Text(self.agent().device.into()),
            Question::Os => Answer::Text(self.agent().os.into()),
            Question::Browser => Answer::Text(self.agent().browser.into()),
            Question::Bot => Answer::Flag(self.agent().is_bot),
            Question::Bucket { salt, count } => Answer::Number(self.bucket(salt, *count)),
            _ => return None,
        })
    }

    fn about_the_rest(&self, question: &Question) -> Answer {
        match question {
            Question::LinkExists => Answer::Flag(self.link().is_some()),
            Question::LinkKey => Answer::text(self.link().map(|_| self.text.key())),
            Question::LinkTarget => Answer::text(self.link().map(|link| link.target.as_str())),
            Question::LinkTags => Answer::List(self.link().map(|link| link.tags.clone()).unwrap_or_default()),
            Question::LinkAttribute(name) => Answer::text(self.link().and_then(|link| link.attribute(name))),
            Question::Region => Answer::text(self.sources.place.region.as_deref()),
            Question::Pop => Answer::text(self.sources.place.pop.as_deref()),
            Question::Setting(name) => {
                let setting = self
                    .sources
                    .binding
                    .as_ref()
                    .and_then(|binding| binding.settings.get(name));
                Answer::text(setting.map(|value| &**value))
            }
            // Those of the clock, and those answered above.
            _ => question.answer_at(self.sources.now_s).unwrap_or(Answer::Absent),
        }
    }
}

impl<T: RequestText> Facts for RequestFacts<T> {
    fn answer(&self, question: &Question) -> Answer {
        self.about_request(question)
            .or_else(|| self.about_visitor(question))
            .unwrap_or_else(|| self.about_the_rest(question))
    }

    fn now_s(&self) -> u64 {
        self.sources.now_s
    }

    fn can_answer(&self, question: &Question) -> bool {
        !(question.is_about_link() && matches!(self.link, LinkKnown::NotYet))
    }
}
