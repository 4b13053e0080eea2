//! Rows as any of the databases gives them, and what they say. What was checked before it was written must read back.

use std::collections::BTreeMap;

use sqlx::FromRow;
use wayside_decide::{
    binding::{Binding, FailureMode, Prefix, VisitorKey},
    digest::Digest,
    host::HostPattern,
    invalid::Invalid,
    link::Link,
    name::Name,
    path::LinkPath,
    rule::{Pattern, Rule},
    site::{Privacy, SiteId},
    status::RedirectStatus,
    target::Target,
    template::Template,
};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Change, EdgeBinding, EdgeRule, FeedEvent},
};

use super::{LinkRecord, PolicyRecord, RuleRecord, SiteContent, SiteRecord, StoreError, TokenRecord};
use crate::{
    node::NodeRecord,
    token::{Grant, Scope, TokenId},
};

pub(super) mod streams;

/// A recorded number of seconds, sizes and sequences: never negative as we write them.
pub(super) fn unsigned(column: &str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Damaged(format!("{column} is {value}, expected no negative number")))
}

/// The same where nothing may stand: a number that cannot be is damage, not absence.
fn unsigned_or_none(column: &str, value: Option<i64>) -> Result<Option<u64>, StoreError> {
    value.map(|value| unsigned(column, value)).transpose()
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn damaged(invalid: Invalid) -> StoreError {
    StoreError::Damaged(invalid.to_string())
}

pub(super) fn json_damaged(error: serde_json::Error) -> StoreError {
    StoreError::Damaged(error.to_string())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(json_damaged)
}

fn status(code: i64) -> Result<RedirectStatus, StoreError> {
    // No status is that large, and the error then says so.
    RedirectStatus::from_code(u16::try_from(code).unwrap_or(u16::MAX)).map_err(damaged)
}

/// A number that fits 32 bits as we write it.
fn small(column: &str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Damaged(format!("{column} is {value}, expected 0 to {}", u32::MAX)))
}

/// How long caches may keep a site's redirects, where it says so.
pub(super) fn max_age_s(value: Option<i64>) -> Result<Option<u32>, StoreError> {
    value.map(|age| small("max_age_s", age)).transpose()
}

fn target_or_none(text: Option<String>) -> Result<Option<Target>, StoreError> {
    let target = text.map(|target| Target::parse_at_edge(&target));
    target.transpose().map_err(damaged)
}

fn prefix_or_none(text: Option<String>) -> Result<Option<Prefix>, StoreError> {
    let prefix = text.map(|prefix| Prefix::parse(&prefix));
    prefix.transpose().map_err(damaged)
}

/// A link with its place.
#[derive(FromRow)]
pub(super) struct LinkRow {
    tenant: String,
    site_id: i64,
    path: String,
    target: String,
    status: i64,
    forward_query: bool,
    starts_at: Option<i64>,
    expires_at: Option<i64>,
    fallback: Option<String>,
    tags: String,
    attributes: String,
    created_at: i64,
    updated_at: i64,
}

impl LinkRow {
    /// Where it stands, and what it says.
    pub(super) fn read(self) -> Result<(Name, SiteId, LinkRecord), StoreError> {
        let tenant = Name::parse("tenant", &self.tenant).map_err(damaged)?;
        let tags: Vec<Box<str>> = serde_json::from_str(&self.tags).map_err(json_damaged)?;
        // A map, so that they come in the order of their names, which a link relies on.
        let attributes: BTreeMap<Box<str>, Box<str>> = serde_json::from_str(&self.attributes).map_err(json_damaged)?;
        let record = LinkRecord {
            path: LinkPath::parse(&self.path).map_err(damaged)?,
            link: Link {
                target: Target::parse_at_edge(&self.target).map_err(damaged)?,
                status: status(self.status)?,
                forward_query: self.forward_query,
                starts_at: unsigned_or_none("starts_at", self.starts_at)?,
                expires_at: unsigned_or_none("expires_at", self.expires_at)?,
                fallback: target_or_none(self.fallback)?,
                tags: tags.into(),
                attributes: attributes.into_iter().collect(),
            },
            created_at: unsigned("created_at", self.created_at)?,
            updated_at: unsigned("updated_at", self.updated_at)?,
        };
        Ok((tenant, SiteId(unsigned("site_id", self.site_id)?), record))
    }

    /// What it says.
    pub(super) fn record(self) -> Result<LinkRecord, StoreError> {
        self.read().map(|(_, _, record)| record)
    }
}

/// A site without its hosts.
#[derive(FromRow)]
pub(super) struct SiteRow {
    id: i64,
    name: String,
    not_found: Option<String>,
    max_age_s: Option<i64>,
    privacy: String,
    streams: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl SiteRow {
    pub(super) fn id(&self) -> Result<SiteId, StoreError> {
        unsigned("id", self.id).map(SiteId)
    }

    pub(super) fn with_hosts(self, hosts: &[String]) -> Result<SiteRecord, StoreError> {
        let hosts = hosts.iter().map(|pattern| HostPattern::parse_published(pattern));
        Ok(SiteRecord {
            id: self.id()?,
            name: Name::parse("site name", &self.name).map_err(damaged)?,
            content: SiteContent {
                hosts: hosts.collect::<Result<_, _>>().map_err(damaged)?,
                not_found: target_or_none(self.not_found)?,
                max_age_s: max_age_s(self.max_age_s)?,
                privacy: Privacy::parse(&self.privacy).map_err(damaged)?,
                streams: prefix_or_none(self.streams)?,
            },
            created_at: unsigned("created_at", self.created_at)?,
            updated_at: unsigned("updated_at", self.updated_at)?,
        })
    }
}

/// A rule.
#[derive(FromRow)]
pub(super) struct RuleRow {
    id: i64,
    priority: i64,
    pattern: String,
    target: String,
    status: i64,
}

impl RuleRow {
    pub(super) fn record(self) -> Result<RuleRecord, StoreError> {
        let pattern = Pattern::parse(&self.pattern).map_err(damaged)?;
        let location = Template::parse(&self.target).map_err(damaged)?;
        let priority = small("priority", self.priority)?;
        Ok(RuleRecord {
            id: unsigned("id", self.id)?,
            rule: Rule::new(priority, pattern, location, status(self.status)?).map_err(damaged)?,
        })
    }
}

/// A rule as nodes are told of it.
#[derive(FromRow)]
pub(super) struct EdgeRuleRow {
    site_id: i64,
    priority: i64,
    pattern: String,
    target: String,
    status: i64,
}

impl EdgeRuleRow {
    pub(super) fn read(self) -> Result<(u64, EdgeRule), StoreError> {
        let rule = EdgeRule {
            priority: small("priority", self.priority)?,
            status: status(self.status)?.code(),
            pattern: self.pattern,
            target: self.target,
        };
        Ok((unsigned("site_id", self.site_id)?, rule))
    }
}

/// A binding with its site.
#[derive(FromRow)]
pub(super) struct BindingRow {
    site_id: i64,
    prefix: String,
    policy: String,
    digest: String,
    settings: String,
    on_failure: String,
    visitor_key: String,
}

impl BindingRow {
    pub(super) fn binding(self) -> Result<Binding, StoreError> {
        let settings: BTreeMap<Box<str>, Box<str>> = serde_json::from_str(&self.settings).map_err(json_damaged)?;
        Ok(Binding {
            prefix: Prefix::parse(&self.prefix).map_err(damaged)?,
            policy: Name::parse("policy name", &self.policy).map_err(damaged)?,
            digest: Digest::parse(&self.digest).map_err(damaged)?,
            settings,
            on_failure: FailureMode::parse(&self.on_failure).map_err(damaged)?,
            visitor_key: VisitorKey::parse(&self.visitor_key).map_err(damaged)?,
        })
    }

    /// Its site, and what nodes are told of it.
    pub(super) fn for_edge(self) -> Result<(u64, EdgeBinding), StoreError> {
        let binding = EdgeBinding {
            prefix: self.prefix,
            policy: self.policy,
            digest: self.digest,
            settings: serde_json::from_str(&self.settings).map_err(json_damaged)?,
            on_failure: self.on_failure,
            visitor_key: Some(self.visitor_key),
        };
        Ok((unsigned("site_id", self.site_id)?, binding))
    }
}

/// A version of a policy.
#[derive(FromRow)]
pub(super) struct PolicyRow {
    name: String,
    digest: String,
    size: i64,
    world: String,
    imports: String,
    created_at: i64,
}

impl PolicyRow {
    pub(super) fn record(self) -> Result<PolicyRecord, StoreError> {
        Ok(PolicyRecord {
            name: Name::parse("policy name", &self.name).map_err(damaged)?,
            digest: Digest::parse(&self.digest).map_err(damaged)?,
            size: unsigned("size", self.size)?,
            world: self.world,
            imports: serde_json::from_str(&self.imports).map_err(json_damaged)?,
            created_at: unsigned("created_at", self.created_at)?,
        })
    }
}

/// A token.
#[derive(FromRow)]
pub(super) struct TokenRow {
    id: String,
    tenant: Option<String>,
    scope: String,
    name: String,
    hash: Vec<u8>,
    created_at: i64,
    revoked_at: Option<i64>,
}

impl TokenRow {
    pub(super) fn record(self) -> Result<TokenRecord, StoreError> {
        let broken = |what: &str| StoreError::Damaged(format!("token {}: {what}", self.id));
        let tenant = self.tenant.as_deref().map(|tenant| Name::parse("tenant", tenant));
        Ok(TokenRecord {
            hash: self
                .hash
                .as_slice()
                .try_into()
                .map_err(|_| broken("a hash of another length"))?,
            grant: Grant {
                tenant: tenant.transpose().map_err(damaged)?,
                scope: Scope::parse(&self.scope).map_err(damaged)?,
            },
            id: TokenId::parse(&self.id).ok_or_else(|| broken("no id"))?,
            name: self.name,
            created_at: unsigned("created_at", self.created_at)?,
            revoked_at: unsigned_or_none("revoked_at", self.revoked_at)?,
        })
    }
}

/// A node.
#[derive(FromRow)]
pub(super) struct NodeRow {
    id: String,
    name: String,
    invitation_hash: Vec<u8>,
    invited_at: i64,
    expires_at: i64,
    public_key: Option<Vec<u8>>,
    enrolled_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl NodeRow {
    pub(super) fn record(self) -> Result<NodeRecord, StoreError> {
        let broken = |what: &str| StoreError::Damaged(format!("node {}: {what}", self.id));
        let hash = self.invitation_hash.as_slice().try_into();
        let key = self.public_key.as_deref().map(<[u8; 32]>::try_from).transpose();
        let key = key.map_err(|_| broken("a key of another length"))?;
        let enrolled = match (key, unsigned_or_none("enrolled_at", self.enrolled_at)?) {
            (Some(key), Some(at)) => Some((PublicKey::from_bytes(key), at)),
            (None, None) => None,
            (Some(_), None) => return Err(broken("a key, and no instant at which it came")),
            (None, Some(_)) => return Err(broken("an instant at which its key came, and no key")),
        };
        Ok(NodeRecord {
            id: NodeId::parse(&self.id).map_err(damaged)?,
            name: Name::parse("node name", &self.name).map_err(damaged)?,
            invitation_hash: hash.map_err(|_| broken("a hash of another length"))?,
            invited_at: unsigned("invited_at", self.invited_at)?,
            expires_at: unsigned("expires_at", self.expires_at)?,
            enrolled,
            revoked_at: unsigned_or_none("revoked_at", self.revoked_at)?,
        })
    }
}

/// A change.
#[derive(FromRow)]
pub(super) struct ChangeRow {
    pub(super) seq: i64,
    pub(super) site_id: Option<i64>,
    pub(super) path: Option<String>,
    pub(super) asset: Option<String>,
}

impl ChangeRow {
    pub(super) fn event(self) -> Result<FeedEvent, StoreError> {
        let change = match (unsigned_or_none("site_id", self.site_id)?, self.path, self.asset) {
            (Some(site_id), Some(path), None) => Change::Link { site_id, path },
            (Some(site_id), None, Some(id)) => Change::Asset { site_id, id },
            (None, None, None) => Change::Directory,
            (site_id, path, asset) => {
                let seq = self.seq;
                let found = format!("change {seq} is of site {site_id:?}, path {path:?} and asset {asset:?}");
                let expected = "expected a site with a path or an asset, or neither";
                return Err(StoreError::Damaged(format!("{found}, {expected}")));
            }
        };
        Ok(FeedEvent {
            seq: unsigned("seq", self.seq)?,
            change,
        })
    }
}

#[cfg(test)]
mod tests;
