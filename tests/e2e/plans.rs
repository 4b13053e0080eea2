//! What another version would change, told before a visitor sees it.

use serde_json::Value;

use crate::harness::{Dev, eventually, repository, request};

const COUNTRIES: [(&str, usize); 3] = [("DE", 60), ("FR", 30), ("US", 10)];

fn component(name: &str) -> String {
    let path = repository().join("guest/components").join(name).with_extension("wasm");
    path.to_str().expect("a path").to_owned()
}

/// Binds `component` to `/p` of the demonstration's site.
fn bind(dev: &Dev, name: &str, settings: &[&str]) {
    dev.ok(&["policy", "push", name, &component(name)]);
    let mut arguments = vec!["policy", "bind", "localhost", "/p", name, "--on-failure", "closed"];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    dev.ok(&arguments);
}

/// Sends traffic from three countries, each visitor with a cookie and a query of their own.
fn send(dev: &Dev) {
    for (country, count) in COUNTRIES {
        for visitor in 0..count {
            let cookie = format!("session=secret-{country}-{visitor}");
            let fields = [
                ("Wayside-Demo-Country", country),
                ("Cookie", cookie.as_str()),
                ("X-Mine", "my-own-header"),
            ];
            let path = format!("/p/private-{visitor}?mail=me-{visitor}%40example.org");
            assert_eq!(dev.process.get_with(&path, &fields).status, 302);
        }
    }
}

fn plan(dev: &Dev, name: &str, settings: &[&str]) -> Value {
    let file = component(name);
    let mut arguments = vec![
        "policy",
        "plan",
        &file,
        "--site",
        "localhost",
        "--prefix",
        "/p",
        "--output",
        "json",
    ];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let text = dev.ok(&arguments);
    for secret in ["secret-", "private-", "example.org", "my-own-header", "127.0.0"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    serde_json::from_str(&text).expect("JSON")
}

/// The share that so many requests are. Those that waited for the binding came besides.
fn share_of(plan: &Value, requests: u32) -> f64 {
    let decisions = plan["decisions"].as_u64().expect("a number");
    assert!(decisions > 100, "{plan}");
    f64::from(requests) / f64::from(u32::try_from(decisions).expect("few"))
}

fn holds(share: &Value, truth: f64) -> bool {
    let limit = |name: &str| share[name].as_f64().expect("a number");
    limit("low") <= truth + 1e-9 && truth <= limit("high") + 1e-9 && limit("high") - limit("low") < 0.15
}

fn sums_to_one(plan: &Value) -> bool {
    let parts = [
        &plan["changed"]["share"],
        &plan["same"]["share"],
        &plan["untold"]["redacted"],
        &plan["untold"]["link"],
        &plan["untold"]["busy"],
        &plan["no_witness"],
        &plan["not_remembered"],
    ];
    let sum: f64 = parts.iter().map(|part| part.as_f64().expect("a number")).sum();
    (sum - 1.0).abs() < 1e-9
}

fn geo(dev: &Dev) {
    bind(
        dev,
        "geo-redirect",
        &["de=https://example.de/", "default=https://world.example/"],
    );
    dev.wait_for("/p", Some("https://world.example/"));
    send(dev);
}

#[test]
fn what_one_country_would_get_instead_is_told_with_its_share() {
    let dev = Dev::start();
    geo(&dev);
    let planned = plan(&dev, "geo-redirect", &["fr=https://example.fr/"]);
    assert!(
        holds(&planned["changed"], share_of(&planned, 30)) && sums_to_one(&planned),
        "{planned}"
    );
    let changes = planned["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 1, "{planned}");
    assert_eq!(changes[0]["from"], "302 https://world.example/");
    assert_eq!(changes[0]["to"], "302 https://example.fr/");
    assert_eq!(planned["failures"], serde_json::json!({}));
    // The same again changes nothing, and planning changed nothing for visitors.
    let planned = plan(&dev, "geo-redirect", &[]);
    assert!(
        planned["changed"]["share"] == 0.0 && holds(&planned["changed"], 0.0),
        "{planned}"
    );
    let french = dev.process.get_with("/p", &[("Wayside-Demo-Country", "FR")]);
    assert_eq!(french.location().as_deref(), Some("https://world.example/"));
    let file = component("geo-redirect");
    let arguments = [
        "policy",
        "plan",
        &file,
        "--site",
        "localhost",
        "--prefix",
        "/p",
        "--set",
        "de=https://de.example/",
    ];
    let told = dev.ok(&arguments);
    assert!(
        told.contains("decided differently") && told.contains("→ 302 https://de.example/"),
        "{told}"
    );
}

#[test]
fn a_version_that_fails_is_told_as_one() {
    let dev = Dev::start();
    geo(&dev);
    for (mode, kind) in [("panic", "trapped"), ("loop", "deadline")] {
        let planned = plan(&dev, "hostile", &[&format!("mode={mode}")]);
        let failed = planned["failures"][kind]["share"].as_f64().expect("a share");
        // On a busy machine some loops are not given the time that shows them to be endless.
        let busy = planned["untold"]["busy"].as_f64().expect("a share");
        let all = 1.0 - planned["not_remembered"].as_f64().expect("a share");
        assert!(
            failed > 0.0 && (failed + busy - all).abs() < 1e-9 && sums_to_one(&planned),
            "{planned}"
        );
        let changes = planned["changes"].as_array().expect("a list");
        assert!(
            changes.iter().all(|change| change["to"] == format!("fails: {kind}")),
            "{planned}"
        );
    }
    // Visitors were told nothing of it.
    let german = dev.process.get_with("/p", &[("Wayside-Demo-Country", "DE")]);
    assert_eq!(german.location().as_deref(), Some("https://example.de/"));
}

/// By default nodes keep no cookies: what reads one cannot be tried, and says so. A site may let them.
#[test]
fn what_a_node_may_not_keep_cannot_be_told() {
    let dev = Dev::start();
    let by_country = "program=ask country 2 decide 3 decide 4";
    let by_cookie = "program=ask cookie session 2 decide 3 decide 4";
    bind(&dev, "interpreter", &[by_country]);
    dev.wait_for("/p", Some("https://3.example/"));
    send(&dev);
    let planned = plan(&dev, "interpreter", &[by_cookie]);
    let redacted = planned["untold"]["redacted"].as_f64().expect("a share");
    assert!(
        (redacted - share_of(&planned, 100)).abs() < 1e-9 && sums_to_one(&planned),
        "{planned}"
    );
    dev.ok(&["site", "set", "localhost", "--privacy", "full"]);
    // What was kept before the change is gone.
    let kept = || {
        let file = component("interpreter");
        let arguments = [
            "policy",
            "plan",
            &file,
            "--site",
            "localhost",
            "--prefix",
            "/p",
            "--output",
            "json",
        ];
        serde_json::from_str::<Value>(&dev.ok(&arguments)).expect("JSON")["decisions"].as_u64()
    };
    eventually("the node knows the site's setting", || kept() == Some(0));
    send(&dev);
    let planned = plan(&dev, "interpreter", &[by_cookie]);
    assert!(
        planned["untold"]["redacted"] == 0.0 && sums_to_one(&planned),
        "{planned}"
    );
    assert!(planned["changed"]["share"].as_f64() > Some(0.0), "{planned}");
    // What only a visitor sent does not stand in a decision made of it.
    let planned = plan(&dev, "interpreter", &["program=ask cookie session 1 decide 2"]);
    assert_eq!(planned["changes"][0]["to"], "302 https://m.example{path}{?query}");
}

#[test]
fn what_cannot_be_planned_says_why() {
    let dev = Dev::start();
    let file = component("geo-redirect");
    let plan =
        |file: &str, prefix: &str| dev.fails(&["policy", "plan", file, "--site", "localhost", "--prefix", prefix]);
    assert!(plan(&file, "/nowhere").contains("no such binding"));
    let readme = repository().join("README.md");
    let refused = plan(readme.to_str().expect("a path"), "/geo");
    assert!(refused.contains("WebAssembly component"), "{refused}");
    // A page in a browser can send a form, and no component.
    let admin = dev.process.admin.expect("an admin endpoint");
    let path = "/policies/plan?tenant=default&site=localhost&prefix=/geo";
    let form = request(
        admin,
        "POST",
        "localhost",
        path,
        &[("Content-Type", "text/plain"), ("Content-Length", "0")],
    );
    assert_eq!(form.status, 415, "{form:?}");
    for query in [
        "",
        "tenant=default&site=localhost",
        "tenant=a&site=b&prefix=/&more=c",
        "tenant=a&site=b&prefix=/&set=x",
    ] {
        let kind = [("Content-Type", "application/wasm"), ("Content-Length", "0")];
        let refused = request(admin, "POST", "localhost", &format!("/policies/plan?{query}"), &kind);
        assert_eq!(refused.status, 400, "{query}: {refused:?}");
    }
}

/// What a policy read of a visitor is in its tree, and no more shown than kept.
#[test]
fn nobody_reads_in_an_explanation_what_only_one_visitor_sent() {
    let dev = Dev::start();
    let file = repository().join("guest/components/interpreter.wasm");
    dev.ok(&["policy", "push", "reads", file.to_str().expect("a path")]);
    let program = "program=ask cookie session 1 tell header x-token 9";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/reads",
        "reads",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    dev.ok(&bind);
    let fields = [("Cookie", "session=TOPSECRET1"), ("X-Token", "TOPSECRET2")];
    let ask = || dev.process.get_with("/reads", &fields).location();
    eventually("the policy decides", || {
        ask().is_some_and(|location| location.contains("TOPSECRET2"))
    });
    let explained = || {
        [
            dev.ok(&["policy", "explain", "localhost", "/reads"]),
            dev.process
                .admin("/policies/explain?tenant=default&site=localhost&prefix=/reads")
                .body,
        ]
    };
    for explained in explained() {
        assert!(!explained.contains("TOPSECRET"), "{explained}");
        assert!(
            explained.contains("answer 1") && explained.contains("https://t.example/…"),
            "{explained}"
        );
    }
    dev.ok(&["site", "set", "localhost", "--privacy", "full"]);
    eventually("the site's choice holds", || {
        ask();
        explained()
            .iter()
            .all(|explained| explained.contains("TOPSECRET1") && explained.contains("TOPSECRET2"))
    });
}
