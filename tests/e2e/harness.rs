//! Starting `wayside`, speaking HTTP to it byte by byte, and running its commands.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_wayside");

/// The repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A running `wayside` process; ended by its id when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) edge: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) origin: Option<SocketAddr>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `wayside` and reads its first lines up to `last`, which begins with that word.
    pub(crate) fn start(arguments: &[&str], last: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(arguments).envs(variables.iter().copied());
        Self::run(command, last)
    }

    /// As `start`, by a command that becomes `wayside`.
    pub(crate) fn run(mut command: Command, last: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start wayside");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut process = Self {
            child,
            edge: None,
            admin: None,
            origin: None,
            said: Arc::default(),
        };
        for line in lines.by_ref() {
            let line = line.expect("a line");
            let address = || line.split("://").nth(1).and_then(|address| address.parse().ok());
            match line.split_whitespace().next() {
                Some("edge") => process.edge = address(),
                Some("admin") => process.admin = address(),
                Some("origin") => process.origin = address(),
                _ => {}
            }
            if line.starts_with(last) {
                // Keeps the pipe open, so that later lines have somewhere to go.
                let said = Arc::clone(&process.said);
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        said.lock().expect("lines").push(line);
                    }
                });
                return process;
            }
        }
        panic!("{command:?} ended before it said {last:?}: {:?}", process.child.wait());
    }

    /// `wayside dev` on free ports.
    pub(crate) fn dev(data: &Path, more: &[&str]) -> Self {
        Self::run(Self::dev_command(data, more), "ready")
    }

    /// The command of [`Process::dev`].
    pub(crate) fn dev_command(data: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(dev_arguments(data.to_str().expect("path"))).args(more);
        command
    }

    /// What it has printed since it was ready.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().expect("lines").clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn edge(&self) -> SocketAddr {
        self.edge.expect("an edge")
    }

    /// Asks for `path` on the demonstration's host.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        request(self.edge(), "GET", "localhost", path, headers)
    }

    /// What the admin endpoint says.
    pub(crate) fn admin(&self, path: &str) -> Response {
        request(self.admin.expect("an admin endpoint"), "GET", "localhost", path, &[])
    }

    /// One sample of a metric, 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").body;
        let sample = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        sample.unwrap_or(0.0)
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Sends SIGTERM and waits; the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().expect("wait").code()
    }

    /// Kills without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Whether the process still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }
}

/// What `wayside` is called with to be a demonstration on free ports.
pub(crate) fn dev_arguments(data: &str) -> Vec<&str> {
    let mut arguments = vec!["dev", "--data", data, "--threads", "2"];
    for option in ["--listen", "--admin", "--origin"] {
        arguments.extend([option, "127.0.0.1:0"]);
    }
    arguments
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already after `end` or `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `wayside dev` and its folder.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
}

impl Dev {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self {
            process: Process::dev(folder.path(), more),
            folder,
        }
    }

    /// Runs a command against this origin with its first token.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let token = std::fs::read_to_string(self.folder.path().join("token")).expect("token");
        self.cli_as(token.trim(), arguments)
    }

    pub(crate) fn cli_as(&self, token: &str, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(arguments)
            .env(
                "WAYSIDE_ORIGIN",
                format!("http://{}", self.process.origin.expect("an origin")),
            )
            .env(
                "WAYSIDE_ADMIN",
                format!("http://{}", self.process.admin.expect("an admin endpoint")),
            )
            .env("WAYSIDE_TOKEN", token)
            .output()
            .expect("run wayside")
    }

    /// Runs a command that must succeed; what it prints.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "wayside {arguments:?}: {out}{error}");
        out
    }

    /// Runs a command that must fail with exit code 1; what it says about it.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "wayside {arguments:?}: {out}{error}");
        error
    }

    /// Waits until `path` leads to `location`; fails after the second that a change may take, and some for a busy
    /// machine.
    pub(crate) fn wait_for(&self, path: &str, location: Option<&str>) {
        eventually(&format!("{path} leads to {location:?}"), || {
            self.process.get(path).location().as_deref() == location
        });
    }
}

/// Waits for what must become true soon. A node may rest five seconds before it comes back, and three before it checks all
/// that it holds.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    const SOON: Duration = Duration::from_secs(20);
    let give_up = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < give_up, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A response as it was read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// All that a connection has answered.
    pub(crate) fn read(answer: &[u8]) -> Self {
        let answer = text(answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub(crate) fn location(&self) -> Option<String> {
        self.header("location")
    }
}

pub(crate) fn request(address: SocketAddr, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    send(address, method, host, path, headers, "")
}

/// Sends a request with a body, or without one when it is empty.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut fields: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    if !body.is_empty() {
        fields.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    raw(
        address,
        &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n{body}"),
    )
}

/// Sends exactly these bytes and reads until the connection ends.
pub(crate) fn raw(address: SocketAddr, bytes: &str) -> Response {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(bytes.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Response::read(&answer)
}
