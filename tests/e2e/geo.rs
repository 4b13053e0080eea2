//! Geography from a real database, replaced while the node runs.

use crate::harness::{Dev, eventually, repository};

/// MaxMind's test databases, which the project does not copy.
fn databases() -> Option<std::path::PathBuf> {
    let folder = repository().join("../shared/geo");
    if !folder.is_dir() {
        eprintln!("left out: needs MaxMind's test databases in ../shared/geo beside the checkout");
        return None;
    }
    Some(folder)
}

#[test]
fn visitors_are_where_the_database_says_and_a_broken_one_changes_nothing() {
    let Some(databases) = databases() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("city.mmdb");
    let replace = |name: &str| {
        let beside = folder.path().join("beside");
        std::fs::copy(databases.join(name), &beside).expect("copy");
        std::fs::rename(&beside, &file).expect("rename");
    };
    replace("GeoLite2-City-Test.mmdb");
    let path = file.to_str().expect("path");
    let dev = Dev::start_with(&["--geo", path, "--trust-proxy", "127.0.0.0/8"]);
    let from = |address: &str| dev.process.get_with("/geo", &[("X-Forwarded-For", address)]).location();
    assert_eq!(from("216.160.83.56").as_deref(), Some("https://example.com/us"));
    assert_eq!(from("81.2.69.142").as_deref(), Some("https://example.com/world"));
    replace("MaxMind-DB-test-broken-search-tree-24.mmdb");
    let refused = "wayside_geo_reloads_total{outcome=\"refused\"}";
    eventually("the broken database is refused", || dev.process.metric(refused) >= 1.0);
    assert_eq!(
        from("216.160.83.56").as_deref(),
        Some("https://example.com/us"),
        "the good one stays"
    );
    replace("GeoLite2-Country-Test.mmdb");
    eventually("a good one is taken", || {
        dev.process.metric("wayside_geo_reloads_total{outcome=\"ok\"}") >= 1.0
    });
    let shown = dev.ok(&["--output", "json", "geo", "lookup", "216.160.83.56", "--geo", path]);
    assert!(shown.contains("\"US\""), "{shown}");
}

#[test]
fn without_trust_nobody_forwards_and_a_broken_database_stops_the_start() {
    let dev = Dev::start();
    let forwarded = dev.process.get_with("/geo", &[("X-Forwarded-For", "216.160.83.56")]);
    assert_eq!(forwarded.location().as_deref(), Some("https://example.com/world"));
    let file = dev.folder.path().join("broken.mmdb");
    std::fs::write(&file, "no database").expect("write");
    let other = dev.folder.path().join("other");
    let (file, other) = (file.to_str().expect("path"), other.to_str().expect("path"));
    let ports = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--origin",
        "127.0.0.1:0",
    ];
    let said = dev.fails(&[&["dev", "--data", other, "--geo", file][..], &ports].concat());
    assert!(said.contains("broken.mmdb"), "{said}");
}
