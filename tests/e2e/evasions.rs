//! What visitors try so that a policy does not see them.

use crate::harness::{Dev, eventually, repository};

fn interpreter() -> String {
    let path = repository().join("guest/components/interpreter.wasm");
    path.to_str().expect("path").to_owned()
}

/// A policy over the whole site refuses a path: written with escapes it is the same path, for links and rules, too.
#[test]
fn a_path_written_with_escapes_is_the_path_that_a_policy_refuses() {
    let dev = Dev::start();
    for words in [
        "link add localhost /secret https://secret.example/",
        "link add localhost /gr%C3%BCn https://green.example/",
        "rule add localhost /secret/* https://below.example/{splat}",
    ] {
        dev.ok(&words.split_whitespace().collect::<Vec<_>>());
    }
    dev.wait_for("/secret", Some("https://secret.example/"));
    dev.ok(&["policy", "push", "guard", &interpreter()]);
    // What it refuses is every first segment of six bytes.
    let program = "program=ask segment 0 6 decide 0 decide 1 decide 0 decide 0 decide 0 decide 0";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/",
        "guard",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    dev.ok(&bind);
    eventually("the policy refuses", || dev.process.get("/secret").status == 451);
    for sent in [
        "/%73ecret",
        "/%73%65%63%72%65%74",
        "/s%65cret/x",
        "/secret/%78",
        "/secre%74?a=b",
    ] {
        let response = dev.process.get(sent);
        assert_eq!((response.status, response.location()), (451, None), "{sent}");
    }
    // However it is written, it is one path, and its decision is remembered once.
    let runs = dev.process.metric("wayside_policy_runs_total{outcome=\"decided\"}");
    for sent in ["/other", "/%6Fther", "/%6fther", "/oth%65%72"] {
        assert_eq!(dev.process.get(sent).status, 404, "{sent}");
    }
    let now = dev.process.metric("wayside_policy_runs_total{outcome=\"decided\"}");
    assert!((now - runs - 1.0).abs() < f64::EPSILON, "{runs} and {now}");
    dev.ok(&["policy", "unbind", "localhost", "/"]);
    for sent in ["/gr%C3%BCn", "/gr%c3%bcn", "/grün"] {
        dev.wait_for(sent, Some("https://green.example/"));
    }
}
