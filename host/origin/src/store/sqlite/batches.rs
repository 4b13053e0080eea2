//! Many assets, one after another: no statement has a way to go.

use sqlx::AssertSqlSafe;
use wayside_decide::{name::Name, site::SiteId};

use super::{
    Noted, Write,
    assets::{self, REPLACE},
    changes,
};
use crate::store::{
    StoreError, now_s,
    rows::{signed, streams::AssetRow},
};

/// Those of the assets that there are, or were, in any order.
pub(super) async fn rows(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    ids: &[&Name],
) -> Result<Vec<AssetRow>, StoreError> {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(assets::row(write, tenant.as_str(), site, id).await?);
    }
    Ok(rows)
}

/// Writes assets, each once.
pub(super) async fn put(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    ids: &[&Name],
    bodies: &[String],
) -> Result<(), sqlx::Error> {
    let put = format!(
        "INSERT INTO assets (tenant, site_id, id, body, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) {REPLACE}"
    );
    for (id, body) in ids.iter().zip(bodies) {
        let put = sqlx::query(AssertSqlSafe(put.clone()))
            .bind(tenant.as_str())
            .bind(signed(site.0))
            .bind(id.as_str())
            .bind(body)
            .bind(now_s());
        put.execute(&mut **write).await?;
    }
    Ok(())
}

/// Notes that assets changed; gives the number of the last change.
pub(super) async fn note(write: &mut Write<'_>, _: &Name, site: SiteId, ids: &[&Name]) -> Result<Noted, StoreError> {
    let mut last = 0;
    for id in ids {
        last = changes::note_asset(write, site, id).await?;
    }
    Ok(last)
}
