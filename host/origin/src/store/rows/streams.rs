//! Rows of targets, assets and coverage zones. Their bodies are what nodes are told, in JSON.

use sqlx::FromRow;
use wayside_decide::{
    digest::Digest,
    stream::{asset::Asset, target::StreamTarget},
};
use wayside_upstream::protocol::streams::{EdgeAsset, EdgeTarget, EdgeTenantTarget};

use super::{damaged, json_damaged, unsigned};
use crate::store::{
    StoreError,
    streams::{AssetRecord, TargetRecord, ZonesRecord},
};

/// A target with its tenant.
#[derive(FromRow)]
pub(in crate::store) struct TargetRow {
    pub(in crate::store) tenant: String,
    pub(in crate::store) body: String,
    pub(in crate::store) since_ms: i64,
    pub(in crate::store) updated_at: i64,
}

impl TargetRow {
    /// What nodes are told.
    pub(in crate::store) fn for_edge(self) -> Result<EdgeTenantTarget, StoreError> {
        let target: EdgeTarget = serde_json::from_str(&self.body).map_err(json_damaged)?;
        let since_ms = unsigned("since_ms", self.since_ms)?;
        Ok(EdgeTenantTarget {
            tenant: self.tenant,
            target: EdgeTarget { since_ms, ..target },
        })
    }

    pub(in crate::store) fn record(self) -> Result<TargetRecord, StoreError> {
        let updated_at = unsigned("updated_at", self.updated_at)?;
        let target = StreamTarget::try_from(self.for_edge()?.target).map_err(damaged)?;
        Ok(TargetRecord { target, updated_at })
    }
}

/// An asset, or what is left of one.
#[derive(FromRow)]
pub(in crate::store) struct AssetRow {
    pub(in crate::store) id: String,
    pub(in crate::store) body: String,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) updated_at: i64,
    pub(in crate::store) deleted_at: Option<i64>,
}

impl AssetRow {
    /// What it says; [`StoreError::Gone`] when it was deleted.
    pub(in crate::store) fn record(self) -> Result<AssetRecord, StoreError> {
        if self.deleted_at.is_some() {
            return Err(StoreError::Gone {
                what: "asset",
                name: self.id,
            });
        }
        let asset: EdgeAsset = serde_json::from_str(&self.body).map_err(json_damaged)?;
        Ok(AssetRecord {
            asset: Asset::try_from(asset).map_err(damaged)?,
            created_at: unsigned("created_at", self.created_at)?,
            updated_at: unsigned("updated_at", self.updated_at)?,
        })
    }
}

/// A tenant's coverage zones.
#[derive(FromRow)]
pub(in crate::store) struct ZonesRow {
    pub(in crate::store) digest: String,
    pub(in crate::store) body: Vec<u8>,
    pub(in crate::store) updated_at: i64,
}

impl ZonesRow {
    pub(in crate::store) fn record(self) -> Result<ZonesRecord, StoreError> {
        Ok(ZonesRecord {
            digest: Digest::parse(&self.digest).map_err(damaged)?,
            body: self.body,
            updated_at: unsigned("updated_at", self.updated_at)?,
        })
    }
}
