//! What a node's operator and a policy's author see of the policies at work.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::harness::{BINARY, Dev, Response, eventually, repository};

/// Binds the policy that misbehaves as its mode says.
fn misbehave(dev: &Dev, prefix: &str, mode: &str) {
    let component = repository().join("guest/components/hostile.wasm");
    dev.ok(&["policy", "push", "hostile", component.to_str().expect("path")]);
    let mode = format!("mode={mode}");
    let bind = [
        "policy",
        "bind",
        "localhost",
        prefix,
        "hostile",
        "--on-failure",
        "closed",
    ];
    dev.ok(&[&bind[..], &["--set", &mode]].concat());
    let loaded = || {
        dev.process
            .admin("/policies")
            .body
            .contains(&format!("\"prefix\":\"{prefix}\""))
    };
    eventually("the node knows the binding", loaded);
}

fn runs(dev: &Dev, policy: &str, outcome: &str) -> f64 {
    let labels = format!("tenant=\"default\",policy=\"{policy}\",outcome=\"{outcome}\"");
    dev.process
        .metric(&format!("wayside_policy_fresh_runs_total{{{labels}}}"))
}

fn of(dev: &Dev, metric: &str, policy: &str) -> f64 {
    dev.process
        .metric(&format!("{metric}{{tenant=\"default\",policy=\"{policy}\"}}"))
}

#[test]
fn each_policy_s_runs_time_and_memory_are_counted() {
    let dev = Dev::start();
    for country in ["DE", "DE", "FR", "DE"] {
        dev.process.get_with("/geo", &[("Wayside-Demo-Country", country)]);
    }
    assert!((runs(&dev, "geo-redirect", "decided") - 2.0).abs() < 0.5);
    assert!((of(&dev, "wayside_policy_remembered_decisions_total", "geo-redirect") - 2.0).abs() < 0.5);
    let cpu_s = of(&dev, "wayside_policy_cpu_seconds_total", "geo-redirect");
    assert!(cpu_s > 0.0 && cpu_s < 1.0, "{cpu_s}");
    let memory = of(&dev, "wayside_policy_memory_peak_bytes", "geo-redirect");
    assert!((65_536.0..=16.0 * 1024.0 * 1024.0).contains(&memory), "{memory}");
    let summary = dev.process.admin("/policies").body;
    assert!(
        summary.contains("\"remembered\":2,\"runs\":{\"decided\":2}"),
        "{summary}"
    );
}

#[test]
fn a_policy_that_rests_is_seen_and_said() {
    let dev = Dev::start();
    misbehave(&dev, "/loop", "loop");
    let ask = || -> Response { dev.process.get("/loop") };
    eventually("it rests", || {
        assert_eq!(ask().status, 503, "the binding is closed");
        dev.process.metric("wayside_policies_resting") > 0.5
    });
    assert!(runs(&dev, "hostile", "deadline") >= 3.0);
    assert_eq!(ask().status, 503);
    assert!(runs(&dev, "hostile", "resting") >= 1.0);
    let summary = dev.process.admin("/policies").body;
    assert!(summary.contains("\"rests_s\":"), "{summary}");
    // Whoever else has a policy here does not notice.
    let geo = dev.process.get_with("/geo", &[("Wayside-Demo-Country", "DE")]);
    assert_eq!(geo.status, 302);
}

#[test]
fn an_author_reads_what_the_policy_says_while_it_runs() {
    let dev = Dev::start();
    let admin = format!("http://{}", dev.process.admin.expect("an admin endpoint"));
    misbehave(&dev, "/talk", "talk");
    misbehave(&dev, "/panic", "panic");
    let mut follow = Command::new(BINARY)
        .args([
            "policy",
            "logs",
            "localhost",
            "/talk",
            "--follow",
            "--admin-url",
            &admin,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("follow");
    let mut lines = BufReader::new(follow.stdout.take().expect("output")).lines();
    // Each binding runs once: what follows is remembered.
    eventually("both have run", || {
        dev.process.get("/talk");
        dev.process.get("/panic");
        runs(&dev, "hostile", "trapped") > 0.5 && runs(&dev, "hostile", "decided") > 0.5
    });
    let said = lines.next().expect("a line").expect("text");
    assert!(said.contains("localhost /talk  hostile  info: é"), "{said}");
    follow.kill().expect("end");
    follow.wait().expect("ended");
    let logs = |more: &[&str]| dev.ok(&[&["policy", "logs", "--admin-url", &admin], more].concat());
    let panic = logs(&["localhost", "/panic"]);
    assert!(
        panic.contains("failure: the policy trapped") && !panic.contains("é"),
        "{panic}"
    );
    let all = logs(&["--output", "json"]);
    assert!(all.lines().count() >= 2);
    for line in all.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["tenant"], "default");
    }
    assert_eq!(logs(&["--tenant", "somebody-else"]), "");
    for nowhere in [&["nosite"][..], &["localhost", "/nowhere"]] {
        let said = dev.fails(&[&["policy", "logs", "--admin-url", &admin], nowhere].concat());
        assert!(said.contains("no such site or binding"), "{said}");
    }
    assert_eq!(logs(&["localhost", "/geo"]), "", "it is there, and says nothing");
}
