//! The record: what outlives the process, and what is no record.

use std::{collections::HashSet, os::unix::ffi::OsStrExt as _, path::Path};

use sqlx::{SqlitePool, migrate::Migrator, sqlite::SqliteConnectOptions};
use wayside_decide::{
    host::HostPattern,
    name::Name,
    site::{Privacy, SiteId},
};
use wayside_origin::{
    backup::{self, BackupError},
    origin::Origin,
    store::{
        FeedPage, Freshness, SiteContent, Store, StoreError,
        sqlite::OpenError,
        streams::{AssetRecord, TargetRecord, ZonesRecord},
    },
    token::{Scope, Token},
};

use crate::harness::{Running, admission, link};

/// Where acme's link `/a` leads, in a record nobody has open; none when there is no such link.
async fn target_in(database: &Path) -> Option<String> {
    let origin = Origin::open(database, admission()).await.expect("a record");
    let name = |text| Name::parse("name", text).expect("a name");
    let site = origin.store().site(&name("acme"), &name("go")).await.expect("a site");
    let path = wayside_decide::path::LinkPath::parse("/a").expect("a path");
    let link = origin.store().link(site.id, &path, Freshness::Newest).await.ok()?;
    Some(link.link.target.as_str().to_owned())
}

async fn wait_until_free(database: &Path) {
    for _ in 0..200 {
        match Origin::open(database, admission()).await {
            Err(OpenError::InUse { .. }) => tokio::time::sleep(std::time::Duration::from_millis(25)).await,
            opened => return drop(opened.expect("a record")),
        }
    }
    panic!("the database never became free");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_process_that_just_ends() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    // What a killed process leaves: the files as they are now, while everything is still open.
    let left = tempfile::tempdir().expect("a folder");
    for file in ["wayside.db", "wayside.db-wal"] {
        std::fs::copy(running.folder.path().join(file), left.path().join(file)).expect("a copy");
    }
    let target = target_in(&left.path().join("wayside.db")).await;
    assert_eq!(target.as_deref(), Some("https://a.example/"));
}

#[tokio::test]
async fn a_record_is_opened_again_with_its_tokens_and_its_place_in_the_feed() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("new/folder/wayside.db");
    let origin = Origin::open(&database, admission()).await.expect("an origin");
    let token = origin.mint_token(None, Scope::Read, "node").await.expect("a token");
    drop(origin);
    wait_until_free(&database).await;
    let origin = Origin::open(&database, admission()).await.expect("an origin");
    assert!(origin.knows(&token).await.expect("an answer"));
    let other = Token::parse("ws_0123456789ab_AAAA").expect("a token");
    assert!(!origin.knows(&other).await.expect("an answer"));
}

/// A record from before hosts could be looked up by what is above and below them.
#[tokio::test]
async fn the_hosts_of_an_older_record_are_protected_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("wayside.db");
    let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.expect("a database");
    let migrations = Migrator::new(Path::new("migrations/sqlite")).await.expect("migrations");
    migrations.run_to(1, &pool).await.expect("the first tables");
    let site = "INSERT INTO sites VALUES (1, 'acme', 'go', NULL, x'00', 0, 0)";
    sqlx::query(site).execute(&pool).await.expect("a site");
    for (position, host) in ["*.t.example", "deep.a.u.example", "*.internal"].iter().enumerate() {
        let insert = sqlx::query("INSERT INTO site_hosts VALUES (?, 'acme', 1, ?)");
        let position = i64::try_from(position).expect("a small number");
        insert.bind(host).bind(position).execute(&pool).await.expect("a host");
    }
    pool.close().await;
    let origin = Origin::open(&database, admission()).await.expect("a record");
    let name = |text| Name::parse("name", text).expect("a name");
    for host in ["www.t.example", "*.u.example", "*.a.u.example", "db.internal"] {
        let hosts = vec![HostPattern::parse(host).expect("a pattern")];
        let content = SiteContent {
            hosts,
            not_found: None,
            max_age_s: None,
            privacy: Privacy::default(),
            streams: None,
        };
        let grab = origin.store().create_site(&name("beta"), &name("grab"), content).await;
        assert!(matches!(grab, Err(StoreError::Conflict { .. })), "{host}: {grab:?}");
    }
    let kept = origin.store().sites(&name("acme")).await.expect("sites");
    let hosts: Vec<_> = kept[0].content.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["*.t.example", "deep.a.u.example", "*.internal"]);
}

#[tokio::test]
async fn one_process_has_a_record() {
    let running = Running::start().await;
    let second = Origin::open(&running.database(), admission())
        .await
        .err()
        .expect("refused");
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(second.to_string().contains("wayside.db"), "{second}");
}

#[tokio::test]
async fn a_file_of_something_else_is_named_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("garbage.db");
    let garbage = vec![b'x'; 10_000];
    std::fs::write(&database, &garbage).expect("a file");
    let error = Origin::open(&database, admission()).await.err().expect("refused");
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("garbage.db"), "{error}");
    assert_eq!(std::fs::read(&database).expect("the file"), garbage);
}

/// What a record has for streams, or why it has no asset.
async fn streams_in(store: &dyn Store) -> Result<(TargetRecord, AssetRecord, ZonesRecord), String> {
    let name = |text| Name::parse("name", text).expect("a name");
    let acme = name("acme");
    let target = store.target(&acme, &name("a")).await.expect("a target");
    let asset = store.asset(SiteId(1), &name("film"), Freshness::Newest).await;
    let zones = store.zones(&acme).await.expect("zones");
    Ok((target, asset.map_err(|error| error.to_string())?, zones))
}

#[tokio::test]
async fn a_backup_taken_in_use_is_restored() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "https://before.example/"))
        .await
        .success(201);
    crate::loads::make_target(&running, "a").await;
    let asset = serde_json::json!({"site": "go", "id": "film", "pathways": [{"target": "a"}]});
    running.send("POST", "/v1/assets", &asset).await.success(201);
    let zones = br#"{"coverageZones": {}}"#.to_vec();
    let acme = Name::parse("tenant", "acme").expect("a name");
    running.origin.store().set_zones(&acme, zones).await.expect("zones");
    let streams = streams_in(&**running.origin.store()).await;
    assert!(streams.is_ok());
    let (database, copy) = (running.database(), running.folder.path().join("copy.db"));
    backup::back_up(&database, &copy).await.expect("a backup");
    let again = backup::back_up(&database, &copy).await.expect_err("never over a file");
    assert!(matches!(again, BackupError::Exists { .. }), "{again}");
    let other = running.folder.path().join("other.db");
    running.origin.store().back_up(&other).await.expect("a backup");
    let strange = running.folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.db"));
    let refused = running.origin.store().back_up(&strange).await.expect_err("no UTF-8");
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    running
        .send("PUT", "/v1/links", &link("/a", "https://after.example/"))
        .await
        .success(200);
    let path = "/v1/assets?site=go&id=film";
    running.ask("DELETE", path).await.success(204);
    let in_use = backup::restore(&database, &copy).await.expect_err("in use");
    assert!(matches!(in_use, BackupError::Open(OpenError::InUse { .. })), "{in_use}");
    // A process that just ended left these; nobody has them open.
    let left = tempfile::tempdir().expect("a folder");
    for file in ["wayside.db", "wayside.db-wal"] {
        std::fs::copy(running.folder.path().join(file), left.path().join(file)).expect("a copy");
    }
    let database = left.path().join("wayside.db");
    backup::restore(&database, &copy).await.expect("restored");
    assert_eq!(target_in(&database).await.as_deref(), Some("https://before.example/"));
    wait_until_free(&database).await;
    let restored = Origin::open(&database, admission()).await.expect("a record");
    assert_eq!(streams_in(&**restored.store()).await, streams);
    restored.store().close().await;
    drop(restored);
    let kept = left.path().join("wayside.db.before-restore");
    assert_eq!(target_in(&kept).await.as_deref(), Some("https://after.example/"));
    wait_until_free(&kept).await;
    let kept = Origin::open(&kept, admission()).await.expect("a record");
    let gone = streams_in(&**kept.store()).await.expect_err("deleted");
    assert_eq!(gone, "asset film was deleted");
    let fresh = left.path().join("fresh.db");
    backup::restore(&fresh, &other).await.expect("restored");
    assert_eq!(target_in(&fresh).await.as_deref(), Some("https://before.example/"));
}

/// A node that has followed the record past the backup must not take later changes for those it knows.
#[tokio::test]
async fn a_restored_record_makes_nodes_begin_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, copy) = (folder.path().join("wayside.db"), folder.path().join("copy.db"));
    let running = Running::with_site().await;
    backup::back_up(&running.database(), &copy).await.expect("a backup");
    for number in 0..5 {
        let path = format!("/after/{number}");
        running
            .send("POST", "/v1/links", &link(&path, "https://a.example/"))
            .await
            .success(201);
    }
    backup::back_up(&running.database(), &database).await.expect("a record");
    let seen = running.node().directory(None).await.expect("a directory").cursor;
    let mut epochs = HashSet::from([running.origin.store().head().borrow().epoch]);
    for is_lost in [false, true] {
        if is_lost {
            std::fs::remove_file(&database).expect("lost");
        }
        backup::restore(&database, &copy).await.expect("restored");
        let origin = Origin::open(&database, admission()).await.expect("an origin");
        let restored = origin.store().head().borrow().epoch;
        assert!(epochs.insert(restored), "a record of its own");
        for cursor in [0, seen - 5, seen, seen + 1000] {
            let page = origin.store().changes(None, cursor, 10).await.expect("a page");
            assert!(
                matches!(page, FeedPage::Resync(head) if head.cursor > seen + 1000 && head.epoch == restored),
                "{cursor}: {page:?}"
            );
        }
        // Of the sites that were made since the backup, perhaps.
        let content = SiteContent {
            hosts: vec![HostPattern::parse("new.example").expect("a host")],
            not_found: None,
            max_age_s: None,
            privacy: Privacy::Redacted,
            streams: None,
        };
        let (tenant, name) = (Name::parse("tenant", "acme"), Name::parse("site", "new"));
        let (tenant, name) = (tenant.expect("a name"), name.expect("a name"));
        let made = origin
            .store()
            .create_site(&tenant, &name, content)
            .await
            .expect("a site");
        assert!(made.id.0 > 1_000_000, "its number was nobody's: {}", made.id);
    }
}

#[tokio::test]
async fn a_backup_that_is_none_is_refused_and_changes_nothing() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    let folder = tempfile::tempdir().expect("a folder");
    let (database, garbage) = (folder.path().join("wayside.db"), folder.path().join("garbage"));
    backup::back_up(&running.database(), &database).await.expect("a backup");
    let before = std::fs::read(&database).expect("the record");
    std::fs::write(&garbage, vec![b'x'; 10_000]).expect("a file");
    let cut = folder.path().join("cut");
    std::fs::write(&cut, &before[..before.len() / 2]).expect("a file");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, b"").expect("a file");
    for from in [garbage, cut, empty] {
        let refused = backup::restore(&database, &from).await.expect_err("refused");
        assert!(matches!(refused, BackupError::Unsound { .. }), "{refused}");
        assert!(
            refused.to_string().contains(from.to_str().expect("a name")),
            "{refused}"
        );
    }
    let missing = backup::restore(&database, &folder.path().join("none")).await;
    assert!(matches!(missing, Err(BackupError::File { .. })), "{missing:?}");
    assert_eq!(std::fs::read(&database).expect("the record"), before);
    assert_eq!(target_in(&database).await.as_deref(), Some("https://a.example/"));
}

/// Transactions cannot overlap here: there is one writer at a time, so the order of numbers is that of commits.
#[tokio::test]
async fn who_writes_while_another_does_waits_for_its_commit() {
    let running = Running::with_site().await;
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let options = SqliteConnectOptions::new().filename(running.database());
    let other = SqlitePool::connect_with(options).await.expect("a connection");
    let mut first = other.begin_with("BEGIN IMMEDIATE").await.expect("a transaction");
    let note = sqlx::query("INSERT INTO changes (site_id, path) VALUES (1, '/first')");
    note.execute(&mut *first).await.expect("a note");
    let write = async {
        let new = link("/second", "https://a.example/");
        running.send("POST", "/v1/links", &new).await.success(201);
    };
    let commit = async {
        // Nothing is told, and nothing else is written meanwhile.
        let told = crate::feed::next(&mut feed).await;
        assert_eq!(told.change, wayside_upstream::protocol::Change::Heartbeat);
        let told = crate::feed::next(&mut feed).await;
        assert_eq!(told.change, wayside_upstream::protocol::Change::Heartbeat);
        first.commit().await.expect("committed");
    };
    tokio::join!(write, commit);
    for (seq, expected) in [(2, "/first"), (3, "/second")] {
        let told = crate::feed::next_change(&mut feed).await;
        let wayside_upstream::protocol::Change::Link { path, .. } = told.change else {
            panic!("no link: {told:?}");
        };
        assert_eq!((told.seq, path.as_str()), (seq, expected));
    }
}
