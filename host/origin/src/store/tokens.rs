//! Tokens, in any of the databases: hashes, never secrets.
//!
//! Each engine makes a module of this file, for the pool that it calls [`Pool`].

use sqlx::AssertSqlSafe;
use wayside_decide::name::Name;

use super::Pool;
use crate::{
    store::{
        StoreError, TokenRecord, missing, now_s,
        rows::{TokenRow, signed},
    },
    token::TokenId,
};

const COLUMNS: &str = "SELECT id, tenant, scope, name, hash, created_at, revoked_at FROM tokens";

pub(super) async fn create(pool: &Pool, token: &TokenRecord) -> Result<(), StoreError> {
    let insert = "INSERT INTO tokens (id, tenant, scope, name, hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(insert)
        .bind(token.id.as_str())
        .bind(token.grant.tenant.as_ref().map(Name::as_str))
        .bind(token.grant.scope.as_str())
        .bind(&token.name)
        .bind(&token.hash[..])
        .bind(signed(token.created_at))
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn one(pool: &Pool, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")));
    let row: Option<TokenRow> = query.bind(id.as_str()).fetch_optional(pool).await?;
    row.map(TokenRow::record).transpose()
}

pub(super) async fn list(pool: &Pool, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
    let query = format!("{COLUMNS} WHERE tenant IS NOT DISTINCT FROM $1 ORDER BY created_at, id");
    let query = sqlx::query_as(AssertSqlSafe(query)).bind(tenant.map(Name::as_str));
    let rows: Vec<TokenRow> = query.fetch_all(pool).await?;
    rows.into_iter().map(TokenRow::record).collect()
}

pub(super) async fn revoke(pool: &Pool, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError> {
    let update = "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND tenant IS NOT DISTINCT FROM $3
        AND revoked_at IS NULL";
    let update = sqlx::query(update)
        .bind(now_s())
        .bind(id.as_str())
        .bind(tenant.map(Name::as_str));
    if update.execute(pool).await?.rows_affected() == 0 {
        Err(missing("token", id.as_str()))
    } else {
        Ok(())
    }
}
