//! Many assets in one statement: who else writes the tenant's waits meanwhile.

use sqlx::AssertSqlSafe;
use wayside_decide::{name::Name, site::SiteId};

use super::{
    Noted, Write,
    assets::{COLUMNS, REPLACE},
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
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} AND id = ANY($3)")));
    let query = query.bind(tenant.as_str()).bind(signed(site.0)).bind(texts(ids));
    Ok(query.fetch_all(&mut **write).await?)
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
        "INSERT INTO assets (tenant, site_id, id, body, created_at, updated_at)
        SELECT $1, $2, id, body, $5, $5 FROM unnest($3::text[], $4::text[]) AS new (id, body) {REPLACE}"
    );
    let put = sqlx::query(AssertSqlSafe(put))
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(texts(ids))
        .bind(bodies)
        .bind(now_s());
    put.execute(&mut **write).await?;
    Ok(())
}

/// Notes that assets changed, to be told when the transaction has committed.
pub(super) async fn note(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    ids: &[&Name],
) -> Result<Noted, StoreError> {
    let insert = sqlx::query("INSERT INTO outbox (tenant, site_id, asset) SELECT $1, $2, unnest($3::text[])");
    let insert = insert.bind(tenant.as_str()).bind(signed(site.0)).bind(texts(ids));
    insert.execute(&mut **write).await?;
    Ok(Noted)
}

fn texts<'n>(ids: &[&'n Name]) -> Vec<&'n str> {
    ids.iter().map(|id| id.as_str()).collect()
}
