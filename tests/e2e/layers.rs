//! No crate imports what it must not know: the table of ARCHITECTURE.md, read from `cargo metadata`.

use std::collections::BTreeSet;

/// Each crate, and all it may import of the workspace outside its tests.
const LAYERS: [(&str, &[&str]); 13] = [
    (
        "wayside",
        &[
            "balance",
            "cache",
            "decide",
            "edge",
            "edge-config",
            "origin",
            "policy",
            "serve",
            "upstream",
        ],
    ),
    (
        "wayside-edge",
        &[
            "balance",
            "cache",
            "decide",
            "edge-config",
            "policy",
            "serve",
            "stream",
            "upstream",
        ],
    ),
    (
        "wayside-origin",
        &["cache", "decide", "edge-config", "policy", "serve", "upstream"],
    ),
    ("wayside-upstream", &["balance", "decide", "edge-config"]),
    ("wayside-cache", &["balance", "decide", "edge-config"]),
    ("wayside-serve", &["edge-config"]),
    ("wayside-policy", &["decide", "edge-config"]),
    ("wayside-stream", &["balance", "decide", "edge-config"]),
    ("wayside-decide", &["edge-config"]),
    ("wayside-balance", &["edge-config"]),
    ("wayside-edge-config", &[]),
    ("wayside-test-postgres", &[]),
    ("wayside-bench-feed", &["test-postgres", "upstream"]),
];

/// The crates that are pure.
const PURE: [&str; 3] = ["wayside-decide", "wayside-balance", "wayside-stream"];

/// What a pure crate must not import from outside.
const IMPURE: [&str; 10] = [
    "tokio",
    "hyper",
    "axum",
    "reqwest",
    "wasmtime",
    "sqlx",
    "serde",
    "tracing",
    "getrandom",
    "rand",
];

#[test]
fn every_edge_is_in_the_table() {
    let manifest = crate::harness::repository().join("Cargo.toml");
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("metadata");
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(
        members,
        LAYERS.iter().map(|(name, _)| *name).collect(),
        "a crate without a line in the table"
    );
    for package in &metadata.packages {
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == package.name.as_str())
            .expect("in the table");
        for dependency in &package.dependencies {
            let is_for_tests = dependency.kind == cargo_metadata::DependencyKind::Development;
            if let (Some(short), false) = (dependency.name.strip_prefix("wayside-"), is_for_tests) {
                assert!(
                    allowed.contains(&short),
                    "{} must not import {}",
                    package.name,
                    dependency.name
                );
            }
            let is_pure = PURE.contains(&package.name.as_str());
            let is_impure = IMPURE.contains(&dependency.name.as_str());
            assert!(
                !is_pure || is_for_tests || !is_impure,
                "{} is pure; it must not import {}",
                package.name,
                dependency.name
            );
        }
    }
}
