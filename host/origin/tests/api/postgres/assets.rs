//! Assets that several write at the same time.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use wayside_decide::{digest::Digest, name::Name, site::SiteId, stream::asset::Asset};
use wayside_origin::store::{Freshness, StoreError, WriteMode};
use wayside_test_postgres::Server;
use wayside_upstream::protocol::streams::EdgeAsset;

use super::order::{connect, origin};
use crate::streams::name;

/// Waits until so many statements about assets wait for somebody.
async fn wait_for_waiting(watcher: &mut PgConnection, expected: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND (query LIKE '%assets%' OR query LIKE '%stream_clocks%')";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&mut *watcher)
        .await
        .expect("a count")
        < expected
    {
        assert!(begun.elapsed() < Duration::from_secs(9), "nobody waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is written while an asset is being deleted comes after that: it neither brings it back nor its ingest key.
#[tokio::test]
async fn an_asset_that_is_deleted_meanwhile_stays_so() {
    let server = Server::start();
    let running = origin(&server).await;
    let store = running.origin.store();
    let (acme, film): (Name, Name) = (name("acme"), name("film"));
    let wire: EdgeAsset = serde_json::from_value(serde_json::json!({"id": "film"})).expect("an asset");
    let asset = Asset::try_from(wire).expect("a good one");
    let write = || store.write_assets(&acme, SiteId(1), vec![asset.clone()], WriteMode::Replace);
    let set_key = |key: &[u8]| store.set_ingest_key(&acme, SiteId(1), &film, Some(Digest::of(key)));
    let (mut holder, mut watcher) = (connect(&server).await, connect(&server).await);
    for writes in [false, true] {
        write().await.expect("written");
        set_key(b"old").await.expect("a key");
        let mut held = holder.begin().await.expect("a transaction");
        let hold = sqlx::query("SELECT 1 FROM assets WHERE id = 'film' FOR UPDATE");
        hold.execute(&mut *held).await.expect("a lock");
        let delete = store.delete_asset(&acme, SiteId(1), &film);
        let later = async {
            wait_for_waiting(&mut watcher, 1).await;
            let (later, let_go) = tokio::join!(
                async { if writes { write().await } else { set_key(b"new").await } },
                async {
                    wait_for_waiting(&mut watcher, 2).await;
                    held.rollback().await
                },
            );
            let_go.expect("let go");
            later
        };
        let (deleted, later) = tokio::join!(delete, later);
        deleted.expect("deleted");
        let found = store.asset(SiteId(1), &film, Freshness::Newest).await;
        if writes {
            later.expect("made again");
            assert_eq!(
                found.expect("an asset").asset.ingest_key,
                None,
                "another asset of the same name"
            );
        } else {
            assert!(matches!(later, Err(StoreError::Gone { .. })), "{later:?}");
            assert!(matches!(found, Err(StoreError::Gone { .. })), "{found:?}");
        }
    }
}
