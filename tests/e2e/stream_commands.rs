//! `wayside target` and `wayside stream`: what they say and how they end.

use serde_json::{Value, json};

use crate::harness::Dev;

fn json_of(dev: &Dev, arguments: &[&str]) -> Value {
    let words: Vec<&str> = ["--output", "json"].iter().chain(arguments).copied().collect();
    serde_json::from_str(&dev.ok(&words)).expect("JSON")
}

#[test]
fn targets_are_added_drained_changed_and_removed() {
    let dev = Dev::start();
    let words =
        "target add cdn-x --url https://x.example/vod --region eu --at 52.5,13.4 --probe up --probe-timeout 500";
    let made = json_of(&dev, &words.split(' ').collect::<Vec<_>>());
    assert_eq!(
        (&made["urls"], &made["coordinates"]),
        (&json!(["https://x.example/vod/"]), &json!([52.5, 13.4]))
    );
    assert_eq!(
        (&made["probe"]["path"], &made["probe"]["timeout_ms"]),
        (&json!("up"), &json!(500))
    );
    assert!(dev.ok(&["target", "drain", "cdn-x"]).contains("draining"));
    let changed = json_of(
        &dev,
        &["target", "set", "cdn-x", "--weight", "3", "--probe-interval", "900"],
    );
    assert_eq!(
        (&changed["weight"], &changed["service"]),
        (&json!(3), &json!("draining"))
    );
    assert_eq!(
        (&changed["probe"]["timeout_ms"], &changed["probe"]["interval_ms"]),
        (&json!(500), &json!(900))
    );
    let restored = json_of(&dev, &["target", "restore", "cdn-x"]);
    assert_eq!(restored["service"], "in");
    let listed = dev.ok(&["target", "list"]);
    assert!(listed.starts_with("NAME") && listed.contains("cdn-x"), "{listed}");
    // What was shown can be written, under another name too.
    let file = dev.folder.path().join("target.json");
    std::fs::write(&file, restored.to_string()).expect("a file");
    let file = file.to_str().expect("a path");
    let copied = json_of(&dev, &["target", "add", "cdn-y", "--file", file, "--weight", "5"]);
    assert_eq!((&copied["name"], &copied["weight"]), (&json!("cdn-y"), &json!(5)));
    assert!(copied["since_ms"].as_u64() > restored["since_ms"].as_u64());
    assert_eq!(copied["probe"], restored["probe"]);
    let said = dev.fails(&[
        "target",
        "add",
        "cdn-x",
        "--url",
        "https://a.example/",
        "--region",
        "eu",
    ]);
    assert!(said.contains("cdn-x exists already"), "{said}");
    let said = dev.fails(&["target", "set", "cdn-x", "--url", "ftp://a.example/"]);
    assert!(said.contains("urls[0]") && said.contains("http"), "{said}");
    let said = dev.fails(&["target", "set", "cdn-x"]);
    assert!(said.contains("name a field"), "{said}");
    let said = json_of(&dev, &["target", "load", "cdn-x", "0.8", "--for", "5m"]);
    assert_eq!((&said["load"], &said["sessions"]), (&json!(0.8), &json!(0)));
    assert_eq!(json_of(&dev, &["target", "load", "cdn-x"])["load"], 0.8);
    assert_eq!(json_of(&dev, &["target", "load", "cdn-x", "none"])["load"], Value::Null);
    let zones = dev.folder.path().join("zones.json");
    let zones = zones.to_str().expect("a path");
    std::fs::write(zones, r#"{"coverageZones": {"eu": {"network": ["192.0.2.0/24"]}}}"#).expect("a file");
    assert!(dev.ok(&["target", "zones", "set", zones]).contains("networks"));
    assert!(dev.ok(&["target", "zones", "show"]).contains("192.0.2.0/24"));
    std::fs::write(zones, r#"{"coverageZones": {"eu": {"network": ["192.0.2.0/99"]}}}"#).expect("a file");
    let said = dev.fails(&["target", "zones", "set", zones]);
    assert!(said.contains("192.0.2.0/99") && said.contains("`eu`"), "{said}");
    dev.ok(&["target", "zones", "clear"]);
    dev.fails(&["target", "zones", "show"]);
    dev.ok(&["target", "rm", "cdn-x"]);
    let said = dev.fails(&["target", "get", "cdn-x"]);
    assert!(said.contains("cdn-x does not exist"), "{said}");
}

#[test]
fn assets_are_added_changed_and_removed() {
    let dev = Dev::start();
    dev.ok(&[
        "target",
        "add",
        "cdn-x",
        "--url",
        "https://x.example/",
        "--region",
        "eu",
    ]);
    dev.ok(&["site", "set", "localhost", "--streams", "/clips"]);
    let site = json_of(&dev, &["site", "get", "localhost"]);
    assert_eq!(site["streams"], "/clips");
    let words = "stream add localhost clip --source https://o.example/clip --hls a.m3u8 --pathway cdn-x=v/1 --tag t";
    let made = json_of(&dev, &words.split(' ').collect::<Vec<_>>());
    assert_eq!((&made["hls"], &made["ttl_s"]), (&json!("a.m3u8"), &json!(30)));
    let pathway = &made["pathways"][0];
    assert_eq!(
        (&pathway["target"], &pathway["folder"]),
        (&json!("cdn-x"), &json!("v/1"))
    );
    let changed = json_of(&dev, &["stream", "set", "localhost", "clip", "--ttl", "5"]);
    assert_eq!(
        (&changed["ttl_s"], &changed["pathways"]),
        (&json!(5), &made["pathways"])
    );
    let key = dev.ok(&["stream", "ingest-key", "localhost", "clip"]);
    assert!(key.starts_with("wk_") && key.lines().count() == 1, "{key}");
    assert_eq!(
        json_of(&dev, &["stream", "get", "localhost", "clip"])["has_ingest_key"],
        true
    );
    dev.ok(&["stream", "ingest-key", "localhost", "clip", "--remove"]);
    let listed = dev.ok(&["stream", "list", "localhost", "--prefix", "cl"]);
    assert!(listed.starts_with("ID") && listed.contains("clip"), "{listed}");
    let said = dev.fails(&["stream", "set", "localhost", "clip", "--pathway", "none-such"]);
    assert!(said.contains("pathways[0].target") && said.contains("cdn-x"), "{said}");
    let said = dev.fails(&["stream", "set", "localhost", "never", "--ttl", "5"]);
    assert!(said.contains("never does not exist"), "{said}");
    dev.ok(&["stream", "rm", "localhost", "clip"]);
    let said = dev.fails(&["stream", "get", "localhost", "clip"]);
    assert!(said.contains("clip was deleted"), "{said}");
    dev.ok(&["site", "set", "localhost", "--streams", "none"]);
    assert_eq!(json_of(&dev, &["site", "get", "localhost"])["streams"], Value::Null);
}
