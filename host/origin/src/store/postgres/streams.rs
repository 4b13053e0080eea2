//! The operations on targets, assets and coverage zones, each for as long as one may take.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::PgPool;
use wayside_decide::{
    digest::Digest,
    name::Name,
    site::SiteId,
    stream::{
        asset::Asset,
        target::{Service, StreamTarget},
    },
};

use super::{Freshly, PostgresStore, assets, changes, loads, sites, targets, zones};
use crate::store::{
    Freshness, StoreError, WriteMode, missing,
    rows::streams::AssetRow,
    streams::{AssetRecord, SharedLoad, StreamStore, TargetRecord, ZonesRecord},
};

/// What is kept of an asset, and how far the record had come before it was read. The site is missing when it is not this
/// tenant's.
async fn asset(pool: &PgPool, tenant: &str, site: SiteId, id: &Name) -> Result<Freshly<Option<AssetRow>>, StoreError> {
    let mut connection = pool.acquire().await?;
    let position = changes::position(&mut connection).await?;
    let value = assets::row(&mut connection, tenant, site, id).await?;
    if value.is_none() {
        sites::check(&mut connection, tenant, site).await?;
    }
    Ok(Freshly { position, value })
}

#[async_trait]
impl StreamStore for PostgresStore {
    async fn create_target(&self, tenant: &Name, target: StreamTarget) -> Result<TargetRecord, StoreError> {
        let change = || targets::create(self, tenant, &target);
        self.within(self.untied(change)).await
    }

    async fn targets(&self, tenant: &Name) -> Result<Vec<TargetRecord>, StoreError> {
        self.within(async { targets::list(self.primary()?, tenant).await })
            .await
    }

    async fn target(&self, tenant: &Name, name: &Name) -> Result<TargetRecord, StoreError> {
        self.within(async { targets::one(self.primary()?, tenant, name).await })
            .await
    }

    async fn replace_target(
        &self,
        tenant: &Name,
        target: StreamTarget,
        keeps_service: bool,
    ) -> Result<TargetRecord, StoreError> {
        let change = || targets::replace(self, tenant, &target, keeps_service);
        self.within(self.untied(change)).await
    }

    async fn set_service(&self, tenant: &Name, name: &Name, service: Service) -> Result<TargetRecord, StoreError> {
        let change = || targets::set_service(self, tenant, name, service);
        self.within(self.untied(change)).await
    }

    async fn delete_target(&self, tenant: &Name, name: &Name) -> Result<(), StoreError> {
        self.within(self.untied(|| targets::delete(self, tenant, name))).await
    }

    async fn assets(
        &self,
        tenant: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<AssetRecord>, StoreError> {
        self.within(async { assets::list(self.primary()?, tenant, site, prefix, after, limit).await })
            .await
    }

    async fn asset(&self, site: SiteId, id: &Name, freshness: Freshness) -> Result<AssetRecord, StoreError> {
        let read = |pool: PgPool, tenant: Arc<str>| async move { asset(&pool, &tenant, site, id).await };
        let found = match self.within(self.of_site(site, freshness, read)).await {
            Err(StoreError::Missing { .. }) => None,
            found => found?,
        };
        found.ok_or_else(|| missing("asset", id))?.record()
    }

    async fn write_assets(
        &self,
        tenant: &Name,
        site: SiteId,
        assets: Vec<Asset>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        let change = || assets::write(self, tenant, site, &assets, mode);
        self.within(self.untied(change)).await
    }

    async fn set_ingest_key(
        &self,
        tenant: &Name,
        site: SiteId,
        id: &Name,
        key: Option<Digest>,
    ) -> Result<(), StoreError> {
        let change = || assets::set_ingest_key(self, tenant, site, id, key);
        self.within(self.untied(change)).await
    }

    async fn delete_asset(&self, tenant: &Name, site: SiteId, id: &Name) -> Result<(), StoreError> {
        let change = || assets::delete(self, tenant, site, id);
        self.within(self.untied(change)).await
    }

    async fn set_zones(&self, tenant: &Name, body: Vec<u8>) -> Result<ZonesRecord, StoreError> {
        let change = || zones::set(self, tenant, &body);
        let (digest, updated_at) = self.within(self.untied(change)).await?;
        Ok(ZonesRecord {
            digest,
            body,
            updated_at,
        })
    }

    async fn zones(&self, tenant: &Name) -> Result<ZonesRecord, StoreError> {
        self.within(async { zones::one(self.primary()?, tenant).await }).await
    }

    async fn delete_zones(&self, tenant: &Name) -> Result<(), StoreError> {
        self.within(self.untied(|| zones::delete(self, tenant))).await
    }

    /// A digest names its text wherever it is read; only the primary's word counts that there is none.
    async fn zones_by_digest(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        self.within(async {
            let find = |pool: PgPool| async move { zones::by_digest(&pool, digest).await };
            let body = self.find(find).await?;
            body.ok_or_else(|| missing("coverage zones", digest))
        })
        .await
    }

    async fn share_loads(&self, ours: &[SharedLoad], since: Duration) -> Result<Vec<SharedLoad>, StoreError> {
        self.within(self.untied(|| loads::share(self, ours, since))).await
    }
}
