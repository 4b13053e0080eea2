//! Bindings and what they were before.

use std::collections::BTreeMap;

use sqlx::SqlitePool;
use wayside_decide::{binding::Binding, name::Name, site::SiteId};

use super::{SqliteStore, Write, changes};
use crate::store::{
    StoreError,
    StoreError::Conflict,
    missing, now_s,
    rows::{BindingRow, json, signed},
};

pub(super) async fn list(readers: &SqlitePool, site: SiteId) -> Result<Vec<Binding>, StoreError> {
    let query =
        "SELECT site_id, prefix, policy, digest, settings, on_failure, visitor_key FROM bindings WHERE site_id = ?
        ORDER BY prefix";
    let query = sqlx::query_as(query).bind(signed(site.0));
    let rows: Vec<BindingRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(BindingRow::binding).collect()
}

pub(super) async fn bind(
    store: &SqliteStore,
    tenant: &Name,
    site: SiteId,
    binding: &Binding,
) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    check_version(&mut write, tenant, binding).await?;
    sqlx::query(
        "INSERT INTO binding_history (tenant, site_id, prefix, policy, digest, settings, on_failure,
        visitor_key) SELECT tenant, site_id, prefix, policy, digest, settings, on_failure, visitor_key FROM bindings
        WHERE site_id = ? AND prefix = ?",
    )
    .bind(signed(site.0))
    .bind(binding.prefix.as_str())
    .execute(&mut *write)
    .await?;
    put(&mut write, tenant, site, binding).await?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await
}

pub(super) async fn unbind(store: &SqliteStore, site: SiteId, prefix: &str) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    let delete = sqlx::query("DELETE FROM bindings WHERE site_id = ? AND prefix = ?");
    let deleted = delete.bind(signed(site.0)).bind(prefix).execute(&mut *write).await?;
    if deleted.rows_affected() == 0 {
        return Err(missing("binding", prefix));
    }
    let forget = sqlx::query("DELETE FROM binding_history WHERE site_id = ? AND prefix = ?");
    forget.bind(signed(site.0)).bind(prefix).execute(&mut *write).await?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await
}

pub(super) async fn roll_back(
    store: &SqliteStore,
    tenant: &Name,
    site: SiteId,
    prefix: &str,
) -> Result<Binding, StoreError> {
    let mut write = store.writer.begin().await?;
    let is_bound = sqlx::query("SELECT 1 FROM bindings WHERE site_id = ? AND prefix = ?");
    let is_bound = is_bound
        .bind(signed(site.0))
        .bind(prefix)
        .fetch_optional(&mut *write)
        .await?;
    is_bound.ok_or_else(|| missing("binding", prefix))?;
    let newest = "DELETE FROM binding_history WHERE number =
        (SELECT max(number) FROM binding_history WHERE site_id = ? AND prefix = ?)
        RETURNING site_id, prefix, policy, digest, settings, on_failure, visitor_key";
    let newest = sqlx::query_as(newest).bind(signed(site.0)).bind(prefix);
    let row: Option<BindingRow> = newest.fetch_optional(&mut *write).await?;
    let Some(row) = row else {
        let reason = "has nothing before it to roll back to".to_owned();
        return Err(Conflict {
            what: "binding",
            name: prefix.to_owned(),
            reason,
        });
    };
    let binding = row.binding()?;
    put(&mut write, tenant, site, &binding).await?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await?;
    Ok(binding)
}

async fn check_version(write: &mut Write<'_>, tenant: &Name, binding: &Binding) -> Result<(), StoreError> {
    let query = sqlx::query("SELECT 1 FROM policy_versions WHERE tenant = ? AND name = ? AND digest = ?");
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
    let insert = "INSERT OR REPLACE INTO bindings (tenant, site_id, prefix, policy, digest, settings, on_failure,
        visitor_key, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let settings: BTreeMap<&str, &str> = binding
        .settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
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
