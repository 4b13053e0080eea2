//! What nodes are told, and in which order, while transactions overlap.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{Connection as _, PgConnection};
use wayside_test_postgres::Server;
use wayside_upstream::{client::Feed, protocol::Change};

use crate::{
    feed::{next, next_change},
    harness::{Running, link, settings},
};

/// An origin with acme's site, on a database of its own.
pub(crate) async fn origin(server: &Server) -> Running {
    let running = Running::on(&settings(server.database("record"))).await;
    running.make_site().await;
    running
}

pub(crate) async fn connect(server: &Server) -> PgConnection {
    PgConnection::connect(&server.url("record"))
        .await
        .expect("a connection")
}

/// What an origin does in a transaction to write a link.
async fn write(connection: &mut PgConnection, path: &str) {
    let insert = "INSERT INTO links VALUES ('acme', 1, $1, 'https://a.example/', 302, false, NULL, NULL, NULL, '[]', '{}', 0, 0)";
    sqlx::query(insert)
        .bind(path)
        .execute(&mut *connection)
        .await
        .expect("a link");
    let note = sqlx::query("INSERT INTO outbox (tenant, site_id, path) VALUES ('acme', 1, $1)");
    note.bind(path).execute(connection).await.expect("a note");
}

/// The path of the next link that changed, and the change's number.
async fn next_link(feed: &mut Feed) -> (u64, String) {
    let event = next_change(feed).await;
    let Change::Link { path, .. } = event.change else {
        panic!("no link: {event:?}");
    };
    (event.seq, path)
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_told_then_and_delays_nobody() {
    let server = Server::start();
    let running = origin(&server).await;
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    let mut early = first.begin().await.expect("a transaction");
    write(&mut early, "/began-first").await;
    let mut late = second.begin().await.expect("a transaction");
    write(&mut late, "/began-second").await;
    late.commit().await.expect("committed");
    assert_eq!(next_link(&mut feed).await, (2, "/began-second".to_owned()));
    let new = link("/after", "https://a.example/");
    running.send("POST", "/v1/links", &new).await.success(201);
    assert_eq!(next_link(&mut feed).await, (3, "/after".to_owned()));
    early.commit().await.expect("committed");
    assert_eq!(next_link(&mut feed).await, (4, "/began-first".to_owned()));
    // Who comes later is told the same.
    let mut later = running.node().feed(1, None).await.expect("a feed");
    for expected in ["/began-second", "/after", "/began-first"] {
        assert_eq!(next_link(&mut later).await.1, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_transactions_that_overlap_each_that_commits_is_told_once() {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 30;
    let server = Server::start();
    let running = origin(&server).await;
    // Two origins number at the same time, and a node of each hears all.
    let other = Running::on(&settings(server.url("record"))).await;
    let mut feeds = [
        running.node().feed(1, None).await.expect("a feed"),
        other.node().feed(1, None).await.expect("a feed"),
    ];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = server.url("record");
            tokio::spawn(async move {
                let mut connection = PgConnection::connect(&url).await.expect("a connection");
                let mut committed = BTreeSet::new();
                // A generator of its own, so that a run can be had again.
                let mut state = writer.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                for round in 0..ROUNDS {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let mut write_it = connection.begin().await.expect("a transaction");
                    let path = format!("/{writer}/{round}");
                    write(&mut write_it, &path).await;
                    tokio::time::sleep(Duration::from_millis(state % 20)).await;
                    if state.is_multiple_of(5) {
                        write_it.rollback().await.expect("rolled back");
                    } else {
                        write_it.commit().await.expect("committed");
                        committed.insert(path);
                    }
                }
                committed
            })
        })
        .collect();
    let mut committed = BTreeSet::new();
    for writer in writers {
        committed.extend(writer.await.expect("a writer"));
    }
    assert!(committed.len() > 100, "{}", committed.len());
    for feed in &mut feeds {
        let mut told = BTreeSet::new();
        for seq in 2..2 + committed.len() as u64 {
            let (found, path) = next_link(feed).await;
            assert_eq!(found, seq, "in order, without a gap");
            assert!(told.insert(path), "none twice");
        }
        assert_eq!(told, committed);
        assert_eq!(next(feed).await.change, Change::Heartbeat, "and nothing else");
    }
}

#[tokio::test]
async fn what_an_ended_origin_left_without_a_number_is_told_by_another() {
    let server = Server::start();
    let running = origin(&server).await;
    let mut connection = connect(&server).await;
    // What an origin leaves that is killed after its commit: nobody asks for numbers.
    write(&mut connection, "/left").await;
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    assert_eq!(next_link(&mut feed).await, (2, "/left".to_owned()));
    running.origin.store().close().await;
    write(&mut connection, "/left-by-all").await;
    let next = Running::on(&settings(server.url("record"))).await;
    let mut feed = next.node().feed(2, None).await.expect("a feed");
    assert_eq!(next_link(&mut feed).await, (3, "/left-by-all".to_owned()));
}

#[tokio::test]
async fn a_record_restored_from_a_dump_makes_nodes_begin_anew() {
    let server = Server::start();
    let running = origin(&server).await;
    for path in ["/a", "/b"] {
        let new = link(path, "https://a.example/");
        running.send("POST", "/v1/links", &new).await.success(201);
    }
    let before = *running.origin.store().head().borrow();
    assert_eq!(before.cursor, 3);
    let dump = server.folder().join("dump");
    server.dump("record", &dump);
    let restored = server.database("restored");
    server.restore("restored", &dump);
    let again = Running::on(&settings(restored)).await;
    let mut feed = again
        .node()
        .feed(before.cursor, Some(before.epoch))
        .await
        .expect("a feed");
    let epoch = feed.epoch().expect("an epoch");
    assert_ne!(epoch, before.epoch, "another record");
    let event = next(&mut feed).await;
    assert_eq!(event.change, Change::Resync);
    assert!(event.seq > before.cursor + 1_000, "{event:?}");
    // A node that knows no epochs.
    let mut feed = again.node().feed(before.cursor, None).await.expect("a feed");
    assert_eq!(next(&mut feed).await.change, Change::Resync);
    let directory = again.node().directory(None).await.expect("a directory");
    assert_eq!((directory.epoch, directory.sites.len()), (Some(epoch), 1));
    // Opened again, it is the same.
    let third = Running::on(&settings(server.url("restored"))).await;
    assert_eq!(third.origin.store().head().borrow().epoch, epoch);
}

/// A record that was set back gives its numbers anew.
#[tokio::test]
async fn a_number_that_became_another_tenants_is_read_as_that_ones() {
    let server = Server::start();
    let running = origin(&server).await;
    running
        .send("PUT", "/v1/links", &link("/a", "https://acme.example/"))
        .await
        .success(200);
    let node = running.node();
    let site = wayside_decide::site::SiteId(1);
    let found = node.link(site, "/a", None).await.expect("an answer");
    assert_eq!(found.expect("a link").target, "https://acme.example/");
    server.psql(
        "record",
        "DELETE FROM sites; INSERT INTO sites VALUES ('globex', 1, 'go', NULL, NULL, 'full', 'x', 0, 0);
        INSERT INTO links VALUES ('globex', 1, '/a', 'https://globex.example/', 302, false, NULL, NULL, NULL, '[]', '{}', 0, 0)",
    );
    assert_eq!(node.link(site, "/none", None).await.expect("an answer"), None);
    let found = node.link(site, "/a", None).await.expect("an answer");
    assert_eq!(found.expect("a link").target, "https://globex.example/");
    server.psql("record", "DELETE FROM sites");
    assert_eq!(node.link(site, "/a", None).await.expect("an answer"), None);
}
