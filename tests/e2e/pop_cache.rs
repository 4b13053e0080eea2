//! The cache that the nodes of a PoP share: what it spares the origin, and that nothing it does is noticed by visitors.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use wayside_test_postgres::free_port;

use crate::{
    harness::{Process, eventually, request},
    origins::{Numbered, cli, edge_command, held, leads_to},
};

const LINKS: usize = 10;

/// A Redis server of its own; killed by its id when dropped.
struct Redis {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let port = free_port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("start redis-server (tests/setup installs it)");
        let mut redis = Self {
            child,
            port,
            _folder: folder,
        };
        eventually("Redis answers", || {
            let ended = redis.child.try_wait().expect("its state");
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", redis.port)).is_ok() && redis.ask("PING").starts_with("+PONG")
        });
        redis
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command of one line; the answer's bytes as they are.
    fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("send");
        let mut answer = vec![0; 64 * 1024];
        let read = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    /// The key under which a link stands.
    fn key(&self, path: &str) -> String {
        let keys = self.ask("KEYS wayside:*");
        let found = keys.lines().find(|line| line.ends_with(&format!(":{path}")));
        found.expect("the link is there").to_owned()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An origin with links, and what edges share.
struct Pop {
    links: Numbered,
    shared_urls: String,
    is_cluster: bool,
}

impl Pop {
    fn new(shared: &[String]) -> Self {
        Self {
            links: Numbered::start(LINKS),
            shared_urls: format!("{shared:?}"),
            is_cluster: shared.len() > 1,
        }
    }

    /// An edge with a folder of its own, which follows the feed.
    fn edge(&self, name: &str) -> Process {
        self.edge_with(name, &[])
    }

    fn edge_with(&self, name: &str, more: &[(&str, &str)]) -> Process {
        let mut command = edge_command(self.links.folder.path(), &self.links.url);
        command
            .env("WAYSIDE__EDGE__DATA", self.links.folder.path().join(name))
            .env("WAYSIDE__SHARED_CACHE__URLS", &self.shared_urls)
            .env("WAYSIDE__SHARED_CACHE__CLUSTER", self.is_cluster.to_string())
            // Machines that test are busy.
            .env("WAYSIDE__SHARED_CACHE__TIMEOUT_MS", "800")
            .envs(more.iter().copied())
            .stderr(std::fs::File::create(self.log(name)).expect("a log"));
        let edge = Process::run(command, "admin");
        eventually("the edge follows", || edge.metric("wayside_feed_connected") > 0.5);
        edge
    }
}

impl Pop {
    fn log(&self, edge: &str) -> PathBuf {
        self.links.folder.path().join(format!("{edge}.log"))
    }

    /// Lines of an edge's log with these words.
    fn told(&self, edge: &str, words: &str) -> usize {
        let log = std::fs::read_to_string(self.log(edge)).expect("the log");
        log.lines().filter(|line| line.contains(words)).count()
    }
}

/// Every link is answered, and rightly.
fn assert_all_served(edge: &Process) {
    assert_eq!(held(edge, LINKS), LINKS);
}

fn origin_reads(edge: &Process) -> f64 {
    edge.metric("wayside_origin_requests_total{kind=\"link\",outcome=\"ok\"}")
}

fn of_shared(edge: &Process, name: &str) -> f64 {
    edge.metric(&format!("{name}{{tier=\"shared\"}}"))
}

#[test]
fn what_one_edge_has_loaded_the_other_need_not_ask_the_origin_for() {
    let redis = Redis::start(&[]);
    let pop = Pop::new(&[redis.url()]);
    let (one, other) = (pop.edge("one"), pop.edge("other"));
    assert_all_served(&one);
    eventually("the links are shared", || {
        redis.ask("DBSIZE").trim() == format!(":{LINKS}")
    });
    assert_all_served(&other);
    assert_eq!((origin_reads(&one), origin_reads(&other)), (10.0, 0.0));
    assert_eq!(of_shared(&other, "cache_hits_total"), 10.0);

    // After a change nobody takes what was shared before it.
    let (folder, url) = (pop.links.folder.path(), &pop.links.url);
    cli(
        folder,
        url,
        &["link", "set", "apart", "/1", "--target", "https://new.example/"],
    );
    cli(folder, url, &["link", "add", "apart", "/50", "https://50.example/"]);
    for edge in [&one, &other] {
        eventually("the change is seen", || {
            leads_to(edge, 1).as_deref() == Some("https://new.example/") && leads_to(edge, 50).is_some()
        });
    }
    // One that joins now has not been told of what came before: it takes only what was loaded since.
    let third = pop.edge("third");
    assert_eq!(leads_to(&third, 1).as_deref(), Some("https://new.example/"));
    assert_eq!(leads_to(&third, 2).as_deref(), Some("https://2.example/"));
}

/// The nearer a level is to the end, the nearer is what it asks.
#[test]
fn at_core_only_the_shared_cache_is_asked_and_in_an_emergency_it_is_not() {
    let redis = Redis::start(&[]);
    let pop = Pop::new(&[redis.url()]);
    let pinned = |level| pop.edge_with(level, &[("WAYSIDE__DEGRADATION__PINNED", level)]);
    let (one, core_only, emergency) = (pop.edge("one"), pinned("core-only"), pinned("emergency"));
    assert_all_served(&one);
    eventually("the links are shared", || {
        redis.ask("DBSIZE").trim() == format!(":{LINKS}")
    });
    assert_all_served(&core_only);
    assert_eq!(of_shared(&core_only, "cache_hits_total"), 10.0);
    for (edge, number) in [(&core_only, LINKS), (&emergency, 0)] {
        let answer = request(edge.edge(), "GET", "apart.example", &format!("/{number}"), &[]);
        assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
        assert_eq!(origin_reads(edge), 0.0);
    }
    assert_eq!(of_shared(&emergency, "cache_requests_total"), 0.0);
}

#[test]
fn values_of_another_type_or_damaged_and_a_full_memory_cost_nothing_but_a_load() {
    let redis = Redis::start(&[]);
    let pop = Pop::new(&[redis.url()]);
    let (one, other) = (pop.edge("one"), pop.edge("other"));
    assert_all_served(&one);
    eventually("the links are shared", || {
        redis.ask("DBSIZE").trim() == format!(":{LINKS}")
    });
    let (list, garbage, foreign) = (redis.key("/1"), redis.key("/2"), redis.key("/3"));
    assert!(redis.ask(&format!("DEL {list}")).starts_with(':'));
    assert!(redis.ask(&format!("LPUSH {list} x")).starts_with(':'));
    assert!(redis.ask(&format!("SET {garbage} garbage")).starts_with('+'));
    // One link's value under another's key.
    let copied = redis.ask(&format!("COPY {} {foreign} REPLACE", redis.key("/4")));
    assert!(copied.starts_with(":1"), "{copied}");
    assert_all_served(&other);
    assert_eq!(origin_reads(&other), 3.0);
    assert_eq!(of_shared(&other, "wayside_cache_damaged_total"), 2.0);
    assert_eq!(of_shared(&other, "wayside_cache_errors_total"), 1.0);

    assert!(redis.ask("CONFIG SET maxmemory-policy noeviction").starts_with('+'));
    assert!(redis.ask("CONFIG SET maxmemory 1").starts_with('+'));
    let (folder, url) = (pop.links.folder.path(), &pop.links.url);
    for number in 60..65 {
        let (path, target) = (format!("/{number}"), format!("https://{number}.example/"));
        cli(folder, url, &["link", "add", "apart", &path, &target]);
        eventually("the new link is seen", || leads_to(&one, number).is_some());
    }
    eventually("the refusals are counted", || {
        of_shared(&one, "wayside_cache_errors_total") > 4.5
    });
    for edge in ["one", "other"] {
        assert_eq!(pop.told(edge, "the shared cache refuses"), 1, "{edge}");
    }
    assert!(
        one.admin("/status").body.contains("\"shared_cache\":\"closed\""),
        "a refusal is no outage"
    );
}

#[test]
fn a_shared_cache_that_hangs_or_is_away_is_left_alone_until_it_answers() {
    let redis = Redis::start(&[]);
    let pop = Pop::new(&[redis.url()]);
    let edge = pop.edge("one");
    assert_all_served(&edge);
    redis.signal("-STOP");
    let (folder, url) = (pop.links.folder.path().to_owned(), pop.links.url.clone());
    let state = |wanted: &str| {
        edge.admin("/status")
            .body
            .contains(&format!("\"shared_cache\":\"{wanted}\""))
    };
    let mut number = 1_000;
    let mut ask_new = || {
        number += 1;
        let path = format!("/{number}");
        let target = format!("https://{number}.example/");
        cli(&folder, &url, &["link", "add", "apart", &path, &target]);
        eventually("the new link is served", || {
            leads_to(&edge, number).as_deref() == Some(target.as_str())
        });
    };
    for _ in 0..6 {
        ask_new();
    }
    eventually("it is left alone", || state("open") || state("half-open"));
    for _ in 0..6 {
        ask_new();
    }
    assert_eq!(pop.told("one", "the shared cache does not answer"), 1);
    redis.signal("-CONT");
    eventually("it is asked again", || {
        ask_new();
        state("closed")
    });
    drop(redis);
    for _ in 0..3 {
        ask_new();
    }
    assert_all_served(&edge);
    // Nothing there from the start.
    let nobody = Pop::new(&[format!("redis://127.0.0.1:{}", free_port())]);
    assert_all_served(&nobody.edge("one"));
}

#[test]
fn a_cluster_is_shared_as_well() {
    let cluster_port = || free_port().to_string();
    let nodes: Vec<Redis> = (0..3)
        .map(|_| Redis::start(&["--cluster-enabled", "yes", "--cluster-port", &cluster_port()]))
        .collect();
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(addresses)
        .arg("--cluster-yes")
        .output()
        .expect("redis-cli");
    assert!(made.status.success(), "{}", crate::harness::text(&made.stdout));
    eventually("the cluster is whole", || {
        nodes
            .iter()
            .all(|node| node.ask("CLUSTER INFO").contains("cluster_state:ok"))
    });
    let urls: Vec<String> = nodes.iter().map(Redis::url).collect();
    let pop = Pop::new(&urls);
    let (one, other) = (pop.edge("one"), pop.edge("other"));
    // The nodes are looked for in the background: a first look-up may be before that.
    let shared = || -> usize {
        let sizes = nodes.iter().map(|node| node.ask("DBSIZE"));
        sizes
            .filter_map(|size| size.trim().strip_prefix(':')?.parse::<usize>().ok())
            .sum()
    };
    let (folder, url) = (pop.links.folder.path().to_owned(), pop.links.url.clone());
    let mut number = 2_000;
    eventually("the cluster is found", || {
        number += 1;
        let path = format!("/{number}");
        cli(&folder, &url, &["link", "add", "apart", &path, "https://more.example/"]);
        eventually("the link is there", || leads_to(&one, number).is_some());
        shared() > 0
    });
    assert_all_served(&one);
    eventually("all are shared", || shared() > LINKS);
    let holders = nodes
        .iter()
        .filter(|node| !node.ask("DBSIZE").starts_with(":0"))
        .count();
    assert!(holders > 1, "spread over the cluster's nodes");
    eventually("the other has found it", || {
        assert!(leads_to(&other, number).is_some());
        assert_all_served(&other);
        of_shared(&other, "cache_hits_total") > 0.5 || origin_reads(&other) > LINKS as f64
    });
    assert!(of_shared(&other, "cache_hits_total") >= 1.0);
    // One node goes: what it held is loaded elsewhere.
    let mut nodes = nodes;
    drop(nodes.remove(0));
    let third = pop.edge("third");
    assert_all_served(&third);
}

/// Where a password is needed, it is read from its file.
#[test]
fn a_password_is_shown() {
    let redis = Redis::start(&[]);
    assert!(redis.ask("CONFIG SET requirepass secret").starts_with('+'));
    let pop = Pop::new(&[redis.url()]);
    let file = pop.links.folder.path().join("password");
    std::fs::write(&file, "secret\n").expect("write");
    let edge = |password: Option<&Path>| {
        let mut command = edge_command(pop.links.folder.path(), &pop.links.url);
        command
            .env("WAYSIDE__SHARED_CACHE__URLS", &pop.shared_urls)
            .env("WAYSIDE__SHARED_CACHE__TIMEOUT_MS", "800");
        if let Some(password) = password {
            command.env("WAYSIDE__SHARED_CACHE__PASSWORD_FILE", password);
        }
        let edge = Process::run(command, "admin");
        eventually("the edge follows", || edge.metric("wayside_feed_connected") > 0.5);
        assert_all_served(&edge);
        edge
    };
    let without = edge(None);
    assert!(of_shared(&without, "wayside_cache_errors_total") > 0.5);
    assert_eq!(of_shared(&without, "wayside_cache_written_bytes_total"), 0.0);
    without.kill();
    std::fs::remove_dir_all(pop.links.folder.path().join("node")).expect("forget");
    let with = edge(Some(&file));
    eventually("links are shared", || {
        of_shared(&with, "wayside_cache_written_bytes_total") > 0.5
    });
}
