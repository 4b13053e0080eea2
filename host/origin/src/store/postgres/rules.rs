//! Rules.

use sqlx::PgPool;
use wayside_decide::{name::Name, rule::Rule, site::SiteId};

use super::{PostgresStore, changes};
use crate::store::{
    RuleRecord, StoreError, missing,
    rows::{RuleRow, signed, unsigned},
};

pub(super) async fn list(pool: &PgPool, tenant: &str, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
    let query = "SELECT id, priority, pattern, target, status::bigint AS status FROM rules
        WHERE tenant = $1 AND site_id = $2 ORDER BY priority, pattern";
    let query = sqlx::query_as(query).bind(tenant).bind(signed(site.0));
    let rows: Vec<RuleRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(RuleRow::record).collect()
}

pub(super) async fn create(
    store: &PostgresStore,
    tenant: &Name,
    site: SiteId,
    rule: Rule,
) -> Result<RuleRecord, StoreError> {
    let mut write = store.begin().await?;
    let insert =
        "INSERT INTO rules (tenant, site_id, priority, pattern, target, status) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING RETURNING id";
    let inserted: Option<i64> = sqlx::query_scalar(insert)
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(i64::from(rule.priority))
        .bind(rule.pattern.to_string())
        .bind(rule.location.as_str())
        .bind(i16::try_from(rule.status.code()).unwrap_or(i16::MAX))
        .fetch_optional(&mut *write)
        .await?;
    let Some(id) = inserted else {
        return Err(StoreError::Conflict {
            what: "pattern",
            name: rule.pattern.to_string(),
            reason: "has a rule already".to_owned(),
        });
    };
    let id = unsigned("id", id)?;
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await?;
    Ok(RuleRecord { id, rule })
}

pub(super) async fn delete(store: &PostgresStore, tenant: &str, site: SiteId, id: u64) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    let delete = sqlx::query("DELETE FROM rules WHERE tenant = $1 AND site_id = $2 AND id = $3");
    let delete = delete.bind(tenant).bind(signed(site.0)).bind(signed(id));
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(missing("rule", id));
    }
    changes::note_directory(&mut write, tenant).await?;
    store.commit(write).await
}
