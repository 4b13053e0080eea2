//! How loaded targets are, as nodes count and operators say; and coverage zones as operators upload them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wayside_decide::digest::Digest;
use wayside_origin::token::Scope;
use wayside_upstream::{
    client::OriginClient,
    protocol::streams::{LoadElsewhere, LoadTold, LoadsTold},
};

use crate::harness::{Reply, Running, node};

pub(crate) fn told(process: u64, counts: &[(&str, u32, u64)]) -> LoadsTold {
    let told = |(target, sessions, kbit_s): &(&str, u32, u64)| LoadTold {
        tenant: "acme".to_owned(),
        target: (*target).to_owned(),
        sessions: *sessions,
        kbit_s: *kbit_s,
    };
    LoadsTold {
        process: format!("{process:016x}"),
        targets: counts.iter().map(told).collect(),
    }
}

pub(crate) fn elsewhere(target: &str, sessions: u32, kbit_s: u64, load: Option<f64>) -> LoadElsewhere {
    LoadElsewhere {
        tenant: "acme".to_owned(),
        target: target.to_owned(),
        sessions,
        kbit_s,
        load,
    }
}

pub(crate) async fn make_target(running: &Running, name: &str) {
    let target = json!({"name": name, "region": "eu", "urls": [format!("https://{name}.example/")]});
    running.send("POST", "/v1/targets", &target).await.success(201);
}

/// Tells what a node counts; gives what it hears, by name.
pub(crate) async fn hear(node: &OriginClient, told: &LoadsTold) -> Vec<LoadElsewhere> {
    let mut heard = node.loads(told).await.expect("an answer").targets;
    heard.sort_by(|one, other| one.target.cmp(&other.target));
    heard
}

async fn a_node_tells_what_it_counts_and_hears_of_the_others() {
    let running = Running::start().await;
    let (one, again) = (running.node(), running.node());
    // Another token is another node, although its process is of the same number.
    let other = node(&running.base, &running.mint(None, Scope::Read).await);
    assert_eq!(hear(&one, &told(1, &[("a", 5, 500)])).await, []);
    let heard = hear(&other, &told(1, &[("a", 2, 20), ("b", 1, 10)])).await;
    assert_eq!(heard, [elsewhere("a", 5, 500, None)]);
    let all = [elsewhere("a", 7, 520, None), elsewhere("b", 1, 10, None)];
    assert_eq!(hear(&again, &told(2, &[])).await, all);
    let heard = hear(&one, &told(1, &[("a", 4, 400)])).await;
    assert_eq!(heard, [elsewhere("a", 2, 20, None), elsewhere("b", 1, 10, None)]);
}

async fn an_operator_says_how_loaded_a_target_is() {
    let running = Running::start().await;
    make_target(&running, "a").await;
    let (node, path) = (running.node(), "/v1/targets/a/load");
    hear(&node, &told(1, &[("a", 5, 500)])).await;
    let said = json!({"load": 0.75, "ttl_s": 60});
    let said = running.send("PUT", path, &said).await.success(200);
    let expected = json!({"name": "a", "sessions": 5, "kbit_s": 500, "load": 0.75});
    assert_eq!(said, expected);
    assert_eq!(running.ask("GET", path).await.success(200), expected);
    let heard = hear(&node, &told(1, &[("a", 5, 500)])).await;
    assert_eq!(heard, [elsewhere("a", 0, 0, Some(0.75))]);
    running.ask("DELETE", path).await.success(204);
    let heard = hear(&node, &told(1, &[("a", 5, 500)])).await;
    assert_eq!(heard, []);
    let short = json!({"load": 1, "ttl_s": 1});
    running.send("PUT", path, &short).await.success(200);
    let begun = Instant::now();
    while !running.ask("GET", path).await.success(200)["load"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let missing = running.send("PUT", "/v1/targets/none/load", &json!({"load": 1})).await;
    missing.problem(404, "not-found");
}

async fn loads_that_cannot_be_are_refused_by_field() {
    let running = Running::start().await;
    make_target(&running, "a").await;
    for (field, load) in [
        ("load", json!({"load": -0.1})),
        ("load", json!({"load": 11})),
        ("load", json!({"load": "much"})),
        ("ttl_s", json!({"load": 1, "ttl_s": 0})),
        ("ttl_s", json!({"load": 1, "ttl_s": 86_401})),
    ] {
        running.send("PUT", "/v1/targets/a/load", &load).await.invalid(field);
    }
    let count = json!({"tenant": "acme", "target": "a", "sessions": 1, "kbit_s": 1});
    let with = |field: &str, value: Value| {
        let mut count = count.clone();
        count[field] = value;
        json!({"process": "0".repeat(16), "targets": [count]})
    };
    for (field, report) in [
        ("process", json!({"process": "1", "targets": []})),
        ("targets[0].tenant", with("tenant", json!("a/b"))),
        ("targets[0].target", with("target", json!(""))),
        ("targets[0].sessions", with("sessions", json!(-1))),
        ("targets[0].sessions", with("sessions", json!(5_000_000_000_u64))),
        (
            "targets",
            json!({"process": "0".repeat(16), "targets": vec![count.clone(); 10_001]}),
        ),
    ] {
        let refused = running
            .send_as(&running.operator, "POST", "/v1/edge/loads", &report)
            .await;
        refused.invalid(field);
    }
    let report = json!({"process": "0".repeat(16), "targets": []});
    let tenants = running.send("POST", "/v1/edge/loads", &report).await;
    tenants.problem(403, "forbidden");
}

async fn put_zones(running: &Running, body: &[u8]) -> Reply {
    let request = running.bare("PUT", "/v1/zones").bearer_auth(&running.acme);
    Reply::of(request.body(body.to_vec())).await
}

async fn coverage_zones_are_uploaded_shown_and_ended() {
    let running = Running::start().await;
    let file = br#"{ "coverageZones": {"eu": {"network": ["192.0.2.0/25"], "network6": ["2001:db8::/32"]},
        "us": {"network": ["192.0.2.128/25"], "coordinates": {"latitude": 1.0}}}, "revision": "1" }"#;
    let written = put_zones(&running, file).await.success(200);
    assert_eq!((&written["groups"], &written["networks"]), (&json!(2), &json!(3)));
    let digest = Digest::of(file);
    assert_eq!(written["digest"], digest.to_string());
    let shown = running.ask("GET", "/v1/zones").await.success(200);
    assert_eq!(shown["coverageZones"]["us"]["network"], json!(["192.0.2.128/25"]));
    let told = running.node().zones(digest).await.expect("zones");
    assert_eq!(told, file[..], "byte for byte");
    for (body, found) in [
        (&b"no JSON"[..], "expected"),
        (
            br#"{"coverageZones": {"eu": {"network": ["192.0.2.0/33"]}}}"#,
            "192.0.2.0/33",
        ),
        (
            br#"{"coverageZones": {"eu": {"network": ["192.0.2.0/24"]}, "us": {"network": ["192.0.2.0/24"]}}}"#,
            "`eu` and `us`",
        ),
    ] {
        let refused = put_zones(&running, body).await.invalid("coverageZones");
        assert!(
            refused["found"].as_str().is_some_and(|text| text.contains(found)),
            "{refused}"
        );
    }
    let long = put_zones(&running, &vec![b' '; 8 * 1024 * 1024 + 1]).await;
    long.problem(413, "body-too-large");
    assert_eq!(
        running.ask("GET", "/v1/zones").await.success(200),
        shown,
        "what was good stays"
    );
    running.ask("DELETE", "/v1/zones").await.success(204);
    for method in ["GET", "DELETE"] {
        running.ask(method, "/v1/zones").await.problem(404, "not-found");
    }
}

on_both_engines![
    a_node_tells_what_it_counts_and_hears_of_the_others,
    an_operator_says_how_loaded_a_target_is,
    loads_that_cannot_be_are_refused_by_field,
    coverage_zones_are_uploaded_shown_and_ended,
];
