//! `wayside dev` as a newcomer meets it.

use std::{io::Write as _, net::TcpStream, path::Path, process::Command};

use crate::harness::{Dev, Process, eventually, request, text};

#[test]
fn the_demonstration_does_what_it_says() {
    let dev = Dev::start();
    let edge = &dev.process;
    let hello = edge.get("/hello");
    assert_eq!(
        (hello.status, hello.location().as_deref()),
        (302, Some("https://example.com/"))
    );
    assert_eq!(
        edge.get("/hello?a=1").location().as_deref(),
        Some("https://example.com/?a=1")
    );
    assert_eq!(
        edge.get("/docs/std/?q=vec").location().as_deref(),
        Some("https://doc.rust-lang.org/std/?q=vec")
    );
    for (country, place) in [("DE", "de"), ("us", "us"), ("FR", "world")] {
        let geo = edge.get_with("/geo", &[("Wayside-Demo-Country", country)]);
        assert_eq!(
            geo.location(),
            Some(format!("https://example.com/{place}")),
            "{country}"
        );
        assert_eq!(geo.header("cache-control").as_deref(), Some("private, no-cache"));
    }
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148";
    let app = edge.get_with("/app", &[("User-Agent", iphone)]);
    assert_eq!(app.location().as_deref(), Some("https://apps.apple.com/"));
    let side = edge.get("/ab").location();
    assert!(
        side.as_deref()
            .is_some_and(|side| side == "https://example.com/a" || side == "https://example.com/b")
    );
    assert!(
        (0..20).all(|_| edge.get("/ab").location() == side),
        "a visitor stays on one side"
    );
}

/// Each line of `wayside` that is printed, pasted where `wayside dev` was started, by somebody without it on the PATH.
fn paste_what_is_said(folder: &Path, data: &str) {
    let mut command = Process::dev_command(Path::new(data), &[]);
    let path = "/usr/bin:/bin";
    command.current_dir(folder).env("PATH", path);
    let process = Process::run(command, "ready");
    eventually("all is said", || {
        process.said().iter().any(|line| line.starts_with("End"))
    });
    let said = process.said();
    let lines: Vec<&String> = said.iter().filter(|line| line.contains("--origin-url")).collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    for line in lines {
        let pasted = Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(folder)
            .env("PATH", path)
            .env_remove("WAYSIDE_TOKEN")
            .env_remove("WAYSIDE_TOKEN_FILE")
            .output()
            .expect("run");
        assert!(pasted.status.success(), "{line}: {}", text(&pasted.stderr));
    }
    eventually("the link is there", || process.get("/mine").status == 302);
}

#[test]
fn what_is_said_can_be_pasted() {
    let folder = tempfile::tempdir().expect("folder");
    paste_what_is_said(folder.path(), ".wayside");
    paste_what_is_said(folder.path(), "some where");
}

#[test]
fn the_film_is_steered_over_its_targets_also_after_a_restart() {
    const HOST: &str = "cinema.localhost";
    let folder = tempfile::tempdir().expect("folder");
    let mut before = String::new();
    for _ in 0..2 {
        let process = Process::dev(folder.path(), &[]);
        let get = |path: &str| request(process.edge(), "GET", HOST, path, &[]);
        let mut location = String::new();
        // A node begins with what it kept, and is told of the new ports then.
        eventually("a file is sent to a target of this start", || {
            location = get("/film/low.m3u8").location().unwrap_or_default();
            let server = location.split('/').nth(2).unwrap_or_default();
            !server.is_empty() && !before.contains(server)
        });
        let (server, path) = location
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .expect("an address");
        let file = request(
            server.parse().expect("an address"),
            "GET",
            server,
            &format!("/{path}"),
            &[],
        );
        assert!(file.status == 200 && file.body.contains("0.m4s"), "{file:?}");
        eventually("both targets are in the playlist", || {
            let playlist = get("/film/master.m3u8").body;
            before = playlist.clone();
            ["SERVER-URI", r#"PATHWAY-ID="one""#, r#"PATHWAY-ID="two""#, server]
                .iter()
                .all(|part| playlist.contains(part))
        });
        assert_eq!(process.end(), Some(0));
    }
}

#[test]
fn methods_and_statuses() {
    let dev = Dev::start();
    let edge = dev.process.edge();
    assert_eq!(request(edge, "HEAD", "localhost", "/hello", &[]).status, 302);
    let options = request(edge, "OPTIONS", "localhost", "/hello", &[]);
    assert_eq!(
        (options.status, options.header("allow").as_deref()),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused = request(edge, method, "localhost", "/hello", &[]);
        assert_eq!(
            (refused.status, refused.header("allow").as_deref()),
            (405, Some("GET, HEAD, OPTIONS")),
            "{method}"
        );
    }
    for status in ["301", "302", "303", "307", "308"] {
        let path = format!("/s{status}");
        dev.ok(&[
            "link",
            "add",
            "localhost",
            &path,
            "https://s.example/",
            "--status",
            status,
        ]);
        assert_eq!(dev.process.get(&path).status.to_string(), status);
    }
}

#[test]
fn wildcard_hosts_and_other_sites() {
    let dev = Dev::start();
    dev.ok(&[
        "site",
        "add",
        "wild",
        "--host",
        "*.wild.example",
        "--not-found",
        "https://wild.example/none",
    ]);
    dev.ok(&["link", "add", "wild", "/x", "https://wild.example/x"]);
    let at = |host: &str, path: &str| request(dev.process.edge(), "GET", host, path, &[]);
    eventually("the site answers", || at("a.wild.example", "/x").status == 302);
    assert_eq!(
        at("A.b.WILD.example:8080", "/x").location().as_deref(),
        Some("https://wild.example/x")
    );
    assert_eq!(
        at("a.wild.example", "/y").location().as_deref(),
        Some("https://wild.example/none")
    );
    assert_eq!(at("wild.example", "/x").status, 404);
    assert_eq!(dev.process.get("/x").status, 404, "another site's link");
}

#[test]
fn a_second_start_is_warm_and_does_not_bring_back_what_was_deleted() {
    let Dev { process, folder } = Dev::start();
    let dev = Dev { process, folder };
    dev.ok(&["link", "add", "localhost", "/kept", "https://kept.example/"]);
    dev.ok(&["link", "rm", "localhost", "/hello"]);
    dev.wait_for("/kept", Some("https://kept.example/"));
    let Dev { process, folder } = dev;
    assert_eq!(process.end(), Some(0), "SIGTERM drains and exits 0");
    let log = folder.path().join("origin/origin.db-wal");
    assert!(!log.exists(), "the record is in one file once nobody uses it");
    let again = Process::dev(folder.path(), &[]);
    assert_eq!(again.get("/kept").location().as_deref(), Some("https://kept.example/"));
    assert_eq!(again.get("/hello").status, 404);
    assert_eq!(again.get_with("/geo", &[("Wayside-Demo-Country", "DE")]).status, 302);
}

#[test]
fn a_taken_port_or_folder_is_said() {
    let dev = Dev::start();
    let edge = dev.process.edge().to_string();
    let other = tempfile::tempdir().expect("folder");
    let (folder, other) = (
        dev.folder.path().to_str().expect("path"),
        other.path().to_str().expect("path"),
    );
    let free = ["--admin", "127.0.0.1:0", "--origin", "127.0.0.1:0"];
    let said = dev.fails(&[&["dev", "--data", other, "--listen", &edge][..], &free].concat());
    assert!(said.contains(&edge) && said.contains("the port is taken"), "{said}");
    let said = dev.fails(&[&["dev", "--data", folder, "--listen", "127.0.0.1:0"][..], &free].concat());
    assert!(said.contains("another process is using this database"), "{said}");
}

/// Half a request on every port, and the end comes all the same.
#[test]
fn whoever_holds_a_connection_open_does_not_hold_up_the_end() {
    let dev = Dev::start();
    let process = &dev.process;
    let ports = [Some(process.edge()), process.admin, process.origin];
    let held = ports.map(|address| {
        let mut stream = TcpStream::connect(address.expect("an address")).expect("connect");
        stream.write_all(b"GET /hea").expect("write");
        stream
    });
    // Each has been accepted once another behind it is answered.
    assert_eq!(process.get("/hello").status, 302);
    let Dev { process, folder } = dev;
    assert_eq!(process.end(), Some(0));
    drop((held, folder));
}
