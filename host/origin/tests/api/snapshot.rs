//! All links, a part at a time, and answers no older than what a node was told.

use std::collections::BTreeSet;

use serde_json::json;
use wayside_decide::site::SiteId;
use wayside_upstream::protocol::{Change, Epoch, Position, SnapshotPage};

use crate::harness::{Reply, Running};

const LINKS: usize = 25;

/// Acme's site `go` and tenant beta's, with as many links each.
async fn two_tenants() -> Running {
    let running = Running::with_site().await;
    let beta = running.mint(Some("beta"), wayside_origin::token::Scope::Write).await;
    let site = json!({"name": "go", "hosts": ["beta.example.com"]});
    running.send_as(&beta, "POST", "/v1/sites", &site).await.success(201);
    for token in [&running.acme, &beta] {
        let links: Vec<_> = (0..LINKS)
            .map(|number| json!({"path": format!("/{number}"), "target": "https://a.example/", "tags": ["t"]}))
            .collect();
        let batch = json!({"site": "go", "links": links});
        running
            .send_as(token, "POST", "/v1/links/batch", &batch)
            .await
            .success(200);
    }
    running
}

async fn part(running: &Running, query: &str) -> Reply {
    let path = format!("/v1/edge/snapshot?{query}");
    running.ask_as(&running.operator, "GET", &path).await
}

fn page(reply: Reply) -> SnapshotPage {
    serde_json::from_value(reply.success(200)).expect("a part")
}

async fn parts_of_a_snapshot_hold_every_link_once_and_begin_anywhere() {
    let running = two_tenants().await;
    let mut seen = BTreeSet::new();
    let mut page = page(part(&running, "limit=7").await);
    let first = page.position;
    assert_eq!(first.cursor, 2 + 2 * LINKS as u64);
    loop {
        for found in &page.links {
            assert_eq!(
                (found.link.target.as_str(), found.link.tags.len()),
                ("https://a.example/", 1)
            );
            assert!(seen.insert((found.site_id, found.path.clone())), "none twice");
        }
        let Some(next) = page.next else { break };
        assert_eq!(page.links.len(), 7);
        let query = format!("limit=7&after={next}&epoch={}&cursor={}", first.epoch, first.cursor);
        page = super::snapshot::page(part(&running, &query).await);
        assert_eq!(page.position.epoch, first.epoch);
    }
    assert_eq!(seen.len(), 2 * LINKS);
    let whole = running.node().snapshot(None, None).await.expect("a snapshot");
    assert_eq!((whole.links.len(), whole.next), (2 * LINKS, None));
}

async fn a_record_without_links_is_one_empty_part() {
    let running = Running::start().await;
    let none = running.node().snapshot(None, None).await.expect("a snapshot");
    assert_eq!((none.links.len(), none.next, none.position.cursor), (0, None, 0));
}

async fn a_snapshot_and_the_feed_from_its_first_part_make_the_whole() {
    let running = two_tenants().await;
    let node = running.node();
    let first = page(part(&running, "limit=10").await);
    let changed = json!({"site": "go", "path": "/0", "target": "https://b.example/"});
    running.send("PUT", "/v1/links", &changed).await.success(200);
    let rest = node
        .snapshot(first.next.as_deref(), Some(first.position))
        .await
        .expect("the rest");
    assert_eq!(rest.next, None);
    assert!(rest.position.cursor > first.position.cursor);
    let mut feed = node
        .feed(first.position.cursor, Some(first.position.epoch))
        .await
        .expect("a feed");
    assert_eq!(feed.epoch(), Some(first.position.epoch));
    let event = feed.next().await.expect("an event").expect("no end");
    assert!(matches!(event.change, Change::Link { path, .. } if path == "/0"));
}

async fn a_position_of_another_record_is_refused_and_its_feed_begins_anew() {
    let running = two_tenants().await;
    let node = running.node();
    let own = node.directory(None).await.expect("a directory");
    let epoch = own.epoch.expect("an epoch");
    let other = Position {
        epoch: Epoch(epoch.0 ^ 1),
        cursor: own.cursor,
    };
    let refused = node.snapshot(Some("acme/1/0"), Some(other)).await.expect_err("refused");
    assert!(refused.is_another_record(), "{refused}");
    let mut feed = node.feed(other.cursor, Some(other.epoch)).await.expect("a feed");
    assert_eq!(feed.epoch(), Some(epoch));
    let event = feed.next().await.expect("an event").expect("no end");
    assert_eq!((event.change, event.seq), (Change::Resync, own.cursor));
    for (site, path) in [(1, "/0"), (1, "/none"), (99, "/0")] {
        let refused = node.link(SiteId(site), path, Some(other)).await.expect_err("refused");
        assert!(refused.is_another_record(), "{site} {path}: {refused}");
    }
    let refused = node.directory(Some(other)).await.expect_err("refused");
    assert!(refused.is_another_record(), "{refused}");
    running.ask("DELETE", "/v1/links?site=go&path=/0").await.success(204);
    let told = Position {
        epoch,
        cursor: own.cursor + 1,
    };
    assert_eq!(node.link(SiteId(1), "/0", Some(told)).await.expect("an answer"), None);
}

async fn who_was_told_of_more_than_there_is_gets_no_answer() {
    let running = two_tenants().await;
    let cursor = running.node().directory(None).await.expect("a directory").cursor;
    let epoch = running.origin.store().head().borrow().epoch;
    let told = format!("epoch={epoch}&cursor={}", cursor + 1);
    for path in [
        "/v1/edge/links?site_id=1&path=/0",
        "/v1/edge/links?site_id=99&path=/0",
        "/v1/edge/directory?",
        "/v1/edge/snapshot?",
    ] {
        let reply = running
            .ask_as(&running.operator, "GET", &format!("{path}&{told}"))
            .await;
        assert_eq!(reply.headers["retry-after"], "1", "{path}");
        reply.problem(503, "unavailable");
    }
}

async fn what_is_wrong_with_a_query_for_a_part_is_named() {
    let running = two_tenants().await;
    part(&running, "limit=0").await.invalid("limit");
    part(&running, "limit=10001").await.invalid("limit");
    part(&running, "after=nonsense").await.invalid("after");
    part(&running, "epoch=12&cursor=1").await.invalid("epoch");
    part(&running, "cursor=x").await.invalid("cursor");
    part(&running, "page=2").await.invalid("page");
}

async fn a_part_with_long_links_ends_early() {
    let running = Running::with_site().await;
    let target = format!("https://a.example/{}", "x".repeat(1_900));
    for batch in 0..3 {
        let links: Vec<_> = (0..1_000)
            .map(|number| json!({"path": format!("/{batch}/{number}"), "target": target}))
            .collect();
        let batch = json!({"site": "go", "links": links});
        running.send("POST", "/v1/links/batch", &batch).await.success(200);
    }
    let node = running.node();
    let first = node.snapshot(None, None).await.expect("a part");
    assert!((1_000..3_000).contains(&first.links.len()), "{}", first.links.len());
    let rest = node
        .snapshot(first.next.as_deref(), Some(first.position))
        .await
        .expect("a part");
    assert_eq!(first.links.len() + rest.links.len(), 3_000);
}

crate::on_both_engines! {
    parts_of_a_snapshot_hold_every_link_once_and_begin_anywhere,
    a_record_without_links_is_one_empty_part,
    a_snapshot_and_the_feed_from_its_first_part_make_the_whole,
    a_position_of_another_record_is_refused_and_its_feed_begins_anew,
    who_was_told_of_more_than_there_is_gets_no_answer,
    what_is_wrong_with_a_query_for_a_part_is_named,
    a_part_with_long_links_ends_early,
}
