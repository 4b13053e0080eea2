//! Targets, assets, coverage zones and live state on the wire, in JSON.
//!
//! Optional fields have the defaults that the domain gives them, so that an origin may leave out what nobody set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wayside_decide::{
    digest::Digest,
    invalid::Invalid,
    name::Name,
    point::Coordinates,
    stream::{
        asset::{Asset, AssetState, Balancer, Existing, Pathway, RelativePath},
        base::BaseUrl,
        probe::{Asks, Probe},
        signing::{Scheme, SigningSpec},
        target::{Country, IngestUrl, Service, StreamTarget},
    },
};

pub mod defaults;

/// `GET ?site_id=N&id=ID[&epoch=E&cursor=N]`: one asset. Answers [`EdgeAsset`]; 404 when there never was one of that
/// name, 410 when it was deleted; no older than that position, when one is named; 409 when the record is another one.
pub const ASSET_PATH: &str = "/v1/edge/assets";
/// `GET /{digest}`: the coverage zones of that digest, as they were uploaded.
pub const ZONES_PATH: &str = "/v1/edge/zones";
/// `POST` a [`LoadsTold`]: what a node counts. Answers [`LoadsElsewhere`].
pub const LOADS_PATH: &str = "/v1/edge/loads";
/// How often a node tells what it counts, in seconds. What was told three times longer ago counts no more.
pub const LOADS_INTERVAL_S: u64 = 2;
/// Most targets of which a node may tell at once.
pub const LOADS_TOLD_MAX: usize = 10_000;

/// Most targets of which an answer to [`LOADS_PATH`] tells.
pub const LOADS_TARGETS_MAX: usize = 65_536;
/// Largest answer to [`LOADS_PATH`], in bytes: with the longest names and numbers, each target takes less than 256.
pub const LOADS_BYTES_MAX: usize = LOADS_TARGETS_MAX * 256;

/// A target, with its tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeTenantTarget {
    /// Whose it is.
    pub tenant: String,
    /// What is said of it.
    #[serde(flatten)]
    pub target: EdgeTarget,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeTarget {
    /// What it is called.
    pub name: String,
    /// Where it serves from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Where it stands.
    pub region: String,
    /// Degrees north and east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<(f64, f64)>,
    /// How much it carries beside others.
    #[serde(default = "defaults::weight")]
    pub weight: u32,
    /// Sessions that it can carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_max: Option<u32>,
    /// What it can send, in kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbit_s_max: Option<u64>,
    /// What is paid for anyhow, in kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbit_s_commit: Option<u64>,
    /// What it costs beside others.
    #[serde(default)]
    pub cost: u32,
    /// The only countries that it may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<String>>,
    /// `in`, `draining` or `out`.
    #[serde(default = "defaults::service")]
    pub service: String,
    /// How it is asked whether it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<EdgeProbe>,
    /// How its URLs are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<EdgeSigning>,
    /// Where recorders send streams to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingest: Vec<String>,
    /// When it was made, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub since_ms: u64,
}

/// How a target is asked whether it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeProbe {
    /// What is asked for, below the target's first URL; empty where `url` says it.
    #[serde(default)]
    pub path: String,
    /// What is asked for instead: an absolute `http`, `https` or `tcp` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How long between two, in milliseconds.
    #[serde(default = "defaults::probe_interval_ms")]
    pub interval_ms: u32,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "defaults::probe_timeout_ms")]
    pub timeout_ms: u32,
    /// The status of a good answer.
    #[serde(default = "defaults::probe_status")]
    pub status: u16,
    /// From when on an answer is late, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded_ms: Option<u32>,
}

/// How a target's URLs are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSigning {
    /// `cloudfront`, `akamai`, `fastly`, `cloudflare`, `cat` or `hmac`.
    pub scheme: String,
    /// What the key is called where nodes keep their secrets.
    pub secret: String,
    /// How long a token holds at least, in seconds.
    #[serde(default = "defaults::valid_s")]
    pub valid_s: u32,
    /// How long the same one is given out, in seconds.
    #[serde(default = "defaults::window_s")]
    pub window_s: u32,
    /// How far clocks may differ, in seconds.
    #[serde(default = "defaults::skew_s")]
    pub skew_s: u32,
    /// Whether tokens also say from when on they hold.
    #[serde(default)]
    pub has_start: bool,
    /// CloudFront: what it calls the key's public half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair_id: Option<String>,
    /// CloudFront: `sha1` or `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The Common Access Token: what the key is called in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The Common Access Token: who gives tokens out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `hmac`: `query` or `path`, where the token stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
}

/// An asset; site and id are those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeAsset {
    /// What it is called.
    pub id: String,
    /// The folder in which its manifests are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The HLS multivariant playlist, below the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hls: Option<String>,
    /// The MPD, below the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dash: Option<String>,
    /// The targets that have a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pathways: Vec<EdgePathway>,
    /// Of one that names no pathways: since when all targets are, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub all_since_ms: u64,
    /// Of one that names no pathways: those that it named before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_before: Vec<EdgePathway>,
    /// `ready` or `transcoding`.
    #[serde(default = "defaults::state")]
    pub state: String,
    /// How one of its targets is picked.
    #[serde(default = "defaults::balancer")]
    pub balancer: String,
    /// How often players ask where to play from, in seconds.
    #[serde(default = "defaults::ttl_s")]
    pub ttl_s: u32,
    /// `replace` or `refuse`.
    #[serde(default = "defaults::existing")]
    pub existing: String,
    /// SHA-256 of the ingest key, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_key: Option<String>,
    /// The owner's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What else the owner says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A target that has a copy of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgePathway {
    /// The target's name.
    pub target: String,
    /// Where below its URL the copy is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Since when, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub since_ms: u64,
}

/// Which coverage zones hold for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeZones {
    /// Whose they are.
    pub tenant: String,
    /// What [`ZONES_PATH`] is asked with.
    pub digest: String,
}

/// What a node counts on targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadsTold {
    /// Which process, so that two nodes with one key are told apart: 16 hexadecimal digits, drawn at its start.
    pub process: String,
    /// What it counts.
    pub targets: Vec<LoadTold>,
}

/// What a node counts on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadTold {
    /// Whose the target is.
    pub tenant: String,
    /// Its name.
    pub target: String,
    /// Sessions.
    pub sessions: u32,
    /// What they fetch, in kbit/s.
    pub kbit_s: u64,
}

/// What is known elsewhere of all targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadsElsewhere {
    /// One entry for each target of which something is known.
    pub targets: Vec<LoadElsewhere>,
}

/// What is known elsewhere of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadElsewhere {
    /// Whose the target is.
    pub tenant: String,
    /// Its name.
    pub target: String,
    /// Sessions that other nodes count.
    pub sessions: u32,
    /// What they fetch, in kbit/s.
    pub kbit_s: u64,
    /// How loaded its operator says it is, from 0; 1 is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TryFrom<EdgeTarget> for StreamTarget {
    type Error = Invalid;

    fn try_from(wire: EdgeTarget) -> Result<Self, Invalid> {
        let country = |text: &String| {
            Country::parse(text).ok_or_else(|| Invalid::text("country", text, "two letters (ISO 3166-1)"))
        };
        let countries = wire.countries.as_ref();
        let target = Self {
            name: Name::parse("target name", &wire.name)?,
            urls: wire
                .urls
                .iter()
                .map(|url| BaseUrl::parse(url))
                .collect::<Result<_, _>>()?,
            region: Name::parse("region", &wire.region)?,
            coordinates: wire
                .coordinates
                .map(|(latitude, longitude)| Coordinates::new(latitude, longitude))
                .transpose()?,
            weight: wire.weight,
            sessions_max: wire.sessions_max,
            kbit_s_max: wire.kbit_s_max,
            kbit_s_commit: wire.kbit_s_commit,
            cost: wire.cost,
            countries: countries
                .map(|countries| countries.iter().map(country).collect::<Result<_, _>>())
                .transpose()?
                .map(Country::each_once),
            service: Service::parse(&wire.service)?,
            probe: wire.probe.map(Probe::try_from).transpose()?,
            signing: wire.signing.map(SigningSpec::try_from).transpose()?,
            ingest: wire
                .ingest
                .iter()
                .map(|url| IngestUrl::parse(url))
                .collect::<Result<_, _>>()?,
            since_ms: wire.since_ms,
        };
        target.check()?;
        Ok(target)
    }
}

impl From<&StreamTarget> for EdgeTarget {
    fn from(target: &StreamTarget) -> Self {
        Self {
            name: target.name.to_string(),
            urls: target.urls.iter().map(ToString::to_string).collect(),
            region: target.region.to_string(),
            coordinates: target.coordinates.map(|place| place.degrees()),
            weight: target.weight,
            sessions_max: target.sessions_max,
            kbit_s_max: target.kbit_s_max,
            kbit_s_commit: target.kbit_s_commit,
            cost: target.cost,
            countries: target
                .countries
                .as_ref()
                .map(|countries| countries.iter().map(ToString::to_string).collect()),
            service: target.service.as_str().to_owned(),
            probe: target.probe.as_ref().map(EdgeProbe::from),
            signing: target.signing.as_ref().map(EdgeSigning::from),
            ingest: target.ingest.iter().map(|url| url.as_str().to_owned()).collect(),
            since_ms: target.since_ms,
        }
    }
}

impl TryFrom<EdgeProbe> for Probe {
    type Error = Invalid;

    fn try_from(wire: EdgeProbe) -> Result<Self, Invalid> {
        let asks = match wire.url {
            None => Asks::Below(wire.path.into()),
            Some(url) if wire.path.is_empty() => Asks::parse(&url)?,
            Some(url) => {
                let expected = "no `path` beside it: it says itself what is asked for";
                return Err(Invalid::text("probe url", &url, expected));
            }
        };
        Ok(Self {
            asks,
            interval_ms: wire.interval_ms,
            timeout_ms: wire.timeout_ms,
            status: wire.status,
            degraded_ms: wire.degraded_ms,
        })
    }
}

impl From<&Probe> for EdgeProbe {
    fn from(probe: &Probe) -> Self {
        Self {
            path: match &probe.asks {
                Asks::Below(path) => path.to_string(),
                Asks::For(_) | Asks::Connection(_) => String::new(),
            },
            url: probe.asks.url(),
            interval_ms: probe.interval_ms,
            timeout_ms: probe.timeout_ms,
            status: probe.status,
            degraded_ms: probe.degraded_ms,
        }
    }
}

impl TryFrom<EdgeSigning> for SigningSpec {
    type Error = Invalid;

    fn try_from(wire: EdgeSigning) -> Result<Self, Invalid> {
        let needed = |what, value: &Option<String>| {
            let value = value.as_deref().map(Box::from);
            value.ok_or_else(|| Invalid::other(what, "nothing", format!("what {} needs", wire.scheme)))
        };
        let scheme = match wire.scheme.as_str() {
            "cloudfront" => Scheme::CloudFront {
                key_pair_id: needed("signing key_pair_id", &wire.key_pair_id)?,
                is_sha256: match wire.hash.as_deref() {
                    None | Some("sha1") => false,
                    Some("sha256") => true,
                    Some(other) => return Err(Invalid::text("signing hash", other, "`sha1` or `sha256`")),
                },
            },
            "akamai" => Scheme::Akamai,
            "fastly" => Scheme::Fastly,
            "cloudflare" => Scheme::Cloudflare,
            "cat" => Scheme::Cat {
                key_id: needed("signing key_id", &wire.key_id)?,
                issuer: needed("signing issuer", &wire.issuer)?,
            },
            "hmac" => Scheme::Hmac {
                is_in_path: match wire.placement.as_deref() {
                    None | Some("query") => false,
                    Some("path") => true,
                    Some(other) => return Err(Invalid::text("signing placement", other, "`query` or `path`")),
                },
            },
            other => {
                let expected = "`cloudfront`, `akamai`, `fastly`, `cloudflare`, `cat` or `hmac`";
                return Err(Invalid::text("signing scheme", other, expected));
            }
        };
        Ok(Self {
            scheme,
            secret: Name::parse("signing secret", &wire.secret)?,
            valid_s: wire.valid_s,
            window_s: wire.window_s,
            skew_s: wire.skew_s,
            has_start: wire.has_start,
        })
    }
}

impl From<&SigningSpec> for EdgeSigning {
    fn from(spec: &SigningSpec) -> Self {
        let mut wire = Self {
            scheme: spec.scheme.as_str().to_owned(),
            secret: spec.secret.to_string(),
            valid_s: spec.valid_s,
            window_s: spec.window_s,
            skew_s: spec.skew_s,
            has_start: spec.has_start,
            key_pair_id: None,
            hash: None,
            key_id: None,
            issuer: None,
            placement: None,
        };
        match &spec.scheme {
            Scheme::CloudFront { key_pair_id, is_sha256 } => {
                wire.key_pair_id = Some(key_pair_id.to_string());
                wire.hash = Some(if *is_sha256 { "sha256" } else { "sha1" }.to_owned());
            }
            Scheme::Cat { key_id, issuer } => {
                wire.key_id = Some(key_id.to_string());
                wire.issuer = Some(issuer.to_string());
            }
            Scheme::Hmac { is_in_path } => {
                wire.placement = Some(if *is_in_path { "path" } else { "query" }.to_owned());
            }
            Scheme::Akamai | Scheme::Fastly | Scheme::Cloudflare => {}
        }
        wire
    }
}

impl TryFrom<EdgeAsset> for Asset {
    type Error = Invalid;

    fn try_from(wire: EdgeAsset) -> Result<Self, Invalid> {
        let path = |what, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| RelativePath::parse(what, text)).transpose()
        };
        let pathways = |wire: Vec<EdgePathway>| -> Result<Box<[Pathway]>, Invalid> {
            let pathway = |wire: EdgePathway| {
                Ok(Pathway {
                    target: Name::parse("target name", &wire.target)?,
                    folder: path("folder", &wire.folder)?,
                    since_ms: wire.since_ms,
                })
            };
            wire.into_iter().map(pathway).collect()
        };
        let key = wire.ingest_key.as_deref().map(Digest::parse).transpose();
        let key = key.map_err(|invalid| Invalid {
            what: "ingest key",
            ..invalid
        })?;
        let asset = Self {
            id: Name::parse("asset id", &wire.id)?,
            source: wire.source.map(|source| BaseUrl::parse(&source)).transpose()?,
            hls: path("hls", &wire.hls)?,
            dash: path("dash", &wire.dash)?,
            pathways: pathways(wire.pathways)?,
            all_since_ms: wire.all_since_ms,
            named_before: pathways(wire.named_before)?,
            state: AssetState::parse(&wire.state)?,
            balancer: Balancer::parse(&wire.balancer)?,
            ttl_s: wire.ttl_s,
            existing: Existing::parse(&wire.existing)?,
            ingest_key: key,
            tags: wire.tags.into_iter().map(Into::into).collect(),
            attributes: wire
                .attributes
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        };
        asset.check()?;
        Ok(asset)
    }
}

impl From<&Asset> for EdgeAsset {
    fn from(asset: &Asset) -> Self {
        let path = |path: &Option<RelativePath>| path.as_ref().map(|path| path.as_str().to_owned());
        let pathways = |pathways: &[Pathway]| {
            let pathway = |pathway: &Pathway| EdgePathway {
                target: pathway.target.to_string(),
                folder: path(&pathway.folder),
                since_ms: pathway.since_ms,
            };
            pathways.iter().map(pathway).collect()
        };
        Self {
            id: asset.id.to_string(),
            source: asset.source.as_ref().map(ToString::to_string),
            hls: path(&asset.hls),
            dash: path(&asset.dash),
            pathways: pathways(&asset.pathways),
            all_since_ms: asset.all_since_ms,
            named_before: pathways(&asset.named_before),
            state: asset.state.as_str().to_owned(),
            balancer: asset.balancer.as_str().to_owned(),
            ttl_s: asset.ttl_s,
            existing: asset.existing.as_str().to_owned(),
            ingest_key: asset.ingest_key.map(|key| key.to_string()),
            tags: asset.tags.iter().map(ToString::to_string).collect(),
            attributes: asset
                .attributes
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wayside_decide::{
        limits::NAME_BYTES_MAX,
        stream::{asset::Asset, target::StreamTarget},
    };

    use super::{
        EdgeAsset, EdgeTarget, EdgeTenantTarget, LOADS_BYTES_MAX, LOADS_TARGETS_MAX, LoadElsewhere, LoadsElsewhere,
    };

    #[test]
    fn targets_read_as_they_were_written() {
        let signings = [
            json!({"scheme": "cloudfront", "secret": "k", "key_pair_id": "K1", "hash": "sha256"}),
            json!({"scheme": "akamai", "secret": "k", "has_start": true}),
            json!({"scheme": "fastly", "secret": "k"}),
            json!({"scheme": "cloudflare", "secret": "k"}),
            json!({"scheme": "cat", "secret": "k", "key_id": "one", "issuer": "us"}),
            json!({"scheme": "hmac", "secret": "k", "placement": "path", "valid_s": 60, "window_s": 30, "skew_s": 0}),
        ];
        for signing in signings {
            let wire: EdgeTarget = serde_json::from_value(json!({
                "name": "a", "region": "eu", "urls": ["https://a.example/x"], "coordinates": [52.5, 13.4],
                "sessions_max": 5, "countries": ["us", "de", "US"], "service": "draining",
                "probe": {"path": "up"}, "signing": signing, "ingest": ["rtmp://a.example/{asset}"], "since_ms": 7
            }))
            .expect("a target");
            let target = StreamTarget::try_from(wire).expect("a good one");
            let again = EdgeTarget::from(&target);
            assert_eq!(again.countries, Some(vec!["DE".to_owned(), "US".to_owned()]));
            let line = serde_json::to_string(&EdgeTenantTarget {
                tenant: "t".into(),
                target: again,
            });
            let read: EdgeTenantTarget = serde_json::from_str(&line.expect("JSON")).expect("a target");
            assert_eq!(StreamTarget::try_from(read.target).expect("a good one"), target);
        }
    }

    #[test]
    fn a_target_that_only_takes_streams_can_be_asked() {
        for url in ["http://in.example:9997/v3/paths/list", "tcp://in.example:1935"] {
            let wire: EdgeTarget = serde_json::from_value(json!({
                "name": "in", "region": "eu", "ingest": ["rtmp://in.example/live/{asset}"], "probe": {"url": url}
            }))
            .expect("a target");
            let target = StreamTarget::try_from(wire.clone()).expect(url);
            assert_eq!(EdgeTarget::from(&target), wire);
        }
    }

    #[test]
    fn assets_read_as_they_were_written() {
        let wire: EdgeAsset = serde_json::from_value(json!({
            "id": "film", "source": "https://o.example/vod/film", "hls": "master.m3u8", "dash": "a.mpd",
            "pathways": [{"target": "a"}, {"target": "b", "folder": "x/y", "since_ms": 5}],
            "balancer": "nearest", "ingest_key": "00".repeat(32), "tags": ["t"], "attributes": {"a": "1"}
        }))
        .expect("an asset");
        let asset = Asset::try_from(wire).expect("a good one");
        let key = asset.ingest_key.map(|key| key.to_string());
        assert_eq!((asset.ttl_s, key), (Asset::TTL_S, Some("00".repeat(32))));
        assert_eq!(Asset::try_from(EdgeAsset::from(&asset)).expect("a good one"), asset);
        let wire: EdgeAsset = serde_json::from_value(json!({
            "id": "film", "all_since_ms": 9, "named_before": [{"target": "a", "since_ms": 5}]
        }))
        .expect("an asset");
        let asset = Asset::try_from(wire.clone()).expect("a good one");
        assert_eq!(EdgeAsset::from(&asset), wire);
    }

    #[test]
    fn the_longest_answer_about_loads_is_read() {
        let longest = LoadElsewhere {
            tenant: "t".repeat(NAME_BYTES_MAX),
            target: "t".repeat(NAME_BYTES_MAX),
            sessions: u32::MAX,
            kbit_s: u64::MAX,
            load: Some(-f64::MIN_POSITIVE),
        };
        let answer = LoadsElsewhere {
            targets: vec![longest; LOADS_TARGETS_MAX],
        };
        let answer = serde_json::to_vec(&answer).expect("JSON");
        assert!(answer.len() <= LOADS_BYTES_MAX, "{}", answer.len());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let target = |wire| {
            let wire: EdgeTarget = serde_json::from_value(wire).expect("a target");
            StreamTarget::try_from(wire).expect_err("a bad one").to_string()
        };
        for (bad, expected) in [
            (
                json!({"name": "a", "region": "eu", "urls": ["ftp://a.example/"]}),
                "http",
            ),
            (
                json!({"name": "a", "region": "eu", "urls": ["https://u:p@a.example/"]}),
                "user",
            ),
            (json!({"name": "a", "region": "eu"}), "urls: found none"),
            (
                json!({"name": "a", "region": "eu", "urls": ["https://a.example/"],
                    "probe": {"path": "up", "url": "https://a.example/up"}}),
                "probe url: found \"https://a.example/up\", expected no `path` beside it",
            ),
            (
                json!({"name": "a", "region": "eu", "urls": ["https://a.example/"], "countries": ["DEU"]}),
                "country: found \"DEU\"",
            ),
            (
                json!({"name": "a", "region": "eu", "urls": ["https://a.example/"],
                    "signing": {"scheme": "cloudfront", "secret": "k"}}),
                "signing key_pair_id: found nothing",
            ),
        ] {
            let refused = target(bad);
            assert!(refused.contains(expected), "{refused}");
        }
        let wire: EdgeAsset = serde_json::from_value(json!({"id": "a", "hls": "x.m3u8"})).expect("an asset");
        let refused = Asset::try_from(wire).expect_err("no source").to_string();
        assert!(refused.starts_with("source: found none"), "{refused}");
    }
}
