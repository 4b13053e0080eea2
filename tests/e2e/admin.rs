//! What the operator sees.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::harness::{Dev, eventually, request};

#[test]
fn health_metrics_and_status() {
    let dev = Dev::start();
    assert_eq!(dev.process.admin("/healthz").status, 200);
    assert_eq!(dev.process.admin("/readyz").status, 200);
    for path in ["/hello", "/hello", "/nowhere", "/geo"] {
        dev.process.get(path);
    }
    let metric = |name: &str| dev.process.metric(name);
    assert!(metric("http_requests_total{status=\"302\"}") >= 3.0);
    assert!(metric("http_requests_total{status=\"404\"}") >= 1.0);
    assert!(metric("redirect_duration_seconds_count") >= 4.0);
    assert!(metric("cache_requests_total{tier=\"memory\"}") > metric("cache_hits_total{tier=\"memory\"}"));
    assert!(metric("cache_hits_total{tier=\"memory\"}") >= 1.0);
    assert!(metric("wayside_policy_runs_total{outcome=\"decided\"}") >= 1.0);
    assert!(metric("wayside_errors_total{kind=\"not_found\"}") >= 1.0);
    assert!(metric("wayside_feed_connected") >= 1.0);
    assert!(dev.ok(&["status"]).contains("ready"));
}

#[test]
fn a_thousand_requests_for_one_missing_link_are_one_for_the_origin() {
    let dev = Dev::start();
    let cursor = || {
        let status: serde_json::Value = serde_json::from_str(&dev.process.admin("/status").body).expect("JSON");
        status["feed_cursor"].as_u64()
    };
    let seen = cursor();
    dev.ok(&["link", "add", "localhost", "/many", "https://many.example/"]);
    let loads = "wayside_origin_requests_total{kind=\"link\",outcome=\"ok\"}";
    // The change has arrived when the feed has moved past it; the link is in nobody's memory yet.
    eventually("the change arrives", || cursor() > seen);
    let before = dev.process.metric(loads);
    // The connections first, all of them, so that the requests arrive together.
    let mut streams: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect(dev.process.edge()).expect("connect"))
        .collect();
    for stream in &mut streams {
        let request = b"GET /many HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("write");
    }
    for stream in &mut streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    }
    assert!((dev.process.metric(loads) - before - 1.0).abs() < 0.5, "one load");
}

/// A page in a browser may have its own name lead here, and is then asked for by that name.
#[test]
fn the_admin_endpoint_answers_to_no_name_of_others() {
    let dev = Dev::start();
    let admin = dev.process.admin.expect("an admin endpoint");
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:9", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("localhost.evil.example:80", 421),
    ] {
        for path in ["/policies", "/status", "/metrics", "/healthz"] {
            assert_eq!(request(admin, "GET", host, path, &[]).status, status, "{host} {path}");
        }
    }
}
