//! A server, asked over real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects by failing")]

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::get};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use wayside_serve::{
    server::serve,
    tls::{CertificateFiles, Tls, TlsError},
};

const SOON: Duration = Duration::from_secs(20);

/// An authority and what it signs, made by the tool that an operator would use.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().expect("a folder"));
        authority.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=authority \
                -keyout authority.key -out authority.pem",
        );
        authority
    }

    /// Writes a certificate for `127.0.0.1` and its key.
    fn issue(&self, folder: &Path) -> CertificateFiles {
        self.run(
            "set -e
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server \
                -keyout key.pem -out request.pem
            printf 'subjectAltName=IP:127.0.0.1' > names
            openssl x509 -req -in request.pem -CA authority.pem -CAkey authority.key -days 1 -extfile names \
                -out certificate.pem",
        );
        let copy = |name: &str| {
            let to = folder.join(name);
            fs::copy(self.0.path().join(name), &to).expect("copy");
            to
        };
        CertificateFiles {
            certificate: copy("certificate.pem"),
            key: copy("key.pem"),
        }
    }

    fn run(&self, script: &str) {
        let run = Command::new("sh")
            .args(["-c", script])
            .current_dir(self.0.path())
            .output();
        let run = run.expect("run openssl");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    /// Somebody who believes this authority alone, on a new connection.
    fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(&fs::read(self.0.path().join("authority.pem")).expect("read"))
            .expect("a certificate");
        builder().tls_certs_only([root]).build().expect("a client")
    }
}

fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

async fn ask(url: String) -> reqwest::Result<String> {
    let client = builder().build()?;
    client.get(url).send().await?.text().await
}

/// What this thread logs from now on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn of_this_thread() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || lines.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn has(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).contains(words)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(tls: Option<Tls>) -> Running {
    let slow = get(|| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "late"
    });
    let router = Router::new().route("/", get(|| async { "here" })).route("/slow", slow);
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap_or_default() };
    let task = tokio::spawn(serve(socket, router, tls, stopped, SOON));
    Running { address, stop, task }
}

#[tokio::test]
async fn http2_goes_over_tls_to_those_who_believe_the_authority() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let tls = Tls::watch(authority.issue(folder.path())).expect("a certificate");
    let running = start(Some(tls)).await;
    let url = format!("https://{}/", running.address);
    let response = authority.client().get(&url).send().await.expect("a response");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.text().await.expect("a body"), "here");
    let stranger = Authority::new().client().get(&url).send().await;
    assert!(stranger.is_err_and(|error| error.is_connect()));
    let plain = ask(format!("http://{}/", running.address)).await;
    assert!(plain.is_err(), "nothing is said in the clear");
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_is_not() {
    let (log, _guard) = Log::of_this_thread();
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let files = old.issue(folder.path());
    let tls = Tls::watch(files.clone()).expect("a certificate");
    let running = start(Some(tls)).await;
    let url = format!("https://{}/", running.address);
    fs::write(&files.certificate, "no certificate").expect("write");
    let give_up = Instant::now() + SOON;
    while !log.has("kept the certificate") {
        assert!(Instant::now() < give_up, "the bad one is not looked at");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        old.client().get(&url).send().await.is_ok(),
        "the old one is still there"
    );
    new.issue(folder.path());
    let give_up = Instant::now() + SOON;
    while new.client().get(&url).send().await.is_err() {
        assert!(Instant::now() < give_up, "the new one is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = Authority::new().issue(folder.path());
    let wrong = |certificate: &Path, key: &Path| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let error = Tls::watch(CertificateFiles { certificate, key })
            .err()
            .expect("unusable");
        (matches!(error, TlsError::Pair { .. }), error.to_string())
    };
    let missing = folder.path().join("missing.pem");
    for (certificate, key, names) in [
        (&missing, &good.key, "missing.pem"),
        (&good.certificate, &missing, "missing.pem"),
        (&good.key, &good.key, "key.pem"),
        (&good.certificate, &good.certificate, "certificate.pem"),
    ] {
        let (is_pair, said) = wrong(certificate, key);
        assert!(!is_pair && said.contains(names) && said.contains("expected"), "{said}");
    }
    let other = tempfile::tempdir().expect("a folder");
    let other = Authority::new().issue(other.path());
    let (is_pair, said) = wrong(&good.certificate, &other.key);
    assert!(
        is_pair && said.contains("certificate.pem") && said.contains("key.pem"),
        "{said}"
    );
}

#[tokio::test]
async fn who_is_slow_with_a_head_or_a_handshake_is_cut_off() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let tls = Tls::watch(authority.issue(folder.path())).expect("a certificate");
    let (plain, secure) = (start(None).await, start(Some(tls)).await);
    let half = async |address, bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(bytes).await.expect("write");
        let ended = timeout(SOON, stream.read_to_end(&mut Vec::new())).await;
        ended.expect("cut off in time")
    };
    let (head, handshake) = tokio::join!(
        half(plain.address, b"GET / HTTP/1.1\r\nHost: a"),
        half(secure.address, b"\x16\x03\x01"),
    );
    assert!(head.is_ok() && handshake.is_ok());
}

#[tokio::test]
async fn what_has_begun_is_finished_when_the_server_stops() {
    let running = start(None).await;
    let url = format!("http://{}/slow", running.address);
    let asked = tokio::spawn(ask(url));
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(()).expect("it runs");
    assert_eq!(asked.await.expect("no panic").expect("an answer"), "late");
    timeout(SOON, running.task).await.expect("in time").expect("no panic");
    assert!(TcpStream::connect(running.address).await.is_err());
}

/// Frames of HTTP/2 (RFC 9113 §6) by hand: no client gives up requests before the server has seen them on purpose.
mod frames {
    pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const GOAWAY: u8 = 7;
    /// The end of the stream and of its head.
    pub(crate) const WHOLE: u8 = 5;
    pub(crate) const CANCEL: &[u8] = &[0, 0, 0, 8];
    /// `GET http://a/`: three of HPACK's static fields, and the authority.
    pub(crate) const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("a short frame").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    }
}

#[tokio::test]
async fn who_gives_up_many_requests_at_once_keeps_the_connection() {
    let running = start(None).await;
    let mut stream = TcpStream::connect(running.address).await.expect("connect");
    let mut sent = frames::PREFACE.to_vec();
    sent.extend(frames::frame(frames::SETTINGS, 0, 0, &[]));
    let last = 401;
    for given_up in (1..last).step_by(2) {
        sent.extend(frames::frame(frames::HEADERS, frames::WHOLE, given_up, frames::GET));
        sent.extend(frames::frame(frames::RST_STREAM, 0, given_up, frames::CANCEL));
    }
    sent.extend(frames::frame(frames::HEADERS, frames::WHOLE, last, frames::GET));
    stream.write_all(&sent).await.expect("write");
    let answered = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("a frame");
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.expect("its content");
            let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            assert_ne!(head[3], frames::GOAWAY, "the connection ends");
            if (head[3], on) == (frames::HEADERS, last) {
                return;
            }
        }
    };
    timeout(SOON, answered).await.expect("an answer");
}
