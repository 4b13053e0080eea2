//! Rules.

use sqlx::SqlitePool;
use wayside_decide::{name::Name, rule::Rule, site::SiteId};

use super::{SqliteStore, changes};
use crate::store::{
    RuleRecord, StoreError, missing,
    rows::{RuleRow, signed, unsigned},
};

pub(super) async fn list(readers: &SqlitePool, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
    let query = "SELECT id, priority, pattern, target, status FROM rules WHERE site_id = ? ORDER BY priority, pattern";
    let query = sqlx::query_as(query).bind(signed(site.0));
    let rows: Vec<RuleRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(RuleRow::record).collect()
}

pub(super) async fn create(
    store: &SqliteStore,
    tenant: &Name,
    site: SiteId,
    rule: Rule,
) -> Result<RuleRecord, StoreError> {
    let mut write = store.writer.begin().await?;
    let insert = "INSERT INTO rules (tenant, site_id, priority, pattern, target, status) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING RETURNING id";
    let inserted: Option<i64> = sqlx::query_scalar(insert)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(rule.priority)
        .bind(rule.pattern.to_string())
        .bind(rule.location.as_str())
        .bind(rule.status.code())
        .fetch_optional(&mut *write)
        .await?;
    let Some(id) = inserted else {
        let reason = "has a rule already".to_owned();
        return Err(StoreError::Conflict {
            what: "pattern",
            name: rule.pattern.to_string(),
            reason,
        });
    };
    let id = unsigned("id", id)?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await?;
    Ok(RuleRecord { id, rule })
}

pub(super) async fn delete(store: &SqliteStore, site: SiteId, id: u64) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    let delete = sqlx::query("DELETE FROM rules WHERE site_id = ? AND id = ?");
    let deleted = delete
        .bind(signed(site.0))
        .bind(signed(id))
        .execute(&mut *write)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(missing("rule", id));
    }
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await
}
