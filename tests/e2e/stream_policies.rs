//! A policy of streams on a running node: what it plans is who serves, what it cannot plan is a failure.

use serde_json::Value;

use crate::harness::{Dev, Response, eventually, repository, text};

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

fn bind(dev: &Dev, policy: &str, on_failure: &str, settings: &[&str]) {
    dev.ok(&["policy", "push", policy, &component(policy)]);
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

#[test]
fn who_serves_is_who_the_policy_plans_and_the_plan_is_remembered() {
    let dev = node();
    let settings = ["first=cdn-a", "second=cdn-b", "country=DE", "percent=100", "behind=own"];
    bind(&dev, "two-cdns", "closed", &settings);
    eventually("the plan holds", || target(&dev, "FR").as_deref() == Some("cdn-a"));
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
fn a_plan_for_targets_that_there_are_not_is_a_failure_of_the_policy() {
    let dev = node();
    dev.ok(&["target", "add", "a", "--url", "https://a.example/", "--region", "eu"]);
    let fails = |mode: &str, on_failure: &str, status: u16| {
        let setting = format!("mode={mode}");
        bind(&dev, "hostile-stream", on_failure, &[&setting]);
        eventually(&format!("{mode} {on_failure}"), || {
            let found = segment(&dev, "DE").status;
            let said = dev.ok(&["policy", "logs", "localhost", "/clips"]);
            found == status && said.contains("refused")
        });
    };
    // As if nothing were bound, or not at all.
    for mode in ["unknown-target", "nobody", "nan", "negative"] {
        fails(mode, "open", 302);
        fails(mode, "closed", 503);
    }
    let said = dev.ok(&["policy", "logs", "localhost", "/clips"]);
    for expected in [
        "target: found nowhere in tier 0 of the plan, expected one",
        "plan: found no target that it allows, expected one at least",
        "weight: found NaN of target c in tier 1",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    // Told when it is found out, not to each visitor.
    fails("unknown-target", "open", 302);
    let lines = || dev.ok(&["policy", "logs", "localhost", "/clips"]).lines().count();
    let before = lines();
    (0..20).for_each(|_| drop(segment(&dev, "DE")));
    assert_eq!(lines(), before);
}

#[test]
fn a_policy_of_links_decides_about_a_stream_and_one_of_streams_lets_links_be() {
    let dev = node();
    bind(&dev, "geo-redirect", "closed", &["de=https://example.de/"]);
    let location = || segment(&dev, "DE").header("location");
    eventually("the policy redirects", || {
        location().as_deref() == Some("https://example.de/")
    });
    let elsewhere = segment(&dev, "DE");
    assert_eq!(elsewhere.header("cache-control"), Some("private, no-cache".to_owned()));
    assert_eq!(elsewhere.header("access-control-allow-origin"), Some("*".to_owned()));
    assert!(target(&dev, "FR").is_some(), "it proceeds, and any target serves");
    dev.ok(&["policy", "push", "two-cdns", &component("two-cdns")]);
    let words = "policy bind localhost /docs/book two-cdns --on-failure closed --set first=cdn-a";
    dev.ok(&words.split(' ').collect::<Vec<_>>());
    eventually("the plan means to proceed", || {
        let followed = dev.process.get("/docs/book/");
        // Fails as long as the node does not know the binding.
        let explained = dev.cli(&["policy", "explain", "localhost", "/docs/book"]);
        followed.status == 302 && text(&explained.stdout).contains("plan: cdn-a 1")
    });
}
