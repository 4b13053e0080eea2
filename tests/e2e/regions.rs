//! Origins in regions that die, hang, break off and talk nonsense, while visitors ask for links that the edge does not hold.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    broken::{Broken, CutPath, SlowPath},
    harness::{Process, Response, eventually, request, text},
    origins::{cli, copy, publish, start_origin},
};

/// Links that all origins hold.
const LINKS: usize = 1_000;
/// How long a region may take to get everything back: ejections, and four steps of a second.
const FAILBACK_MAX: Duration = Duration::from_secs(60);
/// Longer than anybody waits.
const SILENCE: Duration = Duration::from_secs(120);

/// Origins with the same record, each with a folder of its own.
struct Origins {
    folder: TempDir,
    running: Vec<Process>,
}

impl Origins {
    /// Fills one record and copies it: the same changes under the same cursors.
    fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let first = start_origin(&folder.path().join("0"), "127.0.0.1:0");
        fill(&folder.path().join("0"), first.origin.expect("an origin"));
        assert_eq!(first.end(), Some(0));
        for index in 1..count {
            copy(
                &folder.path().join("0/origin"),
                &folder.path().join(index.to_string()).join("origin"),
            );
        }
        let at = |index: usize| start_origin(&folder.path().join(index.to_string()), "127.0.0.1:0");
        let running = (0..count).map(at).collect();
        Self { folder, running }
    }

    fn address(&self, index: usize) -> SocketAddr {
        self.running[index].origin.expect("an origin")
    }

    fn url(&self, index: usize) -> String {
        format!("http://{}", self.address(index))
    }

    fn folder(&self, index: usize) -> PathBuf {
        self.folder.path().join(index.to_string())
    }

    /// An edge that asks these regions, given by name and URLs, and whose log goes to a file.
    fn edge(&self, regions: &[(&str, &[&str])], more: &[(&str, &str)]) -> Edge {
        let of = |(name, urls): &(&str, &[&str])| format!("{{ name = {name:?}, origins = {urls:?} }}");
        let list: Vec<String> = regions.iter().map(of).collect();
        let log = self.folder.path().join("edge.log");
        let mut command = Command::new(crate::harness::BINARY);
        command
            .arg("edge")
            .env("WAYSIDE__EDGE__LISTEN", "127.0.0.1:0")
            .env("WAYSIDE__ADMIN__LISTEN", "127.0.0.1:0")
            .env("WAYSIDE__UPSTREAM__TOKEN_FILE", self.folder(0).join("origin/token"))
            .env("WAYSIDE__UPSTREAM__REGIONS", format!("[{}]", list.join(", ")))
            .env("WAYSIDE__UPSTREAM__TIMEOUT_MS", "500")
            .env("WAYSIDE__UPSTREAM__EJECTION_S", "1")
            .env("WAYSIDE__UPSTREAM__FAILBACK_STEP_S", "1")
            .env("WAYSIDE__UPSTREAM__HEDGE", "false")
            .env("WAYSIDE__CACHE__NEGATIVE_TTL_S", "3600")
            .envs(more.iter().copied())
            .stderr(std::fs::File::create(&log).expect("a log"));
        let process = Process::run(command, "admin");
        eventually("the edge is ready", || process.admin("/readyz").status == 200);
        Edge {
            process,
            log,
            asked: AtomicUsize::new(0),
        }
    }
}

/// Sites and links, as a tenant writes them.
fn fill(folder: &Path, origin: SocketAddr) {
    cli(
        folder,
        &format!("http://{origin}"),
        &["site", "add", "many", "--host", "many.example"],
    );
    let link = |index| json!({"path": format!("/{index}"), "target": format!("https://{index}.example/")});
    let links: Vec<Value> = (0..LINKS).map(link).collect();
    publish(folder, origin, "many", &links);
}

struct Edge {
    process: Process,
    log: PathBuf,
    /// Paths asked for so far: each is asked for once, so that none is held.
    asked: AtomicUsize,
}

impl Edge {
    fn get(&self, path: &str) -> Response {
        request(self.process.edge(), "GET", "many.example", path, &[])
    }

    /// Asks for as many links that are not held, by several visitors at once; how many requests failed.
    fn ask_missing(&self, count: usize) -> usize {
        let first = self.asked.fetch_add(count, Ordering::Relaxed);
        assert!(first + count <= LINKS, "no more links that are not held");
        let next = AtomicUsize::new(first);
        let failed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= first + count {
                            break;
                        }
                        let expected = format!("https://{index}.example/");
                        if self.get(&format!("/{index}")).location().as_deref() != Some(&*expected) {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        failed.into_inner()
    }

    /// Asks for paths that have no link, one after another, until `is_so` or a minute is over; none may fail.
    fn ask_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let give_up = Instant::now() + FAILBACK_MAX;
        while !is_so() {
            assert!(
                Instant::now() < give_up,
                "not within {FAILBACK_MAX:?}: {what}: {:#}",
                self.upstream()
            );
            for _ in 0..10 {
                let index = self.asked.fetch_add(1, Ordering::Relaxed);
                assert_eq!(self.get(&format!("/none/{index}")).status, 404);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `wayside status` says of the origins.
    fn upstream(&self) -> Value {
        let status = self.process.admin("/status").body;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["upstream"].clone()
    }

    fn share(&self, region: &str) -> Value {
        self.upstream()["regions"][region]["share_percent"].clone()
    }

    fn sent(&self, kind: &str) -> f64 {
        self.process
            .metric(&format!("wayside_upstream_requests_total{{kind=\"{kind}\"}}"))
    }

    /// Lines of the log with these words.
    fn told(&self, words: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).expect("the log");
        log.lines().filter(|line| line.contains(words)).count()
    }
}

#[test]
fn killing_one_of_two_origins_fails_no_request() {
    let mut origins = Origins::start(2);
    let urls = [origins.url(0), origins.url(1)];
    let edge = origins.edge(&[("eu", &[&urls[0], &urls[1]])], &[]);
    assert_eq!(edge.ask_missing(100), 0);
    origins.running.remove(0).kill();
    assert_eq!(edge.ask_missing(400), 0);
    let shown = edge.upstream()["regions"]["eu"]["origins"][&urls[0]].clone();
    let is_avoided = shown["breaker"] != "closed" || shown["failures"].as_u64().is_some_and(|failures| failures > 0);
    assert!(is_avoided && edge.told("failed again and again") <= 1, "{shown}");
    assert_eq!(edge.upstream()["regions"]["eu"]["bad"], false);
    // The broken feed may have told before any request did; else it takes five, those that were under way, and probes.
    let again = edge.sent("retry");
    assert!(again < 30.0 && again <= 0.2 * edge.sent("first"), "{again}");
}

#[test]
fn an_origin_that_refuses_everybody_costs_no_request() {
    let origins = Origins::start(1);
    // Of another record: it knows nobody's token.
    let stranger = start_origin(&origins.folder(1), "127.0.0.1:0");
    let urls = [
        origins.url(0),
        format!("http://{}", stranger.origin.expect("an origin")),
    ];
    let edge = origins.edge(&[("eu", &[&urls[0], &urls[1]])], &[]);
    assert_eq!(edge.ask_missing(400), 0);
    let shown = edge.upstream()["regions"]["eu"]["origins"][&urls[1]].clone();
    let is_avoided = shown["breaker"] != "closed" || shown["failures"].as_u64().is_some_and(|failures| failures > 0);
    assert!(is_avoided, "{shown}");
    assert_eq!(edge.process.metric("wayside_feed_connected"), 1.0, "with the other");
}

#[test]
fn a_region_that_hangs_is_left_and_gets_its_traffic_back_step_by_step() {
    let origins = Origins::start(2);
    let urls = [origins.url(0), origins.url(1)];
    let edge = origins.edge(&[("eu", &[&urls[0]]), ("us", &[&urls[1]])], &[]);
    assert_eq!(edge.ask_missing(50), 0);
    origins.running[0].signal("-STOP");
    assert_eq!(edge.ask_missing(200), 0, "another region answers");
    assert_eq!((edge.share("eu"), edge.share("us")), (json!(0), json!(100)));
    assert_eq!(edge.upstream()["panic"], false);
    eventually("the feed is another origin's", || {
        edge.upstream()["followed"] == urls[1]
    });
    assert_eq!(
        edge.told("the origin fails other requests"),
        1,
        "before it was silent for long"
    );
    origins.running[0].signal("-CONT");
    edge.ask_until("the region has everything back", || edge.share("eu") == 100);
    for percent in [0, 10, 25, 50, 75, 100] {
        let labels = format!("region=\"eu\",to_percent=\"{percent}\"");
        let became = edge
            .process
            .metric(&format!("wayside_upstream_region_transitions_total{{{labels}}}"));
        assert!(became >= 1.0, "{percent} %: {became}");
    }
    assert_eq!(edge.told("has all of its traffic again"), 1);
}

#[test]
fn origins_that_answer_nonsense_are_as_good_as_none() {
    let origins = Origins::start(1);
    let good = origins.url(0);
    for broken in Broken::ALL {
        let server = broken.serve();
        let bad = format!("http://{}", server.address);
        let edge = origins.edge(&[("eu", &[&bad]), ("us", &[&good])], &[]);
        assert_eq!(edge.ask_missing(50), 0, "{broken:?}");
        let shown = edge.upstream();
        assert_eq!(shown["regions"]["eu"]["share_percent"], 0, "{broken:?}: {shown:#}");
        assert_eq!(shown["regions"]["us"]["share_percent"], 100, "{broken:?}: {shown:#}");
    }
}

#[test]
fn the_feed_moves_to_another_origin_and_skips_no_change() {
    let mut origins = Origins::start(2);
    let urls = [origins.url(0), origins.url(1)];
    let edge = origins.edge(&[("eu", &[&urls[0]]), ("us", &[&urls[1]])], &[]);
    eventually("the edge follows", || edge.upstream()["followed"] == urls[0]);
    assert_eq!(edge.get("/0").location().as_deref(), Some("https://0.example/"));
    origins.running.remove(0).kill();
    let set = ["link", "set", "many", "/0", "--target", "https://new.example/"];
    cli(&origins.folder(1), &urls[1], &set);
    eventually("the change arrives from the other origin", || {
        edge.get("/0").location().as_deref() == Some("https://new.example/")
    });
    assert_eq!(edge.upstream()["followed"], urls[1]);
}

/// The connection is there and nothing comes over it, not even that nothing happened.
#[test]
fn a_feed_that_says_nothing_is_left_for_another_origins_and_no_change_is_missed() {
    let origins = Origins::start(2);
    let quiet = SlowPath::to(origins.address(0));
    let urls = [format!("http://{}", quiet.address), origins.url(1)];
    let edge = origins.edge(&[("eu", &[&urls[0]]), ("us", &[&urls[1]])], &[]);
    eventually("the edge follows", || edge.upstream()["followed"] == urls[0]);
    for path in ["/0", "/1", "/2"] {
        assert_eq!(edge.get(path).status, 302);
    }
    quiet.delay(SILENCE);
    let began = Instant::now();
    let set = ["link", "set", "many", "/0", "--target", "https://new.example/"];
    cli(&origins.folder(1), &urls[1], &set);
    cli(&origins.folder(1), &urls[1], &["link", "rm", "many", "/1"]);
    // Nobody asks for anything that is not held, so that only the silence shows it.
    let is_seen = || {
        assert_eq!(edge.get("/2").location().as_deref(), Some("https://2.example/"));
        edge.get("/0").location().as_deref() == Some("https://new.example/")
    };
    while !is_seen() {
        assert!(began.elapsed() < SILENCE / 2, "{:#}", edge.upstream());
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("the removal is seen", || edge.get("/1").status == 404);
    assert_eq!(edge.upstream()["followed"], urls[1]);
    assert_eq!(edge.told("the feed broke"), 1);
    // It is back, and what it says late is nothing new.
    quiet.delay(Duration::ZERO);
    let set = ["link", "set", "many", "/2", "--target", "https://newer.example/"];
    cli(&origins.folder(1), &urls[1], &set);
    eventually("the next change is seen", || {
        edge.get("/2").location().as_deref() == Some("https://newer.example/")
    });
    assert_eq!(edge.get("/0").location().as_deref(), Some("https://new.example/"));
}

/// It opens each time, says where it stands, and is cut.
#[test]
fn a_feed_that_is_cut_again_and_again_is_told_once_skips_no_change_and_costs_no_directory() {
    let origins = Origins::start(1);
    let cut = CutPath::to(origins.address(0), Duration::from_millis(300));
    let url = format!("http://{}", cut.address);
    let edge = origins.edge(&[("eu", &[&url])], &[]);
    eventually("the link is held", || edge.get("/0").status == 302);
    let opened = || {
        edge.process
            .metric("wayside_origin_requests_total{kind=\"feed\",outcome=\"ok\"}")
    };
    let began = Instant::now();
    while opened() < 6.0 {
        assert!(began.elapsed() < FAILBACK_MAX, "{} feeds", opened());
        std::thread::sleep(Duration::from_millis(50));
    }
    let set = ["link", "set", "many", "/0", "--target", "https://new.example/"];
    cli(&origins.folder(0), &origins.url(0), &set);
    while edge.get("/0").location().as_deref() != Some("https://new.example/") {
        assert!(began.elapsed() < FAILBACK_MAX, "the change is not seen");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        (edge.told("the feed broke"), edge.told("following the changes of")),
        (1, 1)
    );
    let directories = |outcome: &str| {
        let name = format!("wayside_origin_requests_total{{kind=\"directory\",outcome=\"{outcome}\"}}");
        edge.process.metric(&name)
    };
    assert!(directories("unchanged") > 0.5 && directories("ok") < 1.5);
    let seconds = began.elapsed().as_secs_f64();
    assert!(
        opened() < 6.0 + seconds,
        "{} feeds in {seconds} s: a node that comes back rests",
        opened()
    );
}

#[test]
fn when_all_origins_fail_all_are_asked_and_the_first_that_answers_ends_it() {
    let mut origins = Origins::start(2);
    let urls = [origins.url(0), origins.url(1)];
    let (address, folder) = (origins.address(0).to_string(), origins.folder(0));
    let edge = origins.edge(&[("eu", &[&urls[0]]), ("us", &[&urls[1]])], &[]);
    assert_eq!(edge.ask_missing(10), 0);
    for origin in origins.running.drain(..) {
        origin.kill();
    }
    assert_eq!(edge.ask_missing(50), 50, "nobody is there");
    assert_eq!(edge.get("/0").status, 302, "what is held is served");
    assert_eq!(
        (&edge.upstream()["panic"], edge.process.metric("wayside_upstream_panic")),
        (&json!(true), 1.0)
    );
    let again = start_origin(&folder, &address);
    eventually("a link that was not held", || edge.get("/900").status == 302);
    assert_eq!(edge.upstream()["panic"], false);
    assert_eq!(edge.told("most origins of every region fail"), 1);
    assert_eq!(again.end(), Some(0));
}

#[test]
fn a_thousand_missing_links_are_a_thousand_reads_without_hedging() {
    let origins = Origins::start(2);
    let urls = [origins.url(0), origins.url(1)];
    let edge = origins.edge(&[("eu", &[&urls[0], &urls[1]])], &[]);
    // Several visitors for each.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..LINKS).for_each(|index| assert_eq!(edge.get(&format!("/{index}")).status, 302)));
        }
    });
    let read = edge
        .process
        .metric("wayside_origin_requests_total{kind=\"link\",outcome=\"ok\"}");
    assert_eq!((read, edge.sent("retry"), edge.sent("hedge")), (1_000.0, 0.0, 0.0));
}

#[test]
fn a_slow_origin_is_hedged_and_not_more_often_than_the_budget_allows() {
    let origins = Origins::start(2);
    let slow = SlowPath::to(origins.address(0));
    let (first, second) = (format!("http://{}", slow.address), origins.url(1));
    let hedged = [
        ("WAYSIDE__UPSTREAM__HEDGE", "true"),
        ("WAYSIDE__UPSTREAM__TIMEOUT_MS", "4900"),
    ];
    let edge = origins.edge(&[("eu", &[&first]), ("us", &[&second])], &hedged);
    assert_eq!(edge.ask_missing(200), 0);
    let before = edge.sent("hedge");
    slow.delay(Duration::from_millis(600));
    assert_eq!(edge.ask_missing(20), 0);
    let hedges = edge.sent("hedge");
    assert!(
        hedges > before && hedges <= 0.05 * edge.sent("first"),
        "{before}, then {hedges}"
    );
    // A node that has too much to do asks nobody twice.
    slow.delay(Duration::ZERO);
    let reduced = [("WAYSIDE__DEGRADATION__PINNED", "reduced")];
    let edge = origins.edge(
        &[("eu", &[&first]), ("us", &[&second])],
        &[&hedged[..], &reduced].concat(),
    );
    assert_eq!(edge.ask_missing(200), 0);
    slow.delay(Duration::from_millis(600));
    assert_eq!(edge.ask_missing(20), 0);
    assert_eq!(edge.sent("hedge"), 0.0);
}

#[test]
fn status_shows_regions_and_origins_to_people() {
    let origins = Origins::start(1);
    let url = origins.url(0);
    let edge = origins.edge(&[("eu", &[&url])], &[]);
    let shown = Command::new(crate::harness::BINARY)
        .args([
            "status",
            "--admin-url",
            &format!("http://{}", edge.process.admin.expect("an admin endpoint")),
        ])
        .args(["--origin-url", &url])
        .output()
        .expect("run");
    let shown = text(&shown.stdout);
    for field in [
        "edge.upstream.panic",
        "edge.upstream.regions.eu.share_percent",
        &format!("{url}.breaker"),
    ] {
        assert!(shown.contains(field), "{field} in:\n{shown}");
    }
}
