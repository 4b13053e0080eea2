//! A policy of streams on a running node: what it plans is who serves, what it cannot plan is a failure.

use serde_json::Value;

use crate::harness::{Dev, Response, eventually, repository, send, text};

fn component(name: &str) -> String {
    let path = repository().join("guest/components").join(name).with_extension("wasm");
    path.to_str().expect("a path").to_owned()
}

/// A node with an asset `film` below `/clips`, of which three targets have copies.
fn node() -> Dev {
    let dev = Dev::start();
    for (target, region) in [("cdn-a", "eu"), ("cdn-b", "us"), ("own", "eu")] {
        let url = format!("https://{target}.example/");
        dev.ok(&["target", "add", target, "--url", &url, "--region", region]);
    }
    dev.ok(&["site", "set", "localhost", "--streams", "/clips"]);
    let words = "stream add localhost film --source https://o.example/film --hls a.m3u8 --tag live";
    dev.ok(&words.split(' ').collect::<Vec<_>>());
    dev
}

fn push(dev: &Dev, policy: &str) {
    dev.ok(&["policy", "push", policy, &component(policy)]);
}

fn bind(dev: &Dev, policy: &str, on_failure: &str, settings: &[&str]) {
    let mut words = vec![
        "policy",
        "bind",
        "localhost",
        "/clips",
        policy,
        "--on-failure",
        on_failure,
    ];
    words.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    dev.ok(&words);
}

fn segment(dev: &Dev, country: &str) -> Response {
    dev.process
        .get_with("/clips/film/1.ts", &[("Wayside-Demo-Country", country)])
}

/// The target that a viewer from this country is sent to; none when it is sent to none.
fn target(dev: &Dev, country: &str) -> Option<String> {
    let location = segment(dev, country).header("location")?;
    let host = location.strip_prefix("https://")?.split('.').next()?;
    Some(host.to_owned())
}

/// Which target somebody is told to get, and all that is told.
fn explained(dev: &Dev) -> (Option<String>, String) {
    let words = [
        "stream",
        "explain",
        "localhost",
        "--asset",
        "film",
        "--ip",
        "192.0.2.1",
        "--output",
        "json",
    ];
    let told = dev.ok(&words);
    let read: Value = serde_json::from_str(&told).expect("JSON");
    (read["target"].as_str().map(str::to_owned), told)
}

#[test]
fn who_serves_is_who_the_policy_plans_and_the_plan_is_remembered() {
    let dev = node();
    push(&dev, "two-cdns");
    let settings = ["first=cdn-a", "second=cdn-b", "country=DE", "percent=100", "behind=own"];
    bind(&dev, "two-cdns", "closed", &settings);
    // Without a plan both would be sent to one.
    eventually("the plan holds", || {
        let of = |country| target(&dev, country);
        of("FR").as_deref() == Some("cdn-a") && of("DE").as_deref() == Some("cdn-b")
    });
    for _ in 0..20 {
        assert_eq!(target(&dev, "DE").as_deref(), Some("cdn-b"), "all of one country");
    }
    dev.ok(&["target", "drain", "cdn-b"]);
    eventually("the next tier serves", || target(&dev, "DE").as_deref() == Some("own"));
    let explained: Value =
        serde_json::from_str(&dev.ok(&["policy", "explain", "localhost", "/clips", "--output", "json"])).expect("JSON");
    let told = explained.to_string();
    for plan in [
        "plan: cdn-a 0, cdn-b 100; then own 1",
        "plan: cdn-a 1; then cdn-b 1; then own 1",
    ] {
        assert!(told.contains(plan), "{plan} in {told}");
    }
    let runs = &explained["account"]["runs"]["decided"];
    assert!(
        runs.as_u64().is_some_and(|runs| runs <= 4),
        "a run for each country: {told}"
    );
}

#[test]
fn a_plans_weights_are_the_shares_of_those_whom_it_is_for() {
    let dev = node();
    push(&dev, "two-cdns");
    let settings = ["first=cdn-a", "second=cdn-b", "country=DE", "percent=20", "behind=own"];
    bind(&dev, "two-cdns", "closed", &settings);
    // Each that begins is another session. Those from elsewhere are all on the first by another branch of the plan.
    let begins = |country: &str| {
        let answer = dev
            .process
            .get_with("/.wayside/play/film", &[("Wayside-Demo-Country", country)]);
        let told: Value = serde_json::from_str(&answer.body).ok()?;
        told["target"]["id"].as_str().map(str::to_owned)
    };
    eventually("the plan holds", || {
        (0..20).all(|_| begins("FR").as_deref() == Some("cdn-a"))
    });
    let mut on_second = 0;
    for _ in 0..200 {
        assert_eq!(begins("FR").as_deref(), Some("cdn-a"));
        match begins("DE").as_deref() {
            Some("cdn-a") => {}
            Some("cdn-b") => on_second += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((34..=46).contains(&on_second), "{on_second} of 200 for a fifth");
}

#[test]
fn a_plan_for_targets_that_there_are_not_is_a_failure_of_the_policy() {
    let dev = node();
    dev.ok(&["target", "add", "a", "--url", "https://a.example/", "--region", "eu"]);
    push(&dev, "hostile-stream");
    // There are none before it is bound.
    let logs = || text(&dev.cli(&["policy", "logs", "localhost", "/clips"]).stdout);
    let fails = |mode: &str, on_failure: &str, status: u16| {
        bind(&dev, "hostile-stream", on_failure, &[&format!("mode={mode}")]);
        eventually(&format!("{mode} {on_failure}"), || segment(&dev, "DE").status == status);
    };
    // Not at all, or as if nothing were bound.
    for (mode, expected) in [
        (
            "unknown-target",
            "target: found nowhere in tier 0 of the plan, expected one",
        ),
        ("nobody", "plan: found no target that it allows, expected one at least"),
        ("nan", "weight: found NaN of target c in tier 1"),
        ("negative", "weight: found -1 of target c in tier 1"),
        ("infinite", "weight: found inf of target c in tier 1"),
    ] {
        assert!(!logs().contains(expected), "{mode}: it was said before");
        fails(mode, "closed", 503);
        // A node that has not compiled it yet answers 503, too.
        eventually(expected, || {
            segment(&dev, "DE").status == 503 && logs().contains(expected)
        });
        let (target, told) = explained(&dev);
        assert!(target.is_none() && told.contains(expected), "{mode}: {told}");
        fails(mode, "open", 302);
        let (target, told) = explained(&dev);
        assert!(target.is_some(), "{mode}: {told}");
    }
    // Told when it is found out, not to each visitor.
    fails("unknown-target", "open", 302);
    let lines = || logs().lines().count();
    let before = lines();
    (0..20).for_each(|_| drop(segment(&dev, "DE")));
    assert_eq!(lines(), before);
}

#[test]
fn a_recorder_who_finds_out_that_a_plan_cannot_be_carried_out_is_the_first_and_only_to_be_noted() {
    let dev = node();
    let url = "rtmp://a.example/live/{asset}";
    dev.ok(&["target", "add", "a", "--ingest", url, "--region", "eu"]);
    push(&dev, "hostile-stream");
    bind(&dev, "hostile-stream", "closed", &["mode=unknown-target"]);
    let made = dev.ok(&["stream", "ingest-key", "localhost", "film", "--output", "json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let authorization = format!("Bearer {}", made["key"].as_str().expect("a key"));
    let ask = || {
        let fields = [("Authorization", authorization.as_str())];
        send(
            dev.process.edge(),
            "POST",
            "localhost",
            "/.wayside/ingest/film",
            &fields,
            "",
        )
        .status
    };
    let logs = || text(&dev.cli(&["policy", "logs", "localhost", "/clips"]).stdout);
    let expected = "target: found nowhere in tier 0 of the plan, expected one";
    eventually("it is in the log", || ask() == 503 && logs().contains(expected));
    let failures = dev
        .process
        .metric("wayside_policy_runs_total{outcome=\"invalid_decision\"}");
    let lines = logs().lines().count();
    (0..20).for_each(|_| assert_eq!(ask(), 503));
    // Nor whoever comes by another way.
    assert_eq!(segment(&dev, "DE").status, 503);
    assert_eq!(logs().lines().count(), lines);
    assert!(failures >= 1.0);
    assert_eq!(
        dev.process
            .metric("wayside_policy_runs_total{outcome=\"invalid_decision\"}"),
        failures
    );
}

#[test]
fn an_explanation_leaves_nothing_behind_of_a_visitor_that_there_never_was() {
    let dev = node();
    push(&dev, "two-cdns");
    bind(&dev, "two-cdns", "closed", &["first=cdn-a"]);
    let explain = || dev.ok(&["stream", "explain", "localhost", "--asset", "film", "--ip", "192.0.2.1"]);
    eventually("the plan is known", || {
        explain().contains("two-cdns at /clips: plan: cdn-a 1")
    });
    let kept = || -> Value {
        let kept = dev.ok(&["policy", "explain", "localhost", "/clips", "--output", "json"]);
        serde_json::from_str(&kept).expect("JSON")
    };
    let runs = |kept: &Value| -> u64 {
        let runs = kept["account"]["runs"].as_object().expect("runs by outcome");
        runs.values().filter_map(Value::as_u64).sum()
    };
    (0..20).for_each(|_| drop(explain()));
    let before = kept();
    for count in ["leaves", "decisions", "not_remembered", "witnesses"] {
        assert_eq!(before[count], 0, "{count} in {before}");
    }
    assert_eq!(
        (runs(&before), &before["account"]["remembered"]),
        (0, &0.into()),
        "{before}"
    );
    // Nor of what is remembered of one that there was.
    assert_eq!(segment(&dev, "DE").status, 302);
    let visited = kept();
    assert_eq!((runs(&visited), &visited["leaves"]), (1, &1.into()), "{visited}");
    (0..20).for_each(|_| drop(explain()));
    assert_eq!(kept(), visited);
}

#[test]
fn a_policy_of_links_decides_about_a_stream_and_one_of_streams_lets_links_be() {
    let dev = node();
    push(&dev, "geo-redirect");
    bind(&dev, "geo-redirect", "closed", &["de=https://example.de/"]);
    let location = || segment(&dev, "DE").header("location");
    eventually("the policy redirects", || {
        location().as_deref() == Some("https://example.de/")
    });
    let elsewhere = segment(&dev, "DE");
    assert_eq!(elsewhere.header("cache-control"), Some("private, no-cache".to_owned()));
    assert_eq!(elsewhere.header("access-control-allow-origin"), Some("*".to_owned()));
    assert!(target(&dev, "FR").is_some(), "it proceeds, and any target serves");
    push(&dev, "two-cdns");
    let words = "policy bind localhost /docs/book two-cdns --on-failure closed --set first=cdn-a";
    dev.ok(&words.split(' ').collect::<Vec<_>>());
    eventually("the plan means to proceed", || {
        let followed = dev.process.get("/docs/book/");
        // Fails as long as the node does not know the binding.
        let explained = dev.cli(&["policy", "explain", "localhost", "/docs/book"]);
        followed.status == 302 && text(&explained.stdout).contains("plan: cdn-a 1")
    });
}
