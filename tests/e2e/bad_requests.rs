//! What no client should send: each gets an answer of its own, and the node goes on.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use wayside_upstream::http::{Roots, client};

use crate::harness::{Dev, raw, request};

/// What is wrong, the head of the request, and the status it gets.
fn malformed() -> Vec<(&'static str, String, u16)> {
    let long_path = format!("/{}", "x".repeat(9 * 1024));
    let long_field = "x".repeat(17 * 1024);
    vec![
        (
            "an unknown host",
            "GET / HTTP/1.1\r\nHost: unknown.example\r\n".to_owned(),
            404,
        ),
        (
            "an unknown path",
            "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
            404,
        ),
        ("no host", "GET /hello HTTP/1.1\r\n".to_owned(), 400),
        (
            "two hosts",
            "GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n".to_owned(),
            400,
        ),
        (
            "a malformed host",
            "GET /hello HTTP/1.1\r\nHost: a b/../x@y\r\n".to_owned(),
            400,
        ),
        (
            "another host in the target",
            "GET http://a.example/ HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
            400,
        ),
        (
            "a path like an authority",
            "GET //evil.com HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
            400,
        ),
        (
            "a backslash",
            "GET /\\evil.com HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
            400,
        ),
        (
            "a reserved path",
            "GET /.wayside/x HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
            404,
        ),
        (
            "a long URI",
            format!("GET {long_path} HTTP/1.1\r\nHost: localhost\r\n"),
            414,
        ),
        (
            "a long field",
            format!("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: {long_field}\r\n"),
            431,
        ),
        ("no HTTP", "hello\r\n".to_owned(), 400),
        ("no version", "GET /hello\r\nHost: localhost\r\n".to_owned(), 400),
        (
            "two lengths",
            "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n".to_owned(),
            400,
        ),
    ]
}

#[test]
fn malformed_requests_are_told_apart() {
    let mut dev = Dev::start();
    let edge = dev.process.edge();
    for (what, head, status) in malformed() {
        let response = raw(edge, &format!("{head}Connection: close\r\n\r\n"));
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert!(response.location().is_none(), "{what}");
    }
    let refused = request(edge, "GET", "localhost", "/nowhere", &[]);
    assert!(
        refused.header("x-request-id").is_some() && refused.body.contains("no link"),
        "{refused:?}"
    );
    assert_eq!(dev.process.get("/hello").status, 302);
    assert!(dev.process.lives());
}

/// On a new connection, and right behind a whole request.
#[test]
fn half_a_request_is_closed_after_ten_seconds() {
    let dev = Dev::start();
    let edge = dev.process.edge();
    let half = "GET /hello HTTP/1.1\r\nHost: loc";
    let whole = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let waits = [half.to_owned(), format!("{whole}{half}")].map(|bytes| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(edge).expect("connect");
            stream.set_read_timeout(Some(Duration::from_secs(40))).expect("timeout");
            stream.write_all(bytes.as_bytes()).expect("write");
            let began = Instant::now();
            let ended = stream.read_to_end(&mut Vec::new());
            assert!(
                ended.is_ok() || ended.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock),
                "still open: {bytes:?}"
            );
            assert!(began.elapsed() >= Duration::from_secs(8), "closed too soon: {bytes:?}");
        })
    });
    for wait in waits {
        wait.join().expect("closed in time");
    }
    assert_eq!(dev.process.get("/hello").status, 302);
}

#[test]
fn http2_without_tls_answers_the_same() {
    let dev = Dev::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        let own = client("http:", &Roots::System)
            .http2_prior_knowledge()
            .build()
            .expect("client");
        let url = |path: &str| format!("http://localhost:{}{path}", dev.process.edge().port());
        let hello = own.get(url("/hello")).send().await.expect("response");
        assert_eq!(
            (hello.version(), hello.status().as_u16()),
            (reqwest::Version::HTTP_2, 302)
        );
        let misdirected = format!("http://127.0.0.2:{}/hello", dev.process.edge().port());
        // Nobody listens on 127.0.0.2; the authority is what counts, so the address is fixed.
        let address = dev.process.edge();
        let other = client("http:", &Roots::System)
            .http2_prior_knowledge()
            .resolve("other.example", address)
            .build()
            .expect("client");
        let response = other
            .get(misdirected.replace("127.0.0.2", "other.example"))
            .send()
            .await
            .expect("response");
        assert_eq!(response.status().as_u16(), 421);
    });
}
