//! Edge and origin apart, and what still works when one of them is gone.

use std::{net::TcpListener, time::Duration};

use crate::{
    harness::{Process, eventually, request},
    origins::{cli, edge_command, start_edge, start_origin},
};

#[test]
fn an_edge_outlives_its_origin_and_restarts_without_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let address = origin.origin.expect("an origin").to_string();
    let url = format!("http://{address}");
    cli(folder, &url, &["site", "add", "apart", "--host", "apart.example"]);
    cli(
        folder,
        &url,
        &["link", "add", "apart", "/held", "https://held.example/"],
    );
    cli(
        folder,
        &url,
        &["link", "add", "apart", "/other", "https://other.example/"],
    );
    let edge = start_edge(folder, &url);
    let at = |edge: &Process, path: &str| request(edge.edge(), "GET", "apart.example", path, &[]);
    eventually("the edge knows the link", || at(&edge, "/held").status == 302);

    origin.kill();
    assert_eq!(
        at(&edge, "/held").location().as_deref(),
        Some("https://held.example/"),
        "held"
    );
    let missing = at(&edge, "/other");
    assert_eq!(
        (missing.status, missing.header("retry-after").is_some()),
        (503, true),
        "not held"
    );

    assert_eq!(edge.end(), Some(0));
    let edge = start_edge(folder, &url);
    assert_eq!(
        at(&edge, "/held").location().as_deref(),
        Some("https://held.example/"),
        "from the snapshot"
    );

    let origin = start_origin(folder, &address);
    cli(
        folder,
        &url,
        &["link", "set", "apart", "/held", "--target", "https://new.example/"],
    );
    eventually("the edge follows again", || {
        at(&edge, "/held").location().as_deref() == Some("https://new.example/")
    });
    assert_eq!(at(&edge, "/other").status, 302);
    assert_eq!(origin.end(), Some(0));
}

#[test]
fn a_link_below_the_path_of_streams_outlives_the_origin_like_any_other() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let url = format!("http://{}", origin.origin.expect("an origin"));
    let site = ["site", "add", "mixed", "--host", "mixed.example", "--streams", "/video"];
    cli(folder, &url, &site);
    let link = ["link", "add", "mixed", "/video/about/us", "https://about.example/"];
    cli(folder, &url, &link);
    let edge = start_edge(folder, &url);
    let at = |edge: &Process, path: &str| request(edge.edge(), "GET", "mixed.example", path, &[]);
    eventually("the edge knows the link", || at(&edge, "/video/about/us").status == 302);

    origin.kill();
    // What begins anew has the link from its disk, and has never asked whether there is such an asset.
    assert_eq!(edge.end(), Some(0));
    let edge = start_edge(folder, &url);
    assert_eq!(
        at(&edge, "/video/about/us").location().as_deref(),
        Some("https://about.example/")
    );
    for path in ["/video/about/them", "/.wayside/steer/about"] {
        assert_eq!(at(&edge, path).status, 503, "{path}: nobody knows");
    }
    assert_eq!(edge.end(), Some(0));
}

#[test]
fn an_edge_takes_its_token_from_the_file_that_commands_take_theirs_from() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let url = format!("http://{}", origin.origin.expect("an origin"));
    let token = folder.join("origin/token");
    let edge = |variables: &[(&str, &str)]| {
        let mut command = edge_command(folder, &url);
        command
            .env_remove("WAYSIDE__UPSTREAM__TOKEN_FILE")
            .env_remove("WAYSIDE_TOKEN")
            .env_remove("WAYSIDE_TOKEN_FILE")
            .envs(variables.iter().copied());
        command
    };
    let without = edge(&[]).output().expect("run");
    let said = crate::harness::text(&without.stderr);
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(
        said.contains("upstream.token_file") && said.contains("WAYSIDE_TOKEN_FILE"),
        "{said}"
    );
    let edge = Process::run(edge(&[("WAYSIDE_TOKEN_FILE", token.to_str().expect("path"))]), "admin");
    eventually("the edge is ready", || edge.admin("/readyz").status == 200);
}

/// A link that cannot be had is not one that there is not: whoever comes for it gets nothing that was decided for those
/// who have none.
#[test]
fn what_is_decided_without_a_link_is_not_decided_for_a_link_that_cannot_be_had() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let address = origin.origin.expect("an origin");
    let url = format!("http://{address}");
    let run = |words: &str| cli(folder, &url, &words.split_whitespace().collect::<Vec<_>>());
    run("site add apart --host apart.example");
    // Held, and not live.
    run("link add apart /none https://none.example/ --starts-at 2099-01-01T00:00:00Z");
    run("link add apart /away https://away.example/");
    let component = crate::harness::repository().join("guest/components/interpreter.wasm");
    run(&format!("policy push asks {}", component.display()));
    let program = "program=ask header x-visitor 1 ask target 2 decide 3 decide 4";
    let bind = [
        "policy",
        "bind",
        "apart",
        "/",
        "asks",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    cli(folder, &url, &bind);
    let edge = start_edge(folder, &url);
    let at = |path: &str, visitor: &str| request(edge.edge(), "GET", "apart.example", path, &[("X-Visitor", visitor)]);
    let none = || at("/none", "first").location();
    eventually("the policy decides", || none().as_deref() == Some("https://3.example/"));
    origin.kill();
    // In its place one that takes its time, and then says nothing.
    let (silent, closing) = (
        TcpListener::bind(address).expect("the origin's port"),
        Duration::from_secs(2),
    );
    std::thread::spawn(move || {
        for connection in silent.incoming() {
            std::thread::spawn(move || {
                std::thread::sleep(closing);
                drop(connection);
            });
        }
    });
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| at("/away", "second"));
        // While that one waits for the link, another with the same answers has none, and decides.
        std::thread::sleep(closing / 4);
        assert_eq!(at("/none", "second").location().as_deref(), Some("https://3.example/"));
        assert!(!waits.is_finished(), "too late to show anything");
        let waited = waits.join().expect("an answer");
        assert_eq!((waited.status, waited.location()), (503, None), "{waited:?}");
    });
}
