//! Sites and the hosts they answer for.

use sqlx::{Executor, Sqlite, SqlitePool};
use wayside_decide::{binding::Prefix, host::HostPattern, name::Name, site::SiteId, target::Target};

use super::{SqliteStore, Write, changes};
use crate::{
    secret::random,
    store::{
        SiteContent, SiteRecord, StoreError, backwards, missing, now_s,
        rows::{SiteRow, json, signed, unsigned},
    },
};

const COLUMNS: &str =
    "SELECT id, name, not_found, max_age_s, privacy, streams, created_at, updated_at FROM sites WHERE tenant = ?";

/// A few exact look-ups for what is above a host, one range for what is below.
const OVERLAPPING: &str = "SELECT pattern FROM site_hosts WHERE tenant <> ?1
    AND (pattern IN (SELECT value FROM json_each(?2)) OR (backwards >= ?3 || '.' AND backwards < ?3 || '/')) LIMIT 1";

pub(super) async fn create(
    store: &SqliteStore,
    tenant: &Name,
    name: &Name,
    content: SiteContent,
) -> Result<SiteRecord, StoreError> {
    let key = random::<32>()?;
    let mut write = store.writer.begin().await?;
    let insert = "INSERT INTO sites (tenant, name, not_found, max_age_s, privacy, streams, bucket_key, created_at,
        updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?8, ?8) ON CONFLICT DO NOTHING RETURNING id";
    let inserted: Option<i64> = sqlx::query_scalar(insert)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(content.not_found.as_ref().map(Target::as_str))
        .bind(content.max_age_s)
        .bind(content.privacy.as_str())
        .bind(content.streams.as_ref().map(Prefix::as_str))
        .bind(&key[..])
        .bind(now_s())
        .fetch_optional(&mut *write)
        .await?;
    let Some(id) = inserted else {
        let reason = "exists already".to_owned();
        return Err(StoreError::Conflict {
            what: "site",
            name: name.to_string(),
            reason,
        });
    };
    let id = SiteId(unsigned("id", id)?);
    insert_hosts(&mut write, tenant, id, &content.hosts).await?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await?;
    one(&store.readers, tenant, name).await
}

pub(super) async fn replace(
    store: &SqliteStore,
    tenant: &Name,
    name: &Name,
    content: SiteContent,
) -> Result<SiteRecord, StoreError> {
    let mut write = store.writer.begin().await?;
    let update = "UPDATE sites SET not_found = ?, max_age_s = ?, privacy = ?, streams = ?, updated_at = ?
        WHERE tenant = ? AND name = ? RETURNING id";
    let updated: Option<i64> = sqlx::query_scalar(update)
        .bind(content.not_found.as_ref().map(Target::as_str))
        .bind(content.max_age_s)
        .bind(content.privacy.as_str())
        .bind(content.streams.as_ref().map(Prefix::as_str))
        .bind(now_s())
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut *write)
        .await?;
    let id = SiteId(unsigned("id", updated.ok_or_else(|| missing("site", name))?)?);
    sqlx::query("DELETE FROM site_hosts WHERE site_id = ?")
        .bind(signed(id.0))
        .execute(&mut *write)
        .await?;
    insert_hosts(&mut write, tenant, id, &content.hosts).await?;
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await?;
    one(&store.readers, tenant, name).await
}

pub(super) async fn delete(store: &SqliteStore, tenant: &Name, name: &Name) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    let delete = sqlx::query("DELETE FROM sites WHERE tenant = ? AND name = ?");
    let deleted = delete
        .bind(tenant.as_str())
        .bind(name.as_str())
        .execute(&mut *write)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(missing("site", name));
    }
    let seq = changes::note_directory(&mut write).await?;
    store.commit(write, seq).await
}

pub(super) async fn list(readers: &SqlitePool, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError> {
    // One snapshot for the sites and their hosts.
    let mut read = readers.begin().await?;
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY name"));
    let query = sqlx::query_as(query).bind(tenant.as_str());
    let rows: Vec<SiteRow> = query.fetch_all(&mut *read).await?;
    let mut sites = Vec::with_capacity(rows.len());
    for row in rows {
        let hosts = hosts(&mut *read, row.id()?).await?;
        sites.push(row.with_hosts(&hosts)?);
    }
    Ok(sites)
}

pub(super) async fn one(readers: &SqlitePool, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError> {
    let mut read = readers.begin().await?;
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} AND name = ?"));
    let query = sqlx::query_as(query).bind(tenant.as_str()).bind(name.as_str());
    let row: Option<SiteRow> = query.fetch_optional(&mut *read).await?;
    let row = row.ok_or_else(|| missing("site", name))?;
    let hosts = hosts(&mut *read, row.id()?).await?;
    row.with_hosts(&hosts)
}

/// The host patterns of a site, in the order its owner gave them.
async fn hosts(read: impl Executor<'_, Database = Sqlite>, site: SiteId) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT pattern FROM site_hosts WHERE site_id = ? ORDER BY position");
    Ok(query.bind(signed(site.0)).fetch_all(read).await?)
}

async fn insert_hosts(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    hosts: &[HostPattern],
) -> Result<(), StoreError> {
    for (position, host) in hosts.iter().enumerate() {
        if let Some(taken) = overlapping(write, tenant, host).await? {
            return Err(StoreError::Conflict {
                what: "host",
                name: host.to_string(),
                reason: format!("overlaps with {taken}, which belongs to somebody else"),
            });
        }
        let insert = "INSERT INTO site_hosts (pattern, tenant, site_id, position, backwards) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(host.to_string())
            .bind(tenant.as_str())
            .bind(signed(site.0))
            .bind(signed(position as u64))
            .bind(backwards(host.name()))
            .execute(&mut **write)
            .await?;
        if inserted.rows_affected() == 0 {
            let reason = "belongs to a site already".to_owned();
            return Err(StoreError::Conflict {
                what: "host",
                name: host.to_string(),
                reason,
            });
        }
    }
    Ok(())
}

/// Another tenant's pattern that covers hosts of `host`, or is covered by it: with either, one tenant would take
/// visitors from the other. Within a tenant patterns may overlap, and the most specific answers.
async fn overlapping(write: &mut Write<'_>, tenant: &Name, host: &HostPattern) -> Result<Option<String>, StoreError> {
    let wider: Vec<String> = host.wider().collect();
    // What is below a domain begins, backwards, with the domain and a dot; `/` follows the dot in ASCII.
    let below = match host {
        HostPattern::Below(parent) => Some(backwards(parent)),
        HostPattern::Exact(_) => None,
    };
    let query = sqlx::query_scalar(OVERLAPPING);
    let query = query.bind(tenant.as_str()).bind(json(&wider)?).bind(below);
    Ok(query.fetch_optional(&mut **write).await?)
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::{OVERLAPPING, SqliteStore};

    #[tokio::test]
    async fn no_other_host_is_looked_at_than_could_overlap() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("wayside.db"))
            .await
            .expect("open");
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {OVERLAPPING}")));
        let rows = plan.fetch_all(&store.readers).await.expect("a plan");
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let searches = steps.iter().filter(|step| step.starts_with("SEARCH site_hosts USING"));
        assert_eq!(searches.count(), 2, "{steps:#?}");
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN site_hosts")),
            "{steps:#?}"
        );
    }
}
