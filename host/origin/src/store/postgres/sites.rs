//! Sites and the hosts they answer for.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use wayside_decide::{binding::Prefix, host::HostPattern, name::Name, site::SiteId, target::Target};

use super::{ONE_INSTANT, PostgresStore, Read, Write, changes};
use crate::{
    secret::random,
    store::{
        SiteContent, SiteRecord, StoreError, backwards, missing, now_s,
        rows::{SiteRow, signed, unsigned},
    },
};

const COLUMNS: &str =
    "SELECT id, name, not_found, max_age_s, privacy, streams, created_at, updated_at FROM sites WHERE tenant = $1";

/// Held by whoever gives hosts to a site, to the end of the transaction: two that overlap and do not see each other would
/// both be taken.
const LOCK_HOSTS: &str = "SELECT pg_advisory_xact_lock(7710533084686635)";

/// A few exact look-ups for what is above a host, one range for what is below.
const OVERLAPPING: &str = "SELECT pattern FROM site_hosts WHERE tenant <> $1
    AND (pattern = ANY($2) OR (backwards >= $3 || '.' AND backwards < $3 || '/')) LIMIT 1";

pub(super) async fn create(
    store: &PostgresStore,
    tenant: &Name,
    name: &Name,
    content: SiteContent,
) -> Result<SiteRecord, StoreError> {
    let key = random::<32>()?;
    let mut write = store.begin().await?;
    sqlx::query(LOCK_HOSTS).execute(&mut *write).await?;
    let insert = "INSERT INTO sites (tenant, name, not_found, max_age_s, privacy, streams, bucket_key, created_at,
        updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING RETURNING id";
    let inserted: Option<i64> = sqlx::query_scalar(insert)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(content.not_found.as_ref().map(Target::as_str))
        .bind(content.max_age_s.map(i64::from))
        .bind(content.privacy.as_str())
        .bind(content.streams.as_ref().map(Prefix::as_str))
        .bind(&key[..])
        .bind(now_s())
        .fetch_optional(&mut *write)
        .await?;
    let Some(id) = inserted else {
        return Err(StoreError::Conflict {
            what: "site",
            name: name.to_string(),
            reason: "exists already".to_owned(),
        });
    };
    let id = SiteId(unsigned("id", id)?);
    insert_hosts(&mut write, tenant, id, &content.hosts).await?;
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await?;
    one(store.primary()?, tenant, name).await
}

/// Whose site it is, as far as this server knows.
pub(super) async fn tenant(pool: &PgPool, site: SiteId) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT tenant FROM sites WHERE id = $1");
    Ok(query.bind(signed(site.0)).fetch_optional(pool).await?)
}

/// Whether the site is this tenant's. Who names it may remember a record that is no more.
pub(super) async fn check(read: &mut PgConnection, tenant: &str, site: SiteId) -> Result<(), StoreError> {
    let query = sqlx::query("SELECT 1 FROM sites WHERE tenant = $1 AND id = $2");
    let row = query.bind(tenant).bind(signed(site.0)).fetch_optional(read).await?;
    row.map(|_| ()).ok_or_else(|| missing("site", site))
}

pub(super) async fn replace(
    store: &PostgresStore,
    tenant: &Name,
    name: &Name,
    content: SiteContent,
) -> Result<SiteRecord, StoreError> {
    let mut write = store.begin().await?;
    sqlx::query(LOCK_HOSTS).execute(&mut *write).await?;
    let update = "UPDATE sites SET not_found = $1, max_age_s = $2, privacy = $3, streams = $4, updated_at = $5
        WHERE tenant = $6 AND name = $7 RETURNING id";
    let updated: Option<i64> = sqlx::query_scalar(update)
        .bind(content.not_found.as_ref().map(Target::as_str))
        .bind(content.max_age_s.map(i64::from))
        .bind(content.privacy.as_str())
        .bind(content.streams.as_ref().map(Prefix::as_str))
        .bind(now_s())
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut *write)
        .await?;
    let id = SiteId(unsigned("id", updated.ok_or_else(|| missing("site", name))?)?);
    let forget = sqlx::query("DELETE FROM site_hosts WHERE tenant = $1 AND site_id = $2");
    let forget = forget.bind(tenant.as_str()).bind(signed(id.0));
    forget.execute(&mut *write).await?;
    insert_hosts(&mut write, tenant, id, &content.hosts).await?;
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await?;
    one(store.primary()?, tenant, name).await
}

pub(super) async fn delete(store: &PostgresStore, tenant: &Name, name: &Name) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    let delete = sqlx::query("DELETE FROM sites WHERE tenant = $1 AND name = $2");
    let delete = delete.bind(tenant.as_str()).bind(name.as_str());
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(missing("site", name));
    }
    changes::note_directory(&mut write, tenant.as_str()).await?;
    store.commit(write).await
}

pub(super) async fn list(pool: &PgPool, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError> {
    let mut read = pool.begin_with(ONE_INSTANT).await?;
    let query = AssertSqlSafe(format!("{COLUMNS} ORDER BY name"));
    let rows: Vec<SiteRow> = sqlx::query_as(query)
        .bind(tenant.as_str())
        .fetch_all(&mut *read)
        .await?;
    let mut sites = Vec::with_capacity(rows.len());
    for row in rows {
        let hosts = hosts(&mut read, tenant, row.id()?).await?;
        sites.push(row.with_hosts(&hosts)?);
    }
    Ok(sites)
}

pub(super) async fn one(pool: &PgPool, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError> {
    let mut read = pool.begin_with(ONE_INSTANT).await?;
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} AND name = $2")));
    let query = query.bind(tenant.as_str()).bind(name.as_str());
    let row: Option<SiteRow> = query.fetch_optional(&mut *read).await?;
    let row = row.ok_or_else(|| missing("site", name))?;
    let hosts = hosts(&mut read, tenant, row.id()?).await?;
    row.with_hosts(&hosts)
}

/// The host patterns of a site, in the order its owner gave them.
async fn hosts(read: &mut Read<'_>, tenant: &Name, site: SiteId) -> Result<Vec<String>, StoreError> {
    let query = "SELECT pattern FROM site_hosts WHERE tenant = $1 AND site_id = $2 ORDER BY position";
    let query = sqlx::query_scalar(query).bind(tenant.as_str()).bind(signed(site.0));
    Ok(query.fetch_all(&mut **read).await?)
}

async fn insert_hosts(
    write: &mut Write<'_>,
    tenant: &Name,
    site: SiteId,
    hosts: &[HostPattern],
) -> Result<(), StoreError> {
    for (position, host) in hosts.iter().enumerate() {
        let conflict = |reason: String| StoreError::Conflict {
            what: "host",
            name: host.to_string(),
            reason,
        };
        if let Some(taken) = overlapping(write, tenant, host).await? {
            let reason = format!("overlaps with {taken}, which belongs to somebody else");
            return Err(conflict(reason));
        }
        let insert =
            "INSERT INTO site_hosts (tenant, pattern, site_id, position, backwards) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(tenant.as_str())
            .bind(host.to_string())
            .bind(signed(site.0))
            .bind(signed(position as u64))
            .bind(backwards(host.name()))
            .execute(&mut **write)
            .await?;
        if inserted.rows_affected() == 0 {
            return Err(conflict("belongs to a site already".to_owned()));
        }
    }
    Ok(())
}

/// Another tenant's pattern that covers hosts of `host`, or is covered by it: with either, one tenant would take
/// visitors from the other. Within a tenant patterns may overlap, and the most specific answers.
async fn overlapping(write: &mut Write<'_>, tenant: &Name, host: &HostPattern) -> Result<Option<String>, StoreError> {
    // The host itself too: no key says that a pattern is one tenant's only.
    let wider: Vec<String> = host.wider().chain([host.to_string()]).collect();
    // What is below a domain begins, backwards, with the domain and a dot; `/` follows the dot in ASCII.
    let below = match host {
        HostPattern::Below(parent) => Some(backwards(parent)),
        HostPattern::Exact(_) => None,
    };
    let query = sqlx::query_scalar(OVERLAPPING);
    let query = query.bind(tenant.as_str()).bind(wider).bind(below);
    Ok(query.fetch_optional(&mut **write).await?)
}
