//! Targets, assets and coverage zones as they are recorded, and what nodes are told of them.

use serde_json::{Value, json};
use wayside_decide::{
    digest::Digest,
    name::Name,
    site::SiteId,
    stream::{
        asset::{Asset, RelativePath},
        target::{Service, StreamTarget},
    },
};
use wayside_origin::store::{Freshness, Store, StoreError, WriteMode};
use wayside_upstream::{
    client::streams::Lookup,
    protocol::{
        Change, FeedEvent,
        streams::{EdgeAsset, EdgeTarget},
    },
};

use crate::{
    feed::next_change,
    harness::{Running, link},
};

pub(crate) fn name(text: &str) -> Name {
    Name::parse("name", text).expect("a name")
}

fn target(of: &str) -> StreamTarget {
    let wire = json!({"name": of, "region": "eu", "urls": [format!("https://{of}.example/live")]});
    let wire: EdgeTarget = serde_json::from_value(wire).expect("a target");
    StreamTarget::try_from(wire).expect("a good one")
}

fn asset(id: &str, targets: &[&str]) -> Asset {
    let pathways: Vec<Value> = targets.iter().map(|target| json!({"target": target})).collect();
    let wire = json!({"id": id, "source": "https://o.example/vod", "hls": "a.m3u8", "pathways": pathways});
    let wire: EdgeAsset = serde_json::from_value(wire).expect("an asset");
    Asset::try_from(wire).expect("a good one")
}

async fn write(store: &dyn Store, assets: &[Asset]) {
    let acme = name("acme");
    let written = store.write_assets(&acme, SiteId(1), assets.to_vec(), WriteMode::Replace);
    written.await.expect("written");
}

/// Since when each pathway of an asset is one.
async fn since(store: &dyn Store, id: &str) -> Vec<(String, u64)> {
    let record = store.asset(SiteId(1), &name(id), Freshness::Newest).await;
    let asset = record.expect("an asset").asset;
    let pathways = asset.pathways.iter();
    pathways
        .map(|pathway| (pathway.target.to_string(), pathway.since_ms))
        .collect()
}

async fn what_is_new_is_later_than_all_before_and_what_is_not_stays() {
    let running = Running::with_site().await;
    let store = running.origin.store();
    let acme = name("acme");
    let mut instants = Vec::new();
    for of in ["a", "b", "c"] {
        let made = store.create_target(&acme, target(of)).await.expect("a target");
        instants.push(made.target.since_ms);
    }
    write(&**store, &[asset("film", &["a"])]).await;
    instants.push(since(&**store, "film").await[0].1);
    let before = instants.clone();
    write(&**store, &[asset("film", &["b", "a"])]).await;
    let now = since(&**store, "film").await;
    assert_eq!(now[1], ("a".to_owned(), before[3]), "it is no newer than it was");
    instants.push(now[0].1);
    // A clock that went back does not lead back.
    const AHEAD: u64 = 10_000_000_000_000;
    store.delete_target(&acme, &name("c")).await.expect("deleted");
    running.sql("UPDATE stream_clocks SET last_ms = 10000000000000").await;
    let again = store.create_target(&acme, target("c")).await.expect("a target");
    assert_eq!(again.target.since_ms, AHEAD + 1);
    let other = store.create_target(&name("beta"), target("a")).await.expect("a target");
    assert!(other.target.since_ms < AHEAD, "each tenant has a clock of its own");
    instants.push(again.target.since_ms);
    assert!(instants.is_sorted_by(|one, next| one < next), "{instants:?}");
    let changed = StreamTarget {
        weight: 7,
        since_ms: 1,
        ..target("a")
    };
    let changed = store
        .replace_target(&acme, changed, false)
        .await
        .expect("a target")
        .target;
    assert_eq!((changed.weight, changed.since_ms), (7, instants[0]));
    let drained = store.set_service(&acme, &name("a"), Service::Draining).await;
    let drained = drained.expect("a target").target;
    let expected = StreamTarget {
        service: Service::Draining,
        ..changed
    };
    assert_eq!(drained, expected);
}

/// Since when players of an asset know a target's copy of it.
async fn known(running: &Running, id: &str, of: &str) -> u64 {
    let store = running.origin.store();
    let record = store.asset(SiteId(1), &name(id), Freshness::Newest).await;
    let target = store.target(&name("acme"), &name(of)).await.expect("a target").target;
    record.expect("an asset").asset.pathway(&target).expect("a pathway").1
}

async fn targets_that_an_asset_has_from_now_on_are_new_to_who_plays_it() {
    let running = Running::with_site().await;
    let store = running.origin.store();
    let acme = name("acme");
    for of in ["a", "b"] {
        store.create_target(&acme, target(of)).await.expect("a target");
    }
    write(&**store, &[asset("film", &["a"])]).await;
    let named = known(&running, "film", "a").await;
    write(&**store, &[asset("film", &[])]).await;
    let all = known(&running, "film", "b").await;
    assert!(all > named, "a playlist made before names `a` only");
    assert_eq!(known(&running, "film", "a").await, named);
    let tagged = Asset {
        tags: Box::new(["x".into()]),
        ..asset("film", &[])
    };
    write(&**store, &[tagged]).await;
    assert_eq!(known(&running, "film", "b").await, all, "it stays");
    store.create_target(&acme, target("c")).await.expect("a target");
    assert!(known(&running, "film", "c").await > all, "it came later");
    // Named again, they are no newer than they were.
    write(&**store, &[asset("film", &["b", "a"])]).await;
    let again = [("b".to_owned(), all), ("a".to_owned(), named)];
    assert_eq!(since(&**store, "film").await, again);
    write(&**store, &[asset("film", &["a"])]).await;
    write(&**store, &[asset("film", &["a", "b"])]).await;
    assert!(since(&**store, "film").await[1].1 > all, "it was none meanwhile");
    // In another folder it is another copy; in one of the asset's id it is the same, however that is said.
    write(&**store, &[asset("show", &[])]).await;
    let made = known(&running, "show", "a").await;
    for (folder, is_new) in [("show", false), ("other", true), ("show", true)] {
        let mut moved = asset("show", &["a"]);
        moved.pathways[0].folder = Some(RelativePath::parse("folder", folder).expect("a path"));
        let before = known(&running, "show", "a").await;
        write(&**store, &[moved]).await;
        let now = known(&running, "show", "a").await;
        assert_eq!(now > before, is_new, "{folder}: {made} {before} {now}");
    }
}

async fn a_tenant_has_so_many_targets_and_each_name_once() {
    let running = Running::start().await;
    let store = running.origin.store();
    let acme = name("acme");
    for number in 0..64 {
        let made = store.create_target(&acme, target(&format!("t{number}"))).await;
        made.expect("a target");
    }
    let reason = |refused: Result<_, StoreError>| refused.map(|_| ()).expect_err("refused").to_string();
    let refused = reason(store.create_target(&acme, target("one-more")).await);
    assert!(refused.contains("more than 64"), "{refused}");
    let refused = reason(store.create_target(&acme, target("t7")).await);
    assert!(refused.contains("t7 exists already"), "{refused}");
    store
        .create_target(&name("beta"), target("t7"))
        .await
        .expect("another tenant's");
    let refused = reason(store.replace_target(&acme, target("one-more"), true).await);
    assert!(refused.contains("does not exist"), "{refused}");
    store.delete_target(&acme, &name("t0")).await.expect("deleted");
    store
        .create_target(&acme, target("one-more"))
        .await
        .expect("room again");
    let names = store.targets(&acme).await.expect("targets");
    assert_eq!(names.len(), 64);
    assert!(names.is_sorted_by_key(|record| record.target.name.to_string()));
}

async fn nodes_are_told_of_targets_zones_and_assets_in_order() {
    let running = Running::with_site().await;
    let (store, node) = (running.origin.store(), running.node());
    let acme = name("acme");
    let mut feed = node.feed(1, None).await.expect("a feed");
    store.create_target(&acme, target("a")).await.expect("a target");
    write(&**store, &[asset("film", &["a"]), asset("show", &[])]).await;
    let zones = br#"{"coverageZones": {}}"#.to_vec();
    let zones = store.set_zones(&acme, zones).await.expect("zones");
    running
        .send("POST", "/v1/links", &link("/a", "https://a.example/"))
        .await
        .success(201);
    // As they are already: nothing to tell.
    write(&**store, &[asset("film", &["a"])]).await;
    store.replace_target(&acme, target("a"), true).await.expect("a target");
    store.set_zones(&acme, zones.body.clone()).await.expect("zones");
    store
        .set_service(&acme, &name("a"), Service::Out)
        .await
        .expect("a target");
    let of_asset = |id: &str| Change::Asset {
        site_id: 1,
        id: id.to_owned(),
    };
    let of_link = Change::Link {
        site_id: 1,
        path: "/a".to_owned(),
    };
    let changes = [
        Change::Directory,
        of_asset("film"),
        of_asset("show"),
        Change::Directory,
        of_link,
        Change::Directory,
    ];
    for (seq, change) in (2..).zip(changes) {
        assert_eq!(next_change(&mut feed).await, FeedEvent { seq, change });
    }
    let directory = node.directory(None).await.expect("a directory");
    let [told] = &*directory.targets else {
        panic!("{:?}", directory.targets)
    };
    assert_eq!((told.tenant.as_str(), told.target.name.as_str()), ("acme", "a"));
    assert_eq!(told.target.service, "out");
    assert!(told.target.since_ms > 0);
    let [named] = &*directory.zones else {
        panic!("{:?}", directory.zones)
    };
    assert_eq!((&*named.tenant, &*named.digest), ("acme", &*zones.digest.to_string()));
    assert_eq!(node.zones(zones.digest).await.expect("zones"), zones.body);
    node.zones(Digest::of(b"none")).await.expect_err("none such");
    store.delete_zones(&acme).await.expect("deleted");
    let later = node.directory(None).await.expect("a directory");
    assert_eq!(later.zones, []);
}

async fn an_asset_that_was_deleted_is_told_from_one_that_never_was() {
    let running = Running::with_site().await;
    let (store, node) = (running.origin.store(), running.node());
    let (acme, film) = (name("acme"), name("film"));
    write(&**store, &[asset("film", &["a"])]).await;
    let position = *store.head().borrow();
    let found = node.asset(SiteId(1), "film", Some(position)).await.expect("an answer");
    let Lookup::Found(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!((found.id.as_str(), found.pathways.len()), ("film", 1));
    for never in ["show", "-", "fil"] {
        let missing = node.asset(SiteId(1), never, None).await.expect("an answer");
        assert_eq!(missing, Lookup::Missing, "{never}");
    }
    let elsewhere = node.asset(SiteId(9), "film", None).await.expect("an answer");
    assert_eq!(elsewhere, Lookup::Missing);
    store.delete_asset(&acme, SiteId(1), &film).await.expect("deleted");
    let gone = node.asset(SiteId(1), "film", None).await.expect("an answer");
    assert_eq!(gone, Lookup::Gone);
    let listed = store.assets(&acme, SiteId(1), "", "", 10).await.expect("assets");
    assert_eq!(listed, []);
    let again = store.delete_asset(&acme, SiteId(1), &film).await;
    assert!(matches!(again, Err(StoreError::Gone { .. })), "{again:?}");
    let never = store.delete_asset(&acme, SiteId(1), &name("show")).await;
    assert!(matches!(never, Err(StoreError::Missing { .. })), "{never:?}");
    // Made again, it is a new one.
    let made = store.write_assets(&acme, SiteId(1), vec![asset("film", &["a"])], WriteMode::Create);
    made.await.expect("made again");
    let new = node.asset(SiteId(1), "film", None).await.expect("an answer");
    assert!(matches!(&new, Lookup::Found(new) if new.pathways[0].since_ms > found.pathways[0].since_ms));
}

async fn an_ingest_key_stays_with_its_asset_and_ends_with_it() {
    let running = Running::with_site().await;
    let store = running.origin.store();
    let (acme, film) = (name("acme"), name("film"));
    write(&**store, &[asset("film", &[])]).await;
    let set = store
        .set_ingest_key(&acme, SiteId(1), &film, Some(Digest::of(b"key")))
        .await;
    set.expect("a key");
    write(&**store, &[asset("film", &["a"])]).await;
    let key = async || {
        let record = store.asset(SiteId(1), &film, Freshness::Newest).await;
        record.expect("an asset").asset.ingest_key
    };
    assert_eq!(
        key().await,
        Some(Digest::of(b"key")),
        "writing an asset says nothing of its key"
    );
    store.delete_asset(&acme, SiteId(1), &film).await.expect("deleted");
    let none = store.set_ingest_key(&acme, SiteId(1), &film, None).await;
    assert!(matches!(none, Err(StoreError::Gone { .. })), "{none:?}");
    write(&**store, &[asset("film", &[])]).await;
    assert_eq!(key().await, None, "another asset of the same name");
}

async fn assets_are_listed_by_prefix_in_parts_and_end_with_their_site() {
    let running = Running::with_site().await;
    let store = running.origin.store();
    let acme = name("acme");
    write(&**store, &["a1", "a2", "a3", "b1"].map(|id| asset(id, &[]))).await;
    let list = async |prefix: &str, after: &str| -> Vec<String> {
        let listed = store.assets(&acme, SiteId(1), prefix, after, 2).await;
        let listed = listed.expect("assets").into_iter();
        listed.map(|record| record.asset.id.to_string()).collect()
    };
    assert_eq!(list("a", "").await, ["a1", "a2"]);
    assert_eq!(list("a", "a2").await, ["a3"]);
    assert_eq!(list("", "a3").await, ["b1"]);
    assert_eq!(list("%", "").await, [""; 0]);
    let others = store.assets(&name("beta"), SiteId(1), "", "", 9).await;
    assert_eq!(others.expect("assets"), []);
    store.delete_site(&acme, &name("go")).await.expect("deleted");
    let ended = store.asset(SiteId(1), &name("a1"), Freshness::Newest).await;
    assert!(matches!(ended, Err(StoreError::Missing { .. })), "{ended:?}");
    let late = store.write_assets(&acme, SiteId(1), vec![asset("a1", &[])], WriteMode::Replace);
    let late = late.await;
    assert!(
        matches!(late, Err(StoreError::Missing { what: "site", .. })),
        "{late:?}"
    );
}

on_both_engines![
    what_is_new_is_later_than_all_before_and_what_is_not_stays,
    targets_that_an_asset_has_from_now_on_are_new_to_who_plays_it,
    a_tenant_has_so_many_targets_and_each_name_once,
    nodes_are_told_of_targets_zones_and_assets_in_order,
    an_asset_that_was_deleted_is_told_from_one_that_never_was,
    an_ingest_key_stays_with_its_asset_and_ends_with_it,
    assets_are_listed_by_prefix_in_parts_and_end_with_their_site,
];
