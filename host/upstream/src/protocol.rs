//! The types on the wire between an edge node and its origin, in JSON.
//!
//! Unknown fields are ignored on reading, so that an origin may be newer than its nodes. Wire types become domain
//! types by `TryFrom`, which is where a bad value is refused and named.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use wayside_decide::{
    binding::{Binding, FailureMode, Prefix, VisitorKey},
    digest::Digest,
    host::HostPattern,
    invalid::Invalid,
    link::Link,
    name::Name,
    rule::{Pattern, Rule, RuleSet},
    site::{Privacy, Site, SiteId},
    status::RedirectStatus,
    target::Target,
    template::Template,
};

/// `GET [?epoch=E&cursor=N]`: every site with its rules and bindings. Answers [`EdgeDirectory`]; no older than that
/// [`Position`], when one is named; 409 when the record is another one.
pub const DIRECTORY_PATH: &str = "/v1/edge/directory";
/// `GET ?site_id=N&path=/x[&epoch=E&cursor=N]`: one link. Answers [`EdgeLink`], or 404; no older than that [`Position`],
/// when one is named; 409 when the record is another one.
pub const LINK_PATH: &str = "/v1/edge/links";
/// `GET /{digest}`: the bytes of one policy version.
pub const POLICY_PATH: &str = "/v1/edge/policies";
/// `GET ?cursor=N[&epoch=E]`: the change feed, one [`FeedEvent`] a line, without end. [`EPOCH_HEADER`] names the record.
pub const FEED_PATH: &str = "/v1/feed";
/// `GET [?after=KEY][&limit=N][&epoch=E&cursor=N]`: all links, a part at a time. Answers [`SnapshotPage`]; 409 when the
/// record is no longer that of `epoch`: what was read of it is to be forgotten.
pub const SNAPSHOT_PATH: &str = "/v1/edge/snapshot";
/// The field of the feed's response that holds the record's [`Epoch`].
pub const EPOCH_HEADER: &str = "wayside-epoch";
/// Most links of one part of a snapshot. A part may hold fewer: it is cut where it becomes long.
pub const SNAPSHOT_LINKS_MAX: u32 = 10_000;
/// `POST` an [`Enrolment`]: a new node brings its key. Answers [`Enrolled`].
pub const ENROL_PATH: &str = "/v1/edge/nodes";
/// How often an idle feed says that it lives, in seconds. A node takes three missed heartbeats for a dead origin: what
/// changes meanwhile it learns of that much later.
pub const HEARTBEAT_S: u64 = 1;

pub mod streams;
pub mod zones;

use self::streams::{EdgeTenantTarget, EdgeZones};

/// The position of a change in the origin's record: changes up to and including it have been seen.
pub type Cursor = u64;

/// Which record it is: drawn at random when a record is made, and anew when it is restored or loses its newest changes,
/// so that a [`Cursor`] of another record is never taken for one of this. Sixteen hexadecimal digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_epoch = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_epoch);
        number
            .map(Self)
            .ok_or_else(|| Invalid::text("epoch", text, "16 hexadecimal digits"))
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|invalid: Invalid| D::Error::custom(invalid.to_string()))
    }
}

/// A state of a record: all its changes up to a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which record.
    pub epoch: Epoch,
    /// Up to where.
    pub cursor: Cursor,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.epoch, self.cursor)
    }
}

/// What a new node sends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation that its operator was given. Secret.
    pub invitation: String,
    /// Its public key: Ed25519, 32 bytes in base64url.
    pub public_key: String,
}

/// Who the new node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its id.
    pub node: String,
}

/// Everything small about every site, at one position of the feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeDirectory {
    /// Which record it is of; an origin that does not say has only one.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// The directory holds all changes up to here.
    pub cursor: Cursor,
    /// All sites of all tenants.
    pub sites: Vec<EdgeSite>,
    /// All targets of all tenants.
    #[serde(default)]
    pub targets: Vec<EdgeTenantTarget>,
    /// The coverage zones of the tenants that have some.
    #[serde(default)]
    pub zones: Vec<EdgeZones>,
    /// Names this content: who asks with it is told nothing that it holds. The response's `ETag`; nodes keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSite {
    /// Its number, never reused.
    pub id: u64,
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Host patterns.
    pub hosts: Vec<String>,
    /// Where unknown paths lead.
    pub not_found: Option<String>,
    /// How long caches may keep a redirect, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u32>,
    /// `full` or `redacted`; an origin that does not say means the latter.
    #[serde(default = "redacted")]
    pub privacy: String,
    /// Below which path its assets are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<String>,
    /// The key of `visitor.bucket`, 64 hexadecimal digits. Secret.
    pub bucket_key: String,
    /// Its rules.
    pub rules: Vec<EdgeRule>,
    /// Its bindings.
    pub bindings: Vec<EdgeBinding>,
}

fn redacted() -> String {
    Privacy::Redacted.as_str().to_owned()
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeRule {
    /// Lower goes first.
    pub priority: u32,
    /// `/docs/*` or an exact path.
    pub pattern: String,
    /// A template.
    pub target: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// One binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeBinding {
    /// The part of the site.
    pub prefix: String,
    /// The policy's name.
    pub policy: String,
    /// The policy's version.
    pub digest: String,
    /// What `settings.get` reads.
    pub settings: BTreeMap<String, String>,
    /// `open` or `closed`.
    pub on_failure: String,
    /// `address`, `cookie:NAME` or `header:NAME`; the address when absent.
    #[serde(default)]
    pub visitor_key: Option<String>,
}

/// One link; site and path are those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeLink {
    /// Where it leads.
    pub target: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Whether the request's query is added.
    #[serde(default)]
    pub forward_query: bool,
    /// Live from, in seconds since 1970 UTC.
    #[serde(default)]
    pub starts_at: Option<u64>,
    /// Live until, in seconds since 1970 UTC.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// Where it leads outside its window.
    #[serde(default)]
    pub fallback: Option<String>,
    /// The owner's labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What else the owner says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A part of all links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPage {
    /// The part holds all changes up to here. Parts are read one after another, each at least as new as the first: the
    /// feed is to be followed from the first part's position, and then brings whatever changed since.
    #[serde(flatten)]
    pub position: Position,
    /// The links, in an order of the origin's own.
    pub links: Vec<SnapshotLink>,
    /// What to ask the next part with; none when this is the last.
    pub next: Option<String>,
}

/// A link with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotLink {
    /// Its site.
    pub site_id: u64,
    /// Its path in normal form.
    pub path: String,
    /// What it says.
    #[serde(flatten)]
    pub link: EdgeLink,
}

/// One line of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEvent {
    /// The change's position; for a heartbeat, the last one's.
    pub seq: Cursor,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A link came, changed or went.
    Link {
        /// Its site.
        site_id: u64,
        /// Its path in normal form.
        path: String,
    },
    /// An asset came, changed or went.
    Asset {
        /// Its site.
        site_id: u64,
        /// What it is called.
        id: String,
    },
    /// Something in the directory changed: read it anew.
    Directory,
    /// Nothing did; the origin is alive.
    Heartbeat,
    /// The cursor is not one this origin can go on from: forget what is held and read the directory.
    Resync,
    /// Something of a kind that this node has not heard of, and so holds nothing of.
    #[serde(other)]
    Unknown,
}

impl TryFrom<EdgeSite> for Site {
    type Error = Invalid;

    fn try_from(wire: EdgeSite) -> Result<Self, Invalid> {
        let mut site = Self {
            id: SiteId(wire.id),
            tenant: Name::parse("tenant", &wire.tenant)?,
            name: Name::parse("site name", &wire.name)?,
            hosts: wire
                .hosts
                .iter()
                .map(|host| HostPattern::parse_published(host))
                .collect::<Result<_, _>>()?,
            bindings: wire
                .bindings
                .into_iter()
                .map(Binding::try_from)
                .collect::<Result<_, _>>()?,
            rules: RuleSet::new(wire.rules.into_iter().map(Rule::try_from).collect::<Result<_, _>>()?),
            not_found: wire
                .not_found
                .map(|target| Target::parse_at_edge(&target))
                .transpose()?,
            max_age_s: wire.max_age_s,
            privacy: Privacy::parse(&wire.privacy)?,
            streams: wire.streams.map(|prefix| Prefix::parse(&prefix)).transpose()?,
            // A key is a digest's worth of bytes and reads like one.
            bucket_key: *Digest::parse(&wire.bucket_key)
                .map_err(|error| Invalid::other("bucket key", "something else", error.expected))?
                .as_bytes(),
        };
        site.order_bindings();
        Ok(site)
    }
}

impl TryFrom<EdgeRule> for Rule {
    type Error = Invalid;

    fn try_from(wire: EdgeRule) -> Result<Self, Invalid> {
        let location = Template::parse(&wire.target)?;
        Self::new(
            wire.priority,
            Pattern::parse(&wire.pattern)?,
            location,
            RedirectStatus::from_code(wire.status)?,
        )
    }
}

impl TryFrom<EdgeBinding> for Binding {
    type Error = Invalid;

    fn try_from(wire: EdgeBinding) -> Result<Self, Invalid> {
        Ok(Self {
            prefix: Prefix::parse(&wire.prefix)?,
            policy: Name::parse("policy name", &wire.policy)?,
            digest: Digest::parse(&wire.digest)?,
            settings: wire
                .settings
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            on_failure: FailureMode::parse(&wire.on_failure)?,
            visitor_key: wire
                .visitor_key
                .map_or_else(|| Ok(VisitorKey::default()), |text| VisitorKey::parse(&text))?,
        })
    }
}

impl TryFrom<EdgeLink> for Link {
    type Error = Invalid;

    fn try_from(wire: EdgeLink) -> Result<Self, Invalid> {
        Ok(Self {
            target: Target::parse_at_edge(&wire.target)?,
            status: RedirectStatus::from_code(wire.status)?,
            forward_query: wire.forward_query,
            starts_at: wire.starts_at,
            expires_at: wire.expires_at,
            fallback: wire.fallback.map(|target| Target::parse_at_edge(&target)).transpose()?,
            tags: wire.tags.into_iter().map(Into::into).collect(),
            attributes: wire
                .attributes
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        })
    }
}

impl From<&Link> for EdgeLink {
    fn from(link: &Link) -> Self {
        Self {
            target: link.target.as_str().to_owned(),
            status: link.status.code(),
            forward_query: link.forward_query,
            starts_at: link.starts_at,
            expires_at: link.expires_at,
            fallback: link.fallback.as_ref().map(|target| target.as_str().to_owned()),
            tags: link.tags.iter().map(|tag| tag.to_string()).collect(),
            attributes: link
                .attributes
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, EdgeLink, Epoch, FeedEvent, Position, SnapshotLink, SnapshotPage};
    use wayside_decide::link::Link;

    #[test]
    fn a_part_of_a_snapshot_reads_as_written() {
        let text = r#"{"epoch":"00000000000000ff","cursor":7,"links":[
            {"site_id":1,"path":"/a","target":"https://a.example/","status":302}],"next":"x/1/a"}"#;
        let page: SnapshotPage = serde_json::from_str(text).expect("a page");
        let epoch = Epoch(255);
        assert_eq!(page.position, Position { epoch, cursor: 7 });
        assert!(matches!(&page.links[..], [SnapshotLink { site_id: 1, path, link }]
            if path == "/a" && link.target == "https://a.example/"));
        let again = serde_json::to_string(&page).expect("JSON");
        assert_eq!(serde_json::from_str::<SnapshotPage>(&again).expect("a page"), page);
        for bad in ["", "ff", "+0000000000000ff", "00000000000000fg", "000000000000000ff"] {
            assert!(bad.parse::<Epoch>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_feed_line_reads_as_written() {
        let event = FeedEvent {
            seq: 7,
            change: Change::Link {
                site_id: 1,
                path: "/a".into(),
            },
        };
        let line = serde_json::to_string(&event).expect("JSON");
        assert_eq!(line, r#"{"seq":7,"change":{"kind":"link","site_id":1,"path":"/a"}}"#);
        assert_eq!(serde_json::from_str::<FeedEvent>(&line).expect("event"), event);
        let newer = r#"{"seq":7,"change":{"kind":"directory"},"later":true}"#;
        assert_eq!(
            serde_json::from_str::<FeedEvent>(newer).expect("event").change,
            Change::Directory
        );
    }

    #[test]
    fn a_bad_link_from_an_origin_is_refused_and_named() {
        let wire: EdgeLink = serde_json::from_str(r#"{"target":"javascript:alert(1)","status":302}"#).expect("JSON");
        let error = Link::try_from(wire).expect_err("no target");
        assert_eq!(error.what, "target");
        let wire: EdgeLink = serde_json::from_str(r#"{"target":"https://a.example/","status":200}"#).expect("JSON");
        assert_eq!(Link::try_from(wire).expect_err("no redirect").what, "status");
    }
}
