//! An origin that reads a streaming replica.

use std::{pin::pin, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use wayside_decide::site::SiteId;
use wayside_origin::{origin::Origin, store::postgres::connect::PostgresSettings};
use wayside_test_postgres::Server;
use wayside_upstream::protocol::{Change, Position};

use super::order::origin;
use crate::{
    feed::{next, next_change},
    harness::{Running, admission, link, settings},
};

fn with_replica(primary: &Server, standby: &Server) -> PostgresSettings {
    PostgresSettings {
        replica: Some(standby.url("record")),
        ..settings(primary.url("record"))
    }
}

fn numbered(path: &str, number: u32) -> Value {
    link(path, &format!("https://a.example/{number}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_of_a_change_never_reads_what_was_before() {
    const CHANGES: u32 = 60;
    let primary = Server::start();
    let writer = origin(&primary).await;
    let standby = primary.standby();
    let near = Running::on(&with_replica(&primary, &standby)).await;
    let node = near.node();
    let mut feed = node.feed(1, None).await.expect("a feed");
    let epoch = feed.epoch().expect("an epoch");
    let writing = async {
        for number in 0..CHANGES {
            writer
                .send("PUT", "/v1/links", &numbered("/a", number))
                .await
                .success(200);
        }
    };
    let reading = async {
        for number in 0..CHANGES {
            let cursor = next_change(&mut feed).await.seq;
            assert_eq!(cursor, u64::from(number) + 2, "the replica tells all, in order");
            let told = Position { epoch, cursor };
            let found = node
                .link(SiteId(1), "/a", Some(told))
                .await
                .expect("an answer")
                .expect("a link");
            let found: u32 = found
                .target
                .rsplit('/')
                .next()
                .expect("a number")
                .parse()
                .expect("a number");
            assert!(found >= number, "told of {number}, and read {found}");
        }
    };
    tokio::join!(writing, reading);
    // An origin nearer to the primary told a node of more than this replica has.
    standby.psql("record", "SELECT pg_wal_replay_pause()");
    writer
        .send("PUT", "/v1/links", &numbered("/a", CHANGES))
        .await
        .success(200);
    let told = *writer.origin.store().head().borrow();
    let found = node
        .link(SiteId(1), "/a", Some(told))
        .await
        .expect("an answer")
        .expect("a link");
    assert_eq!(found.target, format!("https://a.example/{CHANGES}"));
    assert_eq!(
        node.directory(Some(told)).await.expect("a directory").cursor,
        told.cursor
    );
    let mut ahead = node.feed(told.cursor, Some(told.epoch)).await.expect("a feed");
    assert_eq!(
        next(&mut ahead).await.change,
        Change::Heartbeat,
        "no reason to begin anew"
    );
    assert_eq!(next(&mut feed).await.change, Change::Heartbeat, "it does not know yet");
    standby.psql("record", "SELECT pg_wal_replay_resume()");
    assert_eq!(next_change(&mut feed).await.seq, told.cursor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_served_from_the_replica_while_the_primary_is_away() {
    let mut primary = Server::start();
    let writer = origin(&primary).await;
    writer.send("PUT", "/v1/links", &numbered("/a", 1)).await.success(200);
    let told = *writer.origin.store().head().borrow();
    let standby = primary.standby();
    let near = Running::on(&with_replica(&primary, &standby)).await;
    let node = near.node();
    let mut feed = node.feed(told.cursor, Some(told.epoch)).await.expect("a feed");
    assert_eq!(next(&mut feed).await.change, Change::Heartbeat);
    drop(writer);
    standby.catch_up(&primary);
    primary.stop("fast");
    let found = node.link(SiteId(1), "/a", Some(told)).await.expect("an answer");
    assert_eq!(found.expect("a link").target, "https://a.example/1");
    assert_eq!(
        node.link(SiteId(1), "/none", Some(told)).await.expect("an answer"),
        None
    );
    assert_eq!(node.directory(None).await.expect("a directory").sites.len(), 1);
    assert_eq!(node.snapshot(None, None).await.expect("a snapshot").links.len(), 1);
    for _ in 0..5 {
        assert_eq!(next(&mut feed).await.change, Change::Heartbeat);
    }
    let refused = near.send("PUT", "/v1/links", &numbered("/a", 2)).await;
    assert_eq!(refused.headers["retry-after"], "1");
    refused.problem(503, "unavailable");
    // One that starts meanwhile serves nodes, too. (It makes tokens where it can write.)
    let fresh = Origin::open_postgres(&with_replica(&primary, &standby), admission()).await;
    let fresh = fresh.expect("an origin on the replica alone");
    assert_eq!(*fresh.store().head().borrow(), told);
    primary.run();
    loop {
        let reply = near.send("PUT", "/v1/links", &numbered("/a", 3)).await;
        if reply.status == 200 {
            break;
        }
        reply.problem(503, "unavailable");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What was refused may have been in its last moment; what was acknowledged is told.
    let mut found = String::new();
    while found != "https://a.example/3" {
        let cursor = next_change(&mut feed).await.seq;
        let now = Position { cursor, ..told };
        found = node
            .link(SiteId(1), "/a", Some(now))
            .await
            .expect("an answer")
            .expect("a link")
            .target;
    }
}

/// A way to the server at `port`, which hangs when it is told to: connections stay, and nothing comes through.
async fn hanging_way(port: u16) -> (u16, watch::Sender<bool>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let own = socket.local_addr().expect("an address").port();
    let hangs = watch::Sender::new(false);
    let way = hangs.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = socket.accept().await.expect("a connection");
            let mut hangs = way.subscribe();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
                let mut passing = pin!(copy_bidirectional(&mut client, &mut server));
                tokio::select! {
                    biased;
                    _ = hangs.wait_for(|hangs| *hangs) => {}
                    _ = &mut passing => return,
                }
                // What was in flight arrives late, or never.
                let _ = hangs.wait_for(|hangs| !hangs).await;
                let _ = passing.await;
            });
        }
    });
    (own, hangs)
}

/// So many reads that a test does not come to its end in which each waits for a replica that says nothing.
const IMPATIENT: u32 = 300;

/// Changes are told, and what is read is new, although the replica says nothing.
async fn told_and_read_from_the_primary(writer: &Running, near: &Running) {
    let node = near.node();
    let begin = *writer.origin.store().head().borrow();
    let mut feed = node.feed(begin.cursor, Some(begin.epoch)).await.expect("a feed");
    for number in 0..IMPATIENT {
        writer
            .send("PUT", "/v1/links", &numbered("/a", number))
            .await
            .success(200);
        let cursor = next_change(&mut feed).await.seq;
        let told = Position { cursor, ..begin };
        let found = node.link(SiteId(1), "/a", Some(told)).await.expect("an answer");
        assert_eq!(found.expect("a link").target, format!("https://a.example/{number}"));
        let directory = node.directory(None).await.expect("a directory");
        assert!(
            directory.cursor >= cursor && directory.sites.len() == 1,
            "{directory:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_replica_that_is_away() {
    let primary = Server::start();
    let writer = origin(&primary).await;
    let mut standby = primary.standby();
    let near = Running::on(&with_replica(&primary, &standby)).await;
    near.node().directory(None).await.expect("a directory");
    standby.stop("immediate");
    told_and_read_from_the_primary(&writer, &near).await;
    // One that starts meanwhile asks the primary, too.
    let fresh = Running::on(&with_replica(&primary, &standby)).await;
    told_and_read_from_the_primary(&writer, &fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_replica_that_hangs_and_it_is_asked_again_when_it_answers() {
    let mut primary = Server::start();
    let writer = origin(&primary).await;
    let standby = primary.standby();
    let (port, hangs) = hanging_way(standby.port()).await;
    let settings = PostgresSettings {
        replica: Some(format!("postgres://postgres@127.0.0.1:{port}/record")),
        ..settings(primary.url("record"))
    };
    let near = Running::on(&settings).await;
    let node = near.node();
    node.directory(None).await.expect("a directory");
    hangs.send_replace(true);
    told_and_read_from_the_primary(&writer, &near).await;
    hangs.send_replace(false);
    let told = *writer.origin.store().head().borrow();
    drop(writer);
    standby.catch_up(&primary);
    primary.stop("fast");
    while node.link(SiteId(1), "/a", Some(told)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_the_replica_has_not_heard_of_is_known() {
    let primary = Server::start();
    let writer = origin(&primary).await;
    let standby = primary.standby();
    let near = Running::on(&with_replica(&primary, &standby)).await;
    let invited = crate::nodes::invite(&writer).await;
    standby.catch_up(&primary);
    // It knows of the invitation, and not of the key.
    standby.psql("record", "SELECT pg_wal_replay_pause()");
    let candidate = crate::nodes::candidate(&near, crate::nodes::text(&invited, "invitation"));
    let id = candidate.enrol().await.expect("enrolled");
    let node = crate::nodes::client(&near, candidate.into_identity(id));
    node.directory(None).await.expect("a directory");
    standby.psql("record", "SELECT pg_wal_replay_resume()");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_is_another_record() {
    let mut primary = Server::start();
    let writer = origin(&primary).await;
    writer.send("PUT", "/v1/links", &numbered("/a", 1)).await.success(200);
    let standby = primary.standby();
    standby.catch_up(&primary);
    // Acknowledged, told, and lost with the primary.
    standby.psql("record", "SELECT pg_wal_replay_pause()");
    writer.send("PUT", "/v1/links", &numbered("/a", 2)).await.success(200);
    let told = *writer.origin.store().head().borrow();
    drop(writer);
    primary.stop("immediate");
    standby.promote();
    let promoted = Running::on(&settings(standby.url("record"))).await;
    let body = json!({"site": "go", "path": "/b", "target": "https://b.example/"});
    promoted.send("POST", "/v1/links", &body).await.success(201);
    let mut feed = promoted
        .node()
        .feed(told.cursor, Some(told.epoch))
        .await
        .expect("a feed");
    assert_ne!(feed.epoch(), Some(told.epoch));
    assert_eq!(next(&mut feed).await.change, Change::Resync);
}
