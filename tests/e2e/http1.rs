//! HTTP/1.1 as clients really send it: in pieces, several at once, with and without bodies, to the end of a connection.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::harness::{Dev, raw};

/// One connection, read answer by answer.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(dev: &Dev) -> Self {
        let stream = TcpStream::connect(dev.process.edge()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
        stream.set_nodelay(true).expect("no delay");
        let stream = BufReader::new(stream);
        Self { stream }
    }

    fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).expect("write");
    }

    /// Status and fields of the next answer; a body is read as far as its length says.
    fn answer(&mut self, has_body: bool) -> (u16, Vec<(String, String)>) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("status line");
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("status");
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("field");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = value(&fields, "content-length").map_or(0, |length| length.parse().expect("length"));
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.stream.read_exact(&mut body).expect("body");
        (status, fields)
    }

    fn has_ended(&mut self) -> bool {
        self.stream.fill_buf().expect("end").is_empty()
    }
}

fn value<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn several_requests_at_once_are_answered_in_order() {
    let dev = Dev::start();
    let mut connection = Connection::open(&dev);
    let many = 500;
    connection.send(&format!("{HELLO}{NOWHERE}").repeat(many));
    for _ in 0..many {
        assert_eq!(connection.answer(true).0, 302);
        assert_eq!(connection.answer(true).0, 404);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let dev = Dev::start();
    let mut connection = Connection::open(&dev);
    for request in [HELLO, NOWHERE] {
        for at in 0..request.len() {
            connection.send(&request[at..=at]);
        }
    }
    assert_eq!(connection.answer(true).0, 302);
    assert_eq!(connection.answer(true).0, 404);
}

#[test]
fn every_kind_of_request_may_follow_every_other() {
    let dev = Dev::start();
    let kinds = [
        (HELLO.to_owned(), 302, true),
        (
            "HEAD /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            404,
            false,
        ),
        (
            "OPTIONS /hello HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            204,
            true,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 204, true),
        (
            "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            405,
            true,
        ),
        (
            "GET /hello HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                .to_owned(),
            302,
            true,
        ),
        (
            "GET http://localhost:80/hello HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            302,
            true,
        ),
        (
            "GET /hello HTTP/1.1\r\nhOST: LOCALHOST\r\nConnection: Keep-Alive\r\n\r\n".to_owned(),
            302,
            true,
        ),
    ];
    for (first, first_status, first_has_body) in &kinds {
        for (second, second_status, second_has_body) in &kinds {
            let mut connection = Connection::open(&dev);
            connection.send(&format!("{first}{second}"));
            assert_eq!(connection.answer(*first_has_body).0, *first_status, "{first}");
            assert_eq!(connection.answer(*second_has_body).0, *second_status, "{first}{second}");
        }
    }
}

#[test]
fn a_response_says_when_it_was_made_how_long_it_is_and_whether_it_is_the_last() {
    let dev = Dev::start();
    let mut connection = Connection::open(&dev);
    connection.send(HELLO);
    let (_, fields) = connection.answer(true);
    assert!(
        value(&fields, "date").is_some_and(|date| date.ends_with("GMT")),
        "{fields:?}"
    );
    assert_eq!(value(&fields, "content-length"), Some("0"));
    assert_eq!(value(&fields, "connection"), None);
    connection.send("OPTIONS /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // RFC 9110 §8.6.
    assert_eq!(value(&connection.answer(true).1, "content-length"), None);
    connection.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (_, fields) = connection.answer(true);
    assert_eq!(value(&fields, "connection"), Some("close"));
    assert!(connection.has_ended());
}

#[test]
fn what_is_no_request_is_refused_in_words_and_ends_the_connection() {
    let dev = Dev::start();
    let fields_65: String = (0..64).map(|number| format!("x-{number}: y\r\n")).collect();
    let cases = [
        (
            "a space in the path",
            "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a fragment",
            "GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a field without a name",
            "GET / HTTP/1.1\r\n: x\r\nHost: localhost\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a folded field",
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a NUL",
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".to_owned(),
            400,
        ),
        ("no HTTP at all", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        (
            "65 fields",
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields_65}\r\n"),
            431,
        ),
        (
            "64 KiB of fields",
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
                "x".repeat(64 * 1024)
            ),
            431,
        ),
        (
            "64 KiB of path",
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(64 * 1024)),
            414,
        ),
    ];
    for (what, bytes, status) in cases {
        let response = raw(dev.process.edge(), &format!("{bytes}{HELLO}"));
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert_eq!(response.header("connection").as_deref(), Some("close"), "{what}");
        assert!(
            response.header("x-request-id").is_some() && response.body.ends_with(".\n"),
            "{what}: {response:?}"
        );
        assert!(!response.body.contains("302"), "{what}: nothing behind it is answered");
    }
    let malformed = dev.process.metric("wayside_errors_total{kind=\"malformed\"}");
    assert!((malformed - 6.0).abs() < 0.5, "{malformed}");
}
