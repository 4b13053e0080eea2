//! A disk without room: what cannot be written is refused, what is held is served, and nothing acknowledged is lost.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    harness::{BINARY, Process, dev_arguments, eventually, request, text},
    logs::Logged,
    origins::{cli, copy, edge_command, start_edge, start_origin},
};

const FOLDER_MIB: u32 = 4;

/// As `command`, in a mount namespace of its own with a small memory disk at `data`. None, loudly, where the system lets
/// nobody make one.
fn on_small_disk(command: &Command, data: &Path) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount"]);
    let may = unshare.arg("true").output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("NOT TESTED: this system lets us make no mount namespace, so there is no full disk to try");
        return None;
    }
    let data = data.to_str().expect("path");
    let mount = format!("mount -t tmpfs -o size={FOLDER_MIB}m tmpfs \"$1\" && shift && exec \"$@\"");
    let mut on_it = Command::new("unshare");
    on_it.args(["--map-root-user", "--mount", "sh", "-c", &mount, "sh", data]);
    on_it.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => on_it.env(name, value),
            None => on_it.env_remove(name),
        };
    }
    Some(on_it)
}

/// The process's own view of a folder.
fn seen_by(process: &Process, folder: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", process.id(), folder.display()))
}

/// Fills the disk on which a folder is; removing the file makes room again.
fn fill(folder: &Path) -> PathBuf {
    let filler = folder.join("filler");
    let full = std::fs::write(&filler, vec![0; 8 << 20]).expect_err("a full disk");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    filler
}

struct Origin<'p> {
    process: &'p Process,
    token: String,
}

impl Origin<'_> {
    fn link(&self, verb: &str, path: &str, target: &[&str]) -> Result<(), String> {
        let origin = format!("http://{}", self.process.origin.expect("an origin"));
        let output = Command::new(BINARY)
            .args(["--origin-url", &origin, "link", verb, "localhost", path])
            .args(target)
            .env("WAYSIDE_TOKEN", &self.token)
            .output()
            .expect("run wayside");
        if output.status.success() {
            Ok(())
        } else {
            Err(text(&output.stderr))
        }
    }
}

#[test]
fn what_is_acknowledged_is_kept_and_what_is_held_is_served() {
    let folder = tempfile::tempdir().expect("folder");
    let mut command = Command::new(BINARY);
    command.args(dev_arguments(folder.path().to_str().expect("path")));
    let Some(command) = on_small_disk(&command, folder.path()) else {
        return;
    };
    let process = Process::run(command, "ready");
    let data = seen_by(&process, folder.path());
    let token = std::fs::read_to_string(data.join("token"))
        .expect("token")
        .trim()
        .to_owned();
    let origin = Origin {
        process: &process,
        token,
    };
    origin
        .link("add", "/before", &["https://before.example/"])
        .expect("room");

    let filler = fill(&data);
    let long = format!("https://long.example/{}", "x".repeat(7_000));
    let refused = (0..200).find_map(|number| origin.link("add", &format!("/long/{number}"), &[&long]).err());
    let refused = refused.expect("no room left");
    assert!(refused.contains("disk is full"), "{refused}");
    // Again and again: an error must not leave behind what the next one stumbles over.
    for number in 0..3 {
        let refused = origin.link("add", &format!("/full/{number}"), &[&long]);
        assert!(
            refused.is_err_and(|error| error.contains("disk is full")),
            "/full/{number}"
        );
    }
    assert_eq!(process.get("/hello").status, 302);
    assert_eq!(process.get("/before").status, 302);

    std::fs::remove_file(&filler).expect("room");
    origin
        .link("add", "/after", &["https://after.example/"])
        .expect("room again");
    origin
        .link("set", "/before", &["--target", "https://changed.example/"])
        .expect("room again");
    eventually("the change is seen", || {
        process.get("/before").location().as_deref() == Some("https://changed.example/")
    });
    eventually("the new link is seen", || process.get("/after").status == 302);
    // The disk goes with the process; what another process finds on it is what was committed.
    let kept = tempfile::tempdir().expect("folder");
    copy(&data, kept.path());
    process.kill();
    let restarted = Process::dev(kept.path(), &[]);
    let leads_to = |path: &str| restarted.get(path).location();
    assert_eq!(leads_to("/after").as_deref(), Some("https://after.example/"));
    assert_eq!(leads_to("/before").as_deref(), Some("https://changed.example/"));
}

/// The edge's disk alone is full: visitors notice nothing, what changes is seen, and once there is room the node keeps
/// what it holds.
#[test]
fn a_node_without_room_serves_on_says_so_once_and_keeps_what_it_holds_when_there_is_room() {
    const LINKS: usize = 40;
    let folder = tempfile::tempdir().expect("folder");
    let node = folder.path().join("node");
    std::fs::create_dir(&node).expect("folder");
    let (origin, url) = origin_with_links(folder.path(), LINKS);
    let run = |folder: &Path, words: &str| cli(folder, &url, &words.split_whitespace().collect::<Vec<_>>());
    let Some(command) = on_small_disk(&edge_command(folder.path(), &url), &node) else {
        return;
    };
    let edge = Logged::start(folder, command, "admin");
    let folder = edge.folder.path();
    let data = seen_by(&edge.process, &node);
    let get = |edge: &Process, number: usize| {
        request(edge.edge(), "GET", "apart.example", &format!("/{number}"), &[]).location()
    };
    let target = |number: usize| Some(format!("https://{number}.example/"));
    eventually("the node serves", || get(&edge.process, 0).is_some());
    (0..LINKS / 2).for_each(|number| assert_eq!(get(&edge.process, number), target(number)));
    eventually("the node's place is kept", || data.join("position").exists());

    let filler = fill(&data);
    (LINKS / 2..LINKS).for_each(|number| assert_eq!(get(&edge.process, number), target(number)));
    run(folder, "link set apart /1 --target https://new.example/");
    run(folder, "link rm apart /2");
    eventually("the change is seen", || {
        get(&edge.process, 1).as_deref() == Some("https://new.example/")
    });
    eventually("the removal is seen", || get(&edge.process, 2).is_none());
    let told = |what: &str| edge.errors(what).len();
    wait("the node says that its place cannot be kept", || {
        told("keep what the node restarts from") > 0
    });
    // Some more attempts.
    std::thread::sleep(Duration::from_secs(12));
    (3..LINKS).for_each(|number| assert_eq!(get(&edge.process, number), target(number)));
    assert_eq!(
        (told("write links to disk"), told("keep what the node restarts from")),
        (1, 1)
    );

    std::fs::remove_file(&filler).expect("room");
    wait("the node's place is kept again", || {
        told("what the node restarts from is kept again") > 0
    });
    drop(origin);
    let kept = tempfile::tempdir().expect("folder");
    let serves_all = |restarted: &Process| {
        get(restarted, 1).as_deref() == Some("https://new.example/")
            && get(restarted, 2).is_none()
            && (3..LINKS).all(|number| get(restarted, number) == target(number))
    };
    // What another process finds on the disk, when this one is killed at that moment.
    wait("all that the node holds is on its disk", || {
        let copied = kept.path().join("node");
        let _ = std::fs::remove_dir_all(&copied);
        copy(&data, &copied);
        copy_token(folder, kept.path());
        let restarted = start_edge(kept.path(), &url);
        let is_all = serves_all(&restarted);
        restarted.kill();
        is_all
    });
    assert!(serves_all(&edge.process));
    assert_eq!(
        (told("write links to disk"), told("keep what the node restarts from")),
        (1, 1)
    );
}

fn origin_with_links(folder: &Path, count: usize) -> (Process, String) {
    let origin = start_origin(folder, "127.0.0.1:0");
    let url = format!("http://{}", origin.origin.expect("an origin"));
    cli(folder, &url, &["site", "add", "apart", "--host", "apart.example"]);
    for number in 0..count {
        let (path, target) = (format!("/{number}"), format!("https://{number}.example/"));
        cli(folder, &url, &["link", "add", "apart", &path, &target]);
    }
    (origin, url)
}

fn copy_token(from: &Path, to: &Path) {
    let token = Path::new("origin/token");
    std::fs::create_dir_all(to.join("origin")).expect("folder");
    std::fs::copy(from.join(token), to.join(token)).expect("copy");
}

/// As `eventually`, for what a node does every few seconds.
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(40);
    while !is_so() {
        assert!(Instant::now() < give_up, "not within 40 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
