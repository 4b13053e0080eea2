//! The answers to a decider's questions about one request, frozen: one directory, one geography, one instant.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use wayside_cache::links::Held;
use wayside_decide::{
    agent::{self, Agent},
    binding::Binding,
    bucket::bucket,
    facts::Facts,
    language,
    question::{Answer, Question},
};

use crate::{
    directory::LiveSite,
    geo::{Database, Geography},
    head::Fields,
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
pub(crate) struct Sources {
    pub(crate) site: Arc<LiveSite>,
    pub(crate) binding: Option<Arc<Binding>>,
    pub(crate) link: Option<Arc<Held>>,
    pub(crate) geo: Arc<Database>,
    pub(crate) place: Arc<Place>,
    /// Seconds since 1970 UTC.
    pub(crate) now_s: u64,
    /// Overrides the country; only ever set in `wayside dev`.
    pub(crate) demo_country: Option<String>,
}

/// A header field.
struct Field {
    name: Box<str>,
    value: Box<[u8]>,
}

/// Everything that can be asked about one request. Owned, so that a guest can ask from another thread.
pub(crate) struct RequestFacts {
    method: Box<str>,
    scheme: &'static str,
    host: Box<str>,
    path: Box<str>,
    key: Box<str>,
    query: Option<Box<str>>,
    fields: Box<[Field]>,
    address: IpAddr,
    sources: Sources,
    geography: OnceLock<Geography>,
    agent: OnceLock<Agent>,
}

impl RequestFacts {
    pub(crate) fn new(visit: &Visit<'_>, sources: Sources) -> Self {
        Self {
            method: visit.head.method.into(),
            scheme: visit.scheme(),
            host: (&*visit.host).into(),
            path: visit.head.path.into(),
            key: (&*visit.key).into(),
            query: visit.head.query.map(Into::into),
            fields: owned_fields(visit.head.fields),
            address: visit.address,
            sources,
            geography: OnceLock::new(),
            agent: OnceLock::new(),
        }
    }

    fn geography(&self) -> &Geography {
        self.geography.get_or_init(|| match &self.sources.demo_country {
            Some(country) => Geography {
                country: Some(country.clone()),
                ..Geography::default()
            },
            None => self.sources.geo.look_up(self.address),
        })
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let field = |name| self.values(name).next().and_then(|value| str::from_utf8(value).ok());
            let user_agent = field("user-agent").unwrap_or_default();
            agent::classify(user_agent, field("sec-ch-ua-mobile"), field("sec-ch-ua-platform"))
        })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self
            .fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| &*field.value)
    }

    /// Repeated fields are one list (RFC 9110 §5.3). Bytes outside UTF-8 are replaced: a guest reads text.
    fn header(&self, name: &str) -> Option<String> {
        let mut values = self.values(name).map(String::from_utf8_lossy);
        let first = values.next()?.into_owned();
        Some(values.fold(first, |joined, value| joined + ", " + &value))
    }

    /// RFC 6265 §5.4 sends one field; HTTP/2 may split it (RFC 9113 §8.2.3), which [`Self::header`] would join wrongly.
    fn cookie(&self, name: &str) -> Option<String> {
        let fields = self.values("cookie").filter_map(|value| str::from_utf8(value).ok());
        fields.flat_map(|field| field.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    }

    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_deref()?.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    fn link(&self) -> Option<&wayside_decide::link::Link> {
        let link = self.sources.link.as_ref()?.link.as_ref()?;
        link.is_live_at(self.sources.now_s).then_some(link)
    }

    fn bucket(&self, salt: &str, count: u32) -> u64 {
        let visitor = match self.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            // A visitor's IPv6 address changes within its /64.
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        };
        u64::from(bucket(&self.sources.site.site.bucket_key, salt, &visitor, count))
    }

    fn about_request(&self, question: &Question) -> Option<Answer> {
        let text = |text: &str| Answer::Text(text.into());
        Some(match question {
            Question::Method => text(&self.method),
            Question::Scheme => text(self.scheme),
            Question::Host => text(&self.host),
            Question::Path => text(&self.path),
            Question::Segment(index) => {
                let segments = self.path.split('/').skip(1);
                Answer::text(
                    segments
                        .clone()
                        .nth(usize::try_from(*index).ok()?)
                        .filter(|segment| !segment.is_empty()),
                )
            }
            Question::RawQuery => Answer::text(self.query.as_deref()),
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
            Question::LinkKey => Answer::text(self.link().map(|_| &*self.key)),
            Question::LinkTarget => Answer::text(self.link().map(|link| link.target.as_str())),
            Question::LinkTags => Answer::List(self.link().map(|link| link.tags.clone()).unwrap_or_default()),
            Question::AtOrAfter(instant) => Answer::Flag(self.sources.now_s >= *instant),
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
            // The questions answered above.
            _ => Answer::Absent,
        }
    }
}

fn owned_fields(fields: Fields<'_>) -> Box<[Field]> {
    let owned = fields.0.iter().map(|field| Field {
        name: field.name.into(),
        value: field.value.into(),
    });
    owned.collect()
}

impl Facts for RequestFacts {
    fn answer(&self, question: &Question) -> Answer {
        self.about_request(question)
            .or_else(|| self.about_visitor(question))
            .unwrap_or_else(|| self.about_the_rest(question))
    }
}
