//! The client against servers that mean no good, each on a socket of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wayside_decide::target::Target;
use wayside_stream::splice::PLAYLIST_BYTES_MAX;
use wayside_upstream::http::Roots;

use super::{FetchError, Fetched, Fetcher, SMALL_BYTES, Validators, room};

fn local() -> Fetcher {
    let loopback = vec!["127.0.0.0/8".parse().expect("a network")];
    Fetcher::new(loopback, Roots::default(), 100).expect("a client")
}

/// A server that says `head` to everybody, and then `body` so many times; counts who comes.
async fn server(head: String, body: &'static [u8], times: usize) -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/a.m3u8", listener.local_addr().expect("an address"));
    let met = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&met);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let head = head.clone();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(head.as_bytes()).await;
                for _ in 0..times {
                    if socket.write_all(body).await.is_err() {
                        return;
                    }
                }
                // Open until the client goes.
                let _ = socket.read(&mut request).await;
            });
        }
    });
    (Target::parse(&url).expect("a URL"), met)
}

async fn fetch(url: &Target) -> Result<Fetched, FetchError> {
    local().fetch("t", url, &Validators::default()).await
}

#[tokio::test]
async fn a_file_comes_with_what_to_ask_for_it_again() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"a\"\r\nCache-Control: max-age=30\r\n\r\n";
    let (url, _) = server(head.to_owned(), b"#EXTM3U", 1).await;
    let Fetched::Whole {
        body,
        validators,
        fresh,
        ..
    } = fetch(&url).await.expect("a file")
    else {
        panic!("unchanged from nothing");
    };
    assert_eq!((&*body, fresh.as_secs()), (&b"#EXTM3U"[..], 30));
    assert_eq!(validators.etag.as_deref(), Some("\"a\""));
    let (url, _) = server("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), b"", 0).await;
    let again = local().fetch("t", &url, &validators).await.expect("unchanged");
    assert!(matches!(again, Fetched::Unchanged { .. }));
    // Who was not asked whether it changed has no business saying so.
    let unasked = fetch(&url).await.expect_err("nothing to be unchanged");
    assert!(matches!(unasked, FetchError::Redirect { status: 304, .. }), "{unasked}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (inside, met) = server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n".to_owned(), b"x", 1).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {inside}\r\nContent-Length: 0\r\n\r\n");
        let (url, _) = server(head, b"", 0).await;
        let refused = fetch(&url).await.expect_err("a redirect").to_string();
        let expected = format!(
            "found status {status} with the location \"{inside}\", expected the file itself: redirects are not followed"
        );
        assert_eq!(refused, expected);
        let probed = local()
            .probe("t", &url, Duration::from_secs(5))
            .await
            .expect("an answer");
        assert_eq!(probed.0.as_u16(), status);
    }
    assert_eq!(met.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_not_public_is_not_connected_to() {
    let (url, met) = server("HTTP/1.1 200 OK\r\n\r\n".to_owned(), b"", 0).await;
    let public = Fetcher::new(Vec::new(), Roots::default(), 100).expect("a client");
    let port = url.as_str().rsplit_once(':').expect("a port").1;
    // By address in several spellings, and by name.
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "localhost",
        "0.0.0.0",
    ] {
        let url = Target::parse(&format!("http://{host}:{port}")).expect(host);
        let refused = public
            .fetch("t", &url, &Validators::default())
            .await
            .expect_err(host)
            .to_string();
        assert!(
            refused.contains("expected an address that is public, or in a network of `streams.private_networks`"),
            "{host}: {refused}"
        );
        public.probe("t", &url, Duration::from_secs(5)).await.expect_err(host);
    }
    assert_eq!(met.load(Ordering::Relaxed), 0);
    let url = Target::parse(&format!("http://localhost:{port}")).expect("a URL");
    local()
        .probe("t", &url, Duration::from_secs(5))
        .await
        .expect("named by the operator");
}

#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    static BLOCK: [u8; 65_536] = [b'x'; 65_536];
    let most = format!("found more than {PLAYLIST_BYTES_MAX} bytes, expected {PLAYLIST_BYTES_MAX} at most");
    let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PLAYLIST_BYTES_MAX + 1);
    let (url, _) = server(declared, b"", 0).await;
    assert_eq!(fetch(&url).await.expect_err("too long").to_string(), most);
    // No length, and more than anybody reads.
    let (url, _) = server("HTTP/1.1 200 OK\r\n\r\n".to_owned(), &BLOCK, 100_000).await;
    assert_eq!(fetch(&url).await.expect_err("too long").to_string(), most);
    let (url, _) = server("HTTP/1.1 200 OK\r\n".to_owned(), b"X-Field: 123456789\r\n", 1_000_000).await;
    assert!(
        matches!(fetch(&url).await, Err(FetchError::Broken(_))),
        "fields without end"
    );
    // Just as long as it may be.
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PLAYLIST_BYTES_MAX}\r\n\r\n");
    let (url, _) = server(head, &BLOCK, PLAYLIST_BYTES_MAX / BLOCK.len()).await;
    assert!(matches!(fetch(&url).await, Ok(Fetched::Whole { body, .. }) if body.len() == PLAYLIST_BYTES_MAX));
}

#[tokio::test]
async fn who_is_slow_is_given_up() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow"] {
        let (url, _) = server(head.to_owned(), b"", 0).await;
        let mut impatient = local();
        impatient.total_max = Duration::from_millis(200);
        let text = impatient
            .fetch("t", &url, &Validators::default())
            .await
            .expect_err("slow")
            .to_string();
        assert_eq!(text, "found no whole answer after 200ms, expected one by then");
    }
    let (url, _) = server(String::new(), b"", 0).await;
    let text = local()
        .probe("t", &url, Duration::from_millis(300))
        .await
        .expect_err("slow")
        .to_string();
    assert_eq!(text, "found no whole answer after 300ms, expected one by then");
}

#[tokio::test]
async fn names_that_nobody_answers_for_keep_only_their_tenant_waiting() {
    let (url, _) = server(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(),
        b"",
        0,
    )
    .await;
    let port = url.as_str().rsplit_once(':').expect("a port").1;
    let url = Target::parse(&format!("http://localhost:{port}")).expect("a URL");
    let fetcher = local();
    let hung = [
        fetcher.reach.lookups.take("t", "localhost").await,
        fetcher.reach.lookups.take("t", "localhost").await,
    ];
    let limit = Duration::from_millis(300);
    fetcher.probe("t", &url, limit).await.expect_err("its names hang");
    let limit = Duration::from_secs(5);
    fetcher.probe("u", &url, limit).await.expect("another's do not");
    drop(hung);
    fetcher.probe("t", &url, limit).await.expect("its names answer again");
}

#[tokio::test]
async fn coded_and_cut_bodies_and_other_statuses_are_named() {
    // A bomb is never unpacked.
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n";
    let (url, _) = server(gzip.to_owned(), b"\x1f\x8b\x08", 1).await;
    let text = fetch(&url).await.expect_err("coded").to_string();
    assert_eq!(
        text,
        "found a body in the coding \"gzip\", expected one without: the node asks for `identity`"
    );
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n".to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = Target::parse(&format!("http://{}/", listener.local_addr().expect("an address"))).expect("a URL");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut request = [0; 4_096];
        let _ = socket.read(&mut request).await;
        let _ = socket.write_all(format!("{cut}#EXT").as_bytes()).await;
    });
    assert!(matches!(fetch(&url).await, Err(FetchError::Broken(_))));
    for status in [204, 206, 401, 404, 500, 503] {
        let (url, _) = server(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"), b"", 0).await;
        let text = fetch(&url).await.expect_err("another status").to_string();
        assert_eq!(text, format!("found status {status}, expected 200"));
    }
}

#[tokio::test]
async fn large_files_of_one_tenant_leave_room_for_those_of_others() {
    static BLOCK: [u8; 65_536] = [b'x'; 65_536];
    let mut fetcher = local();
    fetcher.room = room(8 * 1024 * 1024);
    let fetcher = Arc::new(fetcher);
    // Says that more is to come, which never does.
    let head = |bytes: usize| format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n");
    let (slow, _) = server(head(600_001), &BLOCK[..60_000], 10).await;
    let (large, _) = server(head(600_000), &BLOCK[..60_000], 10).await;
    let (small, _) = server(head(50_000), &BLOCK[..50_000], 1).await;
    let get = async |tenant: &str, url: &Target| fetcher.fetch(tenant, url, &Validators::default()).await;
    let waiting = tokio::spawn({
        let (fetcher, slow) = (Arc::clone(&fetcher), slow.clone());
        async move { fetcher.fetch("a", &slow, &Validators::default()).await }
    });
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    let mebibyte = 1_024 * 1_024;
    while fetcher.room.taken() < mebibyte - SMALL_BYTES {
        assert!(tokio::time::Instant::now() < give_up, "it does not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = get("a", &large).await.expect_err("a second one");
    assert_eq!(
        refused.to_string(),
        "found no room for 1048576 bytes on their way, expected it: too much comes at the same time"
    );
    get("a", &small).await.expect("small ones have room");
    let held = get("b", &large).await.expect("another tenant's");
    waiting.abort();
    waiting.await.expect_err("given up");
    drop(held);
    get("a", &large).await.expect("room again");
}
