//! An edge that is invited, enrols, and is revoked.

use std::{fs, process::Command};

use wayside_test_postgres::free_port;

use crate::{
    harness::{BINARY, Process, eventually, request, text},
    origins::{edge_command, start_origin},
};

fn follows(edge: &Process) {
    eventually("the origin knows the node", || {
        edge.metric("wayside_feed_connected") > 0.0
    });
}

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
    assert!(!folder.join("node/identity.candidate").exists(), "one key is enough");
    // The invitation is used up: from now on the key in the node's folder counts.
    assert_eq!(edge.end(), Some(0));
    let edge = Process::run(command(), "admin");
    follows(&edge);
    let identity = folder.join("node/identity");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&identity).expect("an identity").permissions());
    assert_eq!(mode & 0o077, 0, "the key is nobody else's to read");
    // As if the power had failed before the answer was kept: the invitation is used up, for this very key.
    let kept = fs::read_to_string(&identity).expect("an identity");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(edge.end(), Some(0));
    fs::remove_file(&identity).expect("remove");
    let candidate = folder.join("node/identity.candidate");
    fs::write(&candidate, kept["key"].as_str().expect("a key")).expect("write");
    let edge = Process::run(command(), "admin");
    follows(&edge);
    assert!(identity.exists() && !candidate.exists());
    // One that lost its identity goes on serving what it held.
    assert_eq!(edge.end(), Some(0));
    let kept = fs::read_to_string(&identity).expect("an identity");
    fs::write(&identity, &kept[..40]).expect("write");
    let edge = Process::run(command(), "admin");
    assert_eq!(leads(&edge, "/x"), there);
    assert_eq!(edge.end(), Some(0));
    fs::write(&identity, kept).expect("write");
    let edge = Process::run(command(), "admin");
    follows(&edge);
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

#[test]
fn a_node_that_waits_for_an_origin_ends_when_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let (invitation, log) = (folder.join("invitation"), folder.join("log"));
    fs::write(&invitation, "wi_none").expect("write");
    let mut edge = edge_command(folder, &format!("http://127.0.0.1:{}", free_port()))
        .env_remove("WAYSIDE__UPSTREAM__TOKEN_FILE")
        .env("WAYSIDE__UPSTREAM__INVITATION_FILE", &invitation)
        .stderr(fs::File::create(&log).expect("a log"))
        .spawn()
        .expect("start");
    eventually("it waits", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("not enrolled yet"))
    });
    let asked = Command::new("kill").arg(edge.id().to_string()).status();
    assert!(asked.expect("kill").success());
    let mut ended = None;
    eventually("it ends", || {
        ended = edge.try_wait().expect("its state");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
