//! Levels of degradation, each brought about for real: what goes on, what does not, and the way back.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use wayside_upstream::http::{Roots, client};

use crate::{
    harness::{Process, Response, raw, repository, request},
    origins::{cli, edge_command, start_origin},
};

/// How long a change of the level may take on a busy machine.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// Less than a connection may be idle.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Short times, so that a test sees more than one level.
const QUICK: [(&str, &str); 2] = [
    ("WAYSIDE__DEGRADATION__CONFIRM_MS", "250"),
    ("WAYSIDE__DEGRADATION__RECOVER_S", "2"),
];
/// Nothing but what a test means to be a reason is one: other tests run beside it.
const NEVER_LATE: [(&str, &str); 3] = [
    ("WAYSIDE__DEGRADATION__LATENCY_REDUCED_MS", "600000"),
    ("WAYSIDE__DEGRADATION__LATENCY_CORE_ONLY_MS", "600000"),
    ("WAYSIDE__DEGRADATION__LATENCY_EMERGENCY_MS", "600000"),
];

/// An origin with a site and links, and what edges keep.
struct Setup {
    folder: TempDir,
    origin: Option<Process>,
    address: SocketAddr,
}

impl Setup {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let origin = start_origin(folder.path(), "127.0.0.1:0");
        let address = origin.origin.expect("an origin");
        let setup = Self {
            folder,
            origin: Some(origin),
            address,
        };
        setup.run("site add apart --host apart.example");
        for path in ["/held", "/kept", "/changes", "/missing"] {
            setup.run(&format!("link add apart {path} https://old.example{path}"));
        }
        setup
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs a command against the origin.
    fn run(&self, words: &str) {
        cli(self.path(), &self.url(), &words.split_whitespace().collect::<Vec<_>>());
    }

    /// Binds the policy that does what its program says, failing closed.
    fn bind(&self, tenant: &str, site: &str, prefix: &str, program: &str) {
        let arguments = [
            "policy",
            "bind",
            site,
            prefix,
            "does",
            "--on-failure",
            "closed",
            "--tenant",
            tenant,
        ];
        let program = format!("program={program}");
        cli(
            self.path(),
            &self.url(),
            &[&arguments[..], &["--set", &program]].concat(),
        );
    }

    fn push(&self, tenant: &str) {
        let component = repository().join("guest/components/interpreter.wasm");
        self.run(&format!("policy push does {} --tenant {tenant}", component.display()));
    }

    /// An edge with these settings, which is ready.
    fn edge(&self, settings: &[&[(&str, &str)]]) -> Edge {
        let log = self.path().join("edge.log");
        let mut command = edge_command(self.path(), &self.url());
        command
            .env("WAYSIDE__UPSTREAM__EJECTION_S", "1")
            .envs(settings.iter().flat_map(|settings| settings.iter().copied()))
            .stderr(std::fs::File::create(&log).expect("a log"));
        let edge = Edge {
            process: Process::run(command, "admin"),
            log,
        };
        edge.soon("the edge is ready", || edge.process.admin("/readyz").status == 200);
        edge
    }
}

struct Edge {
    process: Process,
    log: PathBuf,
}

impl Edge {
    fn get(&self, path: &str) -> Response {
        self.get_of("apart.example", path)
    }

    fn get_of(&self, host: &str, path: &str) -> Response {
        request(self.process.edge(), "GET", host, path, &[])
    }

    fn get_as(&self, path: &str, visitor: &str) -> Response {
        request(
            self.process.edge(),
            "GET",
            "apart.example",
            path,
            &[("X-Visitor", visitor)],
        )
    }

    /// Requests that are kept of all bindings.
    fn witnesses(&self) -> u64 {
        let policies: Value = serde_json::from_str(&self.process.admin("/policies").body).expect("JSON");
        let bindings = policies["items"].as_array().expect("bindings");
        let witnesses = bindings
            .iter()
            .map(|binding| binding["witnesses"].as_u64().expect("a count"));
        witnesses.sum()
    }

    /// What `wayside status` says of the level.
    fn degradation(&self) -> Value {
        let status = self.process.admin("/status").body;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["degradation"].clone()
    }

    fn level(&self) -> String {
        let level = &self.degradation()["level"];
        level.as_str().expect("a level").to_owned()
    }

    fn is_at(&self, level: &str, cause: Value) -> bool {
        let shown = self.degradation();
        shown["level"] == level && shown["cause"] == cause
    }

    /// The level as metrics have it: exactly one.
    fn level_of_metrics(&self) -> Vec<&'static str> {
        let is_on = |level: &&str| {
            let name = format!("wayside_degradation_level{{level=\"{level}\"}}");
            self.process.metric(&name) > 0.5
        };
        ["full", "reduced", "core-only", "emergency"]
            .into_iter()
            .filter(is_on)
            .collect()
    }

    fn changes(&self, from: &str, to: &str, cause: &str) -> f64 {
        let labels = format!("from=\"{from}\",to=\"{to}\",cause=\"{cause}\"");
        self.process
            .metric(&format!("wayside_degradation_transitions_total{{{labels}}}"))
    }

    /// Lines of the log with all of these words.
    fn told(&self, words: &[&str]) -> usize {
        let log = std::fs::read_to_string(&self.log).expect("the log");
        let has_all = |line: &&str| words.iter().all(|words| line.contains(words));
        log.lines().filter(has_all).count()
    }

    fn soon(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let give_up = Instant::now() + CHANGE_MAX;
        while !is_so() {
            assert!(
                Instant::now() < give_up,
                "not within {CHANGE_MAX:?}: {what}: {:#}",
                self.degradation()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn origin_reads(&self) -> f64 {
        let of = |outcome| format!("wayside_origin_requests_total{{kind=\"link\",outcome=\"{outcome}\"}}");
        self.process.metric(&of("ok")) + self.process.metric(&of("failed"))
    }
}

/// Answered at once, to come back later, and nothing of the inside told.
fn assert_shed(response: &Response) {
    assert_eq!(
        (response.status, response.header("retry-after").as_deref()),
        (503, Some("5")),
        "{response:?}"
    );
    assert_eq!(response.body, "The site cannot answer right now. Try again shortly.\n");
}

fn assert_leads(response: &Response, location: &str) {
    assert_eq!(response.location().as_deref(), Some(location), "{response:?}");
}

#[test]
fn when_all_origins_are_gone_the_node_is_reduced_and_no_worse() {
    let mut setup = Setup::start();
    let edge = setup.edge(&[&QUICK, &NEVER_LATE]);
    assert_leads(&edge.get("/held"), "https://old.example/held");
    assert!(edge.is_at("full", Value::Null), "{}", edge.degradation());
    setup.origin.take().expect("an origin").kill();
    edge.soon("reduced", || {
        // Those who ask for what is not held show that nobody is there.
        assert_eq!(edge.get("/missing").status, 503);
        edge.is_at("reduced", json!("origins"))
    });
    assert_eq!(edge.level_of_metrics(), ["reduced"]);
    let asked_until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < asked_until {
        assert_leads(&edge.get("/held"), "https://old.example/held");
        assert_eq!(edge.get("/missing").status, 503);
        assert_eq!(edge.level(), "reduced");
    }
    assert_eq!(edge.told(&["leaves more undone", "reduced", "origins"]), 1);
    let origin = start_origin(setup.path(), &setup.address.to_string());
    edge.soon("full", || edge.get("/missing").status == 302 && edge.level() == "full");
    assert!(edge.is_at("full", Value::Null));
    assert_eq!(
        [
            edge.changes("full", "reduced", "origins"),
            edge.changes("reduced", "full", "origins")
        ],
        [1.0, 1.0]
    );
    assert_eq!(edge.told(&["leaves less undone", "full"]), 1);
    drop(origin);
}

/// Pins the node, and shows what its levels differ in.
#[test]
fn what_a_pinned_level_leaves_undone() {
    let setup = Setup::start();
    setup.push("default");
    let program = "ask header x-visitor 2 decide 3 decide 4";
    setup.bind("default", "apart", "/decides", program);
    let edge = setup.edge(&[]);
    for path in ["/held", "/changes"] {
        edge.soon("the link is there", || edge.get(path).status == 302);
    }
    assert_eq!(edge.process.end(), Some(0));
    for level in ["full", "reduced", "core-only", "emergency"] {
        let edge = setup.edge(&[&[("WAYSIDE__DEGRADATION__PINNED", level)]]);
        assert!(edge.is_at(level, json!("pinned")), "{}", edge.degradation());
        assert_eq!(edge.level_of_metrics(), [level]);
        for path in ["/healthz", "/readyz", "/status", "/metrics"] {
            assert_eq!(edge.process.admin(path).status, 200, "{level}: {path}");
        }
        for visitor in ["one", "two", "one", "two"] {
            let decides = || edge.get_as("/decides", visitor);
            match level {
                // A run that begins too late on a busy machine is another's next time.
                "full" | "reduced" => edge.soon("the policy decides", || decides().status == 302),
                _ => assert_shed(&decides()),
            }
        }
        // Requests are kept to try other versions on where there is time for it.
        assert_eq!(edge.witnesses() > 0, level == "full", "{level}: {}", edge.witnesses());
        let reads = edge.origin_reads();
        match level {
            "emergency" => assert_shed(&edge.get("/held")),
            _ => assert_leads(&edge.get("/held"), "https://old.example/held"),
        }
        match level {
            "full" | "reduced" => assert_eq!(edge.get("/none").status, 404),
            _ => {
                assert_shed(&edge.get("/none"));
                let shed = edge.process.metric("wayside_errors_total{kind=\"shed\"}");
                assert!(shed >= 1.0, "{shed}");
                assert_eq!(edge.origin_reads(), reads, "{level}");
            }
        }
        edge.process.kill();
    }
}

/// A connection that ends after its first answer still gives that answer, however it was asked for.
#[test]
fn in_an_emergency_new_connections_are_answered_once() {
    let setup = Setup::start();
    let edge = setup.edge(&[&[("WAYSIDE__DEGRADATION__PINNED", "emergency")]]);
    let address = edge.process.edge();
    let head = "/held HTTP/1.1\r\nHost: apart.example\r\n";
    let get = format!("GET {head}\r\n");
    // A plain one, two at once, and one that hyper reads: each time one answer, and the end, for which nobody has to
    // wait until the connection counts as idle.
    for bytes in [
        get.clone(),
        get.repeat(2),
        format!("GET {head}Content-Length: 1\r\n\r\nx"),
    ] {
        let mut visitor = KeptOpen::to(address);
        visitor.0.write_all(bytes.as_bytes()).expect("send");
        let mut answer = Vec::new();
        visitor.0.read_to_end(&mut answer).expect("the end");
        let answer = crate::harness::text(&answer);
        assert_eq!(answer.matches("HTTP/1.1 503").count(), 1, "{bytes:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{bytes:?}: {answer:?}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let visitor = client("http:", &Roots::System)
            .http2_prior_knowledge()
            .resolve("apart.example", address)
            .build()
            .expect("client");
        for _ in 0..5 {
            let url = format!("http://apart.example:{}/held", address.port());
            let answer = visitor.get(url).send().await.expect("an answer");
            assert_eq!(
                (answer.version(), answer.status().as_u16()),
                (reqwest::Version::HTTP_2, 503)
            );
        }
    });
}

/// Whatever the level: a link that changed never leads where it led.
#[test]
fn changes_are_followed_where_nothing_is_loaded() {
    let setup = Setup::start();
    let edge = setup.edge(&[]);
    for path in ["/held", "/changes"] {
        edge.soon("the link is there", || edge.get(path).status == 302);
    }
    assert_eq!(edge.process.end(), Some(0));
    let edge = setup.edge(&[&[("WAYSIDE__DEGRADATION__PINNED", "core-only")]]);
    edge.soon("the feed is followed", || {
        edge.process.metric("wayside_feed_connected") > 0.5
    });
    assert_leads(&edge.get("/changes"), "https://old.example/changes");
    setup.run("link set apart /changes --target https://new.example/");
    edge.soon("the old one is forgotten", || edge.get("/changes").status == 503);
    assert_shed(&edge.get("/changes"));
    assert_leads(&edge.get("/held"), "https://old.example/held");
    assert_eq!(edge.process.end(), Some(0));
    // Nor after a restart: it was forgotten on disk.
    let edge = setup.edge(&[&[("WAYSIDE__DEGRADATION__PINNED", "core-only")]]);
    assert_shed(&edge.get("/changes"));
    edge.process.kill();
    let edge = setup.edge(&[]);
    assert_leads(&edge.get("/changes"), "https://new.example/");
}

/// The size of one upload.
const UPLOAD_BYTES: usize = 16 << 20;

/// Really takes memory: by components on their way to the admin endpoint, which waits for their end.
fn upload(admin: SocketAddr, count: usize) -> Vec<TcpStream> {
    let part = vec![0; 1 << 20];
    let upload = |_| {
        let mut stream = TcpStream::connect(admin).expect("connect");
        let head = format!(
            "POST /policies/plan?tenant=default&site=apart&prefix=/ HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/wasm\r\nContent-Length: {}\r\n\r\n",
            UPLOAD_BYTES + 1
        );
        stream.write_all(head.as_bytes()).expect("write");
        for _ in 0..UPLOAD_BYTES / part.len() {
            stream.write_all(&part).expect("write");
        }
        stream
    };
    (0..count).map(upload).collect()
}

#[test]
fn when_memory_is_short_memory_alone_answers_until_there_is_more() {
    let setup = Setup::start();
    let edge = setup.edge(&[]);
    for path in ["/held", "/kept", "/changes"] {
        edge.soon("the link is there", || edge.get(path).status == 302);
    }
    let taken = edge.degradation()["memory_bytes"].as_u64().expect("bytes");
    assert_eq!(edge.process.end(), Some(0));
    // Less than half of it is taken when nothing happens.
    let limit_mib = (2 * taken / (1 << 20) + 96).to_string();
    let limit = [("WAYSIDE__DEGRADATION__MEMORY_MIB", limit_mib.as_str())];
    let edge = setup.edge(&[&QUICK, &NEVER_LATE, &limit]);
    assert_leads(&edge.get("/held"), "https://old.example/held");
    assert_leads(&edge.get("/changes"), "https://old.example/changes");
    let mut visitor = KeptOpen::to(edge.process.edge());
    assert!(!visitor.get("/held").contains("connection: close"));
    assert_eq!(edge.level(), "full");
    let admin = edge.process.admin.expect("an admin endpoint");
    let limit_bytes = usize::try_from(taken).expect("bytes") * 2 + (96 << 20);
    let uploads = upload(admin, limit_bytes / UPLOAD_BYTES + 1);
    edge.soon("an emergency", || edge.is_at("emergency", json!("memory")));
    assert_eq!(edge.level_of_metrics(), ["emergency"]);
    // What memory holds goes on, on connections that were there and, once, on new ones.
    assert!(visitor.get("/held").contains("https://old.example/held"));
    let once = raw(edge.process.edge(), "GET /held HTTP/1.1\r\nHost: apart.example\r\n\r\n");
    assert_leads(&once, "https://old.example/held");
    assert_eq!(once.header("connection").as_deref(), Some("close"));
    // What the disk holds, and what the origin has, does not.
    let reads = edge.origin_reads();
    assert_shed(&edge.get("/kept"));
    assert_shed(&edge.get("/missing"));
    assert_eq!(edge.origin_reads(), reads);
    for path in ["/healthz", "/readyz", "/status", "/metrics"] {
        assert_eq!(edge.process.admin(path).status, 200, "{path}");
    }
    setup.run("link set apart /changes --target https://new.example/");
    edge.soon("the old one is forgotten", || edge.get("/changes").status == 503);
    assert_eq!(edge.level(), "emergency");
    drop(uploads);
    edge.soon("full", || edge.level() == "full");
    // Step by step.
    for (from, to) in [
        ("emergency", "core-only"),
        ("core-only", "reduced"),
        ("reduced", "full"),
    ] {
        assert!(edge.changes(from, to, "memory") >= 1.0, "{from} to {to}");
    }
    assert_leads(&edge.get("/kept"), "https://old.example/kept");
    assert_leads(&edge.get("/missing"), "https://old.example/missing");
    assert_leads(&edge.get("/changes"), "https://new.example/");
}

/// A connection that stays.
struct KeptOpen(TcpStream);

impl KeptOpen {
    fn to(edge: SocketAddr) -> Self {
        let stream = TcpStream::connect(edge).expect("connect");
        stream.set_read_timeout(Some(IDLE_MAX)).expect("timeout");
        Self(stream)
    }

    /// Asks for a redirect; its head.
    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: apart.example\r\n\r\n");
        self.0.write_all(request.as_bytes()).expect("send");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer");
            head.extend(byte);
        }
        String::from_utf8(head).expect("text")
    }
}

#[test]
fn a_flood_of_endless_policies_stops_policies_and_nothing_else() {
    const ENDLESS: usize = 24;
    let setup = Setup::start();
    setup.run("site add greedy --host greedy.example --tenant greedy");
    setup.push("greedy");
    for number in 0..ENDLESS {
        setup.bind("greedy", "greedy", &format!("/{number}"), "spin");
    }
    setup.push("default");
    setup.bind(
        "default",
        "apart",
        "/decides",
        "ask header x-visitor 2 decide 3 decide 4",
    );
    let few = [
        ("WAYSIDE__POLICY__QUEUE_MAX", "16"),
        ("WAYSIDE__POLICY__WORKERS", "2"),
        ("WAYSIDE__POLICY__DEADLINE_MS", "500"),
    ];
    let edge = setup.edge(&[&QUICK, &NEVER_LATE, &few]);
    assert_leads(&edge.get("/held"), "https://old.example/held");
    let decides = |visitor: &str| edge.get_as("/decides", visitor);
    edge.soon("the policy decides", || decides("known").status == 302);
    let is_over = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _stop = Stop(&is_over);
        for _ in 0..ENDLESS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed) % ENDLESS;
                    assert_eq!(edge.get_of("greedy.example", &format!("/{number}")).status, 503);
                }
            });
        }
        // It comes back from time to time to see whether that is over: a look that began and ended there counts.
        let mut visitors = 0;
        edge.soon("no policy runs, and all else goes on", || {
            if !edge.is_at("core-only", json!("policy-queue")) {
                return false;
            }
            visitors += 1;
            let back = || edge.changes("core-only", "reduced", "policy-queue");
            let back_before = back();
            let runs = edge.process.metric("wayside_policy_runs_total{outcome=\"decided\"}");
            let (held, known) = (edge.get("/held"), decides("known"));
            let (fresh, missing) = (
                decides(&format!("new-{visitors}")),
                edge.get(&format!("/none/{visitors}")),
            );
            let runs_later = edge.process.metric("wayside_policy_runs_total{outcome=\"decided\"}");
            if edge.level() != "core-only" || back() > back_before {
                return false;
            }
            assert_leads(&held, "https://old.example/held");
            assert_eq!(known.status, 302, "remembered: {known:?}");
            assert_shed(&fresh);
            assert_shed(&missing);
            assert_eq!(runs, runs_later);
            true
        });
    });
    edge.soon("full", || edge.level() == "full");
    edge.soon("policies run again", || decides("another").status == 302);
    assert_leads(&edge.get("/missing"), "https://old.example/missing");
    assert!(edge.changes("core-only", "reduced", "policy-queue") >= 1.0);
}

/// Ends threads also when an assertion fails: a scope waits for them.
struct Stop<'f>(&'f AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn when_the_threads_are_late_the_node_is_reduced() {
    const CONNECTIONS: usize = 64;
    let setup = Setup::start();
    let settings = [
        ("WAYSIDE__EDGE__THREADS", "1"),
        ("WAYSIDE__DEGRADATION__LATENCY_REDUCED_MS", "15"),
        ("WAYSIDE__DEGRADATION__WORST", "reduced"),
    ];
    let edge = setup.edge(&[&QUICK, &settings]);
    assert_leads(&edge.get("/held"), "https://old.example/held");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&is_over);
        for _ in 0..CONNECTIONS {
            scope.spawn(|| flood(edge.process.edge(), &is_over));
        }
        edge.soon("late threads", || edge.is_at("reduced", json!("latency")));
        assert_leads(&edge.get("/held"), "https://old.example/held");
        assert_leads(&edge.get("/missing"), "https://old.example/missing");
    });
    edge.soon("full", || edge.level() == "full");
    assert!(edge.changes("full", "reduced", "latency") >= 1.0);
}

/// More requests at once on one connection than the thread answers in a turn.
fn flood(edge: SocketAddr, is_over: &AtomicBool) {
    let mut stream = TcpStream::connect(edge).expect("connect");
    let mut unread = stream.try_clone().expect("another end");
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(1..) = unread.read(&mut buffer) {}
    });
    let requests = "GET /held HTTP/1.1\r\nHost: apart.example\r\n\r\n".repeat(1_000);
    while !is_over.load(Ordering::Relaxed) && stream.write_all(requests.as_bytes()).is_ok() {}
    let _ = stream.shutdown(std::net::Shutdown::Both);
    reader.join().expect("the reader");
}

#[test]
fn loads_that_pile_up_reduce_the_node_and_have_a_bound() {
    let mut setup = Setup::start();
    let few = [
        ("WAYSIDE__CACHE__LOADS_MAX", "8"),
        ("WAYSIDE__UPSTREAM__TIMEOUT_MS", "20000"),
        ("WAYSIDE__CACHE__LOAD_TIMEOUT_MS", "20000"),
    ];
    let edge = setup.edge(&[&QUICK, &NEVER_LATE, &few]);
    assert_leads(&edge.get("/held"), "https://old.example/held");
    let origin = setup.origin.take().expect("an origin");
    origin.signal("-STOP");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let edge = &edge;
            scope.spawn(move || assert_eq!(edge.get(&format!("/none/{number}")).status, 404, "after a while"));
        }
        edge.soon("too many loads", || edge.is_at("reduced", json!("loads")));
        assert_eq!(edge.degradation()["loads_percent"], 100.0);
        assert_shed(&edge.get("/none/more"));
        assert_leads(&edge.get("/held"), "https://old.example/held");
        assert_eq!(edge.level(), "reduced");
        origin.signal("-CONT");
    });
    edge.soon("full", || edge.level() == "full");
    assert_eq!(edge.get("/none/more").status, 404);
}

#[test]
fn people_are_shown_the_level() {
    let setup = Setup::start();
    let edge = setup.edge(&[&[("WAYSIDE__DEGRADATION__PINNED", "reduced")]]);
    let admin = format!("http://{}", edge.process.admin.expect("an admin endpoint"));
    let shown = std::process::Command::new(crate::harness::BINARY)
        .args(["status", "--admin-url", &admin, "--origin-url", &setup.url()])
        .output()
        .expect("run");
    let shown = crate::harness::text(&shown.stdout);
    for (field, value) in [
        ("edge.degradation.level", "reduced"),
        ("edge.degradation.cause", "pinned"),
    ] {
        let is_there = |line: &str| line.contains(field) && line.contains(value);
        assert!(shown.lines().any(is_there), "{field} in:\n{shown}");
    }
}
