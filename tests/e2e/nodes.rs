//! An edge that is invited, enrols, and is revoked.

use std::{fs, process::Command};

use crate::{
    harness::{BINARY, Process, eventually, request, text},
    outages::{edge_command, start_origin},
};

#[test]
fn an_edge_enrols_by_its_invitation_and_follows_until_it_is_revoked() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let url = format!("http://{}", origin.origin.expect("an origin"));
    let cli = |arguments: &[&str]| {
        let output = Command::new(BINARY)
            .args(["--origin-url", &url, "--output", "json"])
            .args(arguments)
            .env("WAYSIDE_TOKEN_FILE", folder.join("origin/token"))
            .output()
            .expect("run");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    cli(&["site", "add", "go", "--host", "go.example"]);
    cli(&["link", "add", "go", "/x", "https://there.example/"]);
    let invited: serde_json::Value = serde_json::from_str(&cli(&["node", "invite", "fra-1"])).expect("JSON");
    fs::write(
        folder.join("invitation"),
        invited["invitation"].as_str().expect("an invitation"),
    )
    .expect("write");
    let command = || {
        let mut command = edge_command(folder, &url);
        command
            .env_remove("WAYSIDE__UPSTREAM__TOKEN_FILE")
            .env("WAYSIDE__UPSTREAM__INVITATION_FILE", folder.join("invitation"));
        command
    };
    let leads = |edge: &Process, path: &str| request(edge.edge(), "GET", "go.example", path, &[]).location();
    let there = Some("https://there.example/".to_owned());
    let edge = Process::run(command(), "admin");
    eventually("the link arrives", || leads(&edge, "/x") == there);
    // The invitation is used up: from now on the key in the node's folder counts.
    assert_eq!(edge.end(), Some(0));
    let edge = Process::run(command(), "admin");
    eventually("the node is known again", || {
        edge.metric("wayside_feed_connected") > 0.0
    });
    let identity = folder.join("node/identity");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&identity).expect("an identity").permissions());
    assert_eq!(mode & 0o077, 0, "the key is nobody else's to read");
    cli(&["node", "revoke", invited["id"].as_str().expect("an id")]);
    cli(&["link", "add", "go", "/later", "https://later.example/"]);
    eventually("the feed ends", || edge.metric("wayside_feed_connected") < 1.0);
    assert_eq!(leads(&edge, "/x"), there, "what it holds it goes on serving");
    assert_eq!(request(edge.edge(), "GET", "go.example", "/later", &[]).status, 503);
    drop(edge);
    // Another node with the used invitation is refused, and says why.
    fs::remove_file(&identity).expect("remove");
    let refused = command().output().expect("run");
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("revoked"), "{said}");
}
