//! What nodes learn of targets from each other and from operators, and of visitors from coverage zones.

use serde_json::{Value, json};

use super::{
    audience::report,
    site::{HOST, Site, sent, target},
};
use crate::harness::{Process, eventually, send};

/// Waits until an edge has told and been told what targets carry, begun after now.
fn share(edge: &Process) {
    let shared = || edge.metric("wayside_origin_requests_total{kind=\"loads\",outcome=\"ok\"}");
    let before = shared();
    eventually("loads are shared", || shared() >= before + 2.0);
}

#[test]
fn a_target_that_is_full_elsewhere_or_by_its_operator_gets_nobody() {
    let site = Site::start(&["b"], &[]);
    let mut small = target("a");
    small["sessions_max"] = 3.into();
    small["region"] = "near".into();
    site.write("POST", "/v1/targets", &small);
    let zones = json!({"coverageZones": {"near": {"network": ["192.0.2.0/24"]}}});
    site.write("PUT", "/v1/zones", &zones);
    let other = site.other_edge();
    for edge in [&site.edge, &other] {
        eventually("the edge knows the zone, and of all targets which is in it", || {
            let told = Site::explained(edge, "192.0.2.77");
            told["visitor"]["zone"] == "near" && told["targets"][0]["is_near"] == true
        });
    }
    for number in 1..=3 {
        let address = format!("192.0.2.{number}");
        eventually("it is sent to what is near", || sent(&site.edge, &address) == "a");
    }
    share(&site.edge);
    share(&other);
    // It has no session of its own.
    let told = Site::explained(&other, "192.0.2.77");
    assert_eq!(told["targets"][0]["name"], "a", "{told}");
    assert_eq!(told["visitor"]["zone"], "near", "{told}");
    assert_eq!(sent(&other, "192.0.2.77"), "b", "the one that is near is full");
    small["sessions_max"] = 4.into();
    site.write("PUT", "/v1/targets/a", &small);
    site.write("PUT", "/v1/targets/b/load", &json!({"load": 1.0, "ttl_s": 3600}));
    let mut visitors = (1..250).map(|number| format!("198.51.100.{number}"));
    eventually("nobody more begins on the one that is full by its operator", || {
        share(&other);
        sent(&other, &visitors.next().expect("another")) == "a"
    });
}

/// Two targets on two edges: `paid` is near to visitors, with 20 Mbit/s paid for of 40 that it can send, and `far` is as late as
/// its server.
fn metered() -> (Site, Process, super::Target) {
    let site = Site::start(&[], &[("WAYSIDE__STREAMS__PRIVATE_NETWORKS", "127.0.0.0/8")]);
    let late = super::Target::start();
    let mut paid = target("paid");
    paid["region"] = "near".into();
    paid["kbit_s_commit"] = 20_000.into();
    paid["kbit_s_max"] = 40_000.into();
    let mut far = target("far");
    far["urls"] = json!([late.url(), "https://far.example/x"]);
    far["probe"] = json!({"path": "up", "interval_ms": 250, "timeout_ms": 20_000, "degraded_ms": 2_000});
    for target in [&paid, &far] {
        site.write("POST", "/v1/targets", target);
    }
    let zones = json!({"coverageZones": {"near": {"network": ["192.0.2.0/24", "198.18.0.0/15"]}}});
    site.write("PUT", "/v1/zones", &zones);
    let other = site.other_edge();
    for edge in [&site.edge, &other] {
        eventually("the edge knows the zone and both targets", || {
            let told = Site::explained(edge, "192.0.2.200");
            told["visitor"]["zone"] == "near" && told["targets"].as_array().map(Vec::len) == Some(2)
        });
    }
    (site, other, late)
}

/// What an edge says of a target.
fn told_of(edge: &Process, name: &str) -> Value {
    let told = Site::explained(edge, "192.0.2.200");
    let targets = told["targets"].as_array().cloned().unwrap_or_default();
    targets
        .into_iter()
        .find(|target| target["name"] == name)
        .unwrap_or_default()
}

#[test]
fn a_target_past_its_commit_or_its_limit_elsewhere_is_left_to_whom_nobody_else_serves() {
    let (site, other, late) = metered();
    // Another visitor each time: who is there may stay.
    let mut visitors = 0_u16..;
    let mut sends_to = |name: &str| {
        let path = "/.wayside/play/film";
        let [high, low] = visitors.next().expect("another").to_be_bytes();
        let visitor = format!("198.18.{high}.{low}");
        let begun = send(other.edge(), "GET", HOST, path, &[("X-Forwarded-For", &visitor)], "");
        let begun: Value = serde_json::from_str(&begun.body).unwrap_or_default();
        begun["target"]["id"] == name
    };
    let sessions: Vec<_> = (1..=8)
        .map(|number| {
            let address = format!("192.0.2.{number}");
            let (session, target) = site.begin(&address);
            assert_eq!(target, "paid", "it is near");
            (address, session)
        })
        .collect();
    // Everybody's player says so, and the other edge has heard of it: how much of what the target can send is in use.
    let plays_at = |kbit_s: u32| {
        for (address, session) in &sessions {
            report(&site, "film", address, session, &format!("ot=v,br={kbit_s}"));
        }
        let used = f64::from(kbit_s) * 8.0 / 40_000.0;
        eventually("the other edge knows", || {
            let in_use = told_of(&other, "paid")["bandwidth"].as_f64();
            in_use.is_some_and(|in_use| (in_use - used).abs() < 0.001)
        });
    };
    plays_at(2_000);
    assert!(sends_to("paid"), "16 Mbit/s are below what is paid for");
    plays_at(3_000);
    assert!(sends_to("far"), "24 Mbit/s are not, and another has room");
    assert_eq!(told_of(&other, "paid")["is_over_commit"], true);
    // One that serves well within its limit goes before one that serves badly.
    late.is_late_by(4_000);
    eventually("the other serves badly", || sends_to("paid"));
    plays_at(6_000);
    assert!(sends_to("far"), "48 Mbit/s are more than it can send");
    let line = told_of(&other, "paid")["line"].to_string();
    assert!(line.contains("paid: capacity"), "{line}");
    plays_at(3_000);
    assert!(sends_to("paid"), "below its limit it is taken again");
    plays_at(1_000);
    late.is_late_by(0);
    eventually("the other serves well", || {
        told_of(&other, "far")["is_degraded"] == false
    });
    assert!(sends_to("paid"), "below what is paid for it is near, and taken");
}

#[test]
fn the_zone_of_an_address_says_which_targets_are_near() {
    let site = Site::start(&["berlin"], &[("WAYSIDE__EDGE__REGION", "paris")]);
    for (method, path, name) in [
        ("PUT", "/v1/targets/berlin", "berlin"),
        ("POST", "/v1/targets", "paris"),
    ] {
        let mut target = target(name);
        target["region"] = name.into();
        site.write(method, path, &target);
    }
    let zones = |berlin: &str, paris: &str| {
        let zones = json!({"coverageZones": {
            "berlin": {"network": [berlin], "network6": ["2001:db8::/32"]},
            "paris": {"network": [paris]},
            "nowhere": {"network": ["203.0.113.0/24"]},
        }});
        site.write("PUT", "/v1/zones", &zones);
    };
    // Without zones the node's own region is near: and the target in it has come.
    eventually("both targets are there", || sent(&site.edge, "198.51.100.9") == "paris");
    zones("192.0.2.0/24", "192.0.2.128/25");
    eventually("the zones hold", || sent(&site.edge, "192.0.2.1") == "berlin");
    for (address, expected) in [
        ("192.0.2.200", "paris"),
        ("2001:db8::1", "berlin"),
        ("198.51.100.1", "paris"),
        ("203.0.113.1", "paris"),
    ] {
        assert_eq!(sent(&site.edge, address), expected, "{address}");
    }
    zones("192.0.2.128/25", "192.0.2.0/24");
    eventually("other zones hold", || sent(&site.edge, "192.0.2.201") == "berlin");
    assert_eq!(sent(&site.edge, "192.0.2.2"), "paris");
    site.write("DELETE", "/v1/zones", &Value::Null);
    eventually("none hold", || sent(&site.edge, "192.0.2.202") == "paris");
}
