//! Where to begin, for a page that builds its own player: URLs on the target and on those after it, the steering URL, the
//! renditions.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use wayside_decide::stream::asset::AssetState;
use wayside_stream::rendition::Rendition;

use super::{
    assets::Copy,
    begin::RETRY_AFTER_S,
    manifests::{Kind, Wanted},
    request::{Request, unsigned},
    steer,
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
    steering: String,
    reports: String,
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
    /// On the others, best first.
    fallbacks: Vec<String>,
    /// At the site itself, with steering and all pathways in it; none where the site has no path for its assets.
    #[serde(skip_serializing_if = "Option::is_none")]
    steered: Option<String>,
}

/// Where to begin.
pub(super) async fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asset = &request.asset.asset;
    let seen = [Kind::Hls, Kind::Dash].map(|kind| renditions(request, kind));
    let is_transcoding = asset.state == AssetState::Transcoding;
    if is_transcoding && seen.iter().all(Option::is_none) {
        return Err(Refusal::NotYet {
            retry_after_s: RETRY_AFTER_S,
        });
    }
    let [has_hls, has_dash] = [&seen[0], &seen[1]].map(|seen| seen.is_some() || !is_transcoding);
    let levels = seen.into_iter().flatten().next().unwrap_or_default();
    let targets = request.pool.targets();
    let since_ms = request
        .asset
        .copies(&targets)
        .iter()
        .map(|(_, copy)| copy.since_ms)
        .max();
    let session = match request.session {
        Some((text, _)) => text.to_owned(),
        None => request
            .begin_session(since_ms.unwrap_or_default())
            .ok_or_else(|| Refusal::StreamUnavailable("the system gives no randomness".to_owned()))?,
    };
    let ask = request.ask(session.as_bytes(), None);
    let chosen = request
        .pool
        .choose(&ask, LISTED_MAX)
        .map_err(|error| request.nobody(error))?;
    let order: Vec<_> = chosen.order.iter().collect();
    let first = order.first().and_then(|first| chosen.targets.get(*first));
    let first = first.ok_or(Refusal::NotFound)?;
    let copies: Vec<&Copy> = order.iter().filter_map(|index| chosen.copies.get(*index)).collect();
    let play = Play {
        asset: asset.id.as_str(),
        session: &session,
        ttl_s: asset.ttl_s,
        target: Target {
            id: first.name.as_str(),
            region: first.region.as_str(),
        },
        hls: manifests(request, &copies, &session, Kind::Hls, has_hls).await?,
        dash: manifests(request, &copies, &session, Kind::Dash, has_dash).await?,
        levels: levels.iter().map(Level::of).collect(),
        steering: steer::url(request, Some(&session)),
        reports: request.own_url(&format!("/.wayside/cmcd/{}?session={session}", asset.id)),
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
        asset: &request.asset.asset,
        kind,
    })
}

async fn manifests(
    request: &Request<'_>,
    copies: &[&Copy],
    session: &str,
    kind: Kind,
    is_there: bool,
) -> Result<Option<Manifests>, Refusal> {
    let Some(path) = kind.path(&request.asset.asset).filter(|_| is_there) else {
        return Ok(None);
    };
    let (mut urls, mut problem) = (Vec::with_capacity(copies.len()), None);
    for copy in copies {
        match url(request, copy, path).await {
            Ok(url) => urls.push(url),
            // A target without its key is no reason to tell of no other.
            Err(refusal) => problem = Some(refusal),
        }
    }
    if let Some(problem) = problem.filter(|_| urls.is_empty()) {
        return Err(problem);
    }
    let mut urls = urls.into_iter();
    Ok(urls.next().map(|url| Manifests {
        url,
        fallbacks: urls.collect(),
        steered: kind.own_url(request, session),
    }))
}

async fn url(request: &Request<'_>, copy: &Copy, path: &str) -> Result<String, Refusal> {
    let pass = copy.pass(request).await.map_err(|error| unsigned(copy, &error))?;
    let url = copy.base(request.visit.is_secure).join(path);
    let url = pass.sign(url.map_err(Refusal::LocationRefused)?);
    let url = url.map_err(|error| unsigned(copy, &error.into()))?;
    Ok(url.as_str().to_owned())
}
