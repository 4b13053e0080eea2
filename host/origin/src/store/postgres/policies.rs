//! Policies: versions by digest, and their bytes.

use sqlx::PgPool;
use wayside_decide::{digest::Digest, name::Name};

use super::PostgresStore;
use crate::store::{
    PolicyRecord, StoreError, now_s,
    rows::{PolicyRow, json, signed},
};

/// A policy that no binding names changes nothing at the edges, so no change is noted.
pub(super) async fn push(
    store: &PostgresStore,
    tenant: &Name,
    policy: &PolicyRecord,
    component: &[u8],
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    sqlx::query("INSERT INTO components (tenant, digest, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .bind(policy.digest.to_string())
        .bind(component)
        .execute(&mut *write)
        .await?;
    let insert = "INSERT INTO policy_versions (tenant, name, digest, size, world, imports, created_at)
        VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7) ON CONFLICT (tenant, name, digest) DO UPDATE SET
        number = excluded.number, size = excluded.size, world = excluded.world, imports = excluded.imports,
        created_at = excluded.created_at";
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

pub(super) async fn list(pool: &PgPool, tenant: &Name, name: Option<&Name>) -> Result<Vec<PolicyRecord>, StoreError> {
    let query = "SELECT name, digest, size, world, imports::text AS imports, created_at FROM policy_versions
        WHERE tenant = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name, number DESC";
    let query = sqlx::query_as(query).bind(tenant.as_str()).bind(name.map(Name::as_str));
    let rows: Vec<PolicyRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(PolicyRow::record).collect()
}

pub(super) async fn component(pool: &PgPool, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query_scalar("SELECT bytes FROM components WHERE digest = $1 LIMIT 1");
    Ok(query.bind(digest.to_string()).fetch_optional(pool).await?)
}
