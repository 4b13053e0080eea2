//! What a policy decided is remembered by what it asked, and by nothing else.

use std::{collections::HashSet, io::Write as _, net::TcpStream, sync::Barrier, time::Duration};

use crate::harness::{Dev, eventually, repository};

const RUNS: &str = "wayside_policy_runs_total{outcome=\"decided\"}";
const REMEMBERED: &str = "wayside_policy_remembered_total";

fn counted(dev: &Dev, name: &str) -> u64 {
    format!("{:.0}", dev.process.metric(name)).parse().expect("a count")
}

/// The country's decision serves every visitor from there, whatever else they send.
#[test]
fn a_policy_runs_once_for_each_answer_it_has_not_met() {
    let dev = Dev::start();
    let countries = ["DE", "FR", "DE", "XX", "DE", "FR"];
    let mut seen = HashSet::new();
    for round in 0..5 {
        for country in countries {
            let other = round.to_string();
            let fields = [
                ("Wayside-Demo-Country", country),
                ("X-Other", &other),
                ("User-Agent", &other),
            ];
            let response = dev.process.get_with(&format!("/geo/{round}"), &fields);
            assert_eq!(response.status, 302, "{response:?}");
            seen.insert((country, response.location()));
            assert_eq!(response.header("cache-control").as_deref(), Some("private, no-cache"));
        }
    }
    assert_eq!(seen.len(), 3, "one place for each country: {seen:?}");
    assert_eq!((counted(&dev, RUNS), counted(&dev, REMEMBERED)), (3, 27));
}

/// A split by bucket asks for the bucket: a run for each bucket, not for each visitor.
#[test]
fn responses_say_to_caches_what_the_policy_asked() {
    let dev = Dev::start();
    let split = dev.process.get("/ab");
    assert_eq!(split.header("cache-control").as_deref(), Some("private, no-cache"));
    assert_eq!(split.header("vary"), None);
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
    let desktop = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    for agent in [phone, desktop, phone] {
        let app = dev.process.get_with("/app", &[("User-Agent", agent)]);
        assert_eq!(
            app.header("cache-control").as_deref(),
            Some("public, max-age=60"),
            "{app:?}"
        );
        let vary = app.header("vary").expect("a field");
        assert!(vary.split(", ").any(|field| field == "user-agent"), "{vary}");
    }
    let plain = dev.process.get("/hello");
    assert_eq!((plain.header("cache-control"), plain.header("vary")), (None, None));
}

#[test]
fn other_settings_and_other_bindings_remember_nothing_of_these() {
    let dev = Dev::start();
    dev.ok(&[
        "policy",
        "push",
        "geo",
        repository()
            .join("guest/components/geo-redirect.wasm")
            .to_str()
            .expect("path"),
    ]);
    let bind = |prefix: &str, place: &str| {
        let setting = format!("default={place}");
        let arguments = [
            "policy",
            "bind",
            "localhost",
            prefix,
            "geo",
            "--on-failure",
            "closed",
            "--set",
            &setting,
        ];
        dev.ok(&arguments);
    };
    bind("/one", "https://one.example/");
    bind("/two", "https://two.example/");
    for _ in 0..3 {
        dev.wait_for("/one", Some("https://one.example/"));
        dev.wait_for("/two", Some("https://two.example/"));
    }
    let before = counted(&dev, RUNS);
    assert_eq!(before, 2);
    bind("/one", "https://other.example/");
    dev.wait_for("/one", Some("https://other.example/"));
    assert_eq!(counted(&dev, RUNS), 3);
    // What did not change is remembered through the change of the directory.
    assert_eq!(
        dev.process.get("/two").location().as_deref(),
        Some("https://two.example/")
    );
    assert_eq!(counted(&dev, RUNS), 3);
    // A link of the site is seen although the policy's decision is remembered.
    dev.ok(&["policy", "unbind", "localhost", "/one"]);
    dev.ok(&["link", "add", "localhost", "/one", "https://link.example/"]);
    dev.wait_for("/one", Some("https://link.example/"));
}

#[test]
fn all_who_come_at_once_on_a_new_path_share_one_run() {
    let dev = Dev::start();
    let visitors = 64;
    let start = Barrier::new(visitors);
    std::thread::scope(|scope| {
        for _ in 0..visitors {
            scope.spawn(|| {
                start.wait();
                let response = dev.process.get_with("/geo", &[("Wayside-Demo-Country", "DE")]);
                assert_eq!(response.location().as_deref(), Some("https://example.com/de"));
            });
        }
    });
    assert_eq!(counted(&dev, RUNS), 1);
}

/// A guest that never ends costs its visitors a deadline a few times, and then nothing but its failure mode.
#[test]
fn a_guest_that_is_cut_off_again_and_again_rests() {
    let dev = Dev::start();
    dev.ok(&[
        "policy",
        "push",
        "hostile",
        repository()
            .join("guest/components/hostile.wasm")
            .to_str()
            .expect("path"),
    ]);
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/loop",
        "hostile",
        "--on-failure",
        "closed",
        "--set",
        "mode=loop",
    ];
    dev.ok(&bind);
    let cut_offs = || counted(&dev, "wayside_policy_runs_total{outcome=\"deadline\"}");
    eventually("the policy is bound", || {
        dev.process.get("/loop");
        cut_offs() > 0
    });
    for _ in 0..50 {
        assert_eq!(dev.process.get("/loop").status, 503);
    }
    let cut_off = cut_offs();
    assert!((3..=6).contains(&cut_off), "ran {cut_off} times");
    assert_eq!(counted(&dev, REMEMBERED), 0, "a cut-off is not remembered");
}

/// What a person sees who asks what the demonstration's policies depend on.
#[test]
fn a_node_explains_its_policies() {
    let dev = Dev::start();
    let before = dev.ok(&["policy", "explain", "localhost", "/geo"]);
    assert!(before.contains("Nothing is remembered yet"), "{before}");
    for country in ["DE", "DE", "DE", "FR"] {
        dev.process.get_with("/geo", &[("Wayside-Demo-Country", country)]);
    }
    let drawn = dev.ok(&["policy", "explain", "localhost", "/geo"]);
    for line in [
        "4 decisions on 2 paths",
        "visitor.country",
        "├─ \"DE\"  75.0 %",
        "└─ \"FR\"  25.0 %",
    ] {
        assert!(drawn.contains(line), "{line}: {drawn}");
    }
    let mermaid = dev.ok(&["policy", "explain", "localhost", "/geo", "--draw", "mermaid"]);
    assert!(mermaid.starts_with("flowchart LR"), "{mermaid}");
    let json = dev.ok(&["policy", "explain", "localhost", "/geo", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["leaves"], &json["tree"]["asks"]),
        (&2.into(), &"visitor.country".into())
    );
    let missing = dev.fails(&["policy", "explain", "localhost", "/nowhere"]);
    assert!(missing.contains("no such binding"), "{missing}");
    let listed: serde_json::Value = serde_json::from_str(&dev.process.admin("/policies").body).expect("JSON");
    assert_eq!(listed["items"].as_array().expect("items").len(), 3, "{listed}");
    assert_eq!(dev.process.admin("/policies/explain?site=localhost").status, 400);
}

/// A policy that reads the raw agent is told so, with what to ask instead, wherever its author or an operator looks.
#[test]
fn a_question_with_too_many_answers_is_named_with_what_to_ask_instead() {
    let dev = Dev::start();
    let file = repository().join("guest/components/interpreter.wasm");
    dev.ok(&["policy", "push", "raw", file.to_str().expect("a path")]);
    let program = "program=ask country 1 ask header user-agent 2 decide 3 decide 4";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/raw",
        "raw",
        "--on-failure",
        "open",
        "--set",
        program,
    ];
    dev.ok(&bind);
    dev.wait_for("/raw", Some("https://3.example/"));
    let visit = |visitor: u32| {
        let agent = format!("agent-of-visitor-{visitor}");
        let fields = [("Wayside-Demo-Country", "DE"), ("User-Agent", agent.as_str())];
        assert_eq!(dev.process.get_with("/raw", &fields).status, 302);
    };
    (0..1_030).for_each(visit);
    let metrics = dev.process.admin("/metrics").body;
    let mut named = metrics
        .lines()
        .filter(|line| line.starts_with("wayside_policy_wide_questions{"));
    let line = named.next().expect("a sample");
    assert!(
        line.contains("prefix=\"/raw\",question=\"request.header(\\\"user-agent\\\")\"} 10"),
        "{line}"
    );
    assert_eq!(named.next(), None);
    assert!(!metrics.contains("agent-of-visitor"), "{metrics}");
    let listed = dev.process.admin("/policies").body;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let items = listed["items"].as_array().expect("a list");
    let raw = items.iter().find(|item| item["prefix"] == "/raw").expect("the binding");
    assert_eq!(raw["wide_questions"][0]["asks"], "request.header(\"user-agent\")");
    assert!(raw["leaves"].as_u64() < Some(100), "{raw}");
    let others = items.iter().filter(|item| item["prefix"] != "/raw");
    others.for_each(|item| assert_eq!(item["wide_questions"], serde_json::json!([]), "{item}"));
    let drawn = dev.ok(&["policy", "explain", "localhost", "/raw"]);
    assert!(
        drawn.contains("too many answers to remember: 10") && drawn.contains("ask visitor.device"),
        "{drawn}"
    );
}

/// Long places that hold an answer are another for each visitor: the tree keeps as many as it has room for.
#[test]
fn what_a_policy_decides_counts_as_much_as_what_it_asks() {
    let dev = Dev::start();
    let file = repository().join("guest/components/interpreter.wasm");
    dev.ok(&["policy", "push", "long", file.to_str().expect("a path")]);
    let program = "program=tell header x-visitor 8000";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/long",
        "long",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    dev.ok(&bind);
    eventually("the policy is bound", || dev.process.get("/long").status == 302);
    for visitor in 0..500 {
        let visitor = format!("v{visitor}");
        let response = dev.process.get_with("/long", &[("X-Visitor", &visitor)]);
        let expected = format!("https://t.example/{visitor}?{}", "x".repeat(8_000));
        assert_eq!(response.location(), Some(expected));
    }
    let listed: serde_json::Value = serde_json::from_str(&dev.process.admin("/policies").body).expect("JSON");
    let items = listed["items"].as_array().expect("items");
    let long = items
        .iter()
        .find(|item| item["prefix"] == "/long")
        .expect("the binding");
    let (leaves, bytes) = (
        long["leaves"].as_u64().expect("a count"),
        long["bytes"].as_u64().expect("a count"),
    );
    assert!(
        bytes <= 8 * 1024 * 1024 && bytes >= leaves * 24_000 && leaves >= 100,
        "{long}"
    );
    let all = dev.process.metric("wayside_policy_remembered_memory_bytes");
    assert!((1_000_000.0..=10_000_000.0).contains(&all), "{all}");
}

/// Binds a policy that never ends for who sends a field of even length, and decides for all others.
fn bind_sometimes_endless(dev: &Dev) {
    let file = repository().join("guest/components/interpreter.wasm");
    dev.ok(&["policy", "push", "sometimes", file.to_str().expect("a path")]);
    let program = "program=ask header x-visitor 2 decide 3 spin";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/sometimes",
        "sometimes",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    dev.ok(&bind);
    eventually("the policy is bound", || dev.process.get("/sometimes").status == 302);
}

const CUT_OFF: &str = "wayside_policy_runs_total{outcome=\"deadline\"}";

/// Who is answered quickly in between makes nothing good.
#[test]
fn a_guest_that_is_cut_off_every_other_time_rests() {
    let dev = Dev::start();
    bind_sometimes_endless(&dev);
    let visit = |visitor: String| dev.process.get_with("/sometimes", &[("X-Visitor", &visitor)]).status;
    let mut decided = 0;
    for visitor in 100..140 {
        assert_eq!(visit(format!("s{visitor}")), 503);
        decided += u32::from(visit(format!("ok{visitor}")) == 302);
    }
    let cut_off = counted(&dev, CUT_OFF);
    assert!((3..=9).contains(&cut_off), "ran {cut_off} times");
    assert!(decided < 40, "it rests");
    // What it decided before still holds.
    assert_eq!(dev.process.get("/sometimes").status, 302);
}

/// A visitor who hangs up has had a run like any other.
#[test]
fn a_run_counts_whether_or_not_its_visitor_waits_for_it() {
    let dev = Dev::start();
    bind_sometimes_endless(&dev);
    let before = counted(&dev, RUNS);
    // With a length, also of nothing, a request is hyper's, which lets go of what its client does not wait for.
    let hang_up = |visitor: &str| {
        let mut stream = TcpStream::connect(dev.process.edge()).expect("connect");
        let head = "GET /sometimes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n";
        let request = format!("{head}X-Visitor: {visitor}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("write");
        std::thread::sleep(Duration::from_millis(3));
    };
    // On a busy machine some find no turn in time, and run nothing that could be counted.
    let mut visitors = 100..;
    eventually("the runs are counted", || {
        let visitor = visitors.next().expect("another");
        hang_up(&format!("s{visitor}"));
        std::thread::sleep(Duration::from_millis(15));
        counted(&dev, CUT_OFF) >= 3
    });
    assert!(counted(&dev, CUT_OFF) <= 9, "it rests: {}", counted(&dev, CUT_OFF));
    let listed = dev.process.admin("/policies").body;
    assert!(listed.contains("\"deadline\":"), "{listed}");
    assert_eq!(counted(&dev, RUNS), before);
    let logged = dev.ok(&["policy", "logs", "localhost", "/sometimes"]);
    assert!(logged.contains("ran past its deadline"), "{logged}");
}
