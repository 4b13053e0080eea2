//! Rules.

use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};
use wayside_decide::{
    name::Name,
    rule::{Pattern, Rule},
    site::SiteId,
    status::RedirectStatus,
    template::Template,
};

use super::{SqliteStore, changes, damaged, missing, signed, unsigned};
use crate::store::{RuleRecord, StoreError};

pub(super) async fn list(readers: &SqlitePool, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
    let query = "SELECT id, priority, pattern, target, status FROM rules WHERE site_id = ? ORDER BY priority, pattern";
    let rows = sqlx::query(query).bind(signed(site.0)).fetch_all(readers).await?;
    rows.iter().map(record).collect()
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
    let inserted = sqlx::query(insert)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(rule.priority)
        .bind(rule.pattern.to_string())
        .bind(rule.location.as_str())
        .bind(rule.status.code())
        .fetch_optional(&mut *write)
        .await?;
    let Some(row) = inserted else {
        let reason = "has a rule already".to_owned();
        return Err(StoreError::Conflict {
            what: "pattern",
            name: rule.pattern.to_string(),
            reason,
        });
    };
    let id = unsigned(&row, "id")?;
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

fn record(row: &SqliteRow) -> Result<RuleRecord, StoreError> {
    let (pattern, target): (String, String) = (row.try_get("pattern")?, row.try_get("target")?);
    let pattern = Pattern::parse(&pattern).map_err(damaged)?;
    let location = Template::parse(&target).map_err(damaged)?;
    let status = RedirectStatus::from_code(row.try_get("status")?).map_err(damaged)?;
    let rule = Rule::new(row.try_get("priority")?, pattern, location, status).map_err(damaged)?;
    Ok(RuleRecord {
        id: unsigned(row, "id")?,
        rule,
    })
}
