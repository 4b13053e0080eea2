//! What edges are told: the directory, and the numbered changes.

use sqlx::{FromRow, PgConnection, PgPool};
use wayside_upstream::protocol::{Cursor, EdgeDirectory, Epoch, FeedEvent, Position};

use super::{Freshly, ONE_INSTANT, Write};
use crate::store::{
    StoreError,
    directory::Tables,
    rows::{ChangeRow, signed, unsigned},
};

/// Notes that something in the directory changed, to be told when the transaction has committed.
pub(super) async fn note_directory(write: &mut Write<'_>, tenant: &str) -> Result<(), StoreError> {
    let insert = sqlx::query("INSERT INTO outbox (tenant) VALUES ($1)").bind(tenant);
    insert.execute(&mut **write).await?;
    Ok(())
}

const POSITION: &str = "SELECT epoch, (SELECT coalesce(max(seq), 0) FROM changes) AS head FROM record";

/// The position of what a transaction reads; of what a connection reads from now on, at least.
pub(super) async fn position(read: &mut PgConnection) -> Result<Position, StoreError> {
    let row: (i64, i64) = sqlx::query_as(POSITION).fetch_one(read).await?;
    as_position(row)
}

/// The newest position.
pub(super) async fn head(pool: &PgPool) -> Result<Position, StoreError> {
    as_position(sqlx::query_as(POSITION).fetch_one(pool).await?)
}

fn as_position((epoch, head): (i64, i64)) -> Result<Position, StoreError> {
    Ok(Position {
        epoch: Epoch(epoch.cast_unsigned()),
        cursor: unsigned("seq", head)?,
    })
}

/// What [`number`] did.
pub(super) struct Numbered {
    /// The newest position since.
    pub(super) head: Position,
    /// How many changes got a number.
    pub(super) count: u64,
}

/// Numbers changes that have been committed, at most so many. Where those up to `told` are no longer there, and where the
/// record goes on from a copy, another epoch begins.
pub(super) async fn number(pool: &PgPool, most: u32, told: Option<Position>) -> Result<Numbered, StoreError> {
    let query = sqlx::query_as("SELECT epoch, head, numbered, began FROM number_changes($1, $2, $3)")
        .bind(i64::from(most))
        .bind(told.map(|told| told.epoch.0.cast_signed()))
        .bind(told.map(|told| signed(told.cursor)));
    let (epoch, head, numbered, began): (i64, i64, i64, Option<String>) = query.fetch_one(pool).await?;
    let head = as_position((epoch, head))?;
    if let Some(reason) = began {
        let epoch = head.epoch;
        tracing::warn!(%epoch, reason, "another epoch of the record begins: nodes check all that they hold");
    }
    Ok(Numbered {
        head,
        count: unsigned("numbered", numbered)?,
    })
}

/// Whether changes wait for their numbers.
pub(super) async fn wait(pool: &PgPool) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox) OR NOT EXISTS
        (SELECT 1 FROM record WHERE identity = record_identity())",
    );
    Ok(query.fetch_one(pool).await?)
}

/// Throws away changes beyond the newest `kept`, and those older than `kept_s` seconds; never the newest.
pub(super) async fn prune(pool: &PgPool, kept: u64, kept_s: u64) -> Result<(), StoreError> {
    let prune = "DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)
        AND (seq <= (SELECT max(seq) FROM changes) - $1 OR numbered_at < now() - make_interval(secs => $2::bigint))";
    let prune = sqlx::query(prune).bind(signed(kept)).bind(signed(kept_s));
    prune.execute(pool).await?;
    Ok(())
}

/// A part of the changes, and what there is of them.
pub(super) struct Page {
    /// The newest position.
    pub(super) head: Position,
    /// The oldest change that is kept; one past the newest when there is none.
    pub(super) oldest: Cursor,
    /// Those after the cursor.
    pub(super) events: Vec<FeedEvent>,
}

/// The number of the change and what it is of; none in the row that says that there is none.
#[derive(FromRow)]
struct PageRow {
    epoch: i64,
    oldest: Option<i64>,
    head: i64,
    seq: Option<i64>,
    site_id: Option<i64>,
    path: Option<String>,
    asset: Option<String>,
}

/// The changes after `cursor`, at most `limit`. One statement: all of one instant.
pub(super) async fn after(pool: &PgPool, cursor: Cursor, limit: u32) -> Result<Page, StoreError> {
    let query = "SELECT record.epoch, (SELECT min(seq) FROM changes) AS oldest,
            (SELECT coalesce(max(seq), 0) FROM changes) AS head, page.seq, page.site_id, page.path,
            page.asset
        FROM record LEFT JOIN LATERAL
            (SELECT seq, site_id, path, asset FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2) AS page ON true
        ORDER BY page.seq";
    let query = sqlx::query_as(query).bind(signed(cursor)).bind(i64::from(limit));
    let rows: Vec<PageRow> = query.fetch_all(pool).await?;
    let first = rows
        .first()
        .ok_or_else(|| StoreError::Damaged("the table `record` is empty".to_owned()))?;
    let head = as_position((first.epoch, first.head))?;
    let oldest = first.oldest.map(|seq| unsigned("seq", seq)).transpose()?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(seq) = row.seq else { break };
        let change = ChangeRow {
            seq,
            site_id: row.site_id,
            path: row.path,
            asset: row.asset,
        };
        events.push(change.event()?);
    }
    Ok(Page {
        oldest: oldest.unwrap_or(head.cursor + 1),
        head,
        events,
    })
}

pub(super) async fn directory(pool: &PgPool) -> Result<Freshly<EdgeDirectory>, StoreError> {
    let mut read = pool.begin_with(ONE_INSTANT).await?;
    let position = position(&mut read).await?;
    let query = sqlx::query_as("SELECT site_id, pattern FROM site_hosts ORDER BY position");
    let hosts = query.fetch_all(&mut *read).await?;
    let query = "SELECT site_id, priority, pattern, target, status::bigint AS status FROM rules
        ORDER BY priority, pattern";
    let rules = sqlx::query_as(query).fetch_all(&mut *read).await?;
    let query = "SELECT site_id, prefix, policy, digest, settings::text AS settings, on_failure, visitor_key
        FROM bindings ORDER BY prefix";
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
    Ok(Freshly {
        position,
        value: tables.assemble(position)?,
    })
}
