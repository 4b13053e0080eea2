//! An origin with a certificate, and who believes it.

use std::{fs, path::Path, process::Command};

use crate::{
    harness::{BINARY, Process, eventually, request, text},
    origins::edge_command,
};

/// Makes an authority and a certificate of its for this machine, by the tool that an operator would use.
fn issue(folder: &Path) {
    let script = "
        set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=authority \
            -keyout authority.key -out authority.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=origin -keyout origin.key -out origin.csr
        printf 'subjectAltName=IP:127.0.0.1' > names
        openssl x509 -req -in origin.csr -CA authority.pem -CAkey authority.key -days 1 -extfile names -out origin.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output();
    let made = made.expect("run openssl");
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// An origin in `folder` with a certificate of its authority.
fn start_origin(folder: &Path) -> (Process, String) {
    issue(folder);
    let file = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let variables = [
        ("WAYSIDE__ORIGIN__DATA", &*file("origin")),
        ("WAYSIDE__ORIGIN__LISTEN", "127.0.0.1:0"),
        ("WAYSIDE__ORIGIN__CERTIFICATE_FILE", &file("origin.pem")),
        ("WAYSIDE__ORIGIN__KEY_FILE", &file("origin.key")),
    ];
    let origin = Process::start(&["origin"], "origin", &variables);
    let url = format!("https://{}", origin.origin.expect("an origin"));
    (origin, url)
}

#[test]
fn edges_and_commands_speak_to_an_origin_whose_authority_they_believe() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let file = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let (_origin, url) = start_origin(folder);
    let cli = |authority: &str, arguments: &[&str]| {
        Command::new(BINARY)
            .args(["--origin-url", &url, "--ca-file", authority])
            .args(arguments)
            .env("WAYSIDE_TOKEN_FILE", folder.join("origin/token"))
            .output()
            .expect("run")
    };
    let authority = file("authority.pem");
    for command in [
        &["site", "add", "safe", "--host", "safe.example"][..],
        &["link", "add", "safe", "/x", "https://there.example/"],
    ] {
        let output = cli(&authority, command);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    issue(folder);
    let stranger = cli(&file("authority.pem"), &["site", "list"]);
    let said = text(&stranger.stderr);
    assert!(!stranger.status.success() && said.contains("certificate"), "{said}");
    fs::write(folder.join("empty.pem"), "").expect("write");
    let said = text(&cli(&file("empty.pem"), &["site", "list"]).stderr);
    assert!(said.contains("empty.pem") && said.contains("expected"), "{said}");
}

#[test]
fn a_certificate_that_is_not_believed_is_told_once_however_often_it_is_met() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let (_origin, url) = start_origin(folder);
    let mut command = edge_command(folder, &url);
    let log = folder.join("edge.log");
    command
        .env_remove("RUST_LOG")
        .stderr(fs::File::create(&log).expect("a log"));
    let edge = Process::run(command, "admin");
    let said = || fs::read_to_string(&log).expect("the log");
    // The directory is read again and again, each time after a longer wait.
    eventually("it was tried some times", || {
        edge.metric("wayside_upstream_requests_total{kind=\"first\"}") >= 4.0
    });
    eventually("our own line", || said().contains("certificate"));
    let dependencies = said()
        .lines()
        .filter(|line| line.contains("rustls_platform_verifier"))
        .count();
    assert_eq!(dependencies, 0, "{}", said());
    let own = said()
        .lines()
        .filter(|line| line.contains("the directory stays as it is"))
        .count();
    assert_eq!(own, 1, "{}", said());
}

#[test]
fn an_edge_follows_an_origin_over_tls() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let file = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let (_origin, url) = start_origin(folder);
    let mut command = edge_command(folder, &url);
    command.env("WAYSIDE__UPSTREAM__CA_FILE", file("authority.pem"));
    let edge = Process::run(command, "admin");
    let add = |arguments: &[&str]| {
        let output = Command::new(BINARY)
            .args(arguments)
            .env("WAYSIDE_ORIGIN", &url)
            .env("WAYSIDE_CA_FILE", file("authority.pem"))
            .env("WAYSIDE_TOKEN_FILE", folder.join("origin/token"))
            .output()
            .expect("run");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    add(&["site", "add", "safe", "--host", "safe.example"]);
    add(&["link", "add", "safe", "/x", "https://there.example/"]);
    eventually("the link arrives", || {
        request(edge.edge(), "GET", "safe.example", "/x", &[])
            .location()
            .as_deref()
            == Some("https://there.example/")
    });
}
