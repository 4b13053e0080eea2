//! The record when the disk fails under it.

use wayside_decide::{link::Link, name::Name, path::LinkPath, site::SiteId, status::RedirectStatus, target::Target};

use super::SqliteStore;
use crate::store::{SiteContent, Store as _, StoreError, WriteMode};

async fn write(store: &SqliteStore, site: SiteId, path: &str) -> Result<(), StoreError> {
    let tenant = Name::parse("tenant", "acme").expect("a name");
    let link = Link {
        target: Target::parse(&format!("https://a.example/{}", "x".repeat(4000))).expect("a target"),
        status: RedirectStatus::Found,
        forward_query: false,
        starts_at: None,
        expires_at: None,
        fallback: None,
        tags: Box::default(),
    };
    let path = LinkPath::parse(path).expect("a path");
    store
        .write_links(&tenant, site, vec![(path, link)], WriteMode::Replace)
        .await
}

/// SQLite rolls back by itself when it finds no room, which must not leave later writes in a transaction that nobody
/// commits: what is acknowledged after the disk has room again is there after a restart.
#[tokio::test]
async fn what_is_acknowledged_after_a_full_disk_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wayside.db");
    let store = SqliteStore::open(&path).await.expect("a store");
    let (tenant, name) = (
        Name::parse("tenant", "acme").expect("a name"),
        Name::parse("site", "go").expect("a name"),
    );
    let site = store
        .create_site(
            &tenant,
            &name,
            SiteContent {
                hosts: Vec::new(),
                not_found: None,
            },
        )
        .await
        .expect("a site")
        .id;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&store.writer)
        .await
        .expect("pages");
    // The limit of the one connection that writes: to SQLite, a disk that is full.
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 4));
    sqlx::query(limit).execute(&store.writer).await.expect("a limit");
    let mut written = 0;
    let full = loop {
        match write(&store, site, &format!("/before/{written}")).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the limit holds");
    };
    assert!(matches!(full, StoreError::Full(_)), "{full}");
    let room = sqlx::query("PRAGMA max_page_count = 1000000");
    room.execute(&store.writer).await.expect("room again");
    for number in 0..3 {
        write(&store, site, &format!("/after/{number}")).await.expect("written");
    }
    drop(store);
    let store = SqliteStore::open(&path).await.expect("the store again");
    let links = store.links(site, "/", "", 1000).await.expect("links");
    assert_eq!(links.len(), written + 3);
}
