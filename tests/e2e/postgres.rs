//! Origins on one Postgres, as processes that are killed.

use std::{
    path::Path,
    process::{Command, Output},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use wayside_test_postgres::Server;

use crate::harness::{BINARY, Process, eventually, request, text};

/// How long two of its links may take an origin.
const PATIENCE: Duration = Duration::from_secs(20);

fn start_origin(folder: &Path, store: &str) -> Process {
    let data = folder.join("origin");
    let variables = [
        ("WAYSIDE__ORIGIN__DATA", data.to_str().expect("path")),
        ("WAYSIDE__ORIGIN__LISTEN", "127.0.0.1:0"),
        ("WAYSIDE__ORIGIN__STORE", store),
    ];
    Process::start(&["origin"], "origin", &variables)
}

fn cli(folder: &Path, origin: &Process, arguments: &[&str]) -> Output {
    let url = format!("http://{}", origin.origin.expect("an origin"));
    let mut command = Command::new(BINARY);
    command.args(["--origin-url", &url]).args(arguments);
    command.env("WAYSIDE_TOKEN_FILE", folder.join("origin/token"));
    command.output().expect("run")
}

fn ok(folder: &Path, origin: &Process, arguments: &[&str]) {
    let output = cli(folder, origin, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_a_killed_origin_acknowledged_reaches_the_nodes_of_another() {
    let server = Server::start();
    let store = server.database("record");
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let steady = start_origin(folder, &store);
    ok(folder, &steady, &["site", "add", "go", "--host", "go.example"]);
    let url = format!("http://{}", steady.origin.expect("an origin"));
    let edge = Process::run(crate::origins::edge_command(folder, &url), "admin");
    let leads_to = |path: &str| request(edge.edge(), "GET", "go.example", path, &[]).location();
    let (acknowledged, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    // Killed while it writes, again and again: some have committed and not been numbered, some not been answered.
    for round in 0..4 {
        let killed = start_origin(folder, &store);
        is_over.store(false, Ordering::Relaxed);
        let count = || acknowledged.lock().expect("no panic").len();
        let before = count();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let (killed, acknowledged, is_over) = (&killed, &acknowledged, &is_over);
                scope.spawn(move || {
                    for number in 0.. {
                        let path = format!("/{round}/{writer}/{number}");
                        let target = format!("https://a.example{path}");
                        if !cli(folder, killed, &["link", "add", "go", &path, &target])
                            .status
                            .success()
                        {
                            return;
                        }
                        acknowledged.lock().expect("no panic").push(path);
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            // No panic in here, in which the writers would not end.
            let give_up = Instant::now() + PATIENCE;
            while count() < before + 2 && Instant::now() < give_up {
                std::thread::sleep(Duration::from_millis(5));
            }
            // Each time at another moment of what is under way.
            std::thread::sleep(Duration::from_millis(15 * round));
            killed.signal("-KILL");
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(count() >= before + 2, "round {round}: {} acknowledged", count());
    }
    let acknowledged = acknowledged.into_inner().expect("no panic");
    for path in &acknowledged {
        assert_eq!(leads_to(path), Some(format!("https://a.example{path}")), "{path}");
    }
    // The node holds them now; what another origin changes is told it.
    let other = start_origin(folder, &store);
    let path = &acknowledged[0];
    ok(
        folder,
        &other,
        &["link", "set", "go", path, "--target", "https://changed.example/"],
    );
    eventually("the change is seen", || {
        leads_to(path).as_deref() == Some("https://changed.example/")
    });
    assert_eq!(
        server.psql("record", "SELECT count(*) FROM outbox"),
        "0",
        "all have their numbers"
    );
}

#[test]
fn a_password_is_read_from_its_file_and_never_shown() {
    let server = Server::start();
    let url = server.database("record");
    server.psql("record", "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'hunter2'");
    server.require_password("guarded");
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let guarded = url.replace("postgres@", "guarded@");
    let config = folder.join("wayside.toml");
    let password = folder.join("password");
    let data = folder.join("origin");
    let text_of = |more: &str| format!("[origin]\nlisten = \"127.0.0.1:0\"\ndata = {data:?}\n{more}");
    std::fs::write(&config, text_of(&format!("store = \"{guarded}\"\n"))).expect("write");
    let run = || {
        let output = Command::new(BINARY).args(["origin", "--config"]).arg(&config).output();
        text(&output.expect("run").stderr)
    };
    let refused = run();
    assert!(refused.contains("password") && refused.contains("/record"), "{refused}");
    std::fs::write(&password, "hunter3\n").expect("write");
    std::fs::write(
        &config,
        text_of(&format!("store = \"{guarded}\"\npassword_file = {password:?}\n")),
    )
    .expect("write");
    let refused = run();
    assert!(refused.contains("guarded") && !refused.contains("hunter3"), "{refused}");
    std::fs::write(&password, "hunter2\n").expect("write");
    let mut command = Command::new(BINARY);
    command.args(["origin", "--config"]).arg(&config);
    let origin = Process::run(command, "origin");
    ok(folder, &origin, &["site", "add", "go", "--host", "go.example"]);
    let inline = guarded.replace("guarded@", "guarded:hunter2@");
    std::fs::write(&config, text_of(&format!("store = \"{inline}\"\n"))).expect("write");
    let shown = Command::new(BINARY)
        .args(["config", "check"])
        .arg(&config)
        .output()
        .expect("run");
    assert!(
        shown.status.success() && !text(&shown.stdout).contains("hunter2"),
        "{}",
        text(&shown.stdout)
    );
}
