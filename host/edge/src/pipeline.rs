//! A redirect's way, top to bottom. Each step takes what the one before returned; the order is that of DESIGN §4.
//!
//! [`answer`] is the one function that knows the order. Its leaves do not know each other.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;
use wayside_cache::{
    links::{Held, LinkCache, Lookup},
    load::LoadError,
};
use wayside_decide::{
    binding::Binding, decision::Failure, dependence::Dependence, facts::Facts as _, path, rule::Rule,
    status::RedirectStatus, target::Target,
};
use wayside_policy::pool::Pool;

use crate::{
    caching::Caching,
    clock::Now,
    degradation::Degradation,
    directory::{Directory, LiveSite},
    facts::{Place, RequestFacts, Sources},
    geo::Database,
    head::Head,
    metrics::{Metrics, Shard},
    policy_log::PolicyLog,
    refusal::Refusal,
    streams::{Streams, way},
    visit::Visit,
};

mod policy;
pub(crate) mod stream;

/// The header that sets the visitor's country in `wayside dev`, and nowhere else.
const DEMO_COUNTRY_HEADER: &str = "wayside-demo-country";

/// What links are asked with, as `Allow` lists it.
pub(crate) const METHODS: &str = "GET, HEAD, OPTIONS";

/// Everything the pipeline reads from. One for the whole node, shared by its threads.
pub(crate) struct Edge {
    pub(crate) directory: ArcSwap<Directory>,
    pub(crate) links: LinkCache,
    pub(crate) policies: Pool,
    pub(crate) geo: ArcSwap<Database>,
    pub(crate) place: Arc<Place>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) honours_demo_country: bool,
    pub(crate) logs_requests: bool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) policy_log: PolicyLog,
    pub(crate) degradation: Arc<Degradation>,
    pub(crate) streams: Streams,
}

/// What a visitor gets when nothing is refused.
pub(crate) enum Answer {
    /// To the place a plain link leads to.
    Link(PlainLink),
    /// To a place that was rendered.
    Redirect {
        status: RedirectStatus,
        target: Target,
        /// Who may keep the response.
        caching: Caching,
    },
    /// The methods that are answered.
    Options,
    /// A player elsewhere: to a target of the stream, for now, or where its policy says.
    StreamRedirect {
        status: RedirectStatus,
        target: Target,
        /// Who may keep the response.
        caching: Caching,
    },
    /// What was made for one player.
    Content { media_type: &'static str, body: Bytes },
    /// A report was taken.
    Reported,
    /// What pages of other sites may ask of a stream (CORS).
    StreamOptions {
        /// As `Allow` lists them.
        allow: &'static str,
    },
}

/// A held link that leads where it says, unchanged.
pub(crate) struct PlainLink {
    held: Arc<Held>,
    now_s: u64,
    /// The site's own limit.
    max_age_s: Option<u32>,
}

impl PlainLink {
    /// Status and target.
    pub(crate) fn parts(&self) -> Option<(RedirectStatus, &Target)> {
        let link = self.held.link.as_ref()?;
        Some((link.status, link.target_at(self.now_s)?))
    }

    /// Who may keep the response.
    pub(crate) fn caching(&self) -> Caching {
        let link = self.held.link.as_ref();
        let holds_until = link.and_then(|link| link.changes_at(self.now_s));
        Caching::of_record(self.max_age_s, holds_until, self.now_s)
    }
}

/// Decides what the visitor behind a request gets.
pub(crate) async fn answer(
    edge: &Arc<Edge>,
    shard: &Shard,
    head: &Head<'_>,
    peer: IpAddr,
    now: Now,
) -> Result<Answer, Refusal> {
    let visit = Visit::read(head, peer, &edge.trusted_proxies, now)?;
    // The directory of this instant, lent: counting its readers would be one cache line that all cores write.
    let directory = edge.directory.load();
    let site = find_site(&directory, &visit)?;
    let asked = way::read(&site.site, &visit.key);
    if let Some(asked) = asked
        && let Some(answer) = stream::answer(edge, shard, &visit, site, asked).await?
    {
        return check_loop(&visit, answer);
    }
    match other(edge, shard, &visit, site).await {
        // Players on pages of other sites are to read that there is no such asset.
        Err(Refusal::NotFound) if asked.is_some() => Err(Refusal::NotFound.of_stream()),
        answer => answer,
    }
}

/// What a request gets that is about no asset.
async fn other(edge: &Arc<Edge>, shard: &Shard, visit: &Visit<'_>, site: &Arc<LiveSite>) -> Result<Answer, Refusal> {
    match visit.head.method {
        "GET" | "HEAD" => {}
        "OPTIONS" => return Ok(Answer::Options),
        _ => return Err(Refusal::MethodNotAllowed { allow: METHODS }),
    }
    if path::is_reserved(&visit.key) {
        return Err(Refusal::NotFound);
    }
    let answer = match site.binding_for(&visit.key) {
        Some(live) => policy::decide(edge, shard, visit, site, live).await?,
        None => follow(edge, visit, site, &look_up(edge, shard, visit, site).await?)?,
    };
    check_loop(visit, answer)
}

fn find_site<'d>(directory: &'d Directory, visit: &Visit<'_>) -> Result<&'d Arc<LiveSite>, Refusal> {
    match directory.site(&visit.host) {
        Some(site) => Ok(site),
        None if directory.cursor.is_none() => Err(Refusal::NotReady),
        None => Err(Refusal::UnknownHost {
            misdirected: visit.head.is_authority_bound,
        }),
    }
}

/// The link from memory, else from the origin.
async fn look_up(edge: &Edge, shard: &Shard, visit: &Visit<'_>, site: &LiveSite) -> Result<Arc<Held>, Refusal> {
    let lookup = edge.links.look_up(site.site.id, &visit.key, visit.now.instant);
    let count = shard.count_look_up(matches!(lookup, Lookup::Held(_)));
    match lookup {
        Lookup::Held(held) => {
            if is_sampled(count) {
                edge.links.sample(site.site.id, &visit.key, &held, visit.now.instant);
            }
            Ok(held)
        }
        Lookup::Missing => {
            let loaded = edge.links.load(site.site.id, &visit.key).await;
            loaded.map_err(|error| match error {
                LoadError::Shed | LoadError::TooMany { .. } => Refusal::Shed(error.to_string()),
                LoadError::Failed(_) | LoadError::TimedOut { .. } | LoadError::Aborted => {
                    Refusal::OriginAway(error.to_string())
                }
            })
        }
    }
}

/// Whether the look-up of this number counts towards its link's popularity: one of 16, spread so that no regular
/// pattern of requests hides a link.
const fn is_sampled(number: u64) -> bool {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 == 0
}

/// The link, then the rules, then the site's not-found action.
fn follow(edge: &Edge, visit: &Visit<'_>, site: &Arc<LiveSite>, held: &Arc<Held>) -> Result<Answer, Refusal> {
    let max_age_s = site.site.max_age_s;
    if let Some(answer) = follow_link(visit, max_age_s, held)? {
        return Ok(answer);
    }
    if let Some((rule, splat)) = site.site.rules.first_match(&visit.key) {
        let caching = Caching::of_record(max_age_s, comes_at(visit, held), visit.now.unix_s);
        return follow_rule(visit, rule, splat, sources(edge, visit, site, None), caching);
    }
    match &site.site.not_found {
        Some(target) => Ok(Answer::Redirect {
            status: RedirectStatus::Found,
            target: target.clone(),
            caching: Caching::of_record(max_age_s, comes_at(visit, held), visit.now.unix_s),
        }),
        None => Err(Refusal::NotFound),
    }
}

/// When the link at the path begins or ends: from then on another answer may hold than now.
fn comes_at(visit: &Visit<'_>, held: &Held) -> Option<u64> {
    held.link.as_ref()?.changes_at(visit.now.unix_s)
}

fn follow_link(visit: &Visit<'_>, max_age_s: Option<u32>, held: &Arc<Held>) -> Result<Option<Answer>, Refusal> {
    let Some((link, target)) = held
        .link
        .as_ref()
        .and_then(|link| Some((link, link.target_at(visit.now.unix_s)?)))
    else {
        return Ok(None);
    };
    Ok(Some(match visit.head.query {
        Some(query) if link.forward_query && !query.is_empty() => {
            let target = target.with_query(query).map_err(Refusal::LocationRefused)?;
            Answer::Redirect {
                status: link.status,
                target,
                caching: Caching::of_record(max_age_s, link.changes_at(visit.now.unix_s), visit.now.unix_s),
            }
        }
        _ => Answer::Link(PlainLink {
            held: Arc::clone(held),
            now_s: visit.now.unix_s,
            max_age_s,
        }),
    }))
}

fn follow_rule(
    visit: &Visit<'_>,
    rule: &Rule,
    splat: &str,
    sources: Sources,
    caching: Caching,
) -> Result<Answer, Refusal> {
    let facts = RequestFacts::new(visit, sources);
    let target = rule
        .location
        .render(|question| Ok(facts.answer(&question)), Some(splat))
        .map_err(|failure| match failure {
            Failure::InvalidDecision(invalid) => Refusal::LocationRefused(invalid),
            other => Refusal::PolicyFailed(other),
        })?;
    let mut dependence = Dependence::default();
    rule.location.asks().for_each(|question| dependence.add(&question));
    Ok(Answer::Redirect {
        status: rule.status,
        target,
        caching: if dependence.is_private() {
            Caching::PRIVATE
        } else {
            caching
        },
    })
}

fn sources(edge: &Edge, visit: &Visit<'_>, site: &Arc<LiveSite>, binding: Option<&Arc<Binding>>) -> Sources {
    Sources {
        site: Arc::clone(site),
        binding: binding.cloned(),
        geo: edge.geo.load_full(),
        place: Arc::clone(&edge.place),
        now_s: visit.now.unix_s,
        demo_country: demo_country(edge, visit),
    }
}

/// The country that a visitor of a demonstration says that it is in.
pub(crate) fn demo_country(edge: &Edge, visit: &Visit<'_>) -> Option<String> {
    if !edge.honours_demo_country {
        return None;
    }
    let value = visit.head.fields.first(DEMO_COUNTRY_HEADER)?;
    let country = str::from_utf8(value).ok()?.to_ascii_uppercase();
    // Two letters, as a database has them: nothing else may reach a template.
    (country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(country)
}

/// A redirect to the very URL that was asked for would never end.
fn check_loop(visit: &Visit<'_>, answer: Answer) -> Result<Answer, Refusal> {
    let target = match &answer {
        Answer::Link(plain) => plain.parts().map(|(_, target)| target),
        Answer::Redirect { target, .. } | Answer::StreamRedirect { target, .. } => Some(target),
        Answer::Options | Answer::Content { .. } | Answer::Reported | Answer::StreamOptions { .. } => None,
    };
    if target.is_some_and(|target| is_same_url(visit, target)) {
        Err(Refusal::Loop)
    } else {
        Ok(answer)
    }
}

fn is_same_url(visit: &Visit<'_>, target: &Target) -> bool {
    if !target.leads_to(&visit.host) || target.scheme() != visit.scheme() {
        return false;
    }
    let default_port = if visit.is_secure { 443 } else { 80 };
    let target_port = wayside_decide::host::port_of_authority(target.authority()).unwrap_or(default_port);
    let (path, query) = target
        .path_and_query()
        .split_once('?')
        .unwrap_or_else(|| (target.path_and_query(), ""));
    target_port == visit.port.unwrap_or(default_port)
        && visit.key == path::normalise(path)
        && visit.head.query.unwrap_or_default() == query
}
