//! Every node reads everything at the same moment, and visitors want links.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::watch;
use wayside_decide::site::SiteId;
use wayside_test_postgres::Server;

use super::order::{connect, origin};
use crate::harness::{Running, settings};

const LINKS: usize = 200;
const NODES: usize = 40;
const SOON: Duration = Duration::from_secs(60);

/// Each link that is read takes a while: a part of all holds its connection for seconds.
const SLOW_LINKS: &str = "
    ALTER TABLE links RENAME TO links_kept;
    CREATE FUNCTION slowly(whole text) RETURNS text LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(0.02); RETURN whole; END';
    CREATE VIEW links AS SELECT tenant, site_id, path, slowly(target) AS target, status, forward_query, starts_at,
        expires_at, fallback, tags, attributes, created_at, updated_at FROM links_kept";

async fn slow_record(server: &Server) -> Running {
    let running = origin(server).await;
    let link = |number| json!({"path": format!("/{number}"), "target": "https://a.example/"});
    let links: Vec<_> = (0..LINKS).map(link).collect();
    let batch = json!({"site": "go", "links": links});
    running.send("POST", "/v1/links/batch", &batch).await.success(200);
    drop(running);
    let mut connection = connect(server).await;
    let made = sqlx::raw_sql(SLOW_LINKS).execute(&mut connection).await;
    made.expect("slow links");
    Running::on(&settings(server.url("record"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_answered_while_more_nodes_read_everything_than_there_are_connections() {
    let server = Server::start();
    let running = Arc::new(slow_record(&server).await);
    let (is_over, crowded) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(false));
    let read_all = || {
        let (running, is_over, crowded) = (Arc::clone(&running), Arc::clone(&is_over), crowded.clone());
        tokio::spawn(async move {
            let mut statuses = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                let reply = running.ask_as(&running.operator, "GET", "/v1/edge/snapshot").await;
                if reply.status == 429 {
                    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
                    crowded.send_replace(true);
                }
                statuses.insert(reply.status);
            }
            statuses
        })
    };
    let nodes: Vec<_> = (0..NODES).map(|_| read_all()).collect();
    let mut is_crowded = crowded.subscribe();
    // Nothing of what it resolves to may live on: it keeps the senders waiting.
    let is_crowded = tokio::time::timeout(SOON, is_crowded.wait_for(|crowded| *crowded))
        .await
        .is_ok();
    assert!(is_crowded, "nobody was told to come again");
    let node = running.node();
    for number in 0..LINKS / 4 {
        let found = node.link(SiteId(1), &format!("/{number}"), None).await;
        assert!(found.expect("an answer").is_some(), "{number}");
        assert_eq!(node.directory(None).await.expect("a directory").sites.len(), 1);
    }
    is_over.store(true, Ordering::Relaxed);
    let mut statuses = BTreeSet::new();
    for node in nodes {
        statuses.extend(node.await.expect("no panic"));
    }
    assert_eq!(statuses, BTreeSet::from([200, 429]));
}
