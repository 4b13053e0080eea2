//! A disk without room: what cannot be written is refused, what is held is served, and nothing acknowledged is lost.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{BINARY, Process, dev_arguments, eventually, text};

const FOLDER_MIB: u32 = 4;

/// `wayside dev` in a mount namespace of its own, with its data on a small memory disk. None, loudly, where the system
/// lets nobody make one.
fn start(data: &Path) -> Option<Process> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount"]);
    let may = unshare.arg("true").output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("NOT TESTED: this system lets us make no mount namespace, so there is no full disk to try");
        return None;
    }
    let data = data.to_str().expect("path");
    let mount = format!("mount -t tmpfs -o size={FOLDER_MIB}m tmpfs \"$1\" && shift && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &mount, "sh", data, BINARY]);
    command.args(dev_arguments(data));
    Some(Process::run(command, "ready"))
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
    let Some(process) = start(folder.path()) else { return };
    // The process's own view of its folder.
    let data = PathBuf::from(format!("/proc/{}/root{}", process.id(), folder.path().display()));
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

    let filler = data.join("filler");
    let full = std::fs::write(&filler, vec![0; 8 << 20]).expect_err("a full disk");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
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
    let copied = Command::new("cp")
        .arg("-r")
        .arg(data.join("."))
        .arg(kept.path())
        .status();
    assert!(copied.expect("cp").success());
    process.kill();
    let restarted = Process::dev(kept.path(), &[]);
    let leads_to = |path: &str| restarted.get(path).location();
    assert_eq!(leads_to("/after").as_deref(), Some("https://after.example/"));
    assert_eq!(leads_to("/before").as_deref(), Some("https://changed.example/"));
}
