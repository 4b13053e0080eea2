//! Numbers that were told and are lost: a crash, and a disk that is set back.

use std::{path::Path, process::Command, time::Duration};

use serde_json::json;
use wayside_test_postgres::Server;
use wayside_upstream::protocol::{Change, Position};

use super::order::origin;
use crate::{
    feed::next_change,
    harness::{Running, link, settings},
};

#[tokio::test]
async fn a_crash_loses_nothing_acknowledged_although_the_server_waits_for_no_disk_by_default() {
    let mut server = Server::start_with(&[("synchronous_commit", "off"), ("wal_writer_delay", "10s")]);
    let running = origin(&server).await;
    server.psql("record", "ALTER ROLE postgres SET synchronous_commit = off");
    for number in 0..5 {
        let path = format!("/{number}");
        running
            .send("PUT", "/v1/links", &link(&path, "https://a.example/"))
            .await
            .success(200);
    }
    let told = *running.origin.store().head().borrow();
    server.stop("immediate");
    server.run();
    let again = Running::on(&settings(server.url("record"))).await;
    let head = *again.origin.store().head().borrow();
    assert_eq!(
        (head, server.psql("record", "SELECT count(*) FROM links")),
        (told, "5".to_owned())
    );
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_told_what_a_disk_lost_begins_anew_and_no_number_is_given_twice() {
    let mut server = Server::start();
    let running = origin(&server).await;
    let (data, kept) = (server.folder().join("data"), server.folder().join("kept"));
    server.stop("fast");
    copy(&data, &kept);
    server.run();
    let write = async |number: u32| {
        let body = link("/a", &format!("https://a.example/{number}"));
        while running.send("PUT", "/v1/links", &body).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    for number in 0..5 {
        write(number).await;
    }
    let body = json!({"name": "lost", "hosts": ["lost.example"]});
    running.send("POST", "/v1/sites", &body).await.success(201);
    let told = *running.origin.store().head().borrow();
    let mut feed = running
        .node()
        .feed(told.cursor, Some(told.epoch))
        .await
        .expect("a feed");
    server.stop("immediate");
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(&kept, &data).expect("set back");
    server.run();
    // More than were lost, so that the numbers alone do not show it.
    for number in 10..20 {
        write(number).await;
    }
    // The feed says so, or ends, and then the next one does.
    let resync = loop {
        let next = tokio::time::timeout(Duration::from_secs(10), feed.next())
            .await
            .expect("in time");
        match next {
            Ok(Some(event)) if event.change == Change::Heartbeat => assert_eq!(event.seq, told.cursor),
            Ok(Some(event)) => break event,
            Ok(None) | Err(_) => {
                feed = running
                    .node()
                    .feed(told.cursor, Some(told.epoch))
                    .await
                    .expect("a feed")
            }
        }
    };
    assert_eq!(resync.change, Change::Resync, "{resync:?}");
    let head = *running.origin.store().head().borrow();
    assert!(head.epoch != told.epoch && head.cursor > told.cursor, "{told} {head}");
    let mut feed = running
        .node()
        .feed(told.cursor, Some(told.epoch))
        .await
        .expect("a feed");
    assert_eq!(next_change(&mut feed).await.change, Change::Resync);
    let body = json!({"name": "new", "hosts": ["new.example"]});
    running.send("POST", "/v1/sites", &body).await.success(201);
    let known = Position { ..head };
    let directory = running.node().directory(Some(known)).await.expect("a directory");
    let ids: Vec<u64> = directory.sites.iter().map(|site| site.id).collect();
    assert!(ids.len() == 2 && ids[1] > 1_000_000, "{ids:?}");
}
