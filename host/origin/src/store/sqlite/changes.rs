//! What edges are told: the directory, and the changes in the order they were committed.

use sqlx::{Row as _, SqlitePool};
use wayside_decide::{name::Name, path::LinkPath, site::SiteId};
use wayside_upstream::protocol::{Cursor, EdgeDirectory, Epoch, Position};

use super::{Read, Write};
use crate::store::{
    FeedPage, StoreError,
    directory::Tables,
    rows::{ChangeRow, signed, unsigned},
};

/// How many changes are kept for nodes that were away. A node that missed more reads everything anew.
const CHANGES_KEPT: i64 = 1_000_000;
/// How often what is older is thrown away, in changes.
const PRUNE_EVERY: u64 = 1_000;

pub(super) async fn note_link(write: &mut Write<'_>, site: SiteId, path: &LinkPath) -> Result<Cursor, StoreError> {
    note(write, Some(site), Some(path.as_str()), None).await
}

pub(super) async fn note_asset(write: &mut Write<'_>, site: SiteId, id: &Name) -> Result<Cursor, StoreError> {
    note(write, Some(site), None, Some(id.as_str())).await
}

pub(super) async fn note_directory(write: &mut Write<'_>) -> Result<Cursor, StoreError> {
    note(write, None, None, None).await
}

async fn note(
    write: &mut Write<'_>,
    site: Option<SiteId>,
    path: Option<&str>,
    asset: Option<&str>,
) -> Result<Cursor, StoreError> {
    let insert = sqlx::query_scalar("INSERT INTO changes (site_id, path, asset) VALUES (?, ?, ?) RETURNING seq");
    let insert = insert.bind(site.map(|site| signed(site.0))).bind(path).bind(asset);
    let seq = unsigned("seq", insert.fetch_one(&mut **write).await?)?;
    if seq.is_multiple_of(PRUNE_EVERY) {
        let prune = sqlx::query("DELETE FROM changes WHERE seq <= ?");
        prune.bind(signed(seq) - CHANGES_KEPT).execute(&mut **write).await?;
    }
    Ok(seq)
}

/// The newest position; 0 before the first change.
pub(super) async fn head(readers: &SqlitePool) -> Result<Position, StoreError> {
    position(&mut readers.begin().await?).await
}

/// The position of what a transaction reads.
pub(super) async fn position(read: &mut Read<'_>) -> Result<Position, StoreError> {
    let query = "SELECT epoch, (SELECT coalesce(max(seq), 0) FROM changes) AS seq FROM record";
    let row = sqlx::query(query).fetch_one(&mut **read).await?;
    let epoch: i64 = row.try_get("epoch")?;
    Ok(Position {
        epoch: Epoch(epoch.cast_unsigned()),
        cursor: unsigned("seq", row.try_get("seq")?)?,
    })
}

pub(super) async fn after(
    readers: &SqlitePool,
    epoch: Option<Epoch>,
    cursor: Cursor,
    limit: u32,
) -> Result<FeedPage, StoreError> {
    let mut read = readers.begin().await?;
    let newest = position(&mut read).await?;
    let oldest = sqlx::query_scalar("SELECT coalesce(min(seq), 1) FROM changes");
    let oldest = unsigned("oldest", oldest.fetch_one(&mut *read).await?)?;
    // Older than what is kept, or from another database.
    let is_another = epoch.is_some_and(|epoch| epoch != newest.epoch);
    if is_another || cursor.saturating_add(1) < oldest || cursor > newest.cursor {
        return Ok(FeedPage::Resync(newest));
    }
    let query = sqlx::query_as("SELECT seq, site_id, path, asset FROM changes WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows: Vec<ChangeRow> = query.bind(signed(cursor)).bind(limit).fetch_all(&mut *read).await?;
    let events = rows.into_iter().map(ChangeRow::event).collect::<Result<_, _>>()?;
    Ok(FeedPage::Changes(newest.epoch, events))
}

pub(super) async fn directory(readers: &SqlitePool) -> Result<EdgeDirectory, StoreError> {
    // One snapshot for the position and everything in it.
    let mut read = readers.begin().await?;
    let position = position(&mut read).await?;
    let query = sqlx::query_as("SELECT site_id, pattern FROM site_hosts ORDER BY position");
    let hosts = query.fetch_all(&mut *read).await?;
    let query = "SELECT site_id, priority, pattern, target, status FROM rules ORDER BY priority, pattern";
    let rules = sqlx::query_as(query).fetch_all(&mut *read).await?;
    let query =
        "SELECT site_id, prefix, policy, digest, settings, on_failure, visitor_key FROM bindings ORDER BY prefix";
    let bindings = sqlx::query_as(query).fetch_all(&mut *read).await?;
    let query = "SELECT id, tenant, name, not_found, max_age_s, privacy, streams, bucket_key FROM sites ORDER BY id";
    let sites = sqlx::query_as(query).fetch_all(&mut *read).await?;
    let query = "SELECT tenant, body, since_ms, updated_at FROM targets ORDER BY tenant, name";
    let targets = sqlx::query_as(query).fetch_all(&mut *read).await?;
    let zones = sqlx::query_as("SELECT tenant, digest FROM zones ORDER BY tenant");
    let zones = zones.fetch_all(&mut *read).await?;
    let tables = Tables {
        hosts,
        rules,
        bindings,
        sites,
        targets,
        zones,
    };
    tables.assemble(position)
}
