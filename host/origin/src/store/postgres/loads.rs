//! How loaded targets are, shared among origins. All ages are told by the clock of Postgres.

use std::time::Duration;

use sqlx::FromRow;

use super::PostgresStore;
use crate::store::{
    StoreError,
    rows::{signed, unsigned},
    streams::SharedLoad,
};

#[derive(FromRow)]
struct LoadRow {
    key: String,
    body: String,
    age_ms: i64,
    ttl_ms: i64,
}

/// In the order of keys, so that two that share at once never wait for each other; what is newer stays.
const SHARE: &str = "INSERT INTO loads (key, body, told_at, noted_at, expires_at)
    SELECT key, body, clock_timestamp() - age * interval '1 ms', clock_timestamp(),
        clock_timestamp() + (ttl - age) * interval '1 ms'
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS new (key, body, age, ttl) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET body = excluded.body, told_at = excluded.told_at, noted_at = excluded.noted_at,
        expires_at = excluded.expires_at
    WHERE loads.told_at < excluded.told_at";

const SINCE: &str = "SELECT key, body, floor(extract(epoch FROM clock_timestamp() - told_at) * 1000)::bigint AS age_ms,
        ceil(extract(epoch FROM expires_at - told_at) * 1000)::bigint AS ttl_ms
    FROM loads WHERE noted_at > clock_timestamp() - $1 * interval '1 ms' AND expires_at > clock_timestamp()";

pub(super) async fn share(
    store: &PostgresStore,
    ours: &[SharedLoad],
    since: Duration,
) -> Result<Vec<SharedLoad>, StoreError> {
    // What was noted before the last time may have been committed after it; and it is now later than when it was asked.
    let since = since + 2 * store.operation_max;
    let milliseconds = |time: Duration| signed(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let pool = store.primary()?;
    if !ours.is_empty() {
        sqlx::query("DELETE FROM loads WHERE expires_at < clock_timestamp()")
            .execute(pool)
            .await?;
        sqlx::query(SHARE)
            .bind(ours.iter().map(|one| &*one.key).collect::<Vec<_>>())
            .bind(ours.iter().map(|one| &*one.body).collect::<Vec<_>>())
            .bind(ours.iter().map(|one| milliseconds(one.age)).collect::<Vec<_>>())
            .bind(ours.iter().map(|one| milliseconds(one.ttl)).collect::<Vec<_>>())
            .execute(pool)
            .await?;
    }
    let rows: Vec<LoadRow> = sqlx::query_as(SINCE).bind(milliseconds(since)).fetch_all(pool).await?;
    let read = |row: LoadRow| {
        Ok(SharedLoad {
            key: row.key,
            body: row.body,
            age: Duration::from_millis(u64::try_from(row.age_ms).unwrap_or_default()),
            ttl: Duration::from_millis(unsigned("ttl_ms", row.ttl_ms)?),
        })
    };
    rows.into_iter().map(read).collect()
}
