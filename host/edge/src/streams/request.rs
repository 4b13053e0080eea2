//! One request about an asset, read: who asks, of which session, and what is asked of the pool for it.
//!
//! In: a visit, the asset that its path names, what the policy wants. Out: a [`Request`], which every way of answering
//! takes. It must not know which way that is.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use wayside_balance::nearest::Place as Globe;
use wayside_decide::{
    decision::Failure,
    name::Name,
    stream::{plan::StreamPlan, target::Country},
    target::Target,
};
use wayside_stream::{
    quality::Speaker,
    select::{session_key, set::TargetSet},
    session::{self as ids, Session},
    sessions::Player,
};

use super::{
    assets::{Copies, LiveAsset},
    manifests::kind::Kind,
    pools::{
        choice::{Ask, Nobody},
        targets::{Networks, Who},
        tenant::TenantPool,
    },
    signed::Signs,
};
use crate::{
    directory::{LiveBinding, LiveSite},
    metrics::Shard,
    pipeline::{Edge, demo_country},
    refusal::Refusal,
    visit::Visit,
};

/// How a query names a session: what its identifier follows.
pub(super) const SESSION: &str = "session=";
/// How long a session's identifier is believed, in minutes: as long as anybody watches in one go.
const SESSION_AGE_MIN_MAX: u64 = 24 * 60;

/// Letters of an identifier.
const SESSION_LETTERS: usize = 54;

/// What a policy wants of a stream.
pub(crate) struct Wanted<'r> {
    pub(crate) plan: Arc<StreamPlan>,
    /// What the policy is bound by.
    pub(crate) live: &'r LiveBinding,
}

/// A visit that is about an asset.
#[derive(Clone, Copy)]
pub(crate) struct About<'r> {
    pub(crate) edge: &'r Edge,
    pub(crate) shard: &'r Shard,
    pub(crate) visit: &'r Visit<'r>,
    pub(crate) site: &'r LiveSite,
    pub(crate) asset: &'r Arc<LiveAsset>,
}

/// One request about an asset, read.
pub(crate) struct Request<'r> {
    pub(crate) edge: &'r Edge,
    pub(crate) shard: &'r Shard,
    pub(crate) visit: &'r Visit<'r>,
    pub(crate) site: &'r LiveSite,
    pub(crate) asset: &'r Arc<LiveAsset>,
    /// What the policy wants; none when none is bound, or it leaves that to the asset.
    pub(crate) plan: Option<&'r Wanted<'r>>,
    pub(crate) pool: &'r Arc<TenantPool>,
    /// As far as a choice asks for it.
    pub(crate) who: Who,
    /// In which networks the visitor is, once somebody asked.
    networks: OnceLock<Networks>,
    /// The session that the player says it is of, when the node of any PoP gave it out.
    pub(crate) session: Option<(&'r str, Session)>,
    address: AddressBytes,
}

/// An address as the key of those that have no session: of IPv6 the first 64 bits, as the rest changes.
type AddressBytes = ([u8; 8], usize);

/// The session that a query names.
pub(super) fn session_named(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix(SESSION))
}

/// Whether a text has the form of the identifiers that nodes give out, of whatever asset and however old.
pub(super) fn looks_like_a_session(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Of the last letter's six bits two are of a byte.
    text.len() == SESSION_LETTERS && text.bytes().all(is_letter) && text.ends_with(['A', 'Q', 'g', 'w'])
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

/// Where a visitor is, as far as the node knows.
fn locate(edge: &Edge, visit: &Visit<'_>) -> Who {
    let geography = edge.geo.load().look_up(visit.address);
    let told = demo_country(edge, visit);
    let country = told.as_deref().or(geography.country.as_deref());
    let place = geography.latitude.zip(geography.longitude);
    Who {
        country: country.and_then(Country::parse),
        asn: geography.asn,
        place: place.and_then(|(latitude, longitude)| Globe::new(latitude, longitude).ok()),
        zone: None,
    }
}

impl<'r> About<'r> {
    /// What a visit asks for.
    pub(crate) fn read(self, plan: Option<&'r Wanted<'r>>, pool: &'r Arc<TenantPool>) -> Request<'r> {
        let session = self.visit.head.query.and_then(session_named);
        self.request(plan, pool, session, pool.asks_where())
    }

    /// A request that nobody sent, by somebody of whom all is known that can be.
    pub(crate) fn rehearsed(
        self,
        plan: Option<&'r Wanted<'r>>,
        pool: &'r Arc<TenantPool>,
        session: Option<&'r str>,
    ) -> Request<'r> {
        self.request(plan, pool, session, true)
    }

    fn request(
        self,
        plan: Option<&'r Wanted<'r>>,
        pool: &'r Arc<TenantPool>,
        session: Option<&'r str>,
        locates: bool,
    ) -> Request<'r> {
        let Self {
            edge,
            shard,
            visit,
            site,
            asset,
        } = self;
        let id = asset.asset.id.as_str();
        let known = if locates { locate(edge, visit) } else { Who::default() };
        let who = Who {
            zone: edge.streams.zones.group_of(&pool.tenant, visit.address),
            ..known
        };
        Request {
            networks: match locates {
                true => OnceLock::from(who.networks()),
                false => OnceLock::new(),
            },
            who,
            session: session.and_then(|text| Some((text, believe(visit, site, id, text)?))),
            address: address_bytes(visit.address),
            edge,
            shard,
            visit,
            site,
            asset,
            plan,
            pool,
        }
    }
}

impl Request<'_> {
    /// In which networks the visitor is, the narrowest first.
    pub(crate) fn networks(&self) -> Networks {
        let networks = || locate(self.edge, self.visit).networks();
        *self.networks.get_or_init(networks)
    }

    /// Has the keys of all targets looked at that have a copy, before one of these is chosen. Only who comes first waits.
    pub(crate) async fn read_keys(&self) {
        let copies = self.asset.copies(&self.pool.targets());
        copies.read_keys(self.signs()).await;
    }

    /// What URLs on targets are signed by.
    pub(super) fn signs(&self) -> Signs<'_> {
        Signs {
            tokens: &self.edge.streams.tokens,
            tenant: &self.site.site.tenant,
            is_secure: self.visit.is_secure,
            now_s: self.visit.now.unix_s,
        }
    }

    /// What the session is known by: its identifier, or the address of those that have none.
    pub(crate) fn session_bytes(&self) -> &[u8] {
        match self.session {
            Some((text, _)) => text.as_bytes(),
            None => &self.address.0[..self.address.1],
        }
    }

    /// Who plays the asset by this number.
    pub(crate) fn player(&self, session: u64) -> Player {
        Player {
            speaker: Speaker::new(session, self.visit.address),
            ttl: Duration::from_secs(self.asset.asset.ttl_s.into()),
            needed_kbit_s: self.asset.needed_kbit_s(),
        }
    }

    /// What is asked of the pool for a session. `among` says which of the copies serve what is asked for.
    pub(crate) fn ask<'a>(
        &'a self,
        session: &'a [u8],
        playing: Option<&'a Name>,
        among: &'a (dyn Fn(&Copies) -> TargetSet + Sync),
    ) -> Ask<'a> {
        Ask {
            asset: self.asset,
            plan: self.plan.map(|wanted| &wanted.plan),
            session,
            speaker: self.player(session_key(session)),
            who: &self.who,
            // Nothing is reported of anywhere where nobody asks for more.
            networks: self.networks.get().copied().unwrap_or_else(|| self.who.networks()),
            playing,
            signs: Some(self.signs()),
            among,
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

    /// The same for who asks for a manifest: when no target can be named in one of that kind, why not.
    pub(crate) fn nobody_for(&self, nobody: Nobody, copies: &Copies, kind: Kind) -> Refusal {
        let uncarried = || {
            copies
                .iter()
                .find_map(|(_, copy)| Some((copy, copy.carried(kind).err()?)))
        };
        match (nobody, uncarried()) {
            (Nobody::NotHere, Some((copy, problem))) if copies.carried(kind).is_empty() => {
                Refusal::TokensNotCarried(format!("target {}: {problem}", copy.name))
            }
            (nobody, _) => self.nobody(nobody),
        }
    }

    /// The session that asks, as one does that fetches its manifest again, or a new one; and up to when its player knows the
    /// pathways. Who knows none `of` today's begins anew. Who knows some gets those, and the others as clones.
    pub(crate) fn session_of(&self, copies: &Copies, of: TargetSet) -> Result<(Cow<'_, str>, u64), Refusal> {
        let knows_any = |session: &Session| !copies.until(session.since_ms).and(of).is_empty();
        let known = self.session.filter(|(_, session)| knows_any(session));
        if let Some((text, session)) = known {
            return Ok((Cow::Borrowed(text), session.since_ms));
        }
        let begun = self.begin_session(copies.newest_ms);
        let begun = begun.ok_or_else(|| Refusal::StreamUnavailable("the system gives no randomness".to_owned()))?;
        Ok((Cow::Owned(begun), copies.newest_ms))
    }

    /// The identifier of a session that begins now, whose player knows the pathways up to `since_ms`.
    fn begin_session(&self, since_ms: u64) -> Option<String> {
        let key = self.site.session_key()?;
        let mut nonce = [0; ids::NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let id = self.asset.asset.id.as_str();
        Some(ids::give_out(key, id, nonce, since_ms, self.visit.now.unix_s))
    }

    /// A URL at the site itself, as the player reaches it: these parts one behind the other are its path and query.
    pub(crate) fn own_url(&self, parts: &[&str]) -> Result<Target, Refusal> {
        let visit = self.visit;
        let url = Target::of_parts(visit.is_secure, &visit.host, visit.port, parts);
        url.map_err(Refusal::LocationRefused)
    }
}

#[cfg(test)]
mod tests {
    use wayside_stream::session::{Key, give_out};

    use super::looks_like_a_session;

    #[test]
    fn identifiers_look_as_they_are_given_out() {
        let key = Key::of(b"a").expect("a key");
        for byte in 0..=255 {
            let session = give_out(&key, "film", [byte; 12], u64::from(byte), 1_800_000_000);
            assert!(looks_like_a_session(&session), "{session}");
        }
        let session = give_out(&key, "film", [7; 12], 0, 1_800_000_000);
        for other in [
            "",
            "mine",
            &session[1..],
            &format!("{session}A"),
            &session.replace(char::is_alphanumeric, "."),
        ] {
            assert!(!looks_like_a_session(other), "{other}");
        }
        assert!(!looks_like_a_session(&format!("{}B", &session[1..])));
    }
}
