//! The commands, their answers and their exit codes.

use std::process::Command;

use crate::harness::{BINARY, Dev, text};

#[test]
fn links_come_change_and_go_within_a_second() {
    let dev = Dev::start();
    assert_eq!(dev.process.get("/new").status, 404, "remembered as absent");
    dev.ok(&["link", "add", "localhost", "/new", "https://one.example/", "--tag", "x"]);
    dev.wait_for("/new", Some("https://one.example/"));
    dev.ok(&["link", "set", "localhost", "/new", "--target", "https://two.example/"]);
    dev.wait_for("/new", Some("https://two.example/"));
    let shown = dev.ok(&["--output", "json", "link", "get", "localhost", "/new"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["target"], &shown["tags"][0]),
        (&"https://two.example/".into(), &"x".into())
    );
    assert!(
        dev.ok(&["link", "list", "localhost", "--prefix", "/n"])
            .contains("/new")
    );
    let conflict = dev.fails(&["link", "add", "localhost", "/new", "https://one.example/"]);
    assert!(conflict.contains("exists already"), "{conflict}");
    dev.ok(&["link", "rm", "localhost", "/new"]);
    dev.wait_for("/new", None);
    dev.ok(&["rule", "add", "localhost", "/r/*", "https://r.example/{splat}"]);
    dev.wait_for("/r/a/b", Some("https://r.example/a/b"));
}

#[test]
fn a_new_link_says_all_that_the_command_says() {
    let dev = Dev::start();
    let words = "link add localhost /all https://one.example/ --status 307 --tag x --tag y --attribute a=1=2 --forward-query \
                 --starts-at 1 --expires-at 2001-09-09T01:46:40Z --fallback https://two.example/";
    dev.ok(&words.split_whitespace().collect::<Vec<_>>());
    let shown = dev.ok(&["--output", "json", "link", "get", "localhost", "/all"]);
    let mut shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let link = shown.as_object_mut().expect("a link");
    link.retain(|name, _| !name.ends_with("ed_at"));
    let expected = serde_json::json!({
        "site": "localhost", "path": "/all", "target": "https://one.example/", "status": 307, "tags": ["x", "y"],
        "attributes": {"a": "1=2"}, "forward_query": true, "starts_at": 1, "expires_at": 1_000_000_000, "fallback": "https://two.example/",
    });
    assert_eq!(shown, expected);
}

#[test]
fn bad_targets_are_refused_by_field() {
    let dev = Dev::start();
    let long = format!("https://a.example/{}", "x".repeat(9_000));
    for target in [
        "javascript:alert(1)",
        "http://",
        "https://a.example/\r\nX: y",
        "http://localhost/loop",
        "/relative",
        &long,
    ] {
        let said = dev.fails(&["link", "add", "localhost", "/loop", target]);
        assert!(said.contains("target"), "{target:?}: {said}");
    }
    let said = dev.fails(&["link", "add", "localhost", "no-slash", "https://a.example/"]);
    assert!(said.contains("path"), "{said}");
    assert!(
        dev.fails(&["site", "add", "other", "--host", "localhost"])
            .contains("belongs to a site already")
    );
}

#[test]
fn tokens_reach_as_far_as_they_say() {
    let dev = Dev::start();
    let made = dev.ok(&[
        "--output", "json", "token", "create", "--name", "looker", "--scope", "read",
    ]);
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let (token, id) = (made["token"].as_str().expect("token"), made["id"].as_str().expect("id"));
    let list = ["link", "list", "localhost"];
    let add = ["link", "add", "localhost", "/t", "https://t.example/"];
    assert!(dev.cli_as(token, &list).status.success());
    let refused = dev.cli_as(token, &add);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("`read`"), "{}", text(&refused.stderr));
    dev.ok(&["token", "revoke", id]);
    for bad in [token, "nonsense", "ws_000000000000_x"] {
        let output = dev.cli_as(bad, &list);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert!(text(&output.stderr).contains("token"), "{}", text(&output.stderr));
    }
}

#[test]
fn configuration_names_file_line_and_column() {
    let folder = tempfile::tempdir().expect("folder");
    let (good, bad) = (folder.path().join("good.toml"), folder.path().join("bad.toml"));
    std::fs::write(&good, "[edge]\nlisten = \"127.0.0.1:0\"\n").expect("write");
    std::fs::write(&bad, "[edge]\nlisen = \"127.0.0.1:0\"\n").expect("write");
    let run = |arguments: &[&str]| Command::new(BINARY).args(arguments).output().expect("run");
    let path = |path: &std::path::Path| path.to_str().expect("path").to_owned();
    assert!(run(&["config", "check", &path(&good)]).status.success());
    let refused = run(&["config", "check", &path(&bad)]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr) + &text(&refused.stdout);
    assert!(
        said.contains("bad.toml:2:1") && said.contains("lisen") && said.contains("listen"),
        "{said}"
    );
    let schema = run(&["config", "schema"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&schema.stdout).is_ok());
    assert!(run(&["config", "print"]).status.success());
    assert!(run(&["completions", "bash"]).status.success());
    assert_eq!(run(&["link", "add"]).status.code(), Some(2));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn a_backup_brings_back_what_was_there() {
    let dev = Dev::start();
    dev.ok(&["link", "add", "localhost", "/before", "https://before.example/"]);
    let data = dev.folder.path().join("origin");
    let (data, backup) = (
        data.to_str().expect("path").to_owned(),
        dev.folder.path().join("copy.db"),
    );
    let backup = backup.to_str().expect("path").to_owned();
    dev.ok(&["origin", "backup", "--data", &data, &backup]);
    assert!(
        dev.fails(&["origin", "backup", "--data", &data, &backup])
            .contains("exists already")
    );
    dev.ok(&["link", "rm", "localhost", "/before"]);
    assert!(
        dev.fails(&["origin", "restore", "--data", &data, &backup])
            .contains("another process")
    );
    let Dev { process, folder } = dev;
    assert_eq!(process.end(), Some(0));
    let run = |arguments: &[&str]| Command::new(BINARY).args(arguments).output().expect("run");
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "no database").expect("write");
    let refused = run(&["origin", "restore", "--data", &data, garbage.to_str().expect("path")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(run(&["origin", "restore", "--data", &data, &backup]).status.success());
    let again = Dev {
        process: crate::harness::Process::dev(folder.path(), &[]),
        folder,
    };
    again.wait_for("/before", Some("https://before.example/"));
}

/// Somebody who pastes a page where a setting belongs reads what is wrong, not the page.
#[test]
fn a_long_value_that_is_refused_is_not_repeated_in_full() {
    let long = "x".repeat(9_000);
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/",
        "p",
        "--on-failure",
        "open",
        "--set",
        &long,
    ];
    let output = Command::new(BINARY).args(bind).output().expect("run wayside");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("xxxx…") && said.contains("NAME=VALUE") && said.len() < 1_000,
        "{said}"
    );
}
