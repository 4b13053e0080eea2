//! Targets, assets and coverage zones as they are recorded.
//!
//! The same rules as in [`store`](super): each method is one operation, and where it changes something, one transaction
//! that also notes the change. `since_ms` of targets and pathways is the store's own: later than all others of the tenant
//! when they are new, and kept when they are not, so that nodes can tell what a player cannot know yet.

use std::time::Duration;

use async_trait::async_trait;
use wayside_decide::{
    digest::Digest,
    name::Name,
    site::SiteId,
    stream::{
        asset::Asset,
        target::{Service, StreamTarget},
    },
};

use super::{Freshness, StoreError, WriteMode};

/// A target as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRecord {
    /// What it is.
    pub target: StreamTarget,
    /// When it was last changed, in seconds since 1970 UTC.
    pub updated_at: u64,
}

/// An asset as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRecord {
    /// What it is.
    pub asset: Asset,
    /// When it was made, in seconds since 1970 UTC.
    pub created_at: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    pub updated_at: u64,
}

/// A tenant's coverage zones as they are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonesRecord {
    /// Names the text.
    pub digest: Digest,
    /// The text, as it was uploaded.
    pub body: Vec<u8>,
    /// When it was uploaded, in seconds since 1970 UTC.
    pub updated_at: u64,
}

/// Something that origins of a record tell each other of how loaded targets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedLoad {
    /// Of what it is the newest.
    pub key: String,
    /// What was said.
    pub body: String,
    /// How long ago.
    pub age: Duration,
    /// For how long it counts, from when it was said.
    pub ttl: Duration,
}

/// What of the record is about streams.
#[async_trait]
pub trait StreamStore: Send + Sync + 'static {
    /// Makes a target.
    async fn create_target(&self, tenant: &Name, target: StreamTarget) -> Result<TargetRecord, StoreError>;
    /// The targets of a tenant, by name.
    async fn targets(&self, tenant: &Name) -> Result<Vec<TargetRecord>, StoreError>;
    /// One target.
    async fn target(&self, tenant: &Name, name: &Name) -> Result<TargetRecord, StoreError>;
    /// Gives the target of this name another content. What its operator says of it stays when `keeps_service`.
    async fn replace_target(
        &self,
        tenant: &Name,
        target: StreamTarget,
        keeps_service: bool,
    ) -> Result<TargetRecord, StoreError>;
    /// Changes nothing of a target but what its operator says of it.
    async fn set_service(&self, tenant: &Name, name: &Name, service: Service) -> Result<TargetRecord, StoreError>;
    /// Ends a target. Assets may go on naming it.
    async fn delete_target(&self, tenant: &Name, name: &Name) -> Result<(), StoreError>;

    /// The assets of a site whose id starts with `prefix`, from the first after `after`, by id.
    async fn assets(
        &self,
        tenant: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AssetRecord>, StoreError>;
    /// One asset; nodes know the site and not the tenant. [`StoreError::Gone`] when it was deleted.
    async fn asset(&self, site: SiteId, id: &Name, freshness: Freshness) -> Result<AssetRecord, StoreError>;
    /// Writes assets, each once: all of them or none. The ingest key of one that is replaced stays.
    async fn write_assets(
        &self,
        tenant: &Name,
        site: SiteId,
        assets: Vec<Asset>,
        mode: WriteMode,
    ) -> Result<(), StoreError>;
    /// Gives an asset another ingest key, of which this is the digest; or none.
    async fn set_ingest_key(
        &self,
        tenant: &Name,
        site: SiteId,
        id: &Name,
        key: Option<Digest>,
    ) -> Result<(), StoreError>;
    /// Ends an asset: from now on it is one that was deleted.
    async fn delete_asset(&self, tenant: &Name, site: SiteId, id: &Name) -> Result<(), StoreError>;

    /// Gives a tenant other coverage zones.
    async fn set_zones(&self, tenant: &Name, body: Vec<u8>) -> Result<ZonesRecord, StoreError>;
    /// A tenant's coverage zones.
    async fn zones(&self, tenant: &Name) -> Result<ZonesRecord, StoreError>;
    /// Ends a tenant's coverage zones.
    async fn delete_zones(&self, tenant: &Name) -> Result<(), StoreError>;
    /// The coverage zones of a digest, whoever's they are.
    async fn zones_by_digest(&self, digest: Digest) -> Result<Vec<u8>, StoreError>;

    /// Shares what was told to this origin of how loaded targets are, and gives what was shared within the last `since`.
    /// Beside the record: nothing of it is kept, nor told by the feed. Nothing, where nobody else has the record.
    async fn share_loads(&self, ours: &[SharedLoad], since: Duration) -> Result<Vec<SharedLoad>, StoreError>;
}
