//! Assets, in any of the databases.
//!
//! Each engine makes a module of this file, for what it calls [`Engine`], [`Pool`], [`Connection`] and [`Write`].

use sqlx::AssertSqlSafe;
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::asset::{Asset, Pathway},
};
use wayside_upstream::protocol::streams::EdgeAsset;

use super::{Connection, Engine, Pool, Write, note_asset, targets::tick};
use crate::store::{
    StoreError, WriteMode, missing, now_s,
    rows::{json, signed, streams::AssetRow},
    streams::AssetRecord,
};

const COLUMNS: &str =
    "SELECT id, body, created_at, updated_at, deleted_at FROM assets WHERE tenant = $1 AND site_id = $2";

/// What is beyond every id of a prefix: ids are ASCII.
const BEYOND: &str = "\u{7f}";

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
    let mut noted = None;
    for asset in assets {
        let before = live(&mut write, tenant, site, &asset.id).await?;
        if before.is_some() && mode == WriteMode::Create {
            return Err(StoreError::Conflict {
                what: "asset",
                name: asset.id.to_string(),
                reason: "exists already".to_owned(),
            });
        }
        let asset = following(asset, before.as_ref(), since_ms);
        // One that is as it should be is nothing to tell.
        if before.as_ref() != Some(&asset) {
            noted = Some(put(&mut write, tenant, site, &asset).await?);
        }
    }
    match noted {
        Some(noted) => store.finish(write, noted).await,
        None => Ok(()),
    }
}

/// What an asset becomes: with the instants at which its pathways came, and the ingest key that it had.
fn following(asset: &Asset, before: Option<&Asset>, since_ms: u64) -> Asset {
    let since = |pathway: &Pathway| match before {
        None => since_ms,
        // It named none, so that all were its pathways: each since it is a target.
        Some(before) if before.pathways.is_empty() => 0,
        Some(before) => {
            // In another folder it is one that players do not know.
            let is_same = |other: &&Pathway| other.target == pathway.target && other.folder == pathway.folder;
            let same = before.pathways.iter().find(is_same);
            same.map_or(since_ms, |same| same.since_ms)
        }
    };
    let pathways = asset.pathways.iter().map(|pathway| Pathway {
        since_ms: since(pathway),
        ..pathway.clone()
    });
    Asset {
        pathways: pathways.collect(),
        ingest_key: before.and_then(|before| before.ingest_key),
        ..asset.clone()
    }
}

pub(super) async fn set_ingest_key(
    store: &Engine,
    tenant: &Name,
    site: SiteId,
    id: &Name,
    ingest_key: Option<[u8; 32]>,
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    tick(&mut write, tenant).await?;
    let row = row(&mut write, tenant.as_str(), site, id).await?;
    let before = row.ok_or_else(|| missing("asset", id))?.record()?.asset;
    let noted = put(&mut write, tenant, site, &Asset { ingest_key, ..before }).await?;
    store.finish(write, noted).await
}

pub(super) async fn delete(store: &Engine, tenant: &Name, site: SiteId, id: &Name) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
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
    let noted = note_asset(&mut write, tenant, site, id).await?;
    store.finish(write, noted).await
}

async fn live(write: &mut Write<'_>, tenant: &Name, site: SiteId, id: &Name) -> Result<Option<Asset>, StoreError> {
    let row = row(write, tenant.as_str(), site, id).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    row.map(|row| row.record().map(|record| record.asset)).transpose()
}

/// Writes an asset as it is, and notes that.
async fn put(write: &mut Write<'_>, tenant: &Name, site: SiteId, asset: &Asset) -> Result<super::Noted, StoreError> {
    let put = "INSERT INTO assets (tenant, site_id, id, body, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (tenant, site_id, id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at,
            created_at = CASE WHEN assets.deleted_at IS NULL THEN assets.created_at ELSE excluded.created_at END,
            deleted_at = NULL";
    let put = sqlx::query(put)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(asset.id.as_str())
        .bind(json(&EdgeAsset::from(asset))?)
        .bind(now_s())
        .execute(&mut **write)
        .await;
    put.map_err(|error| of_ended_site(error, site))?;
    note_asset(write, tenant, site, &asset.id).await
}

/// A site that ended since it was looked up is a site that is not there.
fn of_ended_site(error: sqlx::Error, site: SiteId) -> StoreError {
    let is_orphan = error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
    if is_orphan { missing("site", site) } else { error.into() }
}
