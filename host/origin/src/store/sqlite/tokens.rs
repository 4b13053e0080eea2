//! Tokens: hashes, never secrets.

use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};
use wayside_decide::name::Name;

use super::{damaged, missing, now_s, signed, unsigned, unsigned_or_none};
use crate::{
    store::{StoreError, TokenRecord},
    token::{Grant, Scope, TokenId},
};

const COLUMNS: &str = "SELECT id, tenant, scope, name, hash, created_at, revoked_at FROM tokens";

pub(super) async fn create(writer: &SqlitePool, token: &TokenRecord) -> Result<(), StoreError> {
    let insert = "INSERT INTO tokens (id, tenant, scope, name, hash, created_at) VALUES (?, ?, ?, ?, ?, ?)";
    sqlx::query(insert)
        .bind(token.id.as_str())
        .bind(token.grant.tenant.as_ref().map(Name::as_str))
        .bind(token.grant.scope.as_str())
        .bind(&token.name)
        .bind(&token.hash[..])
        .bind(signed(token.created_at))
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn one(readers: &SqlitePool, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = ?"));
    sqlx::query(query)
        .bind(id.as_str())
        .fetch_optional(readers)
        .await?
        .as_ref()
        .map(record)
        .transpose()
}

pub(super) async fn list(readers: &SqlitePool, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE tenant IS ? ORDER BY created_at, id"));
    sqlx::query(query)
        .bind(tenant.map(Name::as_str))
        .fetch_all(readers)
        .await?
        .iter()
        .map(record)
        .collect()
}

pub(super) async fn revoke(writer: &SqlitePool, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError> {
    let update = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND tenant IS ? AND revoked_at IS NULL";
    let update = sqlx::query(update)
        .bind(now_s())
        .bind(id.as_str())
        .bind(tenant.map(Name::as_str));
    if update.execute(writer).await?.rows_affected() == 0 {
        Err(missing("token", id.as_str()))
    } else {
        Ok(())
    }
}

fn record(row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let (id, scope): (String, String) = (row.try_get("id")?, row.try_get("scope")?);
    let tenant: Option<String> = row.try_get("tenant")?;
    let hash: Vec<u8> = row.try_get("hash")?;
    let broken = |what: &str| StoreError::Damaged(format!("token {id}: {what}"));
    Ok(TokenRecord {
        hash: hash.try_into().map_err(|_| broken("a hash of another length"))?,
        grant: Grant {
            tenant: tenant
                .map(|tenant| Name::parse("tenant", &tenant))
                .transpose()
                .map_err(damaged)?,
            scope: Scope::parse(&scope).map_err(damaged)?,
        },
        name: row.try_get("name")?,
        created_at: unsigned(row, "created_at")?,
        revoked_at: unsigned_or_none(row, "revoked_at")?,
        id: TokenId::parse(&id).ok_or_else(|| broken("no id"))?,
    })
}
