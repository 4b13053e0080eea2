//! Coverage zones, in any of the databases.
//!
//! Each engine makes a module of this file, for what it calls [`Engine`] and [`Pool`].

use wayside_decide::{digest::Digest, name::Name};

use super::{Engine, Pool, note_directory};
use crate::store::{
    StoreError, missing, now_s,
    rows::{streams::ZonesRow, unsigned},
    streams::ZonesRecord,
};

/// Gives the digest of what is recorded from now on, and since when it is.
pub(super) async fn set(store: &Engine, tenant: &Name, body: &[u8]) -> Result<(Digest, u64), StoreError> {
    let digest = Digest::of(body);
    let mut write = store.begin().await?;
    let put = "INSERT INTO zones (tenant, digest, body, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant) DO UPDATE SET digest = excluded.digest, body = excluded.body,
            updated_at = excluded.updated_at
        WHERE zones.digest <> excluded.digest RETURNING updated_at";
    let put = sqlx::query_scalar(put)
        .bind(tenant.as_str())
        .bind(digest.to_string())
        .bind(body)
        .bind(now_s());
    let written: Option<i64> = put.fetch_optional(&mut *write).await?;
    let updated_at = match written {
        Some(updated_at) => {
            let noted = note_directory(&mut write, tenant).await?;
            store.finish(write, noted).await?;
            updated_at
        }
        // Those that are as they should be are nothing to tell. They stay until this ends: their row is held.
        None => {
            let query = sqlx::query_scalar("SELECT updated_at FROM zones WHERE tenant = $1");
            query.bind(tenant.as_str()).fetch_one(&mut *write).await?
        }
    };
    Ok((digest, unsigned("updated_at", updated_at)?))
}

pub(super) async fn delete(store: &Engine, tenant: &Name) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    let delete = sqlx::query("DELETE FROM zones WHERE tenant = $1").bind(tenant.as_str());
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(none(tenant));
    }
    let noted = note_directory(&mut write, tenant).await?;
    store.finish(write, noted).await
}

pub(super) async fn one(pool: &Pool, tenant: &Name) -> Result<ZonesRecord, StoreError> {
    let query = sqlx::query_as("SELECT digest, body, updated_at FROM zones WHERE tenant = $1");
    let row: Option<ZonesRow> = query.bind(tenant.as_str()).fetch_optional(pool).await?;
    row.ok_or_else(|| none(tenant))?.record()
}

pub(super) async fn by_digest(pool: &Pool, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query_scalar("SELECT body FROM zones WHERE digest = $1 LIMIT 1");
    Ok(query.bind(digest.to_string()).fetch_optional(pool).await?)
}

fn none(tenant: &Name) -> StoreError {
    missing("coverage zones of tenant", tenant)
}
