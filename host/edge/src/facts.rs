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

mod asset;
mod text;

pub use asset::AssetFacts;
pub(crate) use text::{OwnedText, RequestText, cookies_of};

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
    /// There is none: a stream is asked for.
    Absent,
    /// It cannot be had, which does not mean that there is none: what is decided by asking about it is no decision.
    Unavailable,
}

/// Everything that can be asked about one request.
pub(crate) struct RequestFacts<T> {
    text: T,
    scheme: &'static str,
    address: IpAddr,
    sources: Sources,
    link: LinkKnown,
    /// The asset, where one is asked for.
    asset: Option<Arc<AssetFacts>>,
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
            asset: None,
            geography: OnceLock::new(),
            agent: OnceLock::new(),
        }
    }

    /// Says what became of looking the link up.
    pub(crate) fn set_link(&mut self, link: LinkKnown) {
        self.link = link;
    }

    /// Says that a stream of this asset is asked for: there is no link then, and nobody has to look.
    pub(crate) fn set_asset(&mut self, asset: Arc<AssetFacts>) {
        self.asset = Some(asset);
        self.link = LinkKnown::Absent;
    }

    /// The same facts, owned, so that a guest can ask from another thread.
    pub(crate) fn freeze(&self) -> RequestFacts<OwnedText> {
        RequestFacts {
            text: OwnedText::of(&self.text),
            scheme: self.scheme,
            address: self.address,
            sources: self.sources.clone(),
            link: self.link.clone(),
            asset: self.asset.clone(),
            geography: self.geography.clone(),
            agent: self.agent.clone(),
        }
    }
}

impl RequestFacts<Arc<OwnedText>> {
    /// The facts of a request that was kept. What was kept of its visitor goes before what could be found out anew.
    pub(crate) fn of_kept(
        text: Arc<OwnedText>,
        scheme: &'static str,
        address: IpAddr,
        visitor: Option<(Geography, Agent)>,
        sources: Sources,
        link: LinkKnown,
        asset: Option<Arc<AssetFacts>>,
    ) -> Self {
        let (geography, agent) = visitor.unzip();
        Self {
            text,
            scheme,
            address,
            sources,
            link: if asset.is_some() { LinkKnown::Absent } else { link },
            asset,
            geography: geography.map_or_else(OnceLock::new, OnceLock::from),
            agent: agent.map_or_else(OnceLock::new, OnceLock::from),
        }
    }
}

impl<T: RequestText> RequestFacts<T> {
    /// The request's text.
    pub(crate) const fn text(&self) -> &T {
        &self.text
    }

    /// The scheme as the visitor sees it.
    pub(crate) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The visitor's address.
    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// What answers that the request's text does not.
    pub(crate) const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether it is known what stands at the request's path.
    pub(crate) const fn knows_link(&self) -> bool {
        matches!(self.link, LinkKnown::Held(_) | LinkKnown::Absent)
    }

    /// The asset, where one is asked for.
    pub(crate) const fn asset(&self) -> Option<&Arc<AssetFacts>> {
        self.asset.as_ref()
    }

    /// Where the visitor is.
    pub(crate) fn geography(&self) -> &Geography {
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

    /// What the visitor's program is.
    pub(crate) fn agent(&self) -> &Agent {
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

    fn cookie(&self, name: &str) -> Option<String> {
        let mut cookies = cookies_of(&self.text);
        cookies.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
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
            // One form for one path, the form that bindings, links and rules go by: another would let a visitor past the
            // policy by writing the path differently.
            Question::Path => text(self.text.key()),
            Question::Segment(index) => {
                let segments = self.text.key().split('/').skip(1);
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
            .or_else(|| asset::answer(self.asset.as_ref(), question))
            .unwrap_or_else(|| self.about_the_rest(question))
    }

    fn now_s(&self) -> u64 {
        self.sources.now_s
    }

    fn can_answer(&self, question: &Question) -> bool {
        !question.is_about_link() || self.knows_link()
    }
}

#[cfg(test)]
mod tests;
