//! Postgres that restarts, is full, refuses connections or does not come to an end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::Connection as _;
use wayside_decide::{name::Name, site::SiteId};
use wayside_origin::{origin::Origin, store::postgres::connect::PostgresSettings};
use wayside_test_postgres::Server;

use super::order::{connect, origin};
use crate::{
    feed::next_change,
    harness::{Reply, Running, admission, link, settings},
};

/// A refusal that says when to come again.
#[track_caller]
fn not_now(reply: Reply) {
    assert_eq!(reply.headers["retry-after"], "1", "{reply:?}");
    reply.problem(503, "unavailable");
}

/// A database on a small disk of its own, which goes with the server. None, loudly, where nobody may make one.
fn small_disk() -> Option<Server> {
    let server = Server::start_with_disk("16m", &[("fsync", "off"), ("autovacuum", "off")]);
    if server.is_none() {
        eprintln!("NOT TESTED: this system lets us make no mount namespace, so there is no full disk to try");
    }
    server
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_goes_on_when_there_is_room() {
    let Some(server) = small_disk() else { return };
    let running = origin(&server).await;
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let long = format!("https://long.example/{}", "x".repeat(7_000));
    running
        .send("PUT", "/v1/links", &link("/before", &long))
        .await
        .success(200);
    let filler = server.disk().join("filler");
    let full = std::fs::write(&filler, vec![0; 32 << 20]).expect_err("a full disk");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let mut acknowledged = vec!["/before".to_owned()];
    let refused = loop {
        let path = format!("/{}", acknowledged.len());
        // No two alike, so that nothing of them is saved.
        let target: String = (0..7_000_u32)
            .map(|at| char::from(b'a' + u8::try_from((at * at * 7 + at % 13) % 26).unwrap_or(0)))
            .collect();
        let reply = running
            .send(
                "PUT",
                "/v1/links",
                &link(&path, &format!("https://long.example/{path}/{target}")),
            )
            .await;
        if reply.status != 200 {
            break reply;
        }
        acknowledged.push(path);
        assert!(acknowledged.len() < 2_000, "the disk never fills");
    };
    assert_eq!(refused.headers["retry-after"], "1");
    refused.problem(507, "out-of-space");
    running.ask("GET", "/v1/links?site=go&path=/before").await.success(200);
    std::fs::remove_file(&filler).expect("room");
    let mut paths = acknowledged.iter().map(String::as_str).collect::<Vec<_>>();
    done_in_the_end(&running, "/after").await;
    paths.push("/after");
    for path in paths {
        let found = running.node().link(SiteId(1), path, None).await.expect("an answer");
        assert!(found.is_some(), "{path} is lost");
    }
    loop {
        let told = next_change(&mut feed).await;
        if matches!(told.change, wayside_upstream::protocol::Change::Link { path, .. } if path == "/after") {
            break;
        }
    }
}

/// Tries until it is done.
async fn done_in_the_end(running: &Running, path: &str) {
    loop {
        let reply = running
            .send("PUT", "/v1/links", &link(path, "https://a.example/"))
            .await;
        if reply.status == 200 {
            return;
        }
        not_now(reply);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_acknowledged_while_postgres_restarts_is_there_and_told() {
    const WRITERS: usize = 6;
    // It keeps safe what it says it keeps: the power fails.
    let mut server = Server::start_with(&[]);
    let running = Arc::new(origin(&server).await);
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let (is_over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (running, is_over, refused) = (running.clone(), is_over.clone(), refused.clone());
            tokio::spawn(async move {
                let mut kept = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let path = format!("/{writer}/{}", kept.len());
                    let reply = running
                        .send("PUT", "/v1/links", &link(&path, "https://a.example/"))
                        .await;
                    if reply.status == 200 {
                        kept.push(path);
                    } else {
                        not_now(reply);
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                kept
            })
        })
        .collect();
    for mode in ["immediate", "fast"] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.stop(mode);
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.run();
    }
    done_in_the_end(&running, "/after").await;
    is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = vec!["/after".to_owned()];
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    assert!(refused.load(Ordering::Relaxed) > 0, "nobody noticed");
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let node = running.node();
    let mut waiting: BTreeMap<_, _> = acknowledged.iter().map(|path| (path.as_str(), ())).collect();
    for path in &acknowledged {
        let found = node.link(SiteId(1), path, None).await.expect("an answer");
        assert!(found.is_some(), "{path} is lost");
    }
    // The feed went on through all of it, or goes on from where it was.
    let mut cursor = 1;
    while !waiting.is_empty() {
        let event = next_change(&mut feed).await;
        assert_eq!(event.seq, cursor + 1, "in order, without a gap");
        cursor = event.seq;
        if let wayside_upstream::protocol::Change::Link { path, .. } = event.change {
            waiting.remove(path.as_str());
        }
    }
}

#[tokio::test]
async fn once_postgres_is_known_to_be_away_nobody_waits_for_it() {
    let mut server = Server::start();
    let running = origin(&server).await;
    let acme = Name::parse("tenant", "acme").expect("a name");
    server.stop("fast");
    let told_at_once = async {
        loop {
            let refused = running.origin.store().sites(&acme).await.expect_err("away").to_string();
            if refused.contains("the primary cannot be reached") {
                return;
            }
        }
    };
    let told_at_once = tokio::time::timeout(Duration::from_secs(60), told_at_once).await;
    told_at_once.expect("every request waits for itself");
    not_now(running.ask("GET", "/v1/sites").await);
    server.run();
    done_in_the_end(&running, "/after").await;
}

#[tokio::test]
async fn when_postgres_takes_no_more_connections_requests_are_asked_to_come_again() {
    let server = Server::start();
    drop(origin(&server).await);
    server.psql("record", "CREATE ROLE few LOGIN CONNECTION LIMIT 4");
    server.psql("record", "GRANT ALL ON SCHEMA public TO few");
    server.psql("record", "GRANT ALL ON ALL TABLES IN SCHEMA public TO few");
    server.psql("record", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few");
    let few = PostgresSettings {
        connections: 6,
        ..settings(server.url("record").replace("postgres@", "few@"))
    };
    let running = Running::on(&few).await;
    // Four for the origin, two of which number and listen: the pool asks for more and gets none.
    let many = (0..8).map(|number| {
        let (running, path) = (&running, format!("/many/{number}"));
        async move { done_in_the_end(running, &path).await }
    });
    futures_util::future::join_all(many).await;
    // All taken by others.
    drop(running);
    let others: Vec<_> = futures_util::future::join_all((0..4).map(|_| async {
        loop {
            let url = server.url("record").replace("postgres@", "few@");
            if let Ok(connection) = sqlx::PgConnection::connect(&url).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }))
    .await;
    let few = settings(server.url("record").replace("postgres@", "few@"));
    let refused = Origin::open_postgres(&few, admission()).await;
    let refused = refused.err().expect("refused").to_string();
    assert!(
        refused.contains("too many connections") && refused.contains("record"),
        "{refused}"
    );
    drop(others);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cut_off_and_the_next_goes_well() {
    let server = Server::start();
    drop(origin(&server).await);
    let short = PostgresSettings {
        statement_timeout: Duration::from_millis(300),
        ..settings(server.url("record"))
    };
    let running = Running::on(&short).await;
    let mut blocker = connect(&server).await;
    let mut lock = blocker.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE links")
        .execute(&mut *lock)
        .await
        .expect("a lock");
    for _ in 0..3 {
        not_now(
            running
                .send("PUT", "/v1/links", &link("/a", "https://a.example/"))
                .await,
        );
        not_now(running.ask("GET", "/v1/links?site=go").await);
    }
    running.ask("GET", "/v1/sites").await.success(200);
    lock.rollback().await.expect("let go");
    running
        .send("PUT", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(200);
    running.ask("GET", "/v1/links?site=go&path=/a").await.success(200);
}

#[tokio::test]
async fn an_origin_without_its_database_does_not_start_and_names_it() {
    let mut server = Server::start();
    let url = server.database("record");
    server.stop("fast");
    let with_password = settings(url.replace("postgres@", "postgres:hunter2@"));
    let refused = Origin::open_postgres(&with_password, admission()).await;
    let refused = format!("{:#}", refused.err().expect("refused"));
    assert!(
        refused.contains(&format!("127.0.0.1:{}/record", server.port())),
        "{refused}"
    );
    assert!(!refused.contains("hunter2"), "{refused}");
    let nonsense = settings("postgres://:x@@/".to_owned());
    let refused = Origin::open_postgres(&nonsense, admission()).await;
    assert!(refused.err().expect("refused").to_string().contains("origin.store"));
}

#[tokio::test]
async fn what_postgres_cannot_keep_is_refused_and_named() {
    let server = Server::start();
    let running = origin(&server).await;
    let nothing = running
        .ask("GET", "/v1/links?site=go&prefix=/%00")
        .await
        .problem(409, "conflict");
    assert!(
        nothing["detail"].as_str().expect("a detail").contains("NUL"),
        "{nothing}"
    );
}
