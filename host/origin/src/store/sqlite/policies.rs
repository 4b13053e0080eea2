//! Policies: versions by digest, and their bytes.

use sqlx::SqlitePool;
use wayside_decide::{digest::Digest, name::Name};

use super::SqliteStore;
use crate::store::{
    PolicyRecord, StoreError, missing, now_s,
    rows::{PolicyRow, json, signed},
};

/// A policy that no binding names changes nothing at the edges, so no change is noted.
pub(super) async fn push(
    store: &SqliteStore,
    tenant: &Name,
    policy: &PolicyRecord,
    component: &[u8],
) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    sqlx::query("INSERT INTO components (tenant, digest, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .bind(policy.digest.to_string())
        .bind(component)
        .execute(&mut *write)
        .await?;
    // Pushed again, a version becomes the newest: it gets a new number.
    let insert = "INSERT OR REPLACE INTO policy_versions (tenant, name, digest, size, world, imports, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(insert)
        .bind(tenant.as_str())
        .bind(policy.name.as_str())
        .bind(policy.digest.to_string())
        .bind(signed(policy.size))
        .bind(&policy.world)
        .bind(json(&policy.imports)?)
        .bind(now_s())
        .execute(&mut *write)
        .await?;
    write.commit().await?;
    Ok(())
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &Name,
    name: Option<&Name>,
) -> Result<Vec<PolicyRecord>, StoreError> {
    let query = "SELECT name, digest, size, world, imports, created_at FROM policy_versions
        WHERE tenant = ?1 AND (?2 IS NULL OR name = ?2) ORDER BY name, number DESC";
    let query = sqlx::query_as(query).bind(tenant.as_str()).bind(name.map(Name::as_str));
    let rows: Vec<PolicyRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(PolicyRow::record).collect()
}

pub(super) async fn component(readers: &SqlitePool, digest: Digest) -> Result<Vec<u8>, StoreError> {
    let query = sqlx::query_scalar("SELECT bytes FROM components WHERE digest = ? LIMIT 1");
    let bytes: Option<Vec<u8>> = query.bind(digest.to_string()).fetch_optional(readers).await?;
    bytes.ok_or_else(|| missing("policy version", digest))
}
