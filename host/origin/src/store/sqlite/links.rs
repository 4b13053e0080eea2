//! Links.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::SqlitePool;
use wayside_decide::{link::Link, name::Name, path::LinkPath, site::SiteId, target::Target};
use wayside_upstream::protocol::SnapshotPage;

use super::{SqliteStore, changes};
use crate::store::{
    LinkRecord, SnapshotKey, StoreError, WriteMode, missing, now_s,
    rows::{LinkRow, json, signed},
    snapshot::Part,
};

const COLUMNS: &str =
    "SELECT tenant, site_id, path, target, status, forward_query, starts_at, expires_at, fallback, tags,
    attributes, created_at, updated_at FROM links WHERE";

pub(super) async fn list(
    readers: &SqlitePool,
    site: SiteId,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<LinkRecord>, StoreError> {
    // A range on the primary key: the first path that no longer starts with the prefix ends it.
    let query = sqlx::AssertSqlSafe(format!(
        "{COLUMNS} site_id = ?1 AND path >= ?2 AND path > ?3 AND substr(path, 1, length(?2)) = ?2 ORDER BY path LIMIT ?4"
    ));
    let query = sqlx::query_as(query)
        .bind(signed(site.0))
        .bind(prefix)
        .bind(after)
        .bind(limit);
    let rows: Vec<LinkRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(LinkRow::record).collect()
}

pub(super) async fn one(readers: &SqlitePool, site: SiteId, path: &LinkPath) -> Result<LinkRecord, StoreError> {
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} site_id = ? AND path = ?"));
    let query = sqlx::query_as(query).bind(signed(site.0)).bind(path.as_str());
    let row: Option<LinkRow> = query.fetch_optional(readers).await?;
    row.ok_or_else(|| missing("link", path))?.record()
}

pub(super) async fn part(
    readers: &SqlitePool,
    after: Option<&SnapshotKey>,
    limit: u32,
) -> Result<SnapshotPage, StoreError> {
    // One snapshot for the position and the links.
    let mut read = readers.begin().await?;
    let position = changes::position(&mut read).await?;
    let query = format!("{COLUMNS} (site_id, path) > (?, ?) ORDER BY site_id, path LIMIT ?");
    let mut part = Part::of_at_most(limit);
    let mut rows = sqlx::query_as::<_, LinkRow>(sqlx::AssertSqlSafe(query))
        .bind(after.map_or(-1, |key| signed(key.site.0)))
        .bind(after.map_or("", |key| key.path.as_str()))
        .bind(limit)
        .fetch(&mut *read);
    while let Some(row) = rows.try_next().await? {
        let (tenant, site, record) = row.read()?;
        if !part.add(tenant, site, &record) {
            break;
        }
    }
    Ok(part.finish(position))
}

pub(super) async fn write(
    store: &SqliteStore,
    tenant: &Name,
    site: SiteId,
    links: &[(LinkPath, Link)],
    mode: WriteMode,
) -> Result<(), StoreError> {
    let on_conflict = match mode {
        WriteMode::Create => "DO NOTHING",
        WriteMode::Replace => {
            "DO UPDATE SET target = excluded.target, status = excluded.status,
            forward_query = excluded.forward_query, starts_at = excluded.starts_at, expires_at = excluded.expires_at,
            fallback = excluded.fallback, tags = excluded.tags, attributes = excluded.attributes, updated_at = excluded.updated_at
            WHERE (links.target, links.status, links.forward_query, links.starts_at, links.expires_at, links.fallback,
                links.tags, links.attributes) IS NOT (excluded.target, excluded.status, excluded.forward_query,
                excluded.starts_at, excluded.expires_at, excluded.fallback, excluded.tags, excluded.attributes)"
        }
    };
    let insert = format!(
        "INSERT INTO links (tenant, site_id, path, target, status, forward_query, starts_at, expires_at, fallback, tags,
        attributes, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?12, ?12) ON CONFLICT {on_conflict}"
    );
    let (mut write, now, mut seq) = (store.writer.begin().await?, now_s(), 0);
    for (path, link) in links {
        let tags: Vec<&str> = link.tags.iter().map(|tag| &**tag).collect();
        let attributes = link.attributes.iter();
        let attributes: BTreeMap<&str, &str> = attributes.map(|(name, value)| (&**name, &**value)).collect();
        let written = sqlx::query(sqlx::AssertSqlSafe(insert.clone()))
            .bind(tenant.as_str())
            .bind(signed(site.0))
            .bind(path.as_str())
            .bind(link.target.as_str())
            .bind(link.status.code())
            .bind(link.forward_query)
            .bind(link.starts_at.map(signed))
            .bind(link.expires_at.map(signed))
            .bind(link.fallback.as_ref().map(Target::as_str))
            .bind(json(&tags)?)
            .bind(json(&attributes)?)
            .bind(now)
            .execute(&mut *write)
            .await?;
        match (written.rows_affected(), mode) {
            (0, WriteMode::Create) => {
                return Err(StoreError::Conflict {
                    what: "link",
                    name: path.to_string(),
                    reason: "exists already".to_owned(),
                });
            }
            // It was as it should be: there is nothing to tell.
            (0, WriteMode::Replace) => {}
            _ => seq = changes::note_link(&mut write, site, path).await?,
        }
    }
    store.commit(write, seq).await
}

pub(super) async fn delete(store: &SqliteStore, site: SiteId, path: &LinkPath) -> Result<(), StoreError> {
    let mut write = store.writer.begin().await?;
    let delete = sqlx::query("DELETE FROM links WHERE site_id = ? AND path = ?");
    let deleted = delete
        .bind(signed(site.0))
        .bind(path.as_str())
        .execute(&mut *write)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(missing("link", path));
    }
    let seq = changes::note_link(&mut write, site, path).await?;
    store.commit(write, seq).await
}
