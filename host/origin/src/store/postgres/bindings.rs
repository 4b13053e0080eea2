//! Bindings and what they were before.

use std::collections::BTreeMap;

use sqlx::PgPool;
use wayside_decide::{binding::Binding, name::Name, site::SiteId};

use super::{PostgresStore, Write, changes};
use crate::store::{
    StoreError, missing, now_s,
    rows::{BindingRow, json, signed},
};

pub(super) async fn list(pool: &PgPool, tenant: &str, site: SiteId) -> Result<Vec<Binding>, StoreError> {
    let query = "SELECT site_id, prefix, policy, digest, settings::text AS settings, on_failure, visitor_key
        FROM bindings WHERE tenant = $1 AND site_id = $2 ORDER BY prefix";
    let query = sqlx::query_as(query).bind(tenant).bind(signed(site.0));
    let rows: Vec<BindingRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(BindingRow::binding).collect()
}

pub(super) async fn bind(
    store: &PostgresStore,
    tenant: &Name,
    site: SiteId,
    binding: &Binding,
) -> Result<(), StoreError> {
    let prefix = binding.prefix.as_str();
    let mut write = store.begin().await?;
    check_version(&mut write, tenant, binding).await?;
    lock_site(&mut write, tenant.as_str(), site).await?;
    let keep =
        "INSERT INTO binding_history (tenant, site_id, prefix, policy, digest, settings, on_failure, visitor_key)
        SELECT tenant, site_id, prefix, policy, digest, settings, on_failure, visitor_key FROM bindings
        WHERE tenant = $1 AND site_id = $2 AND prefix = $3";
    let keep = sqlx::query(keep).bind(tenant.as_str()).bind(signed(site.0));
    keep.bind(prefix).execute(&mut *write).await?;
    put(&mut write, tenant, site, binding).await?;
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await
}

pub(super) async fn unbind(store: &PostgresStore, tenant: &str, site: SiteId, prefix: &str) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    lock_site(&mut write, tenant, site).await?;
    let delete = sqlx::query("DELETE FROM bindings WHERE tenant = $1 AND site_id = $2 AND prefix = $3");
    let delete = delete.bind(tenant).bind(signed(site.0)).bind(prefix);
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(missing("binding", prefix));
    }
    let forget = sqlx::query("DELETE FROM binding_history WHERE tenant = $1 AND site_id = $2 AND prefix = $3");
    let forget = forget.bind(tenant).bind(signed(site.0)).bind(prefix);
    forget.execute(&mut *write).await?;
    changes::note_directory(&mut write, tenant).await?;
    store.commit(write).await
}

pub(super) async fn roll_back(
    store: &PostgresStore,
    tenant: &Name,
    site: SiteId,
    prefix: &str,
) -> Result<Binding, StoreError> {
    let mut write = store.begin().await?;
    lock_site(&mut write, tenant.as_str(), site).await?;
    let is_bound = sqlx::query("SELECT 1 FROM bindings WHERE tenant = $1 AND site_id = $2 AND prefix = $3");
    let is_bound = is_bound.bind(tenant.as_str()).bind(signed(site.0)).bind(prefix);
    let is_bound = is_bound.fetch_optional(&mut *write).await?;
    is_bound.ok_or_else(|| missing("binding", prefix))?;
    let newest = "DELETE FROM binding_history WHERE tenant = $1 AND number =
        (SELECT max(number) FROM binding_history WHERE tenant = $1 AND site_id = $2 AND prefix = $3)
        RETURNING site_id, prefix, policy, digest, settings::text AS settings, on_failure, visitor_key";
    let newest = sqlx::query_as(newest).bind(tenant.as_str()).bind(signed(site.0));
    let row: Option<BindingRow> = newest.bind(prefix).fetch_optional(&mut *write).await?;
    let Some(row) = row else {
        return Err(StoreError::Conflict {
            what: "binding",
            name: prefix.to_owned(),
            reason: "has nothing before it to roll back to".to_owned(),
        });
    };
    let binding = row.binding()?;
    put(&mut write, tenant, site, &binding).await?;
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await?;
    Ok(binding)
}

/// One change of a site's bindings at a time: each reads what was bound before it writes.
async fn lock_site(write: &mut Write<'_>, tenant: &str, site: SiteId) -> Result<(), StoreError> {
    let lock = sqlx::query("SELECT 1 FROM sites WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE");
    let found = lock.bind(tenant).bind(signed(site.0));
    let found = found.fetch_optional(&mut **write).await?;
    found.map(|_| ()).ok_or_else(|| missing("site", site))
}

async fn check_version(write: &mut Write<'_>, tenant: &Name, binding: &Binding) -> Result<(), StoreError> {
    let query = sqlx::query("SELECT 1 FROM policy_versions WHERE tenant = $1 AND name = $2 AND digest = $3");
    let query = query
        .bind(tenant.as_str())
        .bind(binding.policy.as_str())
        .bind(binding.digest.to_string());
    let found = query.fetch_optional(&mut **write).await?;
    found
        .map(|_| ())
        .ok_or_else(|| missing("policy version", format!("{} {}", binding.policy, binding.digest)))
}

async fn put(write: &mut Write<'_>, tenant: &Name, site: SiteId, binding: &Binding) -> Result<(), StoreError> {
    let insert = "INSERT INTO bindings (tenant, site_id, prefix, policy, digest, settings, on_failure, visitor_key,
        updated_at) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9)
        ON CONFLICT (tenant, site_id, prefix) DO UPDATE SET policy = excluded.policy, digest = excluded.digest,
        settings = excluded.settings, on_failure = excluded.on_failure, visitor_key = excluded.visitor_key,
        updated_at = excluded.updated_at";
    let settings = binding.settings.iter();
    let settings: BTreeMap<&str, &str> = settings.map(|(name, value)| (&**name, &**value)).collect();
    sqlx::query(insert)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(binding.prefix.as_str())
        .bind(binding.policy.as_str())
        .bind(binding.digest.to_string())
        .bind(json(&settings)?)
        .bind(binding.on_failure.as_str())
        .bind(binding.visitor_key.to_string())
        .bind(now_s())
        .execute(&mut **write)
        .await?;
    Ok(())
}
