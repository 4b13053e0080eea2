//! One request about an asset, read: who asks, of which session, and what is asked of the pool for it.
//!
//! In: a visit, the asset that its path names, what the policy wants. Out: a [`Request`], which every way of answering
//! takes. It must not know which way that is.

use std::{net::IpAddr, sync::Arc};

use wayside_balance::nearest::Place as Globe;
use wayside_decide::{
    decision::Failure,
    name::Name,
    stream::{plan::StreamPlan, target::Country},
};
use wayside_stream::{session as ids, session::Session};

use super::{
    assets::{Copy, LiveAsset},
    pools::{
        TenantPool,
        choice::{Ask, Nobody},
        targets::Who,
    },
    tokens::SigningError,
    way::Asked,
};
use crate::{
    directory::{LiveBinding, LiveSite},
    geo::Geography,
    pipeline::{Edge, demo_country},
    refusal::Refusal,
    visit::Visit,
};

/// How long a session's identifier is believed, in minutes: as long as anybody watches in one go.
const SESSION_AGE_MIN_MAX: u64 = 24 * 60;

/// What a policy wants of a stream.
pub(crate) struct Wanted<'r> {
    pub(crate) plan: Arc<StreamPlan>,
    /// What the policy is bound by.
    pub(crate) live: &'r LiveBinding,
}

/// One request about an asset, read.
pub(crate) struct Request<'r> {
    pub(crate) edge: &'r Edge,
    pub(crate) visit: &'r Visit<'r>,
    pub(crate) site: &'r LiveSite,
    pub(crate) asset: Arc<LiveAsset>,
    /// What the policy wants; none when none is bound, or it leaves that to the asset.
    pub(crate) plan: Option<&'r Wanted<'r>>,
    pub(crate) pool: Arc<TenantPool>,
    pub(crate) who: Who,
    /// The session that the player says it is of, when the node of any PoP gave it out.
    pub(crate) session: Option<(&'r str, Session)>,
    address: AddressBytes,
}

/// An address as the key of those that have no session: of IPv6 the first 64 bits, as the rest changes.
type AddressBytes = ([u8; 8], usize);

/// What the visitor is told where a target's URLs cannot be signed.
pub(super) fn unsigned(copy: &Copy, error: &SigningError) -> Refusal {
    Refusal::StreamUnavailable(format!("sign a URL of target {}: {error}", copy.name))
}

/// Where the visitor is, as far as a choice asks for it.
fn who(edge: &Edge, visit: &Visit<'_>, pool: &TenantPool) -> Who {
    let zone = edge.streams.zones.group_of(&pool.tenant, visit.address);
    let known = if pool.asks_where() {
        who_of(&edge.geo.load().look_up(visit.address))
    } else {
        Who::default()
    };
    let told = demo_country(edge, visit).and_then(|country| Country::parse(&country));
    Who {
        zone,
        country: told.or(known.country),
        ..known
    }
}

/// What a choice wants to know of a place.
pub(super) fn who_of(geography: &Geography) -> Who {
    let place = geography.latitude.zip(geography.longitude);
    Who {
        country: geography.country.as_deref().and_then(Country::parse),
        asn: geography.asn,
        place: place.and_then(|(latitude, longitude)| Globe::new(latitude, longitude).ok()),
        zone: None,
    }
}

/// The session that a request names, when it is one of ours.
fn session<'r>(visit: &Visit<'r>, site: &LiveSite, asset: &str) -> Option<(&'r str, Session)> {
    let query = visit.head.query?;
    let text = query.split('&').find_map(|pair| pair.strip_prefix("session="))?;
    Some((text, believe(visit, site, asset, text)?))
}

/// What an identifier of a session says, when it is one of ours.
pub(super) fn believe(visit: &Visit<'_>, site: &LiveSite, asset: &str, text: &str) -> Option<Session> {
    ids::check(site.session_key()?, asset, text, visit.now.unix_s, SESSION_AGE_MIN_MAX).ok()
}

fn address_bytes(address: IpAddr) -> AddressBytes {
    let mut bytes = [0; 8];
    let used = match address.to_canonical() {
        IpAddr::V4(address) => {
            bytes[..4].copy_from_slice(&address.octets());
            4
        }
        IpAddr::V6(address) => {
            bytes.copy_from_slice(&address.octets()[..8]);
            8
        }
    };
    (bytes, used)
}

impl Request<'_> {
    /// What a visit asks for of an asset.
    pub(crate) fn read<'r>(
        edge: &'r Edge,
        visit: &'r Visit<'r>,
        site: &'r LiveSite,
        asked: Asked<'_>,
        asset: Arc<LiveAsset>,
        plan: Option<&'r Wanted<'r>>,
        pool: Arc<TenantPool>,
    ) -> Request<'r> {
        Request {
            who: who(edge, visit, &pool),
            session: session(visit, site, asked.asset),
            address: address_bytes(visit.address),
            edge,
            visit,
            site,
            asset,
            plan,
            pool,
        }
    }

    /// A request that nobody sent, by somebody of whom all is known that can be.
    pub(crate) fn rehearsed<'r>(
        edge: &'r Edge,
        visit: &'r Visit<'r>,
        site: &'r LiveSite,
        asset: Arc<LiveAsset>,
        plan: Option<&'r Wanted<'r>>,
        pool: Arc<TenantPool>,
        session: Option<&'r str>,
    ) -> Request<'r> {
        let id = asset.asset.id.as_str();
        Request {
            who: Who {
                zone: edge.streams.zones.group_of(&pool.tenant, visit.address),
                ..who_of(&edge.geo.load().look_up(visit.address))
            },
            session: session.and_then(|text| Some((text, believe(visit, site, id, text)?))),
            address: address_bytes(visit.address),
            edge,
            visit,
            site,
            plan,
            pool,
            asset,
        }
    }

    /// What the session is known by: its identifier, or the address of those that have none.
    pub(crate) fn session_bytes(&self) -> &[u8] {
        match self.session {
            Some((text, _)) => text.as_bytes(),
            None => &self.address.0[..self.address.1],
        }
    }

    /// What is asked of the pool.
    pub(crate) fn ask<'a>(&'a self, session: &'a [u8], playing: Option<&'a Name>) -> Ask<'a> {
        Ask {
            asset: &self.asset,
            plan: self.plan.map(|wanted| &wanted.plan),
            session,
            address: self.visit.address,
            who: &self.who,
            playing,
        }
    }

    /// What the visitor is told where nobody was chosen. A plan that cannot be carried out is a failure of its policy.
    pub(crate) fn nobody(&self, nobody: Nobody) -> Refusal {
        match (nobody, self.plan) {
            (Nobody::Plan { refused, is_new }, Some(wanted)) => {
                let failure = Failure::InvalidDecision(refused);
                if is_new {
                    wanted
                        .live
                        .note_refused(self.edge, &self.site.site, self.visit.now.unix_s, &failure);
                }
                Refusal::PolicyFailed(failure)
            }
            (nobody, _) => Refusal::StreamUnavailable(nobody.to_string()),
        }
    }

    /// The identifier of a session that begins now, whose player knows the pathways up to `since_ms`.
    pub(crate) fn begin_session(&self, since_ms: u64) -> Option<String> {
        let key = self.site.session_key()?;
        let mut nonce = [0; ids::NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let id = self.asset.asset.id.as_str();
        Some(ids::give_out(key, id, nonce, since_ms, self.visit.now.unix_s))
    }

    /// A URL at the site itself, as the player reaches it.
    pub(crate) fn own_url(&self, path: &str) -> String {
        let visit = self.visit;
        match visit.port {
            Some(port) => format!("{}://{}:{port}{path}", visit.scheme(), visit.host),
            None => format!("{}://{}{path}", visit.scheme(), visit.host),
        }
    }
}
