//! Where to begin, for a page that builds its own player: URLs on the target and on those after it, the steering URL, the
//! renditions.

use bytes::Bytes;
use serde::Serialize;
use wayside_decide::stream::asset::RelativePath;

use super::{Request, assets::Copy, steer, unsigned};
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
    steering: String,
    reports: String,
}

/// Who was chosen.
#[derive(Debug, Serialize)]
struct Target<'p> {
    id: &'p str,
    region: &'p str,
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
        hls: manifests(request, &copies, asset.hls.as_ref()).await?,
        dash: manifests(request, &copies, asset.dash.as_ref()).await?,
        steering: steer::url(request, Some(&session)),
        reports: request.own_url(&format!("/.wayside/cmcd/{}?session={session}", asset.id)),
    };
    let body = serde_json::to_vec(&play).map_err(|error| Refusal::StreamUnavailable(error.to_string()))?;
    Ok(Answer::Content {
        media_type: "application/json",
        body: Bytes::from(body),
    })
}

async fn manifests(
    request: &Request<'_>,
    copies: &[&Copy],
    path: Option<&RelativePath>,
) -> Result<Option<Manifests>, Refusal> {
    let Some(path) = path.map(RelativePath::as_str) else {
        return Ok(None);
    };
    let mut urls = Vec::with_capacity(copies.len());
    for copy in copies {
        let pass = copy.pass(request).await.map_err(|error| unsigned(copy, &error))?;
        let url = copy.base(request.visit.is_secure).join(path);
        let url = url.map_err(Refusal::LocationRefused)?;
        let url = pass.sign(url).map_err(|error| unsigned(copy, &error.into()))?;
        urls.push(url.as_str().to_owned());
    }
    let mut urls = urls.into_iter();
    let prefix = request.site.site.streams.as_ref().map(|prefix| prefix.as_str());
    let steered = prefix.map(|prefix| {
        let prefix = prefix.trim_end_matches('/');
        request.own_url(&format!("{prefix}/{}/{path}", request.asset.asset.id))
    });
    Ok(urls.next().map(|url| Manifests {
        url,
        fallbacks: urls.collect(),
        steered,
    }))
}
