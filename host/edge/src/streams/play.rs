//! Where to begin, for a page that builds its own player: URLs on the target and on those after it, the steering URL, the
//! renditions.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use wayside_decide::stream::asset::AssetState;
use wayside_stream::{rendition::Rendition, select::set::TargetIndex};

use super::{
    assets::Copy,
    begin::RETRY_AFTER_S,
    manifests::{Wanted, kind::Kind},
    pools::choice::Chosen,
    request::{Request, unsigned},
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
    let copies = request.asset.copies(&request.pool.targets());
    let (session, _) = request.session_of(&copies, copies.of)?;
    let ask = request.ask(session.as_bytes(), None, &|copies| copies.of);
    let chosen = request.pool.choose(&ask, LISTED_MAX);
    let chosen = chosen.map_err(|nobody| request.nobody(nobody))?;
    let passes = passes(request, &chosen).await?;
    let (index, ..) = passes.first().ok_or(Refusal::NotFound)?;
    let first = chosen.targets.get(*index).ok_or(Refusal::NotFound)?;
    request.pool.see(&chosen.targets, ask.speaker, *index);
    let steering = steer::url(request, Some(&session))?;
    let reports = request.own_url(&["/.wayside/cmcd/", asset.id.as_str(), "?session=", &session])?;
    let play = Play {
        asset: asset.id.as_str(),
        session: &session,
        ttl_s: asset.ttl_s,
        target: Target {
            id: first.name.as_str(),
            region: first.region.as_str(),
        },
        hls: manifests(request, &passes, &session, Kind::Hls, has_hls)?,
        dash: manifests(request, &passes, &session, Kind::Dash, has_dash)?,
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
        asset: &request.asset.asset,
        kind,
    })
}

/// The chosen targets in order, each with what its URLs are signed by. One without its key is no reason to tell of no
/// other.
async fn passes<'c>(request: &Request<'_>, chosen: &'c Chosen) -> Result<Vec<Signed<'c>>, Refusal> {
    let (mut passes, mut problem) = (Vec::new(), None);
    for (index, copy) in chosen.copies() {
        match copy.pass(request).await {
            Ok(pass) => passes.push((index, copy, pass)),
            Err(error) => problem = Some(unsigned(copy, &error)),
        }
    }
    match problem.filter(|_| passes.is_empty()) {
        Some(problem) => Err(problem),
        None => Ok(passes),
    }
}

/// A target, its copy, and what that is signed by.
type Signed<'c> = (TargetIndex, &'c Copy, Pass);

fn manifests(
    request: &Request<'_>,
    passes: &[Signed<'_>],
    session: &str,
    kind: Kind,
    is_there: bool,
) -> Result<Option<Manifests>, Refusal> {
    let Some(path) = kind.path(&request.asset.asset).filter(|_| is_there) else {
        return Ok(None);
    };
    let urls = passes.iter().map(|(_, copy, pass)| url(request, copy, pass, path));
    let mut urls = urls.collect::<Result<Vec<_>, _>>()?.into_iter();
    let steered = kind.own_url(request, session)?;
    Ok(urls.next().map(|url| Manifests {
        url,
        fallbacks: urls.collect(),
        steered: steered.map(|url| url.to_string()),
    }))
}

fn url(request: &Request<'_>, copy: &Copy, pass: &Pass, path: &str) -> Result<String, Refusal> {
    let base = copy.base(request.visit.is_secure);
    if let Some(url) = pass.below(base, path) {
        return Ok(url.to_string());
    }
    let url = pass.sign(base.join(path).map_err(Refusal::LocationRefused)?);
    let url = url.map_err(|error| unsigned(copy, &error.into()))?;
    Ok(url.to_string())
}
