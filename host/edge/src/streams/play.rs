//! Where to begin, for a page that builds its own player: URLs on the target and on those after it, the steering URL, the
//! renditions.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use wayside_decide::{stream::asset::AssetState, target::Target as Url};
use wayside_stream::rendition::Rendition;

use super::{
    assets::Copy,
    begin::RETRY_AFTER_S,
    manifests::{Wanted, kind::Kind},
    request::{Request, SESSION},
    signed::{Signable, file_url},
    steer,
    tokens::Pass,
};
use crate::{pipeline::Answer, refusal::Refusal};

/// URLs after the first.
const LISTED_MAX: usize = 8;

/// What is answered.
#[derive(Debug, Serialize)]
struct Play<'p> {
    asset: &'p str,
    /// The session that begins: players put it into their reports.
    session: &'p str,
    /// How often to ask the steering URL, in seconds.
    ttl_s: u32,
    target: Target<'p>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hls: Option<Manifests>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dash: Option<Manifests>,
    /// The renditions, as the manifest lists them; empty until the node has seen it.
    levels: Vec<Level<'p>>,
    steering: &'p str,
    reports: &'p str,
}

/// Who was chosen.
#[derive(Debug, Serialize)]
struct Target<'p> {
    id: &'p str,
    region: &'p str,
}

/// A rendition.
#[derive(Debug, Serialize)]
struct Level<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'p str>,
    /// Bits a second, at most.
    bandwidth: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_rate: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codecs: Option<&'p str>,
}

impl<'p> Level<'p> {
    fn of(rendition: &'p Rendition) -> Self {
        let (width, height) = rendition.resolution.unzip();
        Self {
            name: rendition.name.as_deref(),
            bandwidth: rendition.bandwidth,
            width,
            height,
            frame_rate: rendition.frame_rate.as_deref(),
            codecs: rendition.codecs.as_deref(),
        }
    }
}

/// Where a manifest is.
#[derive(Debug, Serialize)]
struct Manifests {
    /// On the chosen target.
    url: String,
    /// On the others: where to go on first, and then the best first.
    fallbacks: Vec<String>,
    /// At the site itself, with steering and all pathways in it; none where the site has no path for its assets.
    #[serde(skip_serializing_if = "Option::is_none")]
    steered: Option<String>,
}

/// Where to begin.
pub(super) async fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asset = &request.asset.asset;
    let [hls, dash] = Kind::ALL.map(|kind| renditions(request, kind));
    let is_transcoding = asset.state == AssetState::Transcoding;
    if is_transcoding && hls.is_none() && dash.is_none() {
        return Err(Refusal::NotYet {
            retry_after_s: RETRY_AFTER_S,
        });
    }
    let [hls_path, dash_path] = [(Kind::Hls, &hls), (Kind::Dash, &dash)].map(|(kind, seen)| {
        let is_there = seen.is_some() || !is_transcoding;
        kind.path(asset).filter(|_| is_there)
    });
    let levels = hls.or(dash).unwrap_or_default();
    let copies = request.asset.copies(&request.pool.targets());
    let (session, _) = request.session_of(&copies, copies.of)?;
    let ask = request.ask(session.as_bytes(), None, &|copies| copies.of);
    let chosen = request.pool.choose(&ask, LISTED_MAX);
    let chosen = chosen.map_err(|nobody| request.nobody(nobody))?;
    let urls = |copy: &Copy, pass: Pass| {
        let url = |path: &str| file_url(copy, &pass, request.visit.is_secure, path, None);
        Ok((hls_path.map(url).transpose()?, dash_path.map(url).transpose()?))
    };
    let mut signable = Signable::of(request.signs(), chosen.copies());
    let Some((index, _, (hls, dash))) = signable.next(urls).await? else {
        return Err(signable.problem().unwrap_or(Refusal::NotFound));
    };
    let [mut hls, mut dash] = [hls, dash].map(Vec::from_iter);
    while let Some((.., urls)) = signable.next(urls).await? {
        hls.extend(urls.0);
        dash.extend(urls.1);
    }
    let first = chosen.targets.get(index).ok_or(Refusal::NotFound)?;
    request.pool.see(&chosen.targets, ask.speaker, index);
    let steering = steer::url(request, Some(&session))?;
    let reports = request.own_url(&["/.wayside/cmcd/", asset.id.as_str(), "?", SESSION, &session])?;
    let play = Play {
        asset: asset.id.as_str(),
        session: &session,
        ttl_s: asset.ttl_s,
        target: Target {
            id: first.name.as_str(),
            region: first.region.as_str(),
        },
        hls: manifests(request, Kind::Hls, &session, hls)?,
        dash: manifests(request, Kind::Dash, &session, dash)?,
        levels: levels.iter().map(Level::of).collect(),
        steering: steering.as_str(),
        reports: reports.as_str(),
    };
    let body = serde_json::to_vec(&play).map_err(|error| Refusal::StreamUnavailable(error.to_string()))?;
    Ok(Answer::Content {
        media_type: "application/json",
        body: Bytes::from(body),
    })
}

/// What a manifest lists, when the node has it: nobody waits for it here.
fn renditions(request: &Request<'_>, kind: Kind) -> Option<Arc<[Rendition]>> {
    let site = &request.site.site;
    request.edge.streams.manifests.renditions(&Wanted {
        tenant: &site.tenant,
        site: site.id,
        site_name: &site.name,
        asset: &request.asset.asset,
        kind,
    })
}

/// Where a manifest is, by its URLs on the targets in order; none when it is on none.
fn manifests(request: &Request<'_>, kind: Kind, session: &str, urls: Vec<Url>) -> Result<Option<Manifests>, Refusal> {
    let mut urls = urls.into_iter().map(|url| url.to_string());
    let Some(url) = urls.next() else { return Ok(None) };
    let steered = kind.own_url(request, session)?;
    Ok(Some(Manifests {
        url,
        fallbacks: urls.collect(),
        steered: steered.map(|url| url.to_string()),
    }))
}
