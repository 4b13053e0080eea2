//! Which target a visitor would get, and why the others not: for people, off the path of requests.
//!
//! In: a request about an asset that nobody sent. Out: what [`super::pools`] says of each target, as the admin endpoint
//! tells it. Nothing is counted or remembered, and nobody is sent anywhere.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wayside_decide::{
    binding::FailureMode,
    stream::{asset::Asset, target::StreamTarget},
};
use wayside_stream::select::explain::{Explained, Score};

use super::{
    assets::Copy,
    manifests::kind::Kind,
    pools::{
        choice::{Ask, Nobody},
        targets::Who,
    },
    request::Request,
};

/// What leaves a target out on which there is no copy of the asset.
const NO_COPY: &str = "asset: no copy";

/// Of whom it is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    pub(crate) tenant: String,
    pub(crate) site: String,
    pub(crate) asset: String,
    /// The visitor's address.
    pub(crate) ip: IpAddr,
    /// The session, when it is to be one that plays.
    pub(crate) session: Option<String>,
}

/// What is told.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    asset: String,
    balancer: &'static str,
    visitor: Visitor,
    /// What the policy wants: a plan, or that it goes on without one; none when none is bound.
    policy: Option<String>,
    /// The target that would be taken; none when there is none.
    target: Option<String>,
    /// Why it, or why none.
    why: String,
    targets: Vec<Target>,
}

/// Who asks, as far as the node knows.
#[derive(Debug, Serialize)]
struct Visitor {
    ip: IpAddr,
    country: Option<String>,
    asn: Option<u32>,
    /// The group of its coverage zone.
    zone: Option<String>,
    /// Whether its place on the globe is known.
    is_placed: bool,
}

/// A target.
#[derive(Debug, Serialize)]
struct Target {
    name: String,
    region: String,
    service: &'static str,
    /// Whether it has a copy of the asset.
    has_copy: bool,
    /// What took it out; none when it may be taken.
    removed_by: Option<String>,
    /// Why a manifest of the asset's cannot name it, for each of a kind that cannot.
    not_in_manifests: Vec<String>,
    tier: Option<usize>,
    is_near: bool,
    is_degraded: bool,
    is_over_commit: bool,
    is_avoided: bool,
    has_had_its_share: bool,
    /// Its share while it comes back.
    coming_back_percent: Option<u8>,
    weight: u32,
    cost: u32,
    score: f64,
    load: f64,
    latency_ms: f64,
    bandwidth: f64,
    /// All of it in one line.
    line: String,
}

impl Told {
    /// The same where nobody gets a target, for this reason.
    pub(crate) fn without_target(self, why: String) -> Self {
        Self {
            target: None,
            why,
            ..self
        }
    }
}

/// What is told of the choice for a request.
pub(crate) fn told(request: &Request<'_>, ip: IpAddr, mut policy: Option<String>) -> Told {
    let asset = &request.asset.asset;
    let ask = request.ask(request.session_bytes(), None, &|copies| copies.of);
    let explained = match (request.pool.explain(&ask), request.plan) {
        (Err(Nobody::Plan { refused, .. }), Some(wanted)) if wanted.live.binding.on_failure == FailureMode::Open => {
            policy = policy.map(|said| format!("{said}; {refused}: as if none were bound"));
            request.pool.explain(&Ask { plan: None, ..ask })
        }
        (explained, _) => explained,
    };
    let (target, why, targets) = match explained {
        Ok((targets, explanation)) => {
            let copies = request.asset.copies(&targets);
            let keyless = copies.unsignable(copies.of, request.signs());
            let said = targets.iter().zip(&explanation.targets);
            let described = said.map(|((index, spec), explained)| {
                let (left_out, not_in_manifests) = match copies.get(index) {
                    None => (Some(NO_COPY), Vec::new()),
                    Some(_) if keyless.has(index) => (Some("signing: no key that can be used"), Vec::new()),
                    Some(copy) => (None, uncarried(copy, asset)),
                };
                describe(explained, spec, left_out, not_in_manifests)
            });
            let choice = explanation.choice;
            let name = choice.and_then(|choice| targets.get(choice.target));
            let why = choice.map_or_else(|| Nobody::NotHere.to_string(), |choice| choice.why.to_string());
            (name.map(|target| target.name.to_string()), why, described.collect())
        }
        Err(nobody) => (None, nobody.to_string(), Vec::new()),
    };
    Told {
        asset: asset.id.to_string(),
        balancer: asset.balancer.as_str(),
        visitor: visitor(&request.who, ip),
        policy,
        target,
        why,
        targets,
    }
}

fn visitor(who: &Who, ip: IpAddr) -> Visitor {
    Visitor {
        ip,
        country: who.country.map(|country| country.to_string()),
        asn: who.asn,
        zone: who.zone.as_ref().map(ToString::to_string),
        is_placed: who.place.is_some(),
    }
}

/// Why manifests of the asset's cannot name a copy.
fn uncarried(copy: &Copy, asset: &Asset) -> Vec<String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.path(asset).is_some());
    let problems = kinds.filter_map(|kind| Some((kind, copy.carried(kind).err()?)));
    let told = problems.map(|(kind, problem)| {
        let manifests = match kind {
            Kind::Hls => "HLS playlists",
            Kind::Dash => "MPDs",
        };
        format!("{manifests} cannot carry its tokens: {problem}")
    });
    told.collect()
}

/// What is said of a target: what leaves it out before anything else does, and why manifests cannot name it.
fn describe(
    explained: &Explained,
    spec: &StreamTarget,
    left_out: Option<&str>,
    not_in_manifests: Vec<String>,
) -> Target {
    let Score {
        load,
        latency,
        bandwidth,
        total,
    } = explained.score;
    let line = match left_out {
        Some(why) => format!("{}: {why}", explained.name),
        None => explained.to_string(),
    };
    let removed_by = match left_out {
        Some(why) => Some(why.to_owned()),
        None => explained.removed_by.as_ref().map(ToString::to_string),
    };
    Target {
        name: explained.name.to_string(),
        region: spec.region.to_string(),
        service: spec.service.as_str(),
        has_copy: left_out != Some(NO_COPY),
        removed_by,
        tier: explained.tier,
        is_near: explained.is_near,
        is_degraded: explained.is_degraded,
        is_over_commit: explained.is_over_commit,
        is_avoided: explained.is_avoided,
        has_had_its_share: explained.has_had_its_share,
        coming_back_percent: explained.not_yet_at_percent,
        weight: explained.weight,
        cost: explained.cost,
        score: total,
        load,
        latency_ms: latency.as_secs_f64() * 1_000.0,
        bandwidth,
        line: [&[line], &*not_in_manifests].concat().join("; "),
        not_in_manifests,
    }
}
