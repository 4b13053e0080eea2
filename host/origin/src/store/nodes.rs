//! Nodes, in any of the databases: hashes and public keys, never secrets.
//!
//! Each engine makes a module of this file, for the pool that it calls [`Pool`].

use sqlx::AssertSqlSafe;
use wayside_upstream::identity::{NodeId, PublicKey};

use super::Pool;
use crate::{
    clock,
    node::{NodeRecord, NodeState},
    store::{
        StoreError, missing,
        rows::{NodeRow, signed},
    },
};

const COLUMNS: &str =
    "SELECT id, name, invitation_hash, invited_at, expires_at, public_key, enrolled_at, revoked_at FROM nodes";

pub(super) async fn invite(pool: &Pool, node: &NodeRecord) -> Result<(), StoreError> {
    let insert = "INSERT INTO nodes (id, name, invitation_hash, invited_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(insert)
        .bind(node.id.as_str())
        .bind(node.name.as_str())
        .bind(&node.invitation_hash[..])
        .bind(signed(node.invited_at))
        .bind(signed(node.expires_at))
        .execute(pool)
        .await?;
    Ok(())
}

/// One statement, so that of two who bring a key at once only one is enrolled.
pub(super) async fn enrol(pool: &Pool, id: &NodeId, key: &PublicKey) -> Result<(), StoreError> {
    let now_s = clock::now_s();
    let update = "UPDATE nodes SET public_key = $1, enrolled_at = $2 WHERE id = $3 AND public_key IS NULL
        AND revoked_at IS NULL AND expires_at > $4";
    let update = sqlx::query(update)
        .bind(&key.as_bytes()[..])
        .bind(signed(now_s))
        .bind(id.as_str())
        .bind(signed(now_s));
    if update.execute(pool).await?.rows_affected() > 0 {
        return Ok(());
    }
    match one(pool, id).await? {
        Some(node) => not_enrolled(&node, key, now_s),
        None => Err(missing("node", id)),
    }
}

/// Why `node` did not take `key` at `now_s`; nothing, when it is its key already: the answer to the first attempt was lost.
fn not_enrolled(node: &NodeRecord, key: &PublicKey, now_s: u64) -> Result<(), StoreError> {
    let state = node.state(now_s);
    if state == NodeState::Enrolled && node.enrolled.as_ref().is_some_and(|(own, _)| own == key) {
        return Ok(());
    }
    let reason = match state {
        NodeState::Expired => "was invited too long ago: its invitation has expired",
        NodeState::Revoked => "is revoked",
        NodeState::Invited | NodeState::Enrolled => "has enrolled with another key: an invitation serves once",
    };
    Err(StoreError::Conflict {
        what: "node",
        name: node.id.to_string(),
        reason: reason.to_owned(),
    })
}

pub(super) async fn one(pool: &Pool, id: &NodeId) -> Result<Option<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")));
    let row: Option<NodeRow> = query.bind(id.as_str()).fetch_optional(pool).await?;
    row.map(NodeRow::record).transpose()
}

pub(super) async fn list(pool: &Pool) -> Result<Vec<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} ORDER BY invited_at DESC, id")));
    let rows: Vec<NodeRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(NodeRow::record).collect()
}

pub(super) async fn revoke(pool: &Pool, id: &NodeId) -> Result<(), StoreError> {
    let update = "UPDATE nodes SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    let update = sqlx::query(update).bind(signed(clock::now_s())).bind(id.as_str());
    if update.execute(pool).await?.rows_affected() == 0 {
        Err(missing("node", id))
    } else {
        Ok(())
    }
}
