//! What a node holds on its disk: served after any end, whatever happened to the files, and never older than what was
//! pushed.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use wayside_decide::digest::Digest;

use crate::{
    broken::SlowPath,
    harness::{Process, eventually, request},
    origins::{Numbered, cli, copy, edge_command, held, leads_to, publish, start_edge, start_origin},
};

const LINKS: usize = 40;

/// Lets a node load everything, and waits until all of it is on its disk.
fn warm(setting: &Numbered, edge: &Process) {
    eventually("the edge has every link", || held(edge, LINKS) == LINKS);
    // A place that lies behind all loads is kept only once all that was loaded is on the disk itself.
    let cursor = || {
        let status: Value = serde_json::from_str(&edge.admin("/status").body).expect("JSON");
        status["feed_cursor"].as_u64()
    };
    let before = cursor();
    let path = format!("/behind/{}", edge.id());
    setting.cli(&["link", "add", "apart", &path, "https://behind.example/"]);
    eventually("the node is told", || cursor() > before);
    let kept = setting.kept().join("position");
    eventually("the node's place in the feed is kept", || {
        fs::read_to_string(&kept).is_ok_and(|text| {
            let place = text
                .lines()
                .nth(1)
                .and_then(|line| serde_json::from_str::<Value>(line).ok());
            place.is_some_and(|place| place["cursor"].as_u64() == cursor())
        })
    });
}

#[test]
fn a_node_that_was_killed_serves_all_it_held_without_its_origin() {
    let mut setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    setting.kill_origin();
    edge.kill();
    for _ in 0..3 {
        let edge = start_edge(setting.folder.path(), &setting.url);
        assert_eq!(held(&edge, LINKS), LINKS);
        let from_disk = edge.metric("cache_hits_total{tier=\"disk\"}");
        assert!(from_disk > 0.5, "{from_disk}");
        edge.kill();
    }
}

#[test]
fn what_changed_while_the_node_was_away_is_not_served_once_it_follows_again() {
    let setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    edge.kill();
    let (folder, url) = (setting.folder.path(), &setting.url);
    cli(
        folder,
        url,
        &["link", "set", "apart", "/1", "--target", "https://new.example/"],
    );
    cli(folder, url, &["link", "rm", "apart", "/2"]);
    cli(folder, url, &["link", "add", "apart", "/100", "https://100.example/"]);
    let edge = setting.edge();
    eventually("the change is seen", || {
        leads_to(&edge, 1).as_deref() == Some("https://new.example/")
    });
    eventually("the removal is seen", || leads_to(&edge, 2).is_none());
    assert_eq!(leads_to(&edge, 100).as_deref(), Some("https://100.example/"));
    assert_eq!(leads_to(&edge, 3).as_deref(), Some("https://3.example/"));
}

#[test]
fn a_restored_record_is_checked_against_while_visitors_are_served() {
    let mut setting = Numbered::start(LINKS);
    let (folder, url) = (setting.folder.path().to_owned(), setting.url.clone());
    let edge = setting.edge();
    warm(&setting, &edge);
    let record = |verb: &str| {
        let mut command = std::process::Command::new(crate::harness::BINARY);
        command.args(["origin", verb]).arg(folder.join("backup"));
        let done = command.arg("--data").arg(folder.join("origin")).output().expect("run");
        assert!(done.status.success(), "{}", crate::harness::text(&done.stderr));
    };
    record("backup");
    cli(
        &folder,
        &url,
        &["link", "set", "apart", "/1", "--target", "https://new.example/"],
    );
    cli(&folder, &url, &["link", "add", "apart", "/200", "https://200.example/"]);
    eventually("the changes are seen", || {
        leads_to(&edge, 1).as_deref() == Some("https://new.example/") && leads_to(&edge, 200).is_some()
    });
    setting.kill_origin();
    record("restore");
    let origin = start_origin(&folder, url.strip_prefix("http://").expect("URL"));
    eventually("the edge has what the restored record has", || {
        assert_eq!(
            leads_to(&edge, 3).as_deref(),
            Some("https://3.example/"),
            "served meanwhile"
        );
        leads_to(&edge, 1).as_deref() == Some("https://1.example/") && leads_to(&edge, 200).is_none()
    });
    assert_eq!(held(&edge, LINKS), LINKS);
    assert!(edge.metric("wayside_origin_requests_total{kind=\"snapshot\",outcome=\"ok\"}") > 0.5);
    cli(
        &folder,
        &url,
        &["link", "set", "apart", "/2", "--target", "https://newer.example/"],
    );
    eventually("it follows again", || {
        leads_to(&edge, 2).as_deref() == Some("https://newer.example/")
    });
    assert_eq!(origin.end(), Some(0));
}

/// What changes while a node runs without its files of links is not forgotten in them.
#[test]
fn links_kept_before_a_run_without_them_are_checked() {
    let setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    edge.kill();
    let (folder, url) = (setting.folder.path(), &setting.url);
    let mut command = edge_command(folder, url);
    command.env("WAYSIDE__CACHE__DISK_MIB", "0");
    let without = Process::run(command, "admin");
    cli(
        folder,
        url,
        &["link", "set", "apart", "/1", "--target", "https://new.example/"],
    );
    eventually("the change is seen", || {
        leads_to(&without, 1).as_deref() == Some("https://new.example/")
    });
    assert_eq!(without.end(), Some(0));
    let edge = setting.edge();
    eventually("what it holds is checked", || {
        leads_to(&edge, 1).as_deref() == Some("https://new.example/")
    });
    assert!(edge.metric("wayside_origin_requests_total{kind=\"snapshot\",outcome=\"ok\"}") > 0.5);
    assert_eq!(leads_to(&edge, 3).as_deref(), Some("https://3.example/"));
}

#[test]
fn a_node_that_lost_its_place_checks_what_it_holds() {
    let setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    edge.kill();
    for file in ["position", "position.previous"] {
        fs::remove_file(setting.kept().join(file)).expect("remove");
    }
    cli(
        setting.folder.path(),
        &setting.url,
        &["link", "set", "apart", "/1", "--target", "https://new.example/"],
    );
    let edge = setting.edge();
    assert_eq!(leads_to(&edge, 3).as_deref(), Some("https://3.example/"));
    eventually("the change is seen", || {
        leads_to(&edge, 1).as_deref() == Some("https://new.example/")
    });
    assert!(edge.metric("wayside_origin_requests_total{kind=\"snapshot\",outcome=\"ok\"}") > 0.5);
}

#[test]
fn damaged_files_cost_links_and_nothing_else() {
    let mut setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    assert_eq!(edge.end(), Some(0));
    setting.kill_origin();
    let good = setting.kept();
    type Damage = fn(&Path);
    let damages: [(&str, usize, Damage); 8] = [
        ("nothing", LINKS, |_| {}),
        ("links cut", 0, |kept| cut(&kept.join("links/usual"))),
        ("links emptied", 0, |kept| {
            fs::write(kept.join("links/usual"), "").expect("write")
        }),
        ("links of another version", 0, |kept| {
            flip(&kept.join("links/usual"), &[8, 4096 + 8])
        }),
        ("links replaced by a folder", 0, |kept| {
            replace_by_folder(&kept.join("links/usual"))
        }),
        ("the directory torn", LINKS, |kept| {
            fs::write(kept.join("directory"), "{").expect("write")
        }),
        ("the place torn", LINKS, |kept| flip(&kept.join("position"), &[40])),
        ("the popular links torn", LINKS, |kept| {
            fs::write(kept.join("popular"), "x").expect("write")
        }),
    ];
    for (what, least, damage) in damages {
        let folder = tempfile::tempdir().expect("folder");
        copy(&setting.folder.path().join("origin"), &folder.path().join("origin"));
        copy(&good, &folder.path().join("node"));
        damage(&folder.path().join("node"));
        let edge = start_edge(folder.path(), &setting.url);
        let found = held(&edge, LINKS);
        assert!(found >= least, "{what}: {found} of {LINKS}");
        assert_eq!(edge.end(), Some(0), "{what}");
    }
}

/// A node that checks what it holds is killed in the middle, while links change: it goes on where it was.
#[test]
fn a_node_that_is_killed_while_it_checks_what_it_holds_forgets_nothing_and_serves_nothing_that_was_removed() {
    const MANY: usize = 25_000;
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let origin = start_origin(folder, "127.0.0.1:0");
    let address = origin.origin.expect("an origin");
    let url = format!("http://{address}");
    cli(folder, &url, &["site", "add", "apart", "--host", "apart.example"]);
    let path = |number: usize| format!("/{number:05}");
    let link = |number| json!({"path": path(number), "target": format!("https://{number}.example/")});
    publish(folder, address, "apart", &(0..MANY).map(link).collect::<Vec<Value>>());
    let get = |edge: &Process, number| request(edge.edge(), "GET", "apart.example", &path(number), &[]).location();
    let target = |number: usize| Some(format!("https://{number}.example/"));
    // Some of each of the three parts in which the origin tells what it has.
    let holds: Vec<usize> = (0..MANY).step_by(100).collect();
    let edge = start_edge(folder, &url);
    eventually("the edge has the links", || {
        holds.iter().all(|number| get(&edge, *number) == target(*number))
    });
    assert_eq!(edge.end(), Some(0));
    for file in ["position", "position.previous"] {
        fs::remove_file(folder.join("node").join(file)).expect("remove");
    }
    // Of each part one changes and one goes, before, during and after the first attempt.
    let change = |first: usize| {
        for part in [0, 10_000, 20_000] {
            let (changed, gone) = (path(part + first), path(part + first + 100));
            cli(
                folder,
                &url,
                &["link", "set", "apart", &changed, "--target", "https://new.example/"],
            );
            cli(folder, &url, &["link", "rm", "apart", &gone]);
        }
    };
    change(1_000);
    let slow = SlowPath::to(address);
    let edge = start_edge(folder, &format!("http://{}", slow.address));
    let parts = |edge: &Process| edge.metric("wayside_origin_requests_total{kind=\"snapshot\",outcome=\"ok\"}");
    slow.delay(Duration::from_millis(20));
    eventually("the first part was checked", || parts(&edge) > 0.5);
    slow.delay(Duration::from_secs(120));
    let place = || fs::read_to_string(folder.join("node/position")).unwrap_or_default();
    eventually("how far it came is kept", || place().contains("\"after\":\""));
    assert!(parts(&edge) < 2.5, "too late to show anything");
    change(2_000);
    assert_eq!(get(&edge, 3_000), target(3_000), "served meanwhile");
    edge.kill();
    change(3_000);

    let edge = start_edge(folder, &url);
    assert_eq!(get(&edge, 4_000), target(4_000), "served meanwhile");
    eventually("it follows again", || edge.metric("wayside_feed_connected") > 0.5);
    assert!(parts(&edge) < 2.5, "it goes on where it was: {} parts", parts(&edge));
    let expected = |number: usize| match number % 10_000 {
        1_000 | 2_000 | 3_000 => Some("https://new.example/".to_owned()),
        1_100 | 2_100 | 3_100 => None,
        _ => target(number),
    };
    let is_right = |edge: &Process| holds.iter().all(|number| get(edge, *number) == expected(*number));
    eventually("what changed and what went is seen", || is_right(&edge));
    assert_eq!(edge.end(), Some(0));
    origin.kill();
    let edge = start_edge(folder, &url);
    for number in &holds {
        assert_eq!(get(&edge, *number), expected(*number), "{number}");
    }
}

#[test]
fn a_calendar_that_was_set_by_an_hour_while_the_node_was_down_costs_no_redirect() {
    let mut setting = Numbered::start(LINKS);
    let edge = setting.edge();
    warm(&setting, &edge);
    assert_eq!(edge.end(), Some(0));
    setting.kill_origin();
    let hour = 3_600;
    for (what, ahead_s, least) in [
        ("set ahead", hour, LINKS),
        ("set back", -hour, LINKS),
        ("set ahead by more than a link is kept", 48 * hour, 0),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        copy(&setting.folder.path().join("origin"), &folder.path().join("origin"));
        copy(&setting.kept(), &folder.path().join("node"));
        set_calendar(&folder.path().join("node/position"), ahead_s);
        for _ in 0..2 {
            let edge = start_edge(folder.path(), &setting.url);
            assert_eq!(held(&edge, LINKS), least, "{what}");
            assert_eq!(edge.end(), Some(0), "{what}");
        }
        // Nobody was heard meanwhile: what the calendar said was not taken for true.
        set_calendar(&folder.path().join("node/position"), -ahead_s);
        let edge = start_edge(folder.path(), &setting.url);
        assert_eq!(held(&edge, LINKS), LINKS, "{what}, and then right again");
    }
}

/// As if the calendar had been set so much ahead since the place was kept.
fn set_calendar(position: &Path, ahead_s: i64) {
    let text = fs::read_to_string(position).expect("read");
    let mut lines = text.lines();
    let (header, place) = (lines.next().expect("a header"), lines.next().expect("a place"));
    let mut place: Value = serde_json::from_str(place).expect("JSON");
    let kept_s = place["wall_s"].as_i64().expect("seconds");
    place["wall_s"] = (kept_s - ahead_s).into();
    let sealed = format!("{header}\n{place}\n");
    let seal = json!({"sha256": Digest::of(sealed.as_bytes()).to_string()});
    fs::write(position, format!("{sealed}{seal}\n")).expect("write");
}

fn cut(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("open");
    file.set_len(10_000).expect("cut");
}

fn flip(path: &Path, places: &[usize]) {
    let mut bytes = fs::read(path).expect("read");
    for at in places {
        bytes[*at] ^= 4;
    }
    fs::write(path, bytes).expect("write");
}

fn replace_by_folder(path: &Path) {
    fs::remove_file(path).expect("remove");
    fs::create_dir(path).expect("folder");
}
