//! Nodes: hashes and public keys, never secrets.

use sqlx::{AssertSqlSafe, SqlitePool};
use wayside_upstream::identity::{NodeId, PublicKey};

use crate::{
    clock,
    node::NodeRecord,
    store::{
        StoreError, missing,
        nodes::not_enrolled,
        now_s,
        rows::{NodeRow, signed},
    },
};

const COLUMNS: &str =
    "SELECT id, name, invitation_hash, invited_at, expires_at, public_key, enrolled_at, revoked_at FROM nodes";

pub(super) async fn invite(writer: &SqlitePool, node: &NodeRecord) -> Result<(), StoreError> {
    let insert = "INSERT INTO nodes (id, name, invitation_hash, invited_at, expires_at) VALUES (?, ?, ?, ?, ?)";
    sqlx::query(insert)
        .bind(node.id.as_str())
        .bind(node.name.as_str())
        .bind(&node.invitation_hash[..])
        .bind(signed(node.invited_at))
        .bind(signed(node.expires_at))
        .execute(writer)
        .await?;
    Ok(())
}

/// One statement, so that of two who bring a key at once only one is enrolled.
pub(super) async fn enrol(writer: &SqlitePool, id: &NodeId, key: &PublicKey) -> Result<(), StoreError> {
    let now = now_s();
    let update = "UPDATE nodes SET public_key = ?, enrolled_at = ? WHERE id = ? AND public_key IS NULL
        AND revoked_at IS NULL AND expires_at > ?";
    let update = sqlx::query(update)
        .bind(&key.as_bytes()[..])
        .bind(now)
        .bind(id.as_str())
        .bind(now);
    if update.execute(writer).await?.rows_affected() > 0 {
        return Ok(());
    }
    match one(writer, id).await? {
        Some(node) => not_enrolled(&node, key, clock::now_s()),
        None => Err(missing("node", id)),
    }
}

pub(super) async fn one(readers: &SqlitePool, id: &NodeId) -> Result<Option<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} WHERE id = ?")));
    let row: Option<NodeRow> = query.bind(id.as_str()).fetch_optional(readers).await?;
    row.map(NodeRow::record).transpose()
}

pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} ORDER BY invited_at DESC, id")));
    let rows: Vec<NodeRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(NodeRow::record).collect()
}

pub(super) async fn revoke(writer: &SqlitePool, id: &NodeId) -> Result<(), StoreError> {
    let update = "UPDATE nodes SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
    let update = sqlx::query(update).bind(now_s()).bind(id.as_str());
    if update.execute(writer).await?.rows_affected() == 0 {
        Err(missing("node", id))
    } else {
        Ok(())
    }
}
