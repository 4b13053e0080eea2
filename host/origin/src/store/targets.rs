//! Targets, in any of the databases.
//!
//! Each engine makes a module of this file, for what it calls [`Engine`], [`Pool`] and [`Write`].

use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;
use wayside_decide::{
    invalid::Invalid,
    limits::STREAM_TARGETS_MAX,
    name::Name,
    stream::target::{Service, StreamTarget},
};
use wayside_upstream::protocol::streams::{EdgeAsset, EdgeTarget};

use super::{Engine, Pool, Write, note_directory};
use crate::{
    clock,
    store::{
        StoreError, missing, now_s,
        rows::{json, json_damaged, signed, streams::TargetRow, unsigned},
        streams::TargetRecord,
    },
};

const COLUMNS: &str = "SELECT tenant, body, since_ms, updated_at FROM targets WHERE tenant = $1";

/// An instant later than all at which something came to the tenant's targets and pathways before, in milliseconds since
/// 1970. Until the transaction ends, nobody else gets one: what is read after this stays as it is.
pub(super) async fn tick(write: &mut Write<'_>, tenant: &Name) -> Result<u64, StoreError> {
    let tick = "INSERT INTO stream_clocks (tenant, last_ms) VALUES ($1, $2)
        ON CONFLICT (tenant) DO UPDATE SET last_ms = CASE WHEN excluded.last_ms > stream_clocks.last_ms
            THEN excluded.last_ms ELSE stream_clocks.last_ms + 1 END
        RETURNING last_ms";
    let tick = sqlx::query_scalar(tick)
        .bind(tenant.as_str())
        .bind(signed(clock::now_ms()));
    unsigned("last_ms", tick.fetch_one(&mut **write).await?)
}

pub(super) async fn create(store: &Engine, tenant: &Name, target: &StreamTarget) -> Result<TargetRecord, StoreError> {
    let mut write = store.begin().await?;
    let since_ms = tick(&mut write, tenant).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM targets WHERE tenant = $1").bind(tenant.as_str());
    let count: i64 = count.fetch_one(&mut *write).await?;
    let conflict = |reason: String| StoreError::Conflict {
        what: "target",
        name: target.name.to_string(),
        reason,
    };
    if count >= signed(STREAM_TARGETS_MAX as u64) && find(&mut write, tenant, &target.name).await?.is_none() {
        let reason = format!("would be one of more than {STREAM_TARGETS_MAX}, which is as many as a tenant may have");
        return Err(conflict(reason));
    }
    // Assets may name it since before one of its name ended.
    check_signing(&mut write, tenant, target).await?;
    let insert = "INSERT INTO targets (tenant, name, body, since_ms, updated_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    let inserted = sqlx::query(insert)
        .bind(tenant.as_str())
        .bind(target.name.as_str())
        .bind(body(target)?)
        .bind(signed(since_ms))
        .bind(now_s())
        .execute(&mut *write)
        .await?;
    if inserted.rows_affected() == 0 {
        return Err(conflict("exists already".to_owned()));
    }
    let noted = note_directory(&mut write, tenant).await?;
    let made = find(&mut write, tenant, &target.name).await?;
    store.finish(write, noted).await?;
    made.ok_or_else(|| missing("target", &target.name))?.record()
}

pub(super) async fn replace(
    store: &Engine,
    tenant: &Name,
    target: &StreamTarget,
    keeps_service: bool,
) -> Result<TargetRecord, StoreError> {
    change(store, tenant, &target.name, |before| StreamTarget {
        since_ms: before.since_ms,
        service: if keeps_service { before.service } else { target.service },
        ..target.clone()
    })
    .await
}

pub(super) async fn set_service(
    store: &Engine,
    tenant: &Name,
    name: &Name,
    service: Service,
) -> Result<TargetRecord, StoreError> {
    change(store, tenant, name, |before| StreamTarget { service, ..before }).await
}

async fn change(
    store: &Engine,
    tenant: &Name,
    name: &Name,
    changed: impl FnOnce(StreamTarget) -> StreamTarget + Send,
) -> Result<TargetRecord, StoreError> {
    let mut write = store.begin().await?;
    // Who changes a target at the same time waits.
    let tick_ms = tick(&mut write, tenant).await?;
    let row = find(&mut write, tenant, name).await?;
    let before = row.ok_or_else(|| missing("target", name))?.record()?;
    let mut target = changed(before.target.clone());
    if target == before.target {
        // It was as it should be: there is nothing to tell.
        return Ok(before);
    }
    if target.signing != before.target.signing {
        check_signing(&mut write, tenant, &target).await?;
    }
    // Players that play do not know it where it is now.
    if target.urls != before.target.urls {
        target.since_ms = tick_ms;
    }
    let update = "UPDATE targets SET body = $1, since_ms = $2, updated_at = $3 WHERE tenant = $4 AND name = $5";
    let update = sqlx::query(update)
        .bind(body(&target)?)
        .bind(signed(target.since_ms))
        .bind(now_s())
        .bind(tenant.as_str())
        .bind(name.as_str());
    update.execute(&mut *write).await?;
    let noted = note_directory(&mut write, tenant).await?;
    let row = find(&mut write, tenant, name).await?;
    store.finish(write, noted).await?;
    row.ok_or_else(|| missing("target", name))?.record()
}

/// Whether all players that are given a manifest can fetch from the target what that lists: not where its tokens hold for
/// one URL each and an asset with a manifest names it. Looks at all of the tenant's assets, but seldom: where a target's
/// signing becomes such a one.
async fn check_signing(write: &mut Write<'_>, tenant: &Name, target: &StreamTarget) -> Result<(), StoreError> {
    let scheme = target.signing.as_ref().map(|signing| &signing.scheme);
    let Some(scheme) = scheme.filter(|scheme| scheme.is_for_one_url()) else {
        return Ok(());
    };
    let query = "SELECT assets.body, sites.name FROM assets
        JOIN sites ON sites.tenant = assets.tenant AND sites.id = assets.site_id
        WHERE assets.tenant = $1 AND assets.deleted_at IS NULL AND assets.body LIKE $2
        ORDER BY assets.site_id, assets.id";
    // As its body names it, and perhaps more than those.
    let naming = format!("%\"target\":\"{}\"%", target.name);
    let rows = sqlx::query_as::<_, (String, String)>(query).bind(tenant.as_str());
    let mut rows = rows.bind(naming).fetch(&mut **write);
    while let Some((body, site)) = rows.try_next().await? {
        let asset: EdgeAsset = serde_json::from_str(&body).map_err(json_damaged)?;
        let is_named = asset
            .pathways
            .iter()
            .any(|pathway| pathway.target == target.name.as_str());
        if is_named && (asset.hls.is_some() || asset.dash.is_some()) {
            let scheme = scheme.as_str();
            let found = format!(
                "`{scheme}` for target {}, each of whose tokens is for one URL",
                target.name
            );
            let expected = format!(
                "a scheme whose tokens hold for the segments below a playlist, too: asset {} of site {site} names the target \
                 as a pathway, and has a manifest",
                asset.id
            );
            let invalid = Invalid::other("signing scheme", found, expected);
            return Err(StoreError::Unfit {
                field: "signing.scheme",
                invalid,
            });
        }
    }
    Ok(())
}

pub(super) async fn delete(store: &Engine, tenant: &Name, name: &Name) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    tick(&mut write, tenant).await?;
    let delete = sqlx::query("DELETE FROM targets WHERE tenant = $1 AND name = $2");
    let delete = delete.bind(tenant.as_str()).bind(name.as_str());
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Err(missing("target", name));
    }
    let noted = note_directory(&mut write, tenant).await?;
    store.finish(write, noted).await
}

pub(super) async fn list(pool: &Pool, tenant: &Name) -> Result<Vec<TargetRecord>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} ORDER BY name")));
    let rows: Vec<TargetRow> = query.bind(tenant.as_str()).fetch_all(pool).await?;
    rows.into_iter().map(TargetRow::record).collect()
}

pub(super) async fn one(pool: &Pool, tenant: &Name, name: &Name) -> Result<TargetRecord, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} AND name = $2")));
    let query = query.bind(tenant.as_str()).bind(name.as_str());
    let row: Option<TargetRow> = query.fetch_optional(pool).await?;
    row.ok_or_else(|| missing("target", name))?.record()
}

async fn find(write: &mut Write<'_>, tenant: &Name, name: &Name) -> Result<Option<TargetRow>, StoreError> {
    let query = sqlx::query_as(AssertSqlSafe(format!("{COLUMNS} AND name = $2")));
    let query = query.bind(tenant.as_str()).bind(name.as_str());
    Ok(query.fetch_optional(&mut **write).await?)
}

/// What is kept of a target beside its own instant.
fn body(target: &StreamTarget) -> Result<String, StoreError> {
    json(&EdgeTarget {
        since_ms: 0,
        ..EdgeTarget::from(target)
    })
}
