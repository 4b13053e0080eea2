//! What nodes are told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use wayside_decide::{digest::Digest, site::SiteId};
use wayside_upstream::{
    client::{Feed, OriginError},
    protocol::{Change, FeedEvent},
};

use crate::harness::{GEO, Running, link};

pub(crate) async fn next(feed: &mut Feed) -> FeedEvent {
    let event = tokio::time::timeout(Duration::from_secs(10), feed.next());
    event.await.expect("in time").expect("an event").expect("no end")
}

/// The next thing that happened.
pub(crate) async fn next_change(feed: &mut Feed) -> FeedEvent {
    loop {
        let event = next(feed).await;
        if event.change != Change::Heartbeat {
            return event;
        }
    }
}

fn link_change(seq: u64, path: &str) -> FeedEvent {
    let path = path.to_owned();
    FeedEvent {
        seq,
        change: Change::Link { site_id: 1, path },
    }
}

async fn a_node_reads_directory_links_and_policies() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    running.push("geo", GEO).await.success(201);
    let binding = serde_json::json!({"site": "go", "prefix": "/geo", "policy": "geo", "on_failure": "closed"});
    running.send("PUT", "/v1/bindings", &binding).await.success(200);
    let node = running.node();
    let directory = node.directory(None).await.expect("a directory");
    let site = &directory.sites[0];
    assert_eq!(
        (site.tenant.as_str(), site.name.as_str(), site.hosts.len()),
        ("acme", "go", 1)
    );
    assert_eq!(
        (site.bucket_key.len(), site.bindings[0].on_failure.as_str()),
        (64, "closed")
    );
    let found = node
        .link(SiteId(site.id), "/a", None)
        .await
        .expect("an answer")
        .expect("a link");
    assert_eq!(found.target, "https://a.example/");
    assert_eq!(
        node.link(SiteId(site.id), "/none", None).await.expect("an answer"),
        None
    );
    assert_eq!(node.link(SiteId(99), "/a", None).await.expect("an answer"), None);
    assert_eq!(node.policy(Digest::of(GEO)).await.expect("a component"), GEO);
    let unknown = node.policy(Digest::of(b"none")).await;
    assert!(
        matches!(unknown, Err(OriginError::Refused { status: 404, .. })),
        "{unknown:?}"
    );
}

async fn a_directory_that_is_held_is_told_again_only_when_it_changed() {
    let running = Running::with_site().await;
    let node = running.node();
    let held = node.directory(None).await.expect("a directory");
    let tag = held.tag.as_deref().expect("a tag");
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    assert_eq!(node.changed_directory(None, tag).await.expect("an answer"), None);
    let site = serde_json::json!({"hosts": ["go.example.com", "other.example.com"]});
    running.send("PUT", "/v1/sites/go", &site).await.success(200);
    let changed = node.changed_directory(None, tag).await.expect("an answer");
    let changed = changed.expect("a directory");
    assert_eq!(changed.sites[0].hosts.len(), 2);
    assert!(changed.tag.is_some_and(|changed| changed != tag));
}

async fn a_link_that_is_written_as_it_was_is_no_change() {
    let running = Running::with_site().await;
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let full = serde_json::json!({
        "site": "go", "path": "/a", "target": "https://a.example/", "status": 301, "forward_query": true,
        "starts_at": 1, "expires_at": 4_000_000_000_u64, "fallback": "https://b.example/", "tags": ["x", "y"],
        "attributes": {"k": "v", "l": "w"},
    });
    for _ in 0..2 {
        running.send("PUT", "/v1/links", &full).await.success(200);
    }
    // Each field is one: a change of any is told.
    let others = serde_json::json!({
        "target": "https://c.example/", "status": 302, "forward_query": false, "starts_at": 2,
        "expires_at": 4_000_000_001_u64, "fallback": null, "tags": ["x"], "attributes": {"k": "w"},
    });
    let mut seq = 2;
    assert_eq!(next_change(&mut feed).await, link_change(seq, "/a"));
    for (field, value) in others.as_object().expect("fields") {
        let mut other = full.clone();
        other[field] = value.clone();
        for written in [&other, &full] {
            let batch = serde_json::json!({"site": "go", "links": [links_part(written), links_part(written)]});
            running.send("POST", "/v1/links/batch", &batch).await.success(200);
            seq += 1;
            assert_eq!(next_change(&mut feed).await, link_change(seq, "/a"), "{field}");
        }
    }
}

/// A link as it stands in a batch, which names the site once.
fn links_part(link: &serde_json::Value) -> serde_json::Value {
    let mut part = link.clone();
    part.as_object_mut().expect("a link").remove("site");
    part
}

async fn a_feed_tells_changes_in_order_and_goes_on_from_a_cursor() {
    let running = Running::with_site().await;
    let node = running.node();
    let mut feed = node.feed(0, None).await.expect("a feed");
    assert_eq!(
        next_change(&mut feed).await,
        FeedEvent {
            seq: 1,
            change: Change::Directory
        }
    );
    for path in ["/a", "/b"] {
        running
            .send("POST", "/v1/links", &link(path, "https://a.example/"))
            .await
            .success(201);
    }
    running.ask("DELETE", "/v1/links?site=go&path=/a").await.success(204);
    let expected = [link_change(2, "/a"), link_change(3, "/b"), link_change(4, "/a")];
    for event in &expected {
        assert_eq!(&next_change(&mut feed).await, event);
    }
    let mut later = node.feed(2, None).await.expect("a feed");
    for event in &expected[1..] {
        assert_eq!(&next_change(&mut later).await, event);
    }
    assert_eq!(node.directory(None).await.expect("a directory").cursor, 4);
}

async fn a_refused_request_tells_the_feed_nothing() {
    let running = Running::with_site().await;
    running
        .send("POST", "/v1/links", &link("/a", "javascript:x"))
        .await
        .invalid("target");
    let taken = serde_json::json!({"name": "two", "hosts": ["go.example.com"]});
    running.send("POST", "/v1/sites", &taken).await.problem(409, "conflict");
    assert_eq!(running.node().directory(None).await.expect("a directory").cursor, 1);
}

async fn a_cursor_from_the_future_means_beginning_anew() {
    let running = Running::with_site().await;
    let mut feed = running.node().feed(2, None).await.expect("a feed");
    assert_eq!(
        next(&mut feed).await,
        FeedEvent {
            seq: 1,
            change: Change::Resync
        }
    );
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    assert_eq!(
        next_change(&mut feed).await,
        link_change(2, "/a"),
        "and the feed goes on"
    );
    for cursor in [1_000, i64::MAX.cast_unsigned(), u64::MAX] {
        let mut feed = running.node().feed(cursor, None).await.expect("a feed");
        assert_eq!(next(&mut feed).await.change, Change::Resync, "{cursor}");
    }
}

async fn an_idle_feed_says_that_it_lives() {
    let running = Running::start().await;
    let mut feed = running.node().feed(0, None).await.expect("a feed");
    for _ in 0..3 {
        let event = next(&mut feed).await;
        assert_eq!(
            event,
            FeedEvent {
                seq: 0,
                change: Change::Heartbeat
            }
        );
    }
}

async fn many_writers_at_once_lose_nothing_in_the_feed() {
    const WRITERS: usize = 4;
    const LINKS: usize = 25;
    let running = Arc::new(Running::with_site().await);
    let mut feed = running.node().feed(1, None).await.expect("a feed");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let running = running.clone();
            tokio::spawn(async move {
                for number in 0..LINKS {
                    let new = link(&format!("/{writer}/{number}"), "https://a.example/");
                    running.send("POST", "/v1/links", &new).await.success(201);
                }
            })
        })
        .collect();
    let mut paths = BTreeSet::new();
    for seq in 2..2 + (WRITERS * LINKS) as u64 {
        let event = next_change(&mut feed).await;
        assert_eq!(event.seq, seq, "in order, without a gap");
        let Change::Link { path, .. } = event.change else {
            panic!("no link: {event:?}");
        };
        assert!(paths.insert(path), "none twice");
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    assert_eq!(paths.len(), WRITERS * LINKS);
}

async fn feeds_end_when_the_origin_stops() {
    let running = Running::start().await;
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let base = format!("http://{}", socket.local_addr().expect("an address"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(running.origin.clone().serve(socket, None, async move {
        let _ = stopped.await;
    }));
    let node = crate::harness::node(&base, &running.operator);
    let mut feed = node.feed(0, None).await.expect("a feed");
    next(&mut feed).await;
    stop.send(()).expect("it listens");
    let end = async { while feed.next().await.expect("a good end").is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), end)
        .await
        .expect("in time");
    drop((feed, node));
    let served = tokio::time::timeout(Duration::from_secs(5), serving).await;
    served.expect("in time").expect("no panic");
}

crate::on_both_engines! {
    a_directory_that_is_held_is_told_again_only_when_it_changed,
    a_link_that_is_written_as_it_was_is_no_change,
    a_node_reads_directory_links_and_policies,
    a_feed_tells_changes_in_order_and_goes_on_from_a_cursor,
    a_refused_request_tells_the_feed_nothing,
    a_cursor_from_the_future_means_beginning_anew,
    an_idle_feed_says_that_it_lives,
    many_writers_at_once_lose_nothing_in_the_feed,
    feeds_end_when_the_origin_stops,
}
