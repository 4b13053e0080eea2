//! Posters that never send what they announce: they hold no place that others need.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::json;
use tokio::{net::TcpSocket, runtime};

use super::site::{HOST, Site};
use crate::harness::{Response, eventually};

const REPORTS: &str = "/.wayside/cmcd/film";
const INGEST: &str = "/.wayside/ingest/film";
const SDP: &str = "v=0\r\n";

/// A connection from this address of the machine.
fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let connected = runtime.expect("a runtime").block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("{from}:0").parse().expect("an address"))?;
        socket.connect(to).await?.into_std()
    });
    let stream = connected.expect("connect");
    stream.set_nonblocking(false).expect("blocking");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    stream
}

/// Announces a body of `length` bytes.
fn announce(mut stream: &TcpStream, host: &str, path: &str, fields: &str, length: usize) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/sdp\r\n{fields}\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("send a head");
}

fn answer(mut stream: &TcpStream) -> Response {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Response::read(&answer)
}

fn post(from: &str, site: &Site, path: &str, fields: &str, body: &str) -> u16 {
    let mut stream = connect(from, site.edge.edge());
    announce(&stream, HOST, path, fields, body.len());
    stream.write_all(body.as_bytes()).expect("send a body");
    answer(&stream).status
}

/// A site with a target that takes streams, served by one thread, and the header with the asset's key.
fn studio() -> (Site, String) {
    let site = Site::start(&["a"], &[("WAYSIDE__EDGE__THREADS", "1")]);
    let ingest = json!(["https://b.example/whip/{asset}"]);
    let target = json!({"name": "b", "region": "eu", "ingest": ingest});
    site.write("POST", "/v1/targets", &target);
    let this = json!({"site": "films", "id": "film"});
    let made = site.write("POST", "/v1/assets/ingest-key", &this);
    let key = format!("Authorization: Bearer {}\r\n", made["key"].as_str().expect("a key"));
    eventually("the edge knows the key and the target", || {
        post("127.0.0.1", &site, INGEST, &key, SDP) == 307
    });
    (site, key)
}

#[test]
fn idle_posters_from_one_address_keep_nobody_else_from_being_heard() {
    let (site, key) = studio();
    let posters: Vec<TcpStream> = (0..200)
        .map(|_| {
            let stream = connect("127.0.0.1", site.edge.edge());
            announce(&stream, HOST, REPORTS, "", 100);
            stream
        })
        .collect();
    eventually("there are more than there may be", || {
        site.edge.metric("wayside_errors_total{kind=\"shed\"}") >= 60.0
    });
    let other = "127.0.0.2";
    assert_eq!(post(other, &site, REPORTS, "", "bs"), 204, "a report");
    assert_eq!(post(other, &site, INGEST, &key, SDP), 307, "a recorder");
    let itself = "127.0.0.1";
    assert_eq!(post(itself, &site, INGEST, &key, SDP), 307, "who has a key");
    assert_eq!(post(itself, &site, INGEST, &key, ""), 307, "what has no body");
    assert_eq!(post(itself, &site, REPORTS, "", ""), 204, "nor this one");
    drop(posters);
}

#[test]
fn what_nobody_reads_is_answered_before_it_arrives() {
    let (site, _) = studio();
    for (host, path, fields, expected) in [
        ("no.such.host", REPORTS, "", 404),
        (HOST, "/.wayside/cmcd/other", "", 404),
        (HOST, "/.wayside/steer/film", "", 405),
        (HOST, "/a", "", 405),
        (HOST, INGEST, "", 401),
        (HOST, INGEST, "Authorization: Bearer wrong\r\n", 401),
    ] {
        // More than have places: all are told the same.
        let streams: Vec<_> = (0..10)
            .map(|_| {
                let stream = connect("127.0.0.1", site.edge.edge());
                announce(&stream, host, path, fields, 100);
                stream
            })
            .collect();
        for stream in &streams {
            assert_eq!(answer(stream).status, expected, "{host} {path}");
        }
    }
}
