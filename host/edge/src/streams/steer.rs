//! Steering manifests: where a player that plays already is to play from now on.

use bytes::Bytes;
use wayside_decide::{name::Name, target::Target};
use wayside_stream::{
    pathway::{Pathway, Proof},
    select::set::TargetIndex,
    steering::{
        manifest::{MIME_DASH, MIME_HLS, Manifest, PathwayClone},
        request::{self, Protocol},
    },
};

use super::{assets::Copy, manifests::Kind, pools::choice::Chosen, reports, request::Request};
use crate::{pipeline::Answer, refusal::Refusal};

/// Pathways that a manifest lists: players fail over along them.
const LISTED_MAX: usize = 8;

/// The manifest for the session that asks.
pub(super) async fn manifest(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request::read(request.visit.head.query.unwrap_or_default());
    reports::asked(request, &asked);
    // The last that was used is what it plays from.
    let playing = asked.used.iter().rev().find_map(|used| used.pathway.as_ref());
    let ask = request.ask(request.session_bytes(), playing);
    let chosen = request
        .pool
        .choose(&ask, LISTED_MAX)
        .map_err(|error| request.nobody(error))?;
    let manifest = write(request, &chosen, asked.protocol).await?;
    let media_type = match asked.protocol {
        Some(Protocol::Hls) => MIME_HLS,
        Some(Protocol::Dash) => MIME_DASH,
        None if request.asset.asset.hls.is_some() => MIME_HLS,
        None => MIME_DASH,
    };
    Ok(Answer::Content {
        media_type,
        body: Bytes::from(manifest.to_json()),
    })
}

async fn write(request: &Request<'_>, chosen: &Chosen, protocol: Option<Protocol>) -> Result<Manifest, Refusal> {
    let broken = |error: String| Refusal::StreamUnavailable(format!("write the steering manifest: {error}"));
    let since_ms = request.session.map_or(u64::MAX, |(_, session)| session.since_ms);
    // Where nothing is left of what the player began with, names are all that it can be told: it may know some of them.
    let is_any_left = chosen.copies.iter().any(|(_, copy)| copy.since_ms <= since_ms);
    let since_ms = if is_any_left { since_ms } else { u64::MAX };
    let (known, later): (Vec<_>, Vec<_>) = chosen.copies.iter().partition(|(_, copy)| copy.since_ms <= since_ms);
    let kind = match protocol {
        Some(Protocol::Hls) => Kind::Hls,
        Some(Protocol::Dash) => Kind::Dash,
        None if request.asset.asset.hls.is_some() => Kind::Hls,
        None => Kind::Dash,
    };
    // What no manifest could name, players do not know.
    let is_known = |copy: &Copy| copy.since_ms <= since_ms && copy.carried(kind).is_ok();
    let known: Vec<_> = known.into_iter().filter(|(_, copy)| is_known(copy)).collect();
    let playlist: Vec<&Name> = known.iter().map(|(_, copy)| &copy.name).collect();
    // dash.js forgets the port of a clone, and looks for it on the scheme's own.
    let is_found = |copy: &Copy| protocol != Some(Protocol::Dash) || !copy.base(request.visit.is_secure).has_port();
    let later: Vec<_> = later.into_iter().filter(|(_, copy)| is_found(copy)).collect();
    let clones = clones(request, chosen, &known, &later).await;
    let is_there = |copy: &&Copy| is_known(copy) || clones.iter().any(|(id, _)| *id == &copy.name);
    let order = chosen.order.iter().filter_map(|index| chosen.copies.get(index));
    let priority = order.filter(is_there).map(|copy| copy.name.clone()).collect();
    let clones = clones.iter().map(|(_, clone)| clone.clone()).collect();
    let reload = reload(request).map_err(broken)?;
    let ttl_s = request.asset.asset.ttl_s;
    Manifest::new(ttl_s, reload, priority, clones, &playlist).map_err(|error| broken(error.to_string()))
}

/// Targets that became pathways after the player began, as changes to one that it knows. One that differs from all of
/// those in more than its host's name is left out.
async fn clones<'c>(
    request: &Request<'_>,
    chosen: &Chosen,
    known: &[(TargetIndex, &'c Copy)],
    later: &[(TargetIndex, &'c Copy)],
) -> Vec<(&'c Name, PathwayClone)> {
    let is_secure = request.visit.is_secure;
    let listed = |index: TargetIndex| chosen.order.iter().any(|one| one == index);
    let mut clones = Vec::new();
    for (_, copy) in later.iter().filter(|(index, _)| listed(*index)) {
        let pass = match copy.pass(request).await {
            Ok(pass) => pass,
            Err(error) => {
                tracing::warn!(target = %copy.name, %error, "leave a target out of a steering manifest");
                continue;
            }
        };
        let clone = pathway(copy, is_secure, pass.proof());
        // What a token in the query stands on is no matter: the clone's is put beside or over it. One in the path stays.
        let mut bases = known.iter().filter(|(_, base)| !base.is_signed_in_path());
        let clone = bases.find_map(|(_, base)| PathwayClone::new(&pathway(base, is_secure, Proof::Open), &clone).ok());
        clones.extend(clone.map(|clone| (&copy.name, clone)));
    }
    clones
}

fn pathway<'p>(copy: &'p Copy, is_secure: bool, proof: Proof<'p>) -> Pathway<'p> {
    Pathway {
        id: &copy.name,
        base: copy.base(is_secure),
        proof,
    }
}

/// Where the player asks next.
fn reload(request: &Request<'_>) -> Result<Target, String> {
    let session = request.session.map(|(text, _)| text);
    let url = url(request, session);
    Target::parse_at_edge(&url).map_err(|invalid| invalid.to_string())
}

/// The steering manifest's URL for a session.
pub(super) fn url(request: &Request<'_>, session: Option<&str>) -> String {
    let id = &request.asset.asset.id;
    match session {
        Some(session) => request.own_url(&format!("/.wayside/steer/{id}?session={session}")),
        None => request.own_url(&format!("/.wayside/steer/{id}")),
    }
}
