//! Origins of different records beside each other: one was left on a primary from before a failover.

use std::{fs::File, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use wayside_test_postgres::{Server, free_port};

use crate::{
    harness::{BINARY, Process, eventually, request},
    origins::{cli, publish},
};

/// Links of each kind: changed, deleted and new ones.
const EACH: usize = 10;

/// An origin whose log goes on in a file.
fn start_origin(folder: &Path, store: &str, listen: &str, log: &Path) -> Process {
    let log = File::options().create(true).append(true).open(log);
    let mut command = Command::new(BINARY);
    command
        .arg("origin")
        .env("WAYSIDE__ORIGIN__DATA", folder.join("origin"))
        .env("WAYSIDE__ORIGIN__LISTEN", listen)
        .env("WAYSIDE__ORIGIN__STORE", store)
        .stderr(log.expect("a log"));
    Process::run(command, "origin")
}

/// Lines of a log with these words.
fn lines(log: &Path, words: &str) -> usize {
    let log = std::fs::read_to_string(log).expect("the log");
    log.lines().filter(|line| line.contains(words)).count()
}

/// An edge that asks all origins alike, and forgets quickly.
fn start_edge(folder: &Path, urls: &[&str]) -> Process {
    let mut command = Command::new(BINARY);
    command
        .arg("edge")
        .env("WAYSIDE__EDGE__DATA", folder.join("node"))
        .env("WAYSIDE__EDGE__LISTEN", "127.0.0.1:0")
        .env("WAYSIDE__ADMIN__LISTEN", "127.0.0.1:0")
        .env("WAYSIDE__UPSTREAM__TOKEN_FILE", folder.join("origin/token"))
        .env(
            "WAYSIDE__UPSTREAM__REGIONS",
            format!("[{{ name = \"eu\", origins = {urls:?} }}]"),
        )
        .env("WAYSIDE__UPSTREAM__EJECTION_S", "1")
        .env("WAYSIDE__CACHE__TTL_S", "1")
        .env("WAYSIDE__CACHE__NEGATIVE_TTL_S", "1");
    Process::run(command, "admin")
}

fn links(paths: &[String], target: &str) -> Vec<Value> {
    let link = |path: &String| json!({"path": path, "target": target});
    paths.iter().map(link).collect()
}

fn paths(kind: &str) -> Vec<String> {
    (0..EACH).map(|index| format!("/{kind}/{index}")).collect()
}

fn followed(edge: &Process) -> Value {
    let status: Value = serde_json::from_str(&edge.admin("/status").body).expect("JSON");
    status["upstream"]["followed"].clone()
}

/// What a visitor gets, once one of the origins can be asked: a target, or none.
fn leads_to(edge: &Process, path: &str) -> Option<String> {
    loop {
        let response = request(edge.edge(), "GET", "go.example", path, &[]);
        match response.status {
            503 => std::thread::sleep(Duration::from_millis(20)),
            302 | 404 => return response.location(),
            _ => panic!("{path}: {response:?}"),
        }
    }
}

const BEFORE: &str = "https://before.example/";
const AFTER: &str = "https://after.example/";

/// What holds since the failover.
fn is_right(edge: &Process) -> bool {
    let lead = |kind: &str, target: Option<&str>| {
        let target = |path: &String| leads_to(edge, path).as_deref() == target;
        paths(kind).iter().all(target)
    };
    lead("changed", Some(AFTER)) && lead("new", Some(AFTER)) && lead("deleted", None) && lead("kept", Some(BEFORE))
}

#[test]
fn an_origin_left_on_the_old_primary_speaks_for_nobody() {
    let primary = Server::start();
    let store = primary.database("record");
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let logs = ["old.log", "new.log"].map(|name| folder.join(name));
    let urls = addresses.clone().map(|address| format!("http://{address}"));
    let old = start_origin(folder, &store, &addresses[0], &logs[0]);
    cli(folder, &urls[0], &["site", "add", "go", "--host", "go.example"]);
    for kind in ["changed", "deleted", "kept"] {
        publish(
            folder,
            addresses[0].parse().expect("an address"),
            "go",
            &links(&paths(kind), BEFORE),
        );
    }
    let standby = primary.standby();
    let edge = start_edge(folder, &[&urls[0], &urls[1]]);
    eventually("the node follows the only origin", || followed(&edge) == urls[0]);
    for kind in ["changed", "deleted", "kept"] {
        assert!(
            paths(kind)
                .iter()
                .all(|path| leads_to(&edge, path).as_deref() == Some(BEFORE))
        );
    }
    // The region fails over; the old primary is not fenced, and one origin comes back to it.
    assert_eq!(old.end(), Some(0));
    standby.catch_up(&primary);
    standby.promote();
    let new = start_origin(folder, &standby.url("record"), &addresses[1], &logs[1]);
    eventually("the node follows the new primary", || followed(&edge) == urls[1]);
    let old = start_origin(folder, &store, &addresses[0], &logs[0]);
    // Nothing that is written there counts, and there is as much of it.
    let address = addresses[0].parse().expect("an address");
    publish(folder, address, "go", &links(&paths("kept"), "https://lost.example/"));
    publish(
        folder,
        address,
        "go",
        &links(&paths("deleted"), "https://lost.example/"),
    );
    cli(folder, &urls[0], &["site", "set", "go", "--host", "lost.example"]);

    let address = addresses[1].parse().expect("an address");
    publish(folder, address, "go", &links(&paths("changed"), AFTER));
    for path in paths("new") {
        assert_eq!(leads_to(&edge, &path), None, "asked for before it is made");
    }
    publish(folder, address, "go", &links(&paths("new"), AFTER));
    for path in paths("deleted") {
        cli(folder, &urls[1], &["link", "rm", "go", &path]);
    }
    eventually("all that changed is seen", || is_right(&edge));
    // Longer than anything is fresh: each link is asked for again, of either origin.
    for _ in 0..30 {
        assert!(is_right(&edge), "{}", edge.admin("/status").body);
        std::thread::sleep(Duration::from_millis(100));
    }
    cli(folder, &urls[1], &["rule", "add", "go", "/ruled/*", AFTER]);
    eventually("the directory is the new one", || {
        leads_to(&edge, "/ruled/x").as_deref() == Some(AFTER)
    });

    // The feed breaks, and only the old record can be had for a while.
    assert_eq!(new.end(), Some(0));
    std::thread::sleep(Duration::from_secs(2));
    assert!(followed(&edge).is_null(), "{}", edge.admin("/status").body);
    assert!(is_held_right(&edge), "{}", edge.admin("/status").body);
    let new = start_origin(folder, &standby.url("record"), &addresses[1], &logs[1]);
    eventually("the node follows the new primary again", || {
        assert!(is_held_right(&edge), "{}", edge.admin("/status").body);
        followed(&edge) == urls[1]
    });
    assert!(is_right(&edge), "{}", edge.admin("/status").body);
    drop((old, new));
    let told = logs
        .each_ref()
        .map(|log| lines(log, "another epoch of the record begins"));
    assert_eq!(told, [0, 1]);
    assert_eq!(lines(&logs[1], "promoted"), 1);
}

/// While nobody can be asked, what is held is right and nothing else is answered.
fn is_held_right(edge: &Process) -> bool {
    let answer = |path: &String| request(edge.edge(), "GET", "go.example", path, &[]);
    let is_or_fails = |kind: &str, target: Option<&str>| {
        paths(kind)
            .iter()
            .map(answer)
            .all(|response| response.status == 503 || response.location().as_deref() == target)
    };
    is_or_fails("changed", Some(AFTER))
        && is_or_fails("new", Some(AFTER))
        && is_or_fails("deleted", None)
        && is_or_fails("kept", Some(BEFORE))
}
