//! Links.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use wayside_decide::{link::Link, name::Name, path::LinkPath, site::SiteId, target::Target};
use wayside_upstream::protocol::{Position, SnapshotPage};

use super::{Freshly, ONE_INSTANT, PostgresStore, Read, Write, changes, sites};
use crate::store::{
    BEYOND, LinkRecord, SnapshotKey, StoreError, WriteMode, missing, now_s, of_ended_site,
    rows::{LinkRow, json, signed},
    snapshot::Part,
};

const COLUMNS: &str = "tenant, site_id, path, target, status::bigint AS status, forward_query, starts_at, expires_at,
    fallback, tags::text AS tags, attributes::text AS attributes, created_at, updated_at";

pub(super) async fn list(
    pool: &PgPool,
    tenant: &str,
    site: SiteId,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<LinkRecord>, StoreError> {
    let query = format!(
        "SELECT {COLUMNS} FROM links WHERE tenant = $1 AND site_id = $2 AND path >= $3 AND path > $4 AND path < $5
        AND starts_with(path, $3) ORDER BY path LIMIT $6"
    );
    let query = sqlx::query_as(AssertSqlSafe(query))
        .bind(tenant)
        .bind(signed(site.0))
        .bind(prefix)
        .bind(after)
        .bind(format!("{prefix}{BEYOND}"))
        .bind(i64::from(limit));
    let rows: Vec<LinkRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(LinkRow::record).collect()
}

/// A link, and how far the record had come before it was read: the link is no older. The site is missing when it is not
/// this tenant's: who names it may remember a record that is no more.
pub(super) async fn one(
    pool: &PgPool,
    tenant: &str,
    site: SiteId,
    path: &LinkPath,
) -> Result<Freshly<Option<LinkRecord>>, StoreError> {
    let mut connection = pool.acquire().await?;
    let position = changes::position(&mut connection).await?;
    let query = format!("SELECT {COLUMNS} FROM links WHERE tenant = $1 AND site_id = $2 AND path = $3");
    let query = sqlx::query_as(AssertSqlSafe(query))
        .bind(tenant)
        .bind(signed(site.0))
        .bind(path.as_str());
    let row: Option<LinkRow> = query.fetch_optional(&mut *connection).await?;
    if row.is_none() {
        sites::check(&mut connection, tenant, site).await?;
    }
    Ok(Freshly {
        position,
        value: row.map(LinkRow::record).transpose()?,
    })
}

/// A part of all links, with the position it was read at.
pub(super) async fn part(
    pool: &PgPool,
    after: Option<&SnapshotKey>,
    limit: u32,
) -> Result<Freshly<SnapshotPage>, StoreError> {
    let mut read: Read<'_> = pool.begin_with(ONE_INSTANT).await?;
    let position: Position = changes::position(&mut read).await?;
    let query = format!(
        "SELECT {COLUMNS} FROM links WHERE (tenant, site_id, path) > ($1, $2, $3) ORDER BY tenant, site_id, path LIMIT $4"
    );
    let mut part = Part::of_at_most(limit);
    let mut rows = sqlx::query_as::<_, LinkRow>(AssertSqlSafe(query))
        .bind(after.map_or("", |key| key.tenant.as_str()))
        .bind(after.map_or(-1, |key| signed(key.site.0)))
        .bind(after.map_or("", |key| key.path.as_str()))
        .bind(i64::from(limit))
        .fetch(&mut *read);
    while let Some(row) = rows.try_next().await? {
        let (tenant, site, record) = row.read()?;
        if !part.add(tenant, site, &record) {
            break;
        }
    }
    Ok(Freshly {
        position,
        value: part.finish(position),
    })
}

const INSERT: &str = "INSERT INTO links (tenant, site_id, path, target, status, forward_query, starts_at, expires_at,
    fallback, tags, attributes, created_at, updated_at)
    SELECT $1, $2, path, target, status, forward_query, starts_at, expires_at, fallback, tags::jsonb, attributes::jsonb,
        $12, $12
    FROM unnest($3::text[], $4::text[], $5::smallint[], $6::boolean[], $7::bigint[], $8::bigint[], $9::text[],
        $10::text[], $11::text[])
        AS new (path, target, status, forward_query, starts_at, expires_at, fallback, tags, attributes)
    ON CONFLICT (tenant, site_id, path)";
const REPLACE: &str = "DO UPDATE SET target = excluded.target, status = excluded.status,
    forward_query = excluded.forward_query, starts_at = excluded.starts_at, expires_at = excluded.expires_at,
    fallback = excluded.fallback, tags = excluded.tags, attributes = excluded.attributes,
    updated_at = excluded.updated_at
    WHERE (links.target, links.status, links.forward_query, links.starts_at, links.expires_at, links.fallback,
        links.tags, links.attributes) IS DISTINCT FROM (excluded.target, excluded.status, excluded.forward_query,
        excluded.starts_at, excluded.expires_at, excluded.fallback, excluded.tags, excluded.attributes)";

/// The columns of links, each a list.
#[derive(Default)]
struct Columns {
    paths: Vec<String>,
    targets: Vec<String>,
    statuses: Vec<i16>,
    forward_queries: Vec<bool>,
    starts: Vec<Option<i64>>,
    expiries: Vec<Option<i64>>,
    fallbacks: Vec<Option<String>>,
    tags: Vec<String>,
    attributes: Vec<String>,
}

impl Columns {
    /// Of a path that comes twice, the last says what holds. In the order of paths, so that two that write the same links
    /// never wait for each other.
    fn of(links: &[(LinkPath, Link)]) -> Result<Self, StoreError> {
        let last: BTreeMap<&str, &Link> = links.iter().map(|(path, link)| (path.as_str(), link)).collect();
        let mut columns = Self::default();
        for (path, link) in last {
            let tags: Vec<&str> = link.tags.iter().map(|tag| &**tag).collect();
            let attributes = link.attributes.iter();
            let attributes: BTreeMap<&str, &str> = attributes.map(|(name, value)| (&**name, &**value)).collect();
            columns.paths.push(path.to_owned());
            columns.targets.push(link.target.as_str().to_owned());
            columns
                .statuses
                .push(i16::try_from(link.status.code()).unwrap_or(i16::MAX));
            columns.forward_queries.push(link.forward_query);
            columns.starts.push(link.starts_at.map(signed));
            columns.expiries.push(link.expires_at.map(signed));
            let fallback = link.fallback.as_ref().map(Target::as_str);
            columns.fallbacks.push(fallback.map(str::to_owned));
            columns.tags.push(json(&tags)?);
            columns.attributes.push(json(&attributes)?);
        }
        Ok(columns)
    }
}

pub(super) async fn write(
    store: &PostgresStore,
    tenant: &Name,
    site: SiteId,
    links: &[(LinkPath, Link)],
    mode: WriteMode,
) -> Result<(), StoreError> {
    let columns = Columns::of(links)?;
    let on_conflict = match mode {
        WriteMode::Create => "DO NOTHING",
        WriteMode::Replace => REPLACE,
    };
    let mut write = store.begin().await?;
    let changed = sqlx::query_scalar(AssertSqlSafe(format!("{INSERT} {on_conflict} RETURNING path")))
        .bind(tenant.as_str())
        .bind(signed(site.0))
        .bind(&columns.paths)
        .bind(&columns.targets)
        .bind(&columns.statuses)
        .bind(&columns.forward_queries)
        .bind(&columns.starts)
        .bind(&columns.expiries)
        .bind(&columns.fallbacks)
        .bind(&columns.tags)
        .bind(&columns.attributes)
        .bind(now_s())
        .fetch_all(&mut *write)
        .await;
    let changed: Vec<String> = changed.map_err(|error| of_ended_site(error, site))?;
    if changed.is_empty() {
        return match (mode, links.first()) {
            // Links are created one at a time.
            (WriteMode::Create, Some((path, _))) => Err(StoreError::Conflict {
                what: "link",
                name: path.to_string(),
                reason: "exists already".to_owned(),
            }),
            // All were as they should be: there is nothing to tell.
            _ => Ok(()),
        };
    }
    note(&mut write, tenant.as_str(), site, &changed).await?;
    store.commit(write).await
}

pub(super) async fn delete(
    store: &PostgresStore,
    tenant: &str,
    site: SiteId,
    path: &LinkPath,
) -> Result<(), StoreError> {
    let mut write: Write<'_> = store.begin().await?;
    let delete = sqlx::query("DELETE FROM links WHERE tenant = $1 AND site_id = $2 AND path = $3");
    let delete = delete.bind(tenant).bind(signed(site.0)).bind(path.as_str());
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(missing("link", path));
    }
    note(&mut write, tenant, site, &[path.to_string()]).await?;
    store.commit(write).await
}

/// Notes that links changed, to be told when the transaction has committed.
async fn note(write: &mut PgConnection, tenant: &str, site: SiteId, paths: &[String]) -> Result<(), StoreError> {
    let insert = "INSERT INTO outbox (tenant, site_id, path) SELECT $1, $2, unnest($3::text[])";
    let insert = sqlx::query(insert).bind(tenant).bind(signed(site.0)).bind(paths);
    insert.execute(write).await?;
    Ok(())
}
