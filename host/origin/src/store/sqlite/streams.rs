//! The operations on targets, assets and coverage zones.

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

use super::{SqliteStore, assets, targets, zones};
use crate::store::{
    Freshness, StoreError, WriteMode, missing,
    rows::signed,
    streams::{AssetRecord, SharedLoad, StreamStore, TargetRecord, ZonesRecord},
};

#[async_trait]
impl StreamStore for SqliteStore {
    async fn create_target(&self, tenant: &Name, target: StreamTarget) -> Result<TargetRecord, StoreError> {
        targets::create(self, tenant, &target).await
    }

    async fn targets(&self, tenant: &Name) -> Result<Vec<TargetRecord>, StoreError> {
        targets::list(&self.readers, tenant).await
    }

    async fn target(&self, tenant: &Name, name: &Name) -> Result<TargetRecord, StoreError> {
        targets::one(&self.readers, tenant, name).await
    }

    async fn replace_target(
        &self,
        tenant: &Name,
        target: StreamTarget,
        keeps_service: bool,
    ) -> Result<TargetRecord, StoreError> {
        targets::replace(self, tenant, &target, keeps_service).await
    }

    async fn set_service(&self, tenant: &Name, name: &Name, service: Service) -> Result<TargetRecord, StoreError> {
        targets::set_service(self, tenant, name, service).await
    }

    async fn delete_target(&self, tenant: &Name, name: &Name) -> Result<(), StoreError> {
        targets::delete(self, tenant, name).await
    }

    async fn assets(
        &self,
        tenant: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AssetRecord>, StoreError> {
        assets::list(&self.readers, tenant, site, prefix, after, limit).await
    }

    async fn asset(&self, site: SiteId, id: &Name, freshness: Freshness) -> Result<AssetRecord, StoreError> {
        self.reaches(freshness).await?;
        let mut read = self.readers.begin().await?;
        let query = sqlx::query_scalar("SELECT tenant FROM sites WHERE id = ?");
        let tenant: Option<String> = query.bind(signed(site.0)).fetch_optional(&mut *read).await?;
        let row = match tenant {
            Some(tenant) => assets::row(&mut read, &tenant, site, id).await?,
            None => None,
        };
        row.ok_or_else(|| missing("asset", id))?.record()
    }

    async fn write_assets(
        &self,
        tenant: &Name,
        site: SiteId,
        assets: Vec<Asset>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        assets::write(self, tenant, site, &assets, mode).await
    }

    async fn set_ingest_key(
        &self,
        tenant: &Name,
        site: SiteId,
        id: &Name,
        key: Option<Digest>,
    ) -> Result<(), StoreError> {
        assets::set_ingest_key(self, tenant, site, id, key).await
    }

    async fn delete_asset(&self, tenant: &Name, site: SiteId, id: &Name) -> Result<(), StoreError> {
        assets::delete(self, tenant, site, id).await
    }

    async fn set_zones(&self, tenant: &Name, body: Vec<u8>) -> Result<ZonesRecord, StoreError> {
        let (digest, updated_at) = zones::set(self, tenant, &body).await?;
        Ok(ZonesRecord {
            digest,
            body,
            updated_at,
        })
    }

    async fn zones(&self, tenant: &Name) -> Result<ZonesRecord, StoreError> {
        zones::one(&self.readers, tenant).await
    }

    async fn delete_zones(&self, tenant: &Name) -> Result<(), StoreError> {
        zones::delete(self, tenant).await
    }

    async fn zones_by_digest(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let body = zones::by_digest(&self.readers, digest).await?;
        body.ok_or_else(|| missing("coverage zones", digest))
    }

    /// One process has the record.
    async fn share_loads(&self, _: &[SharedLoad], _: Duration) -> Result<Vec<SharedLoad>, StoreError> {
        Ok(Vec::new())
    }
}
