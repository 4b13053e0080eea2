//! What a binding and its site say beside the policy: who counts as one visitor, and how long caches keep what it decides.

use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::harness::{Dev, eventually, repository, text};

fn component(name: &str) -> String {
    let path = repository().join("guest/components").join(name).with_extension("wasm");
    path.to_str().expect("path").to_owned()
}

/// From one address, each value of the cookie is a visitor of its own, and stays where it was.
#[test]
fn visitors_are_told_apart_by_what_the_binding_says() {
    let dev = Dev::start();
    dev.ok(&["policy", "push", "split", &component("ab-split")]);
    let settings = "--set percent=50 --set a=https://a.example/ --set b=https://b.example/ --set salt=s";
    let bind = |prefix: &str, key: &str| {
        let words = format!("policy bind localhost {prefix} split --on-failure closed --visitor-key {key} {settings}");
        dev.ok(&words.split_whitespace().collect::<Vec<_>>())
    };
    bind("/by-cookie", "cookie:session");
    bind("/by-header", "header:X-User");
    let bound = bind("/by-address", "address");
    assert!(bound.contains("address"), "{bound}");
    let place = |path: &str, field: (&str, &str)| dev.process.get_with(path, &[field]).location();
    eventually("the bindings are live", || {
        place("/by-address", ("X-User", "1")).is_some()
    });
    let mut seen = HashSet::new();
    for visitor in 0..20 {
        let cookie = format!("other=1; session={visitor}");
        let one = place("/by-cookie", ("Cookie", &cookie));
        assert_eq!(one, place("/by-cookie", ("Cookie", &cookie)), "the same visitor");
        // The key is the value, whatever carries it.
        assert_eq!(one, place("/by-header", ("x-user", &visitor.to_string())));
        seen.insert(one);
    }
    assert_eq!(seen.len(), 2, "one address and both sides: {seen:?}");
    let by_address: HashSet<_> = (0..20)
        .map(|visitor| place("/by-address", ("X-User", &visitor.to_string())))
        .collect();
    assert_eq!(by_address.len(), 1, "{by_address:?}");
    // Who sends none is told apart by the address.
    let without: HashSet<_> = (0..5).map(|_| place("/by-cookie", ("Cookie", "session="))).collect();
    assert_eq!(without.len(), 1);
    let refused = dev.cli(&[
        "policy",
        "bind",
        "localhost",
        "/x",
        "split",
        "--on-failure",
        "open",
        "--visitor-key",
        "ip",
    ]);
    let refused = (refused.status.code(), text(&refused.stderr));
    assert!(refused.0 == Some(2) && refused.1.contains("cookie:NAME"), "{refused:?}");
}

/// A link's attribute is a fact like any other: another value, another decision.
#[test]
fn a_policy_reads_what_the_owner_wrote_down_about_a_link() {
    let dev = Dev::start();
    dev.ok(&["policy", "push", "interpreter", &component("interpreter")]);
    let program = "program=ask attribute place 3 decide 0 decide 3 decide 4";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/a",
        "interpreter",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    let link = [
        "link",
        "add",
        "localhost",
        "/a",
        "https://link.example/",
        "--attribute",
        "place=",
    ];
    dev.ok(&link);
    dev.ok(&bind);
    dev.wait_for("/a", Some("https://3.example/"));
    dev.ok(&["link", "set", "localhost", "/a", "--attribute", "place=x"]);
    dev.wait_for("/a", Some("https://4.example/"));
    dev.ok(&["link", "set", "localhost", "/a", "--no-attributes"]);
    dev.wait_for("/a", Some("https://link.example/"));
}

#[test]
fn a_site_says_how_long_caches_keep_its_redirects() {
    let dev = Dev::start();
    let phone = [("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)")];
    let control = |path: &str| dev.process.get_with(path, &phone).header("cache-control");
    let all = |paths: [&str; 4]| paths.map(&control);
    let paths = ["/app", "/hello", "/docs/x", "/geo"];
    let says = |expected: [Option<&str>; 4]| {
        let expected = expected.map(|text| text.map(str::to_owned));
        eventually("the site's limit is live", || all(paths) == expected);
    };
    let private = Some("private, no-cache");
    says([Some("public, max-age=60"), None, None, private]);
    dev.ok(&["site", "set", "localhost", "--max-age", "3600"]);
    let hour = Some("public, max-age=3600");
    says([hour, hour, hour, private]);
    dev.ok(&["site", "set", "localhost", "--max-age", "0"]);
    let nobody = Some("no-store");
    says([nobody; 4]);
    dev.ok(&["site", "set", "localhost", "--max-age", "none"]);
    says([Some("public, max-age=60"), None, None, private]);
    let refused = dev.fails(&["site", "set", "localhost", "--max-age", "40000000"]);
    assert!(
        refused.contains("max_age_s") && refused.contains("31536000"),
        "{refused}"
    );
}

/// A permanent redirect is kept for ever by browsers unless they are told that it ends.
#[test]
fn a_link_that_ends_says_so_to_caches() {
    let dev = Dev::start();
    let link = [
        "link",
        "add",
        "localhost",
        "/soon",
        "https://a.example/",
        "--status",
        "301",
        "--expires-at",
        "2099-01-01T00:00:00Z",
    ];
    dev.ok(&link);
    dev.wait_for("/soon", Some("https://a.example/"));
    let control = dev.process.get("/soon").header("cache-control");
    assert_eq!(control.as_deref(), Some("public, max-age=60"));
}

/// How long caches may keep a response, in seconds.
fn max_age_s(dev: &Dev, path: &str) -> Option<u64> {
    let control = dev.process.get(path).header("cache-control")?;
    control.strip_prefix("public, max-age=")?.parse().ok()
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// A policy that lets visitors pass until an instant, before a redirect that browsers keep for ever.
#[test]
fn what_a_policy_lets_pass_until_an_instant_is_kept_no_longer() {
    let dev = Dev::start();
    dev.ok(&["policy", "push", "interpreter", &component("interpreter")]);
    let closes = now_s() + 45;
    let program = format!("program=ask after {closes} 2 decide 0 decide 1");
    dev.ok(&[
        "link",
        "add",
        "localhost",
        "/p",
        "https://a.example/",
        "--status",
        "301",
    ]);
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/p",
        "interpreter",
        "--on-failure",
        "closed",
        "--set",
        &program,
    ];
    dev.ok(&bind);
    eventually("the policy's horizon is told", || max_age_s(&dev, "/p").is_some());
    // Once by a run, and from then on from memory.
    for _ in 0..3 {
        let response = dev.process.get("/p");
        assert_eq!(
            (response.status, response.location().as_deref()),
            (301, Some("https://a.example/"))
        );
        let (rest, told) = (closes.saturating_sub(now_s()), max_age_s(&dev, "/p"));
        assert!(
            told.is_some_and(|told| told <= rest.max(1)),
            "{told:?}, {rest} s before it closes"
        );
    }
}

/// A decision made of a link is over when the link is, whatever the site's own limit.
#[test]
fn what_a_policy_makes_of_a_link_that_ends_is_kept_no_longer() {
    let dev = Dev::start();
    for name in ["interpreter", "language"] {
        dev.ok(&["policy", "push", name, &component(name)]);
    }
    dev.ok(&["site", "set", "localhost", "--max-age", "3600"]);
    let ends = now_s() + 50;
    let at = jiff::Timestamp::from_second(i64::try_from(ends).expect("small")).expect("an instant");
    let asks = ("/asks", "interpreter", "program=ask target 2 decide 3 decide 3");
    // The query tells the policy's answer from the link's own.
    let fills = ("/fills?x", "language", "default={link.target}{?query}");
    for ((path, policy, setting), place) in [(asks, "https://3.example/"), (fills, "https://link.example/?x")] {
        let (prefix, at) = (path.split('?').next().expect("a path"), at.to_string());
        dev.ok(&[
            "link",
            "add",
            "localhost",
            prefix,
            "https://link.example/",
            "--expires-at",
            &at,
        ]);
        let mut bind = vec!["policy", "bind", "localhost", prefix, policy, "--on-failure", "closed"];
        bind.extend(["--set", "languages=de", "--set", setting]);
        dev.ok(&bind);
        dev.wait_for(path, Some(place));
        // Once by a run, and from then on from memory.
        for _ in 0..3 {
            let (rest, told) = (ends - now_s(), max_age_s(&dev, path));
            assert!(
                told.is_some_and(|told| told <= rest),
                "{path}: {told:?}, {rest} s before it ends"
            );
        }
    }
    let remembered = dev.process.metric("wayside_policy_remembered_total");
    assert!(remembered >= 6.0, "{remembered}");
}
