//! Geography from a real database, replaced while the node runs.

use crate::harness::{Dev, eventually, repository, text};

/// MaxMind's test databases, which the project does not copy.
pub(crate) fn databases() -> Option<std::path::PathBuf> {
    let folder = repository().join("../shared/geo");
    if !folder.is_dir() {
        eprintln!("left out: needs MaxMind's test databases in ../shared/geo beside the checkout");
        return None;
    }
    Some(folder)
}

#[test]
fn visitors_are_where_the_database_says_and_a_wrong_one_changes_nothing() {
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
    let refused = "wayside_geo_reloads_total{outcome=\"refused\"}";
    for (count, wrong) in [
        (1.0, "MaxMind-DB-test-broken-search-tree-24.mmdb"),
        (2.0, "GeoIP2-Anonymous-IP-Test.mmdb"),
        (3.0, "GeoLite2-ASN-Test.mmdb"),
    ] {
        replace(wrong);
        eventually(wrong, || dev.process.metric(refused) >= count);
        assert_eq!(
            from("216.160.83.56").as_deref(),
            Some("https://example.com/us"),
            "the good one stays"
        );
    }
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

#[test]
fn a_look_up_asks_the_databases_of_the_configuration() {
    let Some(databases) = databases() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("wayside.toml");
    let city = databases.join("GeoLite2-City-Test.mmdb");
    std::fs::write(&config, format!("[geo]\ncity = {city:?}\n")).expect("write");
    let look_up = |more: &[&str]| {
        let mut command = std::process::Command::new(crate::harness::BINARY);
        let arguments = ["geo", "lookup", "81.2.69.142", "--output", "json"];
        command.args(arguments).args(more).output().expect("run")
    };
    let found = look_up(&["--config", config.to_str().expect("path")]);
    assert!(text(&found.stdout).contains("\"London\""), "{}", text(&found.stderr));
    let none = look_up(&[]);
    assert_eq!(none.status.code(), Some(1));
    let said = text(&none.stderr);
    assert!(said.contains("--geo FILE") && said.contains("--config FILE"), "{said}");
    let systems = databases.join("GeoLite2-ASN-Test.mmdb");
    let other = look_up(&["--geo", systems.to_str().expect("path")]);
    assert_eq!(other.status.code(), Some(1));
    let said = text(&other.stderr);
    assert!(
        said.contains("GeoLite2-ASN-Test.mmdb") && said.contains("`GeoLite2-ASN`") && said.contains("City"),
        "{said}"
    );
}
