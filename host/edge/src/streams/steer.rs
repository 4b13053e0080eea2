//! Steering manifests: where a player that plays already is to play from now on.

use bytes::Bytes;
use wayside_decide::{name::Name, target::Target};
use wayside_stream::{
    pathway::{Pathway, Proof},
    select::set::TargetSet,
    steering::{
        manifest::{MIME_DASH, MIME_HLS, Manifest, PathwayClone},
        request::{self, Asked, Protocol},
    },
};

use super::{
    assets::{Copies, Copy},
    manifests::kind::Kind,
    pools::choice::Chosen,
    request::{Request, SESSION},
    signed::Signable,
};
use crate::{pipeline::Answer, refusal::Refusal};

/// Pathways that a manifest lists: players fail over along them.
const LISTED_MAX: usize = 8;

/// The manifest for the session that asks.
pub(super) async fn manifest(request: &Request<'_>) -> Result<Answer, Refusal> {
    let asked = request::read(request.visit.head.query.unwrap_or_default());
    let kind = match asked.protocol {
        Some(Protocol::Hls) => Kind::Hls,
        Some(Protocol::Dash) => Kind::Dash,
        None if request.asset.asset.hls.is_some() => Kind::Hls,
        None => Kind::Dash,
    };
    let player = Player {
        request,
        kind,
        forgets_ports: asked.protocol == Some(Protocol::Dash),
        since_ms: request.session.map_or(u64::MAX, |(_, session)| session.since_ms),
    };
    player.get_tokens_ready().await?;
    // The last that was used is what it plays from.
    let playing = asked.used.iter().rev().find_map(|used| used.pathway.as_ref());
    let said = said(request, &asked);
    let among = |copies: &Copies| player.told(copies);
    let ask = request.ask(request.session_bytes(), playing, &among);
    let chosen = request.pool.steer(&ask, said, LISTED_MAX).map_err(|nobody| {
        let copies = request.asset.copies(&request.pool.targets());
        request.nobody_for(nobody, &copies, kind)
    })?;
    Ok(Answer::Content {
        media_type: match kind {
            Kind::Hls => MIME_HLS,
            Kind::Dash => MIME_DASH,
        },
        body: Bytes::from(player.manifest(&chosen)?),
    })
}

/// What a session of ours says of the pathways that it used.
fn said<'a>(request: &Request<'_>, asked: &'a Asked) -> Option<&'a Asked> {
    request.session.filter(|_| !asked.used.is_empty())?;
    if asked.used.iter().any(|used| used.throughput.is_some()) {
        // It is heard of there.
        request.networks();
    }
    Some(asked)
}

/// Who asks, and how far it can be steered.
struct Player<'r> {
    request: &'r Request<'r>,
    kind: Kind,
    /// dash.js forgets the port of a clone, and looks for it on the scheme's own.
    forgets_ports: bool,
    /// Up to when it knows the pathways, in milliseconds since 1970 UTC.
    since_ms: u64,
}

impl Player<'_> {
    /// What it knows, and what is later. Where nothing is left of what it began with, names are all that it can be told:
    /// it may know some of them.
    fn pathways(&self, copies: &Copies) -> (TargetSet, TargetSet) {
        let carried = copies.carried(self.kind);
        let until = copies.until(self.since_ms);
        let known = until.and(carried);
        // Those were in no playlist.
        let known = known.without(copies.unsignable(known, self.request.signs()));
        if known.is_empty() {
            return (carried, TargetSet::EMPTY);
        }
        (known, copies.of.without(until))
    }

    /// Has the tokens of later pathways made: nobody waits for them where targets are chosen.
    async fn get_tokens_ready(&self) -> Result<(), Refusal> {
        let request = self.request;
        let copies = request.asset.copies(&request.pool.targets());
        let (_, later) = self.pathways(&copies);
        let mut signable = Signable::of(request.signs(), copies.among(later));
        while signable.next(|_, _| Ok(())).await?.is_some() {}
        Ok(())
    }

    /// All that it can be told of: pathways of its playlist, and those that became one after it began and are changes to
    /// one that it knows. One that differs from all of those in more than its host's name is left out.
    fn told(&self, copies: &Copies) -> TargetSet {
        let (known, later) = self.pathways(copies);
        let is_change = |base: &Pathway<'_>, clone: &Pathway<'_>| PathwayClone::can_be(base, clone).then_some(());
        let clones = copies.among(later).filter_map(|(index, copy)| {
            self.change(copies, known, copy, is_change)?;
            Some(index)
        });
        known.or(clones.collect())
    }

    /// What `make` makes of a later copy and of one that the player knows, for the first of those that it can be made for.
    fn change<T>(
        &self,
        copies: &Copies,
        known: TargetSet,
        copy: &Copy,
        make: impl Fn(&Pathway<'_>, &Pathway<'_>) -> Option<T>,
    ) -> Option<T> {
        let is_secure = self.request.visit.is_secure;
        if self.forgets_ports && copy.base(is_secure).has_port() {
            return None;
        }
        let pass = copy.ready(self.request.signs())?;
        let clone = pathway(copy, is_secure, pass.proof()?);
        // What a token in the query stands on is no matter: the clone's is put beside or over it. One in the path stays.
        let bases = copies.among(known).filter(|(_, base)| !base.is_signed_in_path());
        let mut bases = bases.map(|(_, base)| pathway(base, is_secure, Proof::Open));
        bases.find_map(|base| make(&base, &clone))
    }

    fn manifest(&self, chosen: &Chosen) -> Result<String, Refusal> {
        let copies = &chosen.copies;
        let (known, later) = self.pathways(copies);
        let priority: Vec<&Name> = chosen.copies().map(|(_, copy)| &copy.name).collect();
        // With their tokens, and so for those only that the player is told of.
        let clone = |base: &Pathway<'_>, clone: &Pathway<'_>| PathwayClone::new(base, clone).ok();
        let listed = later.and(chosen.order.iter().collect());
        let clones = copies.among(listed);
        let clones: Vec<PathwayClone> = clones
            .filter_map(|(_, copy)| self.change(copies, known, copy, clone))
            .collect();
        let is_known = |id: &Name| copies.among(known).any(|(_, copy)| copy.name == *id);
        let session = self.request.session.map(|(text, _)| text);
        let reload = url(self.request, session)?;
        let ttl_s = self.request.asset.asset.ttl_s;
        let manifest = Manifest::new(ttl_s, &reload, &priority, &clones, is_known);
        manifest
            .map(|manifest| manifest.to_json())
            .map_err(|error| Refusal::StreamUnavailable(format!("write the steering manifest: {error}")))
    }
}

fn pathway<'p>(copy: &'p Copy, is_secure: bool, proof: Proof<'p>) -> Pathway<'p> {
    Pathway {
        id: &copy.name,
        base: copy.base(is_secure),
        proof,
    }
}

/// The steering manifest's URL for a session.
pub(super) fn url(request: &Request<'_>, session: Option<&str>) -> Result<Target, Refusal> {
    let id = request.asset.asset.id.as_str();
    match session {
        Some(session) => request.own_url(&["/.wayside/steer/", id, "?", SESSION, session]),
        None => request.own_url(&["/.wayside/steer/", id]),
    }
}
