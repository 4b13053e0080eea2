//! A real shared cache (nginx) in front of an edge: it keeps what it may, and no visitor gets another's decision.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use wayside_test_postgres::free_port;

use crate::harness::{Dev, Response, eventually, request};

/// nginx with a cache; ended by its id when dropped.
struct Cache {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Cache {
    /// Keeps only what responses allow, which is nginx's way unless told otherwise.
    fn before(edge: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let address = free_address();
        let configuration = configuration(folder.path(), address, edge);
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("write");
        let mut nginx = Command::new("nginx");
        nginx
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder.path());
        let child = nginx
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx, which tests/setup installs");
        eventually("nginx listens", || std::net::TcpStream::connect(address).is_ok());
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    fn get(&self, path: &str, fields: &[(&str, &str)]) -> (Response, String) {
        let response = request(self.address, "GET", "localhost", path, fields);
        let status = response.header("x-cache").unwrap_or_default();
        (response, status)
    }

    /// As a visitor of this machine who comes from another of its addresses.
    fn get_from(&self, source: &str, path: &str) -> Response {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.expect("a runtime").block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket
                .bind(SocketAddr::new(source.parse().expect("an address"), 0))
                .expect("bind");
            let mut stream = socket.connect(self.address).await.expect("connect");
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("write");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("read");
            answer
        });
        Response::read(&answer)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // The master ends its workers on SIGTERM; killed, it would leave them.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

fn configuration(folder: &Path, address: SocketAddr, edge: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
user root;
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_temp_path {folder}/proxy;
    proxy_cache_path {folder}/cache keys_zone=shared:1m;
    server {{
        listen {address};
        location / {{
            proxy_pass http://{edge};
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_cache shared;
            proxy_cache_key $scheme$host$request_uri;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"
    )
}

#[test]
fn a_shared_cache_never_mixes_up_visitors() {
    let dev = Dev::start();
    let cache = Cache::before(dev.process.edge());
    let country = |code| [("Wayside-Demo-Country", code)];
    for code in ["DE", "FR", "DE", "XX", "DE", "FR"] {
        let direct = dev.process.get_with("/geo", &country(code));
        let (cached, status) = cache.get("/geo", &country(code));
        assert_eq!((cached.status, cached.location()), (302, direct.location()), "{code}");
        assert_ne!(status, "HIT", "{code}");
    }
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
    let desktop = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
    let mut hits = 0;
    for agent in [phone, desktop, phone, desktop, phone, desktop] {
        let direct = dev.process.get_with("/app", &[("User-Agent", agent)]);
        let (cached, status) = cache.get("/app", &[("User-Agent", agent)]);
        assert_eq!(cached.location(), direct.location(), "{agent}");
        hits += u32::from(status == "HIT");
    }
    assert!(hits >= 2, "what depends on request fields alone is kept: {hits} hits");
    for path in ["/ab", "/hello", "/nowhere", "/docs/book/"] {
        for _ in 0..3 {
            assert_ne!(cache.get(path, &[]).1, "HIT", "{path}");
        }
    }
}

/// The cache writes the field, so that it cannot tell visitors apart by it: their requests come without.
#[test]
fn what_the_cache_itself_tells_of_a_visitor_chooses_nobody_elses_answer() {
    let dev = Dev::start();
    let component = crate::harness::repository().join("guest/components/interpreter.wasm");
    dev.ok(&["policy", "push", "address", component.to_str().expect("path")]);
    let program = "program=ask header x-real-ip 2 decide 3 decide 4";
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/who",
        "address",
        "--on-failure",
        "closed",
        "--set",
        program,
    ];
    dev.ok(&bind);
    eventually("the policy is bound", || dev.process.get("/who").status == 302);
    let cache = Cache::before(dev.process.edge());
    // It goes by the length of the address.
    for (visitor, place) in [
        ("127.0.0.1", "https://3.example/"),
        ("127.0.0.15", "https://4.example/"),
        ("127.0.0.1", "https://3.example/"),
        ("127.0.0.15", "https://4.example/"),
    ] {
        let response = cache.get_from(visitor, "/who");
        assert_eq!(response.location().as_deref(), Some(place), "{visitor}: {response:?}");
        assert_eq!(response.header("cache-control").as_deref(), Some("private, no-cache"));
    }
}

/// What a policy could not decide is nobody's to keep: the next visitor may find it well again.
#[test]
fn a_failure_is_not_kept() {
    let dev = Dev::start();
    let cache = Cache::before(dev.process.edge());
    let component = crate::harness::repository().join("guest/components/hostile.wasm");
    dev.ok(&["policy", "push", "hostile", component.to_str().expect("path")]);
    dev.ok(&["link", "add", "localhost", "/open", "https://open.example/"]);
    let bind = [
        "policy",
        "bind",
        "localhost",
        "/open",
        "hostile",
        "--on-failure",
        "open",
        "--set",
        "mode=panic",
    ];
    dev.ok(&bind);
    eventually("the policy fails", || {
        dev.process.get("/open").header("cache-control").as_deref() == Some("no-store")
    });
    for _ in 0..3 {
        let (response, status) = cache.get("/open", &[]);
        assert_eq!(response.location().as_deref(), Some("https://open.example/"));
        assert_ne!(status, "HIT");
    }
}
