//! What nodes learn of targets from each other and from operators, and of visitors from coverage zones.

use serde_json::{Value, json};

use super::site::{Site, sent, target};
use crate::harness::{Process, eventually};

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
