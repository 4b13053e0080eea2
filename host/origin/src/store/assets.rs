//! Assets, in any of the databases.
//!
//! Each engine makes a module of this file, for what it calls [`Engine`], [`Pool`], [`Connection`], [`Write`] and
//! [`batches`].

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use wayside_decide::{
    digest::Digest,
    name::Name,
    site::SiteId,
    stream::asset::{Asset, Pathway},
};
use wayside_upstream::protocol::streams::EdgeAsset;

use super::{Connection, Engine, Noted, Pool, Write, batches, targets::tick};
use crate::store::{
    BEYOND, StoreError, WriteMode, missing, now_s, of_ended_site,
    rows::{json, signed, streams::AssetRow},
    streams::AssetRecord,
};

/// The columns of an asset, or of what is left of one.
pub(super) const COLUMNS: &str =
    "SELECT id, body, created_at, updated_at, deleted_at FROM assets WHERE tenant = $1 AND site_id = $2";

/// What becomes of an asset where there is one, or was.
pub(super) const REPLACE: &str = "ON CONFLICT (tenant, site_id, id) DO UPDATE SET body = excluded.body,
    updated_at = excluded.updated_at,
    created_at = CASE WHEN assets.deleted_at IS NULL THEN assets.created_at ELSE excluded.created_at END,
    deleted_at = NULL";

pub(super) async fn list(
    pool: &Pool,
    tenant: &Name,
    site: SiteId,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<AssetRecord>, StoreError> {
    let query = format!(
        "{COLUMNS} AND id >= $3 AND id > $4 AND id < $5 AND substr(id, 1, length($3)) = $3 AND deleted_at IS NULL
        ORDER BY id LIMIT $6"
    );
    let query = sqlx::query_as(AssertSqlSafe(query))
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(prefix)
        .bind(after)
        .bind(format!("{prefix}{BEYOND}"))
        .bind(i64::from(limit));
    let rows: Vec<AssetRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(AssetRow::record).collect()
}

/// An asset, or what is left of one.
pub(super) async fn row(
    connection: &mut Connection,
    tenant: &str,
    site: SiteId,
    id: &Name,
) -> Result<Option<AssetRow>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} AND id = $3")));
    let query = query.bind(tenant).bind(signed(site.0)).bind(id.as_str());
    Ok(query.fetch_optional(connection).await?)
}

pub(super) async fn write(
    store: &Engine,
    tenant: &Name,
    site: SiteId,
    assets: &[Asset],
    mode: WriteMode,
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    // Who writes a tenant's assets at the same time waits.
    let since_ms = tick(&mut write, tenant).await?;
    let held = live(&mut write, tenant, site, assets).await?;
    let mut changed = Vec::new();
    for asset in assets {
        let before = held.get(&asset.id);
        if before.is_some() && mode == WriteMode::Create {
            return Err(StoreError::Conflict {
                what: "asset",
                name: asset.id.to_string(),
                reason: "exists already".to_owned(),
            });
        }
        let asset = following(asset, before, since_ms);
        // One that is as it should be is nothing to tell.
        if before != Some(&asset) {
            changed.push(asset);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let noted = put(&mut write, tenant, site, &changed).await?;
    store.finish(write, noted).await
}

/// What an asset becomes: with the instants at which its pathways came, and the ingest key that it had.
fn following(asset: &Asset, before: Option<&Asset>, since_ms: u64) -> Asset {
    let pathways = asset.pathways.iter().map(|pathway| Pathway {
        since_ms: before
            .and_then(|before| before.known_since(pathway))
            .unwrap_or(since_ms),
        ..pathway.clone()
    });
    // It names none: those that it did not name before are new, unless it named none then either.
    let (all_since_ms, named_before) = match before {
        _ if !asset.pathways.is_empty() => (0, Box::default()),
        Some(before) if before.pathways.is_empty() => (before.all_since_ms, before.named_before.clone()),
        Some(before) => (since_ms, before.named_of_all()),
        None => (since_ms, Box::default()),
    };
    Asset {
        pathways: pathways.collect(),
        all_since_ms,
        named_before,
        ingest_key: before.and_then(|before| before.ingest_key),
        ..asset.clone()
    }
}

pub(super) async fn set_ingest_key(
    store: &Engine,
    tenant: &Name,
    site: SiteId,
    id: &Name,
    ingest_key: Option<Digest>,
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    tick(&mut write, tenant).await?;
    let row = row(&mut write, tenant.as_str(), site, id).await?;
    let before = row.ok_or_else(|| missing("asset", id))?.record()?.asset;
    let noted = put(&mut write, tenant, site, &[Asset { ingest_key, ..before }]).await?;
    store.finish(write, noted).await
}

pub(super) async fn delete(store: &Engine, tenant: &Name, site: SiteId, id: &Name) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    // Who writes the asset at the same time would bring back what it read of it.
    tick(&mut write, tenant).await?;
    let delete = "UPDATE assets SET body = '', updated_at = $4, deleted_at = $4
        WHERE tenant = $1 AND site_id = $2 AND id = $3 AND deleted_at IS NULL";
    let delete = sqlx::query(delete)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(id.as_str())
        .bind(now_s());
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        let row = row(&mut write, tenant.as_str(), site, id).await?;
        // As for whoever reads it: it never was, or is no more.
        row.ok_or_else(|| missing("asset", id))?.record()?;
    }
    let noted = batches::note(&mut write, tenant, site, &[id]).await?;
    store.finish(write, noted).await
}

/// Those of the assets that there are, as they are.
async fn live(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    assets: &[Asset],
) -> Result<HashMap<Name, Asset>, StoreError> {
    let ids: Vec<&Name> = assets.iter().map(|asset| &asset.id).collect();
    let rows = batches::rows(write, tenant, site, &ids).await?.into_iter();
    let read = |row: AssetRow| row.record().map(|record| (record.asset.id.clone(), record.asset));
    rows.filter(|row| row.deleted_at.is_none()).map(read).collect()
}

/// Writes assets as they are, and notes that.
async fn put(write: &mut Write<'_>, tenant: &Name, site: SiteId, assets: &[Asset]) -> Result<Noted, StoreError> {
    let body = |asset| json(&EdgeAsset::from(asset));
    let bodies = assets.iter().map(body).collect::<Result<Vec<String>, _>>()?;
    let ids: Vec<&Name> = assets.iter().map(|asset| &asset.id).collect();
    let put = batches::put(write, tenant, site, &ids, &bodies).await;
    put.map_err(|error| of_ended_site(error, site))?;
    batches::note(write, tenant, site, &ids).await
}
