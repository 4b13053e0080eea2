//! What edges are told: the directory, and the changes in the order they were committed.

use std::collections::{BTreeMap, HashMap};

use sqlx::{Row as _, SqlitePool};
use wayside_decide::{path::LinkPath, site::SiteId};
use wayside_upstream::protocol::{
    Change, Cursor, EdgeBinding, EdgeDirectory, EdgeRule, EdgeSite, Epoch, FeedEvent, Position,
};

use super::{Read, Write, json_damaged, signed, unsigned, unsigned_or_none};
use crate::store::{FeedPage, StoreError};

/// How many changes are kept for nodes that were away. A node that missed more reads everything anew.
const CHANGES_KEPT: i64 = 1_000_000;
/// How often what is older is thrown away, in changes.
const PRUNE_EVERY: u64 = 1_000;

pub(super) async fn note_link(write: &mut Write<'_>, site: SiteId, path: &LinkPath) -> Result<Cursor, StoreError> {
    note(write, Some(signed(site.0)), Some(path.as_str())).await
}

pub(super) async fn note_directory(write: &mut Write<'_>) -> Result<Cursor, StoreError> {
    note(write, None, None).await
}

async fn note(write: &mut Write<'_>, site: Option<i64>, path: Option<&str>) -> Result<Cursor, StoreError> {
    let insert = sqlx::query("INSERT INTO changes (site_id, path) VALUES (?, ?) RETURNING seq");
    let seq = unsigned(&insert.bind(site).bind(path).fetch_one(&mut **write).await?, "seq")?;
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
        cursor: unsigned(&row, "seq")?,
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
    let oldest = sqlx::query("SELECT coalesce(min(seq), 1) AS oldest FROM changes");
    let oldest = unsigned(&oldest.fetch_one(&mut *read).await?, "oldest")?;
    // Older than what is kept, or from another database.
    let is_another = epoch.is_some_and(|epoch| epoch != newest.epoch);
    if is_another || cursor.saturating_add(1) < oldest || cursor > newest.cursor {
        return Ok(FeedPage::Resync(newest));
    }
    let query = sqlx::query("SELECT seq, site_id, path FROM changes WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows = query.bind(signed(cursor)).bind(limit).fetch_all(&mut *read).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let change = match (unsigned_or_none(row, "site_id")?, row.try_get("path")?) {
            (Some(site_id), Some(path)) => Change::Link { site_id, path },
            _ => Change::Directory,
        };
        events.push(FeedEvent {
            seq: unsigned(row, "seq")?,
            change,
        });
    }
    Ok(FeedPage::Changes(newest.epoch, events))
}

pub(super) async fn directory(readers: &SqlitePool) -> Result<EdgeDirectory, StoreError> {
    // One snapshot for the position and everything in it.
    let mut read = readers.begin().await?;
    let Position { epoch, cursor } = position(&mut read).await?;
    let mut hosts: HashMap<u64, Vec<String>> = HashMap::new();
    for row in sqlx::query("SELECT site_id, pattern FROM site_hosts ORDER BY position")
        .fetch_all(&mut *read)
        .await?
    {
        hosts
            .entry(unsigned(&row, "site_id")?)
            .or_default()
            .push(row.try_get("pattern")?);
    }
    let mut rules: HashMap<u64, Vec<EdgeRule>> = HashMap::new();
    let query = "SELECT site_id, priority, pattern, target, status FROM rules ORDER BY priority, pattern";
    for row in sqlx::query(query).fetch_all(&mut *read).await? {
        let rule = EdgeRule {
            priority: row.try_get("priority")?,
            pattern: row.try_get("pattern")?,
            target: row.try_get("target")?,
            status: row.try_get("status")?,
        };
        rules.entry(unsigned(&row, "site_id")?).or_default().push(rule);
    }
    let mut bindings = read_bindings(&mut read).await?;
    let mut sites = Vec::new();
    let query = "SELECT id, tenant, name, not_found, max_age_s, privacy, bucket_key FROM sites ORDER BY id";
    for row in sqlx::query(query).fetch_all(&mut *read).await? {
        let id = unsigned(&row, "id")?;
        let key: Vec<u8> = row.try_get("bucket_key")?;
        sites.push(EdgeSite {
            id,
            tenant: row.try_get("tenant")?,
            name: row.try_get("name")?,
            hosts: hosts.remove(&id).unwrap_or_default(),
            not_found: row.try_get("not_found")?,
            max_age_s: row.try_get("max_age_s")?,
            privacy: row.try_get("privacy")?,
            bucket_key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            rules: rules.remove(&id).unwrap_or_default(),
            bindings: bindings.remove(&id).unwrap_or_default(),
        });
    }
    Ok(EdgeDirectory {
        epoch: Some(epoch),
        cursor,
        sites,
    })
}

async fn read_bindings(read: &mut Read<'_>) -> Result<HashMap<u64, Vec<EdgeBinding>>, StoreError> {
    let mut bindings: HashMap<u64, Vec<EdgeBinding>> = HashMap::new();
    let query =
        "SELECT site_id, prefix, policy, digest, settings, on_failure, visitor_key FROM bindings ORDER BY prefix";
    for row in sqlx::query(query).fetch_all(&mut **read).await? {
        let settings: BTreeMap<String, String> =
            serde_json::from_str(row.try_get("settings")?).map_err(json_damaged)?;
        let binding = EdgeBinding {
            prefix: row.try_get("prefix")?,
            policy: row.try_get("policy")?,
            digest: row.try_get("digest")?,
            settings,
            on_failure: row.try_get("on_failure")?,
            visitor_key: Some(row.try_get("visitor_key")?),
        };
        bindings.entry(unsigned(&row, "site_id")?).or_default().push(binding);
    }
    Ok(bindings)
}
