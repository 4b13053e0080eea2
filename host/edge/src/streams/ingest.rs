//! Where a recorder sends a stream to.
//!
//! In: a request with the asset's key. Out: a target with the URLs at which it takes streams, and those after it; to who
//! posts a description of a session (WHIP, RFC 9725), the URL itself. It must not know how targets are probed.
//!
//! A ring over the targets decides, in the tiers and by the weights of a policy's plan where there is one, so that nodes
//! agree without talking. Whoever comes back gets the target it had, while
//! that serves: this node remembers it, and any other is told by the recorder (`?target=`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use wayside_decide::{
    digest::Digest,
    name::Name,
    site::SiteId,
    status::RedirectStatus,
    stream::{
        asset::Asset,
        target::{IngestUrl, StreamTarget},
    },
    target::Target,
};
use wayside_stream::select::set::TargetSet;

use super::{pools::targets::Targets, request::Request};
use crate::{caching::Caching, head::Fields, pipeline::Answer, refusal::Refusal};

mod order;

use order::Order;

/// How long it is remembered where a recorder was, since it last asked.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// Most recordings of one tenant that are remembered, of some 200 bytes each.
const RECORDINGS_MAX: usize = 10_000;
/// How a session is described.
const SDP: &str = "application/sdp";

/// Where the recorders of a tenant were sent to.
#[derive(Debug, Default)]
pub(crate) struct Recordings(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    recordings: HashMap<Which, Recording>,
    /// By their turns, so that whoever has not asked for longest is found at once.
    order: BTreeMap<u64, Which>,
    /// How often somebody asked.
    turns: u64,
}

/// An asset of a site.
type Which = (SiteId, Name);

#[derive(Debug)]
struct Recording {
    target: Name,
    asked: Instant,
    turn: u64,
}

/// What is answered.
#[derive(Debug, Serialize)]
struct Offer<'o> {
    asset: &'o str,
    #[serde(flatten)]
    first: Place<'o>,
    /// What to try when the first does not take the stream, best first.
    fallbacks: Vec<Place<'o>>,
}

/// A target, and where it takes the stream.
#[derive(Debug, Serialize)]
struct Place<'o> {
    target: &'o str,
    /// By protocol: `whip`, `rtmp`, `rtmps`, `srt`.
    urls: BTreeMap<&'static str, String>,
}

/// Where the recorder that asks sends its stream to.
pub(super) fn place(request: &Request<'_>) -> Result<Answer, Refusal> {
    let head = request.visit.head;
    let asset = &request.asset.asset;
    check_key(head.fields, asset)?;
    let is_whip = reads_description(head.fields, head.body)?;
    let (targets, serving) = request.pool.serving();
    let plan = request.plan.map(|wanted| &*wanted.plan);
    let order = Order::of(plan, &targets.pool).map_err(|refused| {
        let nobody = request.pool.refuse_plan(
            &targets,
            request.plan.map(|wanted| &wanted.plan),
            asset.balancer,
            refused,
        );
        request.nobody(nobody)
    })?;
    let mut able = takers(&targets, asset, is_whip).and(serving).and(order.permitted);
    let which = (request.site.site.id, asset.id.clone());
    let (recordings, now) = (&request.pool.recordings, request.visit.now.instant);
    let had = asked_for(head.query).or_else(|| recordings.known(&which, now));
    let known = had
        .and_then(|name| targets.pool.find(&name))
        .filter(|index| able.has(*index));
    let key = format!("{}/{}", which.0, which.1);
    let mut offers: Vec<&StreamTarget> = Vec::with_capacity(able.len());
    while let Some(index) = known.filter(|_| offers.is_empty()).or_else(|| order.best(&key, able)) {
        able.set(index, false);
        offers.extend(targets.get(index));
    }
    let Some((first, others)) = offers.split_first() else {
        let reason = format!("no target that takes streams of asset {} serves", asset.id);
        return Err(Refusal::StreamUnavailable(reason));
    };
    recordings.note(which, &first.name, now);
    if is_whip {
        return redirect(first, asset);
    }
    let offer = Offer {
        asset: asset.id.as_str(),
        first: offered(first, asset),
        fallbacks: others.iter().map(|target| offered(target, asset)).collect(),
    };
    let body = serde_json::to_vec(&offer).map_err(|error| Refusal::StreamUnavailable(error.to_string()))?;
    Ok(Answer::Content {
        media_type: "application/json",
        body: Bytes::from(body),
    })
}

/// RFC 6750 §2.1. What is compared are digests, in the same time for any two.
pub(super) fn check_key(fields: Fields<'_>, asset: &Asset) -> Result<(), Refusal> {
    let told = fields.first("authorization").and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    let is_right = told
        .zip(asset.ingest_key.as_ref())
        .is_some_and(|(told, known)| bool::from(Digest::of(told).as_bytes().ct_eq(known.as_bytes())));
    if is_right { Ok(()) } else { Err(Refusal::NoKey) }
}

/// Whether a session is described, which is for the target to read.
fn reads_description(fields: Fields<'_>, body: &[u8]) -> Result<bool, Refusal> {
    let told = fields.first("content-type").unwrap_or_default();
    let media_type = told.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(SDP.as_bytes()) {
        return Ok(true);
    }
    if body.is_empty() || media_type.eq_ignore_ascii_case(b"application/json") {
        return Ok(false);
    }
    Err(Refusal::UnsupportedMedia {
        expected: "a session's description, `application/sdp`, or nothing",
    })
}

/// The targets that take streams of an asset.
fn takers(targets: &Targets, asset: &Asset, is_whip: bool) -> TargetSet {
    let mut takers = TargetSet::EMPTY;
    for (index, target) in targets.iter() {
        let is_of_asset =
            asset.pathways.is_empty() || asset.pathways.iter().any(|pathway| pathway.target == target.name);
        let takes = if is_whip {
            whip(target).is_some()
        } else {
            !target.ingest.is_empty()
        };
        takers.set(index, is_of_asset && takes && target.weight > 0);
    }
    takers
}

/// The target that a recorder says it had.
fn asked_for(query: Option<&str>) -> Option<String> {
    let name = query?.split('&').find_map(|pair| pair.strip_prefix("target="))?;
    Some(name.to_owned())
}

fn whip(target: &StreamTarget) -> Option<&IngestUrl> {
    let of = |scheme| target.ingest.iter().find(|url| url.scheme() == scheme);
    of("https").or_else(|| of("http"))
}

fn offered<'o>(target: &'o StreamTarget, asset: &Asset) -> Place<'o> {
    let mut urls = BTreeMap::new();
    if let Some(whip) = whip(target) {
        urls.insert("whip", whip.of(&asset.id));
    }
    for protocol in ["rtmp", "rtmps", "srt"] {
        if let Some(url) = target.ingest.iter().find(|url| url.scheme() == protocol) {
            urls.insert(protocol, url.of(&asset.id));
        }
    }
    Place {
        target: target.name.as_str(),
        urls,
    }
}

/// RFC 9725 asks for 307: the description is posted again, to the target.
fn redirect(target: &StreamTarget, asset: &Asset) -> Result<Answer, Refusal> {
    let url = whip(target).map(|url| url.of(&asset.id)).unwrap_or_default();
    Ok(Answer::StreamRedirect {
        status: RedirectStatus::TemporaryRedirect,
        target: Target::parse_at_edge(&url).map_err(Refusal::LocationRefused)?,
        caching: Caching::NOT_KEPT,
    })
}

impl Recordings {
    /// The target that a recorder had.
    pub(super) fn known(&self, which: &Which, now: Instant) -> Option<String> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered.recordings.get(which)?;
        let is_recent = now.saturating_duration_since(known.asked) < REMEMBERED;
        is_recent.then(|| known.target.to_string())
    }

    /// Remembers the target that a recorder has from now on. Where that is one too many, whoever has not asked for longest is
    /// forgotten.
    pub(super) fn note(&self, which: Which, target: &Name, now: Instant) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.turns += 1;
        let recording = Recording {
            target: target.clone(),
            asked: now,
            turn: remembered.turns,
        };
        remembered.order.insert(recording.turn, which.clone());
        if let Some(before) = remembered.recordings.insert(which, recording) {
            remembered.order.remove(&before.turn);
        }
        if remembered.recordings.len() > RECORDINGS_MAX
            && let Some((_, oldest)) = remembered.order.pop_first()
        {
            remembered.recordings.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use httparse::Header;
    use wayside_decide::{name::Name, site::SiteId};

    use super::{RECORDINGS_MAX, REMEMBERED, Recordings, reads_description};
    use crate::head::Fields;

    fn name(text: &str) -> Name {
        Name::parse("name", text).expect("a name")
    }

    #[test]
    fn recordings_are_remembered_for_a_day_and_who_has_not_asked_for_longest_makes_room() {
        let (recordings, start) = (Recordings::default(), Instant::now());
        let which = |number: usize| (SiteId(1), name(&format!("a{number}")));
        for number in 0..RECORDINGS_MAX {
            recordings.note(which(number), &name("t"), start + Duration::from_secs(number as u64));
        }
        let later = start + REMEMBERED;
        assert_eq!(recordings.known(&which(0), later), None, "too old");
        assert_eq!(recordings.known(&which(1), later).as_deref(), Some("t"));
        recordings.note(which(0), &name("u"), later);
        recordings.note(which(RECORDINGS_MAX), &name("u"), later);
        assert_eq!(recordings.known(&which(1), start), None, "all others have asked since");
        for kept in [0, RECORDINGS_MAX] {
            assert_eq!(recordings.known(&which(kept), later).as_deref(), Some("u"));
        }
        let remembered = recordings.0.lock().expect("no panic");
        assert_eq!(remembered.order.len(), remembered.recordings.len());
    }

    #[test]
    fn only_a_description_of_a_session_is_passed_on() {
        let read = |media_type: &str, body: &[u8]| {
            let fields = [Header {
                name: "Content-Type",
                value: media_type.as_bytes(),
            }];
            reads_description(Fields(&fields), body).ok()
        };
        assert_eq!(read("application/sdp", b"v=0"), Some(true));
        assert_eq!(read("Application/SDP; charset=utf-8", b""), Some(true));
        assert_eq!(read("application/json", b"{}"), Some(false));
        assert_eq!(read("text/plain", b""), Some(false));
        assert_eq!(read("text/plain", b"x"), None);
    }
}
