//! Tokens: hashes, never secrets.

use sqlx::SqlitePool;
use wayside_decide::name::Name;

use crate::{
    store::{
        StoreError, TokenRecord, missing, now_s,
        rows::{TokenRow, signed},
    },
    token::TokenId,
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
    let query = sqlx::query_as(query).bind(id.as_str());
    let row: Option<TokenRow> = query.fetch_optional(readers).await?;
    row.map(TokenRow::record).transpose()
}

pub(super) async fn list(readers: &SqlitePool, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE tenant IS ? ORDER BY created_at, id"));
    let query = sqlx::query_as(query).bind(tenant.map(Name::as_str));
    let rows: Vec<TokenRow> = query.fetch_all(readers).await?;
    rows.into_iter().map(TokenRow::record).collect()
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
