//! A manifest with which a session begins: the origin's, with steering and all pathways in it.

use wayside_decide::target::Target;
use wayside_stream::select::set::{TargetIndex, TargetSet};

use super::{
    assets::{Copies, Copy},
    manifests::{
        NoManifest, Wanted,
        heavy::Reader,
        kind::Kind,
        ready::{Place, Session},
    },
    request::{Request, SESSION},
    signed::Signable,
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
    let (session, since_ms) = request.session_of(&copies, copies.carried(kind))?;
    let among = |copies: &Copies| among(copies, kind, since_ms);
    let ask = request.ask(session.as_bytes(), None, &among);
    let chosen = request.pool.choose(&ask, LISTED_MAX);
    let chosen = chosen.map_err(|nobody| request.nobody_for(nobody, &copies, kind))?;
    let (places, problem) = places(request, &chosen.copies, among(&chosen.copies)).await?;
    let is_there = |(_, copy): &(TargetIndex, &Copy)| places.iter().any(|place| place.id == copy.name);
    let (index, first) = chosen.copies().find(is_there).ok_or_else(|| {
        let nobody = "no target that may serve the visitor is a pathway of the manifest";
        problem.unwrap_or_else(|| Refusal::StreamUnavailable(nobody.to_owned()))
    })?;
    let speaker = ask.speaker;
    let wanted = Wanted {
        tenant: &request.site.site.tenant,
        site: request.site.site.id,
        site_name: &request.site.site.name,
        asset,
        kind,
    };
    let manifests = &request.edge.streams.manifests;
    let ready = manifests.ready(&wanted, places).await.map_err(refuse)?;
    if let Some(kbit_s) = ready.top_kbit_s {
        request.asset.set_needed(kbit_s);
    }
    let server = steer::url(request, Some(&session))?;
    let own = kind.own_url(request, &session)?.ok_or(Refusal::NotFound)?;
    let session = Session {
        server,
        own,
        first: first.name.clone(),
    };
    let reader = Reader {
        tenant: wanted.tenant,
        address: request.visit.address,
    };
    let body = manifests.write(&ready, session, &reader).await.map_err(refuse)?;
    request.pool.see(&chosen.targets, speaker, index);
    Ok(Answer::Content {
        media_type: kind.media_type(),
        body,
    })
}

impl Kind {
    /// Where a session gets this manifest at the site itself; none when the asset has none, or the site no path for its
    /// assets.
    pub(super) fn own_url(self, request: &Request<'_>, session: &str) -> Result<Option<Target>, Refusal> {
        let site = &request.site.site;
        let (Some(_), Some(path)) = (&site.streams, self.path(&request.asset.asset)) else {
            return Ok(None);
        };
        let folder = way::path_of(site, request.asset.asset.id.as_str());
        request.own_url(&[&folder, "/", path, "?", SESSION, session]).map(Some)
    }
}

/// The copies that the manifest of a session can name.
fn among(copies: &Copies, kind: Kind, since_ms: u64) -> TargetSet {
    copies.until(since_ms).and(copies.carried(kind))
}

/// These copies as the manifest names them, in the order of the targets, which is the same for all sessions. One that the
/// node cannot sign for is left out, and the last reason comes back.
async fn places(
    request: &Request<'_>,
    copies: &Copies,
    among: TargetSet,
) -> Result<(Vec<Place>, Option<Refusal>), Refusal> {
    let place = |copy: &Copy, pass| {
        Ok(Place {
            id: copy.name.clone(),
            base: copy.base(request.visit.is_secure).clone(),
            pass,
        })
    };
    let (mut places, mut signable) = (Vec::new(), Signable::of(request.signs(), copies.among(among)));
    while let Some((.., place)) = signable.next(place).await? {
        places.push(place);
    }
    Ok((places, signable.problem()))
}

fn refuse(error: NoManifest) -> Refusal {
    match error {
        NoManifest::Missing(_) => Refusal::NotFound,
        NoManifest::NotYet(_) => Refusal::NotYet {
            retry_after_s: RETRY_AFTER_S,
        },
        NoManifest::Away(_) => Refusal::StreamUnavailable(error.to_string()),
        NoManifest::Broken(_) => Refusal::SourceBroken(error.to_string()),
        NoManifest::Shed(_) | NoManifest::Unread { .. } => Refusal::Shed(error.to_string()),
    }
}
