//! What a target says in the API, and how that becomes one of the domain.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wayside_decide::{
    invalid::Invalid,
    name::Name,
    stream::{
        base::BaseUrl,
        target::{Country, IngestUrl, StreamTarget},
    },
};
use wayside_upstream::protocol::streams::{EdgeProbe, EdgeSigning, EdgeTarget, defaults};

use crate::api::problem::Problem;

/// What is said of a target.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetContent {
    /// What it is called within the tenant; also its pathway's id. Where the path names it, this may be absent.
    #[serde(default)]
    name: Option<String>,
    /// Where it serves from: URLs of folders, the first one preferred.
    #[serde(default)]
    urls: Vec<String>,
    /// Where it stands: the name of a region, or of a group of coverage zones.
    region: String,
    /// Where on the globe: degrees north and east.
    #[serde(default)]
    coordinates: Option<(f64, f64)>,
    /// How much it carries beside others, up to 10,000; 0 for one that takes nobody.
    #[serde(default = "defaults::weight")]
    weight: u32,
    /// Sessions that it can carry; any number when absent.
    #[serde(default)]
    sessions_max: Option<u32>,
    /// What it can send, in kbit/s: nobody is sent to it past this.
    #[serde(default)]
    kbit_s_max: Option<u64>,
    /// What is paid for anyhow, in kbit/s: past this it is taken when there is no other.
    #[serde(default)]
    kbit_s_commit: Option<u64>,
    /// What it costs beside others, in any unit: decides between equals.
    #[serde(default)]
    cost: u32,
    /// The only countries that it may serve, by their two letters; all when absent.
    #[serde(default)]
    countries: Option<Vec<String>>,
    /// `in`, `draining` (nobody new, sessions are moved) or `out`. When absent, a target that there is keeps what was said
    /// of it, and a new one is `in`.
    #[serde(default)]
    service: Option<String>,
    /// How it is asked whether it serves; it is taken to serve when absent.
    #[serde(default)]
    probe: Option<ProbeContent>,
    /// How its URLs are signed; they are not when absent.
    #[serde(default)]
    signing: Option<SigningContent>,
    /// Where recorders send streams to: `https` (WHIP), `rtmp`, `rtmps` or `srt`, with `{asset}` for the asset's id.
    #[serde(default)]
    ingest: Vec<String>,
}

/// How a target is asked whether it serves.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeContent {
    /// What is asked for, below the target's first URL; without it and `url`, that URL itself.
    #[serde(default)]
    path: Option<String>,
    /// What is asked for instead of anything below the target's first URL: an absolute `http` or `https` URL, such as one of
    /// the API of a server that only takes streams; or `tcp://HOST:PORT`, where a connection is answer enough.
    #[serde(default)]
    url: Option<String>,
    /// How long between two, in milliseconds.
    #[serde(default = "defaults::probe_interval_ms")]
    interval_ms: u32,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "defaults::probe_timeout_ms")]
    timeout_ms: u32,
    /// The status of a good answer; not looked at where a connection is enough.
    #[serde(default = "defaults::probe_status")]
    status: u16,
    /// From when on an answer is so late that the target counts as degraded, in milliseconds.
    #[serde(default)]
    degraded_ms: Option<u32>,
}

/// How a target's URLs are signed.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningContent {
    /// `cloudfront`, `akamai`, `fastly`, `cloudflare`, `cat` or `hmac`.
    scheme: String,
    /// What the key is called where nodes keep their secrets: never the key itself.
    secret: String,
    /// How long a token holds at least, in seconds.
    #[serde(default = "defaults::valid_s")]
    valid_s: u32,
    /// How long the same one is given out, in seconds.
    #[serde(default = "defaults::window_s")]
    window_s: u32,
    /// How far clocks may differ, in seconds.
    #[serde(default = "defaults::skew_s")]
    skew_s: u32,
    /// Whether tokens also say from when on they hold.
    #[serde(default)]
    has_start: bool,
    /// `cloudfront`: what it calls the key's public half.
    #[serde(default)]
    key_pair_id: Option<String>,
    /// `cloudfront`: `sha1` (when absent) or `sha256`.
    #[serde(default)]
    hash: Option<String>,
    /// `cat`: what the key is called in tokens.
    #[serde(default)]
    key_id: Option<String>,
    /// `cat`: who gives tokens out.
    #[serde(default)]
    issuer: Option<String>,
    /// `hmac`: `query` (when absent) or `path`, where the token stands.
    #[serde(default)]
    placement: Option<String>,
}

impl TargetContent {
    /// Whether it says whether the target serves.
    pub(super) const fn says_service(&self) -> bool {
        self.service.is_some()
    }

    /// The target that is meant, or the field that is wrong. `named` is what the path says that it is called.
    pub(super) fn read(self, named: Option<&Name>) -> Result<StreamTarget, Problem> {
        let name = match (self.name, named) {
            (Some(own), Some(named)) if own != named.as_str() => {
                let expected = format!("{named}, as in the path: a target keeps its name");
                return Err(Problem::invalid("name", Invalid::text("name", &own, expected)));
            }
            (Some(own), _) => own,
            (None, Some(named)) => named.to_string(),
            (None, None) => return Err(Problem::wrong("name", "nothing".to_owned(), "a value".to_owned())),
        };
        check_each("urls", &self.urls, BaseUrl::parse)?;
        check_each("ingest", &self.ingest, IngestUrl::parse)?;
        check_each("countries", self.countries.as_deref().unwrap_or_default(), |text| {
            Country::parse(text).ok_or_else(|| Invalid::text("country", text, "two letters (ISO 3166-1)"))
        })?;
        let wire = EdgeTarget {
            name,
            urls: self.urls,
            region: self.region,
            coordinates: self.coordinates,
            weight: self.weight,
            sessions_max: self.sessions_max,
            kbit_s_max: self.kbit_s_max,
            kbit_s_commit: self.kbit_s_commit,
            cost: self.cost,
            countries: self.countries,
            service: self.service.unwrap_or_else(defaults::service),
            probe: self.probe.map(EdgeProbe::from),
            signing: self.signing.map(EdgeSigning::from),
            ingest: self.ingest,
            since_ms: 0,
        };
        let given = wire.signing.clone();
        let target = StreamTarget::try_from(wire).map_err(|invalid| Problem::invalid(field(invalid.what), invalid))?;
        match given.zip(target.signing.as_ref()).and_then(|(given, spec)| {
            let meant = EdgeSigning::from(spec);
            unused(given, meant)
        }) {
            Some(problem) => Err(problem),
            None => Ok(target),
        }
    }
}

/// What is said of another scheme than the one that is meant, and would have no effect.
fn unused(given: EdgeSigning, meant: EdgeSigning) -> Option<Problem> {
    let fields = [
        ("key_pair_id", given.key_pair_id, meant.key_pair_id),
        ("hash", given.hash, meant.hash),
        ("key_id", given.key_id, meant.key_id),
        ("issuer", given.issuer, meant.issuer),
        ("placement", given.placement, meant.placement),
    ];
    let mut unused = fields.into_iter().filter(|(_, _, meant)| meant.is_none());
    unused.find_map(|(name, given, _)| {
        let expected = format!("nothing, for `{}` has no such thing", meant.scheme);
        let invalid = Invalid::text("signing", &given?, &expected);
        Some(Problem::invalid(format!("signing.{name}"), invalid))
    })
}

/// Names the first item of a list that cannot be read.
fn check_each<T>(field: &str, items: &[String], parse: impl Fn(&str) -> Result<T, Invalid>) -> Result<(), Problem> {
    for (index, item) in items.iter().enumerate() {
        parse(item).map_err(|invalid| Problem::invalid(format!("{field}[{index}]"), invalid))?;
    }
    Ok(())
}

/// The field in which something stands that the domain calls so.
fn field(what: &str) -> String {
    match what {
        "target name" => "name".to_owned(),
        "path below a target" | "path below a folder" => "probe.path".to_owned(),
        "probe interval" => "probe.interval_ms".to_owned(),
        "probe timeout" => "probe.timeout_ms".to_owned(),
        "probe's limit of a good answer" => "probe.degraded_ms".to_owned(),
        "latitude" | "longitude" => "coordinates".to_owned(),
        "signing valid_s, window_s and skew_s together" => "signing.valid_s".to_owned(),
        _ => match what.split_once(' ') {
            Some((group @ ("probe" | "signing"), name)) => format!("{group}.{name}"),
            _ => what.to_owned(),
        },
    }
}

impl From<EdgeTarget> for TargetContent {
    fn from(wire: EdgeTarget) -> Self {
        Self {
            name: Some(wire.name),
            urls: wire.urls,
            region: wire.region,
            coordinates: wire.coordinates,
            weight: wire.weight,
            sessions_max: wire.sessions_max,
            kbit_s_max: wire.kbit_s_max,
            kbit_s_commit: wire.kbit_s_commit,
            cost: wire.cost,
            countries: wire.countries,
            service: Some(wire.service),
            probe: wire.probe.map(ProbeContent::from),
            signing: wire.signing.map(SigningContent::from),
            ingest: wire.ingest,
        }
    }
}

impl From<ProbeContent> for EdgeProbe {
    fn from(content: ProbeContent) -> Self {
        Self {
            path: content.path.unwrap_or_default(),
            url: content.url,
            interval_ms: content.interval_ms,
            timeout_ms: content.timeout_ms,
            status: content.status,
            degraded_ms: content.degraded_ms,
        }
    }
}

impl From<EdgeProbe> for ProbeContent {
    fn from(wire: EdgeProbe) -> Self {
        Self {
            path: wire.url.is_none().then_some(wire.path),
            url: wire.url,
            interval_ms: wire.interval_ms,
            timeout_ms: wire.timeout_ms,
            status: wire.status,
            degraded_ms: wire.degraded_ms,
        }
    }
}

impl From<SigningContent> for EdgeSigning {
    fn from(content: SigningContent) -> Self {
        Self {
            scheme: content.scheme,
            secret: content.secret,
            valid_s: content.valid_s,
            window_s: content.window_s,
            skew_s: content.skew_s,
            has_start: content.has_start,
            key_pair_id: content.key_pair_id,
            hash: content.hash,
            key_id: content.key_id,
            issuer: content.issuer,
            placement: content.placement,
        }
    }
}

impl From<EdgeSigning> for SigningContent {
    fn from(wire: EdgeSigning) -> Self {
        Self {
            scheme: wire.scheme,
            secret: wire.secret,
            valid_s: wire.valid_s,
            window_s: wire.window_s,
            skew_s: wire.skew_s,
            has_start: wire.has_start,
            key_pair_id: wire.key_pair_id,
            hash: wire.hash,
            key_id: wire.key_id,
            issuer: wire.issuer,
            placement: wire.placement,
        }
    }
}
