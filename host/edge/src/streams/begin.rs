//! A manifest with which a session begins: the origin's, with steering and all pathways in it.

use wayside_decide::{name::Name, target::Target};

use super::{
    assets::Copy,
    manifests::{Kind, NoManifest, Place, Session, Wanted},
    pools::choice::Chosen,
    request::{Request, unsigned},
    steer, way,
};
use crate::{pipeline::Answer, refusal::Refusal};

/// Targets among which a session may begin.
const LISTED_MAX: usize = 64;
/// When to come back for what is still being transcoded, in seconds.
pub(super) const RETRY_AFTER_S: u32 = 5;

/// The manifest for a session: the one that asks, as one does that fetches it again, or a new one.
pub(super) async fn manifest(request: &Request<'_>, kind: Kind) -> Result<Answer, Refusal> {
    let asset = &request.asset.asset;
    let copies = request.asset.copies(&request.pool.targets());
    let newest_ms = copies.iter().map(|(_, copy)| copy.since_ms).max().unwrap_or_default();
    let knows_any = |since_ms: u64| copies.iter().any(|(_, copy)| copy.since_ms <= since_ms);
    // Who knows none of today's pathways begins anew. Who knows some gets those, and the others as clones.
    let known = request.session.filter(|(_, session)| knows_any(session.since_ms));
    let (session, since_ms) = match known {
        Some((text, session)) => (text.to_owned(), session.since_ms),
        None => {
            let begun = request.begin_session(newest_ms);
            let begun = begun.ok_or_else(|| Refusal::StreamUnavailable("the system gives no randomness".to_owned()))?;
            (begun, newest_ms)
        }
    };
    let ask = request.ask(session.as_bytes(), None);
    let chosen = request
        .pool
        .choose(&ask, LISTED_MAX)
        .map_err(|error| request.nobody(error))?;
    let places = places(request, &chosen, kind, since_ms).await?;
    let first = first(&chosen, &places).ok_or_else(|| {
        Refusal::StreamUnavailable("no target that may serve the visitor is a pathway of the manifest".to_owned())
    })?;
    let wanted = Wanted {
        tenant: &request.site.site.tenant,
        site: request.site.site.id,
        asset,
        kind,
    };
    let manifests = &request.edge.streams.manifests;
    let ready = manifests.ready(&wanted, places).await.map_err(refuse)?;
    let url = |text: String| Target::parse_at_edge(&text).map_err(Refusal::LocationRefused);
    let (server, own) = (
        url(steer::url(request, Some(&session)))?,
        url(kind.own_url(request, &session).unwrap_or_default())?,
    );
    let session = Session {
        server: &server,
        own: &own,
        first: &first,
    };
    Ok(Answer::Content {
        media_type: kind.media_type(),
        body: manifests.write(&ready, &session).map_err(refuse)?,
    })
}

impl Kind {
    /// Where a session gets this manifest at the site itself; none when the asset has none, or the site no path for its
    /// assets.
    pub(super) fn own_url(self, request: &Request<'_>, session: &str) -> Option<String> {
        let site = &request.site.site;
        site.streams.as_ref()?;
        let (asset, path) = (&request.asset.asset, self.path(&request.asset.asset)?);
        let folder = way::path_of(site, asset.id.as_str());
        Some(request.own_url(&format!("{folder}/{path}?session={session}")))
    }
}

/// The copies that the manifest names, in the order of the targets, which is the same for all sessions. A target that the
/// manifest cannot name is left out, unless there is no other.
async fn places(request: &Request<'_>, chosen: &Chosen, kind: Kind, since_ms: u64) -> Result<Vec<Place>, Refusal> {
    let (mut places, mut problem) = (Vec::new(), None);
    for (_, copy) in chosen.copies.iter().filter(|(_, copy)| copy.since_ms <= since_ms) {
        match place(request, copy, kind).await {
            Ok(place) => places.push(place),
            Err(refusal) => {
                let detail = refusal.detail().unwrap_or_default();
                tracing::debug!(asset = %request.asset.asset.id, target = %copy.name, detail, "left out of a manifest");
                problem = Some(refusal);
            }
        }
    }
    match problem {
        Some(problem) if places.is_empty() => Err(problem),
        _ => Ok(places),
    }
}

async fn place(request: &Request<'_>, copy: &Copy, kind: Kind) -> Result<Place, Refusal> {
    let carried = copy.carried(kind);
    carried.map_err(|problem| Refusal::StreamUnavailable(format!("target {}: {problem}", copy.name)))?;
    let pass = copy.pass(request).await.map_err(|error| unsigned(copy, &error))?;
    Ok(Place {
        id: copy.name.clone(),
        base: copy.base(request.visit.is_secure).clone(),
        pass,
    })
}

/// The best target that is a pathway.
fn first(chosen: &Chosen, places: &[Place]) -> Option<Name> {
    let order = chosen.order.iter().filter_map(|index| chosen.copies.get(index));
    let is_there = |copy: &&Copy| places.iter().any(|place| place.id == copy.name);
    order.filter(is_there).map(|copy| copy.name.clone()).next()
}

fn refuse(error: NoManifest) -> Refusal {
    match error {
        NoManifest::Missing(_) => Refusal::NotFound,
        NoManifest::NotYet(_) => Refusal::NotYet {
            retry_after_s: RETRY_AFTER_S,
        },
        NoManifest::Away(_) => Refusal::StreamUnavailable(error.to_string()),
        NoManifest::Broken(_) => Refusal::SourceBroken(error.to_string()),
        NoManifest::Shed(_) | NoManifest::Unread(_) => Refusal::Shed(error.to_string()),
    }
}
