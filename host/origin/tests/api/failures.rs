//! What the origin says when it fails: to the client, and in its log.
//!
//! Alone in its process, and so not of the suite on both engines: `tracing` may forget, for good, that a thread listens
//! to a line when another thread comes upon that line at the same moment.

use std::{fs::File, sync::Arc, time::Duration};

use sqlx::Connection as _;
use tracing_subscriber::filter::LevelFilter;
use wayside_origin::store::postgres::connect::PostgresSettings;
use wayside_test_postgres::Server;

use crate::{
    harness::{Reply, Running, settings},
    postgres::order::{connect, origin},
};

#[tokio::test]
async fn a_failure_and_its_line_in_the_log_name_the_same_request() {
    let running = Running::start().await;
    let log = running.folder.path().join("log");
    let file = Arc::new(File::create(&log).expect("a log"));
    // Of errors alone, as an operator may ask for: the line must say of its own which request it tells of.
    let lines = tracing_subscriber::fmt().json().with_max_level(LevelFilter::ERROR);
    let _logging = tracing::subscriber::set_default(lines.with_writer(file).finish());
    running.origin.store().close().await;
    let request = running.bare("GET", "/v1/sites").bearer_auth(&running.acme);
    let problem = Reply::of(request.header("x-request-id", "find-me.1"))
        .await
        .problem(500, "internal");
    assert!(
        problem["detail"].as_str().expect("text").contains("find-me.1"),
        "{problem}"
    );
    let log = std::fs::read_to_string(log).expect("the log");
    let told: Vec<_> = log.lines().filter(|line| line.contains("find-me.1")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("the origin failed"), "{log}");
}

/// A feed is written long after its request was answered.
#[tokio::test]
async fn a_feed_that_breaks_says_in_the_log_which_request_it_is() {
    let running = Running::start().await;
    let log = running.folder.path().join("log");
    let lines = tracing_subscriber::fmt().json();
    let file = Arc::new(File::create(&log).expect("a log"));
    let _logging = tracing::subscriber::set_default(lines.with_writer(file).finish());
    let request = running.bare("GET", "/v1/feed?cursor=0").bearer_auth(&running.operator);
    let request = request.header("x-request-id", "my-feed.1");
    let mut response = request.send().await.expect("a feed");
    assert!(response.chunk().await.expect("a greeting").is_some());
    running.origin.store().close().await;
    let end = async { while response.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    tokio::time::timeout(Duration::from_secs(10), end)
        .await
        .expect("in time");
    let log = std::fs::read_to_string(log).expect("the log");
    let line = log.lines().find(|line| line.contains("a feed cannot read the record"));
    assert!(line.is_some_and(|line| line.contains("my-feed.1")), "{log}");
}

#[tokio::test]
async fn that_the_primary_goes_and_comes_is_said_once_each_and_a_slow_statement_is_not_that() {
    let mut server = Server::start();
    drop(origin(&server).await);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let file = Arc::new(File::create(&log).expect("a log"));
    let lines = tracing_subscriber::fmt().json().with_max_level(LevelFilter::DEBUG);
    let _logging = tracing::subscriber::set_default(lines.with_writer(file).finish());
    let said = |what: &str| {
        let log = std::fs::read_to_string(&log).expect("the log");
        log.lines().filter(|line| line.contains(what)).count()
    };
    let short = PostgresSettings {
        statement_timeout: Duration::from_millis(300),
        ..settings(server.url("record"))
    };
    let running = Running::on(&short).await;
    let mut blocker = connect(&server).await;
    let mut lock = blocker.begin().await.expect("a transaction");
    let lock_links = sqlx::query("LOCK TABLE links").execute(&mut *lock).await;
    lock_links.expect("a lock");
    for _ in 0..2 {
        running
            .ask("GET", "/v1/links?site=go")
            .await
            .problem(503, "unavailable");
        running.ask("GET", "/v1/sites").await.success(200);
    }
    assert_eq!((said("ERROR"), said("the primary can")), (0, 0));
    lock.rollback().await.expect("let go");
    server.stop("fast");
    while said("the primary cannot be reached") == 0 {
        running.ask("GET", "/v1/sites").await.problem(503, "unavailable");
    }
    // It is tried again and again.
    let tried = said("changes get no numbers");
    while said("changes get no numbers") < tried + 2 {
        running.ask("GET", "/v1/sites").await.problem(503, "unavailable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.run();
    while running.ask("GET", "/v1/sites").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(said("the primary cannot be reached; answering"), 1);
    assert_eq!(said("the primary can be reached again"), 1);
}
