//! A redirect's way, top to bottom. Each step takes what the one before returned; the order is that of DESIGN §4.
//!
//! [`answer`] is the one function that knows the order. Its leaves do not know each other.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use wayside_cache::links::{Held, LinkCache, Lookup};
use wayside_decide::{
    binding::FailureMode,
    decision::{Decision, Failure},
    invalid::Invalid,
    name::Name,
    question::Question,
    rule::Rule,
    status::{DenyStatus, RedirectStatus},
    target::Target,
    trace::{Recorder, Trace},
};
use wayside_policy::pool::Pool;

use crate::{
    clock::Now,
    directory::{Directory, LiveBinding, LiveSite},
    facts::{Place, RequestFacts, Sources},
    geo::Database,
    head::Head,
    metrics::{Metrics, Shard},
    refusal::Refusal,
    visit::Visit,
};

/// The header that sets the visitor's country in `wayside dev`, and nowhere else.
const DEMO_COUNTRY_HEADER: &str = "wayside-demo-country";

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
}

/// What a visitor gets when nothing is refused.
pub(crate) enum Answer {
    /// To the place a plain link leads to.
    Link(PlainLink),
    /// To a place that was rendered.
    Redirect {
        status: RedirectStatus,
        target: Target,
        /// Whether what led here may differ between visitors, so that no shared cache may keep it.
        is_personal: bool,
    },
    /// The methods that are answered.
    Options,
}

/// A held link that leads where it says, unchanged.
pub(crate) struct PlainLink {
    held: Arc<Held>,
    now_s: u64,
}

impl PlainLink {
    /// Status and target.
    pub(crate) fn parts(&self) -> Option<(RedirectStatus, &Target)> {
        let link = self.held.link.as_ref()?;
        Some((link.status, link.target_at(self.now_s)?))
    }
}

/// Decides what the visitor behind a request gets.
pub(crate) async fn answer(
    edge: &Edge,
    shard: &Shard,
    head: &Head<'_>,
    peer: IpAddr,
    now: Now,
) -> Result<Answer, Refusal> {
    let visit = Visit::read(head, peer, &edge.trusted_proxies, now)?;
    // The directory of this instant, lent: counting its readers would be one cache line that all cores write.
    let directory = edge.directory.load();
    let site = find_site(&directory, &visit)?;
    match head.method {
        "GET" | "HEAD" => {}
        "OPTIONS" => return Ok(Answer::Options),
        _ => return Err(Refusal::MethodNotAllowed),
    }
    if wayside_decide::path::is_reserved(&visit.key) {
        return Err(Refusal::NotFound);
    }
    let answer = match site.binding_for(&visit.key) {
        Some(live) => decide_by_policy(edge, shard, &visit, site, live).await?,
        None => follow(edge, &visit, site, &look_up(edge, shard, &visit, site).await?)?,
    };
    check_loop(&visit, answer)
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

/// What came of a policy's run.
enum Verdict {
    /// Go on without it.
    GoOn,
    /// This is the answer.
    Redirect(RedirectStatus, Target),
    /// There is none for this visitor.
    Deny(DenyStatus),
}

/// A bound policy goes first. The link is looked up before the guest starts, so that a guest never waits; when it
/// cannot be had, the guest still decides, and its decision counts unless it asked for the link.
async fn decide_by_policy(
    edge: &Edge,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    live: &LiveBinding,
) -> Result<Answer, Refusal> {
    let looked_up = look_up(edge, shard, visit, site).await;
    let link = looked_up.as_ref().ok().cloned();
    let sources = Sources {
        binding: Some(Arc::clone(&live.binding)),
        link,
        ..sources(edge, visit, site)
    };
    let recorder = Recorder::new(Arc::new(RequestFacts::new(visit, sources)));
    let (decision, mut recorder) = run_policy(edge, &site.site.tenant, live, recorder).await;
    let verdict = decision.and_then(|decision| carry_out(visit, decision, &mut recorder));
    if let (Err(Refusal::OriginAway(reason)), true) = (&looked_up, asks_for_link(recorder.trace())) {
        return Err(Refusal::OriginAway(reason.clone()));
    }
    match (verdict, live.binding.on_failure) {
        (Ok(Verdict::Redirect(status, target)), _) => Ok(Answer::Redirect {
            status,
            target,
            is_personal: true,
        }),
        (Ok(Verdict::Deny(status)), _) => Err(Refusal::Denied(status)),
        (Err(failure), FailureMode::Closed) => Err(Refusal::PolicyFailed(failure)),
        (Ok(Verdict::GoOn), _) | (Err(_), FailureMode::Open) => go_on(edge, visit, site, &looked_up?),
    }
}

/// Renders and checks a decision: a location that may not be sent is a failure of the policy that gave it.
fn carry_out(visit: &Visit<'_>, decision: Decision, recorder: &mut Recorder) -> Result<Verdict, Failure> {
    match decision {
        Decision::Proceed => Ok(Verdict::GoOn),
        Decision::Deny(status) => Ok(Verdict::Deny(status)),
        Decision::Redirect { status, location } => {
            let target = location.render(recorder, None)?;
            if is_same_url(visit, &target) {
                let invalid = Invalid::other("location", "the URL that was asked for", "another URL");
                return Err(Failure::InvalidDecision(invalid));
            }
            Ok(Verdict::Redirect(status, target))
        }
    }
}

async fn run_policy(
    edge: &Edge,
    tenant: &Name,
    live: &LiveBinding,
    recorder: Recorder,
) -> (Result<Decision, Failure>, Recorder) {
    let guest = match &live.guest {
        Ok(guest) => Arc::clone(guest),
        Err(reason) => {
            let failure = Failure::Unavailable(reason.to_string());
            edge.metrics.count_policy_run(failure.label());
            return (Err(failure), recorder);
        }
    };
    let run = edge.policies.run(tenant, guest, recorder).await;
    let outcome = run.result.as_ref().map_or_else(Failure::label, |_| "decided");
    edge.metrics.count_policy_run(outcome);
    let policy = &live.binding.policy;
    for line in &run.log {
        tracing::debug!(target: "wayside::policy", %tenant, %policy, level = %line.level, "{}", line.message);
    }
    if let Err(failure) = &run.result {
        tracing::debug!(target: "wayside::policy", %tenant, %policy, %failure, "the policy gave no decision");
    }
    (run.result, run.recorder)
}

fn asks_for_link(trace: &Trace) -> bool {
    trace.iter().any(|(question, _)| {
        matches!(
            question,
            Question::LinkExists | Question::LinkKey | Question::LinkTarget | Question::LinkTags
        )
    })
}

/// After a policy that proceeds: as if it were not there, but that no shared cache may keep the answer.
fn go_on(edge: &Edge, visit: &Visit<'_>, site: &Arc<LiveSite>, held: &Arc<Held>) -> Result<Answer, Refusal> {
    Ok(match follow(edge, visit, site, held)? {
        Answer::Link(plain) => {
            let (status, target) = plain.parts().ok_or(Refusal::NotFound)?;
            Answer::Redirect {
                status,
                target: target.clone(),
                is_personal: true,
            }
        }
        Answer::Redirect { status, target, .. } => Answer::Redirect {
            status,
            target,
            is_personal: true,
        },
        Answer::Options => Answer::Options,
    })
}

/// The link from memory, else from the origin.
async fn look_up(edge: &Edge, shard: &Shard, visit: &Visit<'_>, site: &LiveSite) -> Result<Arc<Held>, Refusal> {
    let lookup = edge.links.look_up(site.site.id, &visit.key, visit.now.instant);
    shard.count_look_up(matches!(lookup, Lookup::Held(_)));
    match lookup {
        Lookup::Held(held) => Ok(held),
        Lookup::Missing => {
            let loaded = edge.links.load(site.site.id, &visit.key).await;
            loaded.map_err(|error| Refusal::OriginAway(error.to_string()))
        }
    }
}

/// The link, then the rules, then the site's not-found action.
fn follow(edge: &Edge, visit: &Visit<'_>, site: &Arc<LiveSite>, held: &Arc<Held>) -> Result<Answer, Refusal> {
    if let Some(answer) = follow_link(visit, held)? {
        return Ok(answer);
    }
    if let Some((rule, splat)) = site.site.rules.first_match(visit.head.path) {
        return follow_rule(visit, rule, &splat, sources(edge, visit, site));
    }
    match &site.site.not_found {
        Some(target) => Ok(Answer::Redirect {
            status: RedirectStatus::Found,
            target: target.clone(),
            is_personal: false,
        }),
        None => Err(Refusal::NotFound),
    }
}

fn follow_link(visit: &Visit<'_>, held: &Arc<Held>) -> Result<Option<Answer>, Refusal> {
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
                is_personal: false,
            }
        }
        _ => Answer::Link(PlainLink {
            held: Arc::clone(held),
            now_s: visit.now.unix_s,
        }),
    }))
}

fn follow_rule(visit: &Visit<'_>, rule: &Rule, splat: &str, sources: Sources) -> Result<Answer, Refusal> {
    let mut recorder = Recorder::new(Arc::new(RequestFacts::new(visit, sources)));
    let target = rule
        .location
        .render(&mut recorder, Some(splat))
        .map_err(|failure| match failure {
            Failure::InvalidDecision(invalid) => Refusal::LocationRefused(invalid),
            other => Refusal::PolicyFailed(other),
        })?;
    let is_personal = recorder
        .trace()
        .iter()
        .any(|(question, _)| matches!(question, Question::Country));
    Ok(Answer::Redirect {
        status: rule.status,
        target,
        is_personal,
    })
}

fn sources(edge: &Edge, visit: &Visit<'_>, site: &Arc<LiveSite>) -> Sources {
    let demo_country = || {
        let value = visit.head.fields.first(DEMO_COUNTRY_HEADER)?;
        let country = str::from_utf8(value).ok()?.to_ascii_uppercase();
        // Two letters, as a database has them: nothing else may reach a template.
        (country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(country)
    };
    Sources {
        site: Arc::clone(site),
        binding: None,
        link: None,
        geo: edge.geo.load_full(),
        place: Arc::clone(&edge.place),
        now_s: visit.now.unix_s,
        demo_country: if edge.honours_demo_country {
            demo_country()
        } else {
            None
        },
    }
}

/// A redirect to the very URL that was asked for would never end.
fn check_loop(visit: &Visit<'_>, answer: Answer) -> Result<Answer, Refusal> {
    let target = match &answer {
        Answer::Link(plain) => plain.parts().map(|(_, target)| target),
        Answer::Redirect { target, .. } => Some(target),
        Answer::Options => None,
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
    let sent = (visit.head.path, visit.head.query.unwrap_or_default());
    let (path, query) = target
        .path_and_query()
        .split_once('?')
        .unwrap_or_else(|| (target.path_and_query(), ""));
    target_port == visit.port.unwrap_or(default_port) && sent == (path, query)
}
