//! Nodes: hashes and public keys, never secrets.

use sqlx::{AssertSqlSafe, PgPool};
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

pub(super) async fn invite(pool: &PgPool, node: &NodeRecord) -> Result<(), StoreError> {
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
pub(super) async fn enrol(pool: &PgPool, id: &NodeId, key: &PublicKey) -> Result<(), StoreError> {
    let now = now_s();
    let update = "UPDATE nodes SET public_key = $1, enrolled_at = $2 WHERE id = $3 AND public_key IS NULL
        AND revoked_at IS NULL AND expires_at > $4";
    let update = sqlx::query(update)
        .bind(&key.as_bytes()[..])
        .bind(now)
        .bind(id.as_str())
        .bind(now);
    if update.execute(pool).await?.rows_affected() > 0 {
        return Ok(());
    }
    match one(pool, id).await? {
        Some(node) => not_enrolled(&node, key, clock::now_s()),
        None => Err(missing("node", id)),
    }
}

pub(super) async fn one(pool: &PgPool, id: &NodeId) -> Result<Option<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")));
    let row: Option<NodeRow> = query.bind(id.as_str()).fetch_optional(pool).await?;
    row.map(NodeRow::record).transpose()
}

pub(super) async fn list(pool: &PgPool) -> Result<Vec<NodeRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} ORDER BY invited_at DESC, id")));
    let rows: Vec<NodeRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(NodeRow::record).collect()
}

pub(super) async fn revoke(pool: &PgPool, id: &NodeId) -> Result<(), StoreError> {
    let update = "UPDATE nodes SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    let update = sqlx::query(update).bind(now_s()).bind(id.as_str());
    if update.execute(pool).await?.rows_affected() == 0 {
        Err(missing("node", id))
    } else {
        Ok(())
    }
}
