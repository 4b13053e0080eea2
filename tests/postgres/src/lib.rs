//! Postgres servers for tests and benchmarks.
//!
//! In: Postgres as the system's package installs it (`tests/setup`), and no service of it. Out: servers on 127.0.0.1 with
//! a folder of their own, stopped and removed when they are dropped, and when the thread that started them ends. Postgres
//! refuses to run as root, so there it runs as the user whom the package made.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, its helpers too"
)]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to start, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Where Debian puts the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user that servers run as when the tests are root, as packages name it.
const USER: &str = "postgres";
/// Ports that no outgoing connection is given, so that a server that stops finds its own again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A running server, or one that was stopped.
pub struct Server {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
    /// How large the disk is that new databases are on, when it is one of their own.
    disk_size: Option<String>,
}

impl Server {
    /// A new server that keeps nothing safe: quick, for tests that do not pull plugs.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[("fsync", "off")])
    }

    /// A new server with these settings beside the defaults.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = own_folder(tempfile::tempdir().expect("a folder"));
        Self::start_in(folder, settings)
    }

    /// A new server whose new databases are on a disk of that size (`16m`), which nobody else sees and which goes with the
    /// process; none where the system lets nobody make one.
    #[must_use]
    pub fn start_with_disk(size: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let may = is_root()
            && Command::new("unshare")
                .args(["--mount", "true"])
                .output()
                .is_ok_and(|output| output.status.success());
        if !may {
            return None;
        }
        let mut server = Self::start_with(settings);
        server.stop("fast");
        fs::create_dir(server.folder.path().join("disk")).expect("a folder");
        server.disk_size = Some(size.to_owned());
        server.run();
        let disk = server.folder.path().join("disk");
        server.psql(
            "postgres",
            &format!("CREATE TABLESPACE small LOCATION '{}'", disk.display()),
        );
        server.psql("postgres", "ALTER SYSTEM SET default_tablespace = 'small'");
        server.psql("postgres", "SELECT pg_reload_conf()");
        Some(server)
    }

    /// The small disk as this process can reach it.
    ///
    /// # Panics
    /// When the server has none, or does not run.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        let id = self.process.as_ref().expect("it runs").id();
        let disk = self.folder.path().join("disk");
        format!("/proc/{id}/root{}", disk.display()).into()
    }

    fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let data = folder.path().join("data");
        let mut initdb = tool("initdb", folder.path());
        initdb.args([
            "--no-sync",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--username=postgres",
        ]);
        succeed(initdb.arg("-D").arg(&data));
        configure(&data, settings);
        Self::run_in(folder)
    }

    /// A server on the data that stand in this folder.
    fn run_in(folder: tempfile::TempDir) -> Self {
        let mut server = Self {
            folder,
            port: free_port(),
            process: None,
            disk_size: None,
        };
        server.run();
        server
    }

    /// A streaming replica of this server.
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = own_folder(tempfile::tempdir().expect("a folder"));
        let data = folder.path().join("data");
        let mut copy = tool("pg_basebackup", folder.path());
        copy.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
        ]);
        copy.arg("-D").arg(&data).arg("-d").arg(self.url("postgres"));
        succeed(&mut copy);
        Self::run_in(folder)
    }

    /// The URL of a database of this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder it is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an empty database and gives its URL.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
        self.url(name)
    }

    /// Runs SQL and gives what it answers, bare.
    ///
    /// # Panics
    /// When it fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = tool("psql", self.folder.path());
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "-v",
            "ON_ERROR_STOP=1",
        ]);
        let output = succeed(psql.arg("-d").arg(self.url(database)).args(["-c", sql]));
        String::from_utf8(output).expect("UTF-8").trim().to_owned()
    }

    /// Writes a dump of a database to a new file.
    pub fn dump(&self, database: &str, to: &Path) {
        let mut dump = tool("pg_dump", self.folder.path());
        dump.args(["--format=custom", "--file"]).arg(to);
        succeed(dump.arg("-d").arg(self.url(database)));
    }

    /// Reads a dump into an empty database.
    pub fn restore(&self, database: &str, from: &Path) {
        let mut restore = tool("pg_restore", self.folder.path());
        restore.args(["--exit-on-error", "-d"]).arg(self.url(database));
        succeed(restore.arg(from));
    }

    /// Asks this user for a password from now on.
    pub fn require_password(&self, user: &str) {
        let file = self.data().join("pg_hba.conf");
        let before = fs::read_to_string(&file).expect("the rules of access");
        let rule = format!("host all {user} 127.0.0.1/32 scram-sha-256\n");
        fs::write(&file, rule + &before).expect("write the rules of access");
        self.psql("postgres", "SELECT pg_reload_conf()");
    }

    /// Stops it: `fast` (whoever is connected is told) or `immediate` (as if the power failed).
    pub fn stop(&mut self, mode: &str) {
        let Some(mut process) = self.process.take() else { return };
        let mut stop = tool("pg_ctl", self.folder.path());
        stop.args(["stop", "--no-wait", "--mode", mode])
            .arg("-D")
            .arg(self.data());
        let _ = stop.output();
        let until = Instant::now() + START_MAX;
        while process.try_wait().expect("a child").is_none() {
            if Instant::now() > until {
                let _ = process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again where it was.
    pub fn run(&mut self) {
        let log = self.folder.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.expect("a log");
        let mut postgres = tool("postgres", self.folder.path());
        if let Some(size) = &self.disk_size {
            let mount = "mount -t tmpfs -o size=\"$1\" tmpfs disk && chown postgres disk && shift && exec \"$@\"";
            let mut apart = Command::new("unshare");
            apart.args(["--mount", "sh", "-c", mount, "sh", size]);
            apart
                .arg(postgres.get_program())
                .args(postgres.get_args())
                .current_dir(self.folder.path());
            postgres = apart;
        }
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(postgres.spawn().expect("postgres"));
        self.wait_until_ready();
    }

    /// Waits until this replica has replayed all that its primary wrote so far.
    pub fn catch_up(&self, primary: &Self) {
        let written = primary.psql("postgres", "SELECT pg_current_wal_lsn()");
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        let until = Instant::now() + START_MAX;
        while self.psql("postgres", &query) != "t" {
            assert!(Instant::now() < until, "the replica does not catch up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a replica a primary.
    pub fn promote(&self) {
        self.psql("postgres", "SELECT pg_promote()");
    }

    /// What it wrote into its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn wait_until_ready(&mut self) {
        let until = Instant::now() + START_MAX;
        loop {
            let mut is_ready = tool("pg_isready", self.folder.path());
            is_ready.args(["--quiet", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if is_ready.status().expect("pg_isready").success() {
                return;
            }
            let ended = self
                .process
                .as_mut()
                .and_then(|process| process.try_wait().expect("a child"));
            assert!(
                ended.is_none() && Instant::now() < until,
                "Postgres does not start: {ended:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

/// A folder that the server's user may use.
fn own_folder(folder: tempfile::TempDir) -> tempfile::TempDir {
    if is_root() {
        succeed(Command::new("chown").arg(USER).arg(folder.path()));
    }
    folder
}

/// Listens for nobody but this machine, leaves no socket behind, and takes little memory.
fn configure(data: &Path, settings: &[(&str, &str)]) {
    let defaults = [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("shared_buffers", "32MB"),
        ("max_wal_senders", "4"),
        ("log_min_messages", "warning"),
    ];
    let lines: String = defaults
        .iter()
        .chain(settings)
        .map(|(name, value)| format!("{name} = '{value}'\n"))
        .collect();
    let file = data.join("postgresql.conf");
    let before = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, before + &lines).expect("write the configuration");
}

/// One of Postgres's programs, run by whom it lets, and no longer than the thread that starts it.
fn tool(name: &str, folder: &Path) -> Command {
    let program = programs().map_or_else(|| name.into(), |programs| programs.join(name));
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir(folder);
    // Settings of whoever runs the tests would be Postgres's too.
    for variable in [
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGDATABASE",
        "PGPASSWORD",
        "PGSERVICE",
        "PGOPTIONS",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The newest version of a Debian package's; none where the programs are in PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let programs = Path::new(DEBIAN).join(versions.max()?.to_string()).join("bin");
    programs.join("postgres").exists().then_some(programs)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

/// A port that no connection of the system's choosing takes before a server listens there.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.map_or(0, |since| since.subsec_nanos()) ^ std::process::id().rotate_left(16);
    let count = u32::from(PORTS.end - PORTS.start);
    let ports = (0..count).map(|step| PORTS.start + u16::try_from(seed.wrapping_add(step) % count).unwrap_or(0));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).expect("a free port")
}

fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        let name = command.get_program().to_string_lossy();
        std::panic::panic_any(format!("{name}: {error}; tests/setup installs what is missing"))
    });
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {}\n{said}{error}", output.status);
    output.stdout
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn a_server_answers_stops_comes_back_and_leaves_nothing() {
        let mut server = Server::start();
        let folder = server.folder().to_owned();
        let _ = server.database("one");
        server.psql("one", "CREATE TABLE t AS SELECT 7 AS n");
        let standby = server.standby();
        server.stop("fast");
        server.run();
        assert_eq!(server.psql("one", "SELECT n FROM t"), "7");
        assert_eq!(standby.psql("one", "SELECT n FROM t"), "7");
        assert_eq!(standby.psql("one", "SELECT pg_is_in_recovery()"), "t");
        drop((server, standby));
        assert!(!folder.exists());
    }
}
