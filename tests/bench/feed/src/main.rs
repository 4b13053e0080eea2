//! Many simulated nodes on one origin: what each costs it in memory, and how soon they are told of changes.
//!
//! See README.md beside this.

#![allow(clippy::print_stdout, reason = "a benchmark's result")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::json;
use tokio::{task::JoinHandle, time};
use wayside_test_postgres::Server;
use wayside_upstream::{
    access::Access,
    client::OriginClient,
    http::{self, Roots},
    protocol::{Change, FEED_PATH},
};

/// Begun and not begun yet, in nanoseconds since the start: an instant that is none.
const NEVER: u64 = u64::MAX;
/// How finely latency is told, in microseconds.
const BUCKET_US: u64 = 100;
/// Latencies beyond this many buckets count as this.
const BUCKETS: usize = 100_000;

#[derive(Parser)]
#[command(about = "Measures what many nodes on one origin cost, and how soon they are told of changes")]
struct Options {
    /// The `wayside` to measure
    #[arg(long, env = "WAYSIDE_BIN")]
    binary: PathBuf,
    /// Nodes that follow, each over a connection of its own
    #[arg(long, default_value_t = 1_000)]
    followers: usize,
    /// How many of them take the time of every change; the others only read what comes
    #[arg(long, default_value_t = 20)]
    observers: usize,
    /// Changes a second
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Changes in one request: one transaction each
    #[arg(long, default_value_t = 10)]
    batch: u32,
    /// For how long, in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// A file of SQLite's in place of Postgres
    #[arg(long)]
    sqlite: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let server = (!options.sqlite).then(|| Server::start_with(&[("shared_buffers", "256MB")]));
    let folder = tempfile::tempdir()?;
    let origin = Origin::start(&options.binary, folder.path(), server.as_ref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&options, &origin))
}

/// The origin under measurement, a process of its own.
struct Origin {
    process: Child,
    url: String,
    token: String,
}

impl Origin {
    fn start(binary: &Path, folder: &Path, server: Option<&Server>) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.arg("origin").stdout(Stdio::piped());
        // A line for each of so many writes is not what is measured.
        command.env("WAYSIDE__LOG__LEVEL", "warn");
        command
            .env("WAYSIDE__ORIGIN__LISTEN", "127.0.0.1:0")
            .env("WAYSIDE__ORIGIN__DATA", folder);
        if let Some(server) = server {
            command.env("WAYSIDE__ORIGIN__STORE", server.database("record"));
        }
        let mut process = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let mut line = String::new();
        let said = process.stdout.take().context("its output")?;
        BufReader::new(said).read_line(&mut line)?;
        let url = line.split_whitespace().nth(1).context("the origin's URL")?.to_owned();
        let token = fs::read_to_string(folder.join("token")).context("read the token")?;
        Ok(Self {
            process,
            url,
            token: token.trim().to_owned(),
        })
    }

    /// Resident memory, in KiB.
    fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.context("VmRSS")
    }

    /// Processor time so far, in seconds: at 100 ticks a second, as Linux has them.
    fn processor_s(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let after_name = stat.rsplit(')').next().context("stat")?;
        let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// When each change was asked for and acknowledged, and how long observers waited for it.
struct Clock {
    start: Instant,
    sent: Vec<AtomicU64>,
    acknowledged: Vec<AtomicU64>,
    since_sent: Histogram,
    since_acknowledged: Histogram,
}

impl Clock {
    fn of(changes: usize) -> Self {
        let never = || (0..changes).map(|_| AtomicU64::new(NEVER)).collect();
        Self {
            start: Instant::now(),
            sent: never(),
            acknowledged: never(),
            since_sent: Histogram::default(),
            since_acknowledged: Histogram::default(),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(NEVER)
    }

    /// An observer is told of a change.
    fn told(&self, number: usize) {
        let now = self.now_ns();
        let since = |times: &[AtomicU64]| {
            times
                .get(number)
                .map(|at| now.saturating_sub(at.load(Ordering::Relaxed)))
        };
        if let Some(since) = since(&self.sent) {
            self.since_sent.add(since);
        }
        // Told before its acknowledgement arrived: at once.
        if let Some(since) = since(&self.acknowledged) {
            self.since_acknowledged.add(since);
        }
    }
}

/// How often each latency was seen.
struct Histogram(Vec<AtomicU64>);

impl Default for Histogram {
    fn default() -> Self {
        Self((0..=BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    fn add(&self, ns: u64) {
        let bucket = usize::try_from(ns / 1_000 / BUCKET_US).unwrap_or(BUCKETS).min(BUCKETS);
        if let Some(count) = self.0.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The latency that so many of a thousand do not exceed, in milliseconds.
    fn at(&self, thousandths: u64) -> f64 {
        let wanted = (self.count() * thousandths).div_ceil(1_000);
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += count.load(Ordering::Relaxed);
            seen >= wanted
        });
        let upper_us = (bucket.unwrap_or(BUCKETS) as u64 + 1) * BUCKET_US;
        f64::from(u32::try_from(upper_us).unwrap_or(u32::MAX)) / 1_000.0
    }
}

async fn measure(options: &Options, origin: &Origin) -> anyhow::Result<()> {
    let requests = options.rate * options.seconds / options.batch;
    let changes = usize::try_from(requests * options.batch)?;
    let http = http::client(&origin.url, &Roots::System).build()?;
    let site = json!({"name": "bench", "hosts": ["bench.example"]});
    write(&http, origin, "/v1/sites", &site).await?;
    time::sleep(Duration::from_secs(1)).await;
    let before = origin.resident_kib()?;
    let clock = Arc::new(Clock::of(changes));
    let is_over = Arc::new(AtomicBool::new(false));
    let observers = follow(options, origin, &clock, &is_over).await?;
    time::sleep(Duration::from_secs(2)).await;
    let idle = origin.resident_kib()?;
    let processor = origin.processor_s()?;
    let began = Instant::now();
    let busiest = Arc::new(AtomicU64::new(0));
    load(options, origin, &http, &clock, requests, &busiest).await?;
    let took = began.elapsed().as_secs_f64();
    let processor = (origin.processor_s()? - processor) / took;
    for observer in observers {
        time::timeout(Duration::from_secs(60), observer)
            .await
            .context("an observer was not told of all changes")???;
    }
    is_over.store(true, Ordering::Relaxed);
    let resident = Resident {
        before,
        idle,
        most: busiest.load(Ordering::Relaxed),
    };
    let rate = f64::from(requests * options.batch) / took;
    report(options, &clock, &resident, rate, processor);
    Ok(())
}

/// Resident memory of the origin, in KiB.
struct Resident {
    before: u64,
    idle: u64,
    most: u64,
}

fn report(options: &Options, clock: &Clock, resident: &Resident, rate: f64, processor: f64) {
    let Resident { before, idle, most } = *resident;
    let followers = options.followers as u64;
    println!(
        "record               {}",
        if options.sqlite { "SQLite" } else { "Postgres, fsync on" }
    );
    println!(
        "followers            {followers}, a connection each; {} of them take times",
        options.observers
    );
    println!("resident, alone      {:.1} MiB", mib(before));
    println!(
        "resident, idle       {:.1} MiB: {:.1} KiB a follower",
        mib(idle),
        per(idle - before, followers)
    );
    println!(
        "resident, most       {:.1} MiB: {:.1} KiB a follower",
        mib(most),
        per(most.saturating_sub(before), followers)
    );
    println!(
        "changes              {}, {rate:.0} a second, {} a transaction",
        clock.sent.len(),
        options.batch
    );
    println!("origin's processor   {processor:.2} cores");
    for (what, histogram) in [
        ("acknowledgement", &clock.since_acknowledged),
        ("request", &clock.since_sent),
    ] {
        println!(
            "told since {what:<15}  median {:.1} ms, p99 {:.1} ms, max {:.1} ms  ({} times)",
            histogram.at(500),
            histogram.at(990),
            histogram.at(1_000),
            histogram.count()
        );
    }
}

/// Begins to follow: some take times, the others read.
async fn follow(
    options: &Options,
    origin: &Origin,
    clock: &Arc<Clock>,
    is_over: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<()>>>> {
    let mut observers = Vec::new();
    for _ in 0..options.observers.min(options.followers) {
        let access = Access::by_token(&origin.token, Roots::System)?;
        let client = OriginClient::new(&origin.url, &access)?;
        observers.push(tokio::spawn(observe(client, Arc::clone(clock), clock.sent.len())));
    }
    for _ in observers.len()..options.followers {
        let client = http::client(&origin.url, &Roots::System)
            .http2_prior_knowledge()
            .build()?;
        let request = client
            .get(format!("{}{FEED_PATH}?cursor=0", origin.url))
            .bearer_auth(&origin.token);
        let mut response = request.send().await?.error_for_status()?;
        let is_over = Arc::clone(is_over);
        tokio::spawn(async move {
            while matches!(response.chunk().await, Ok(Some(_))) {}
            assert!(is_over.load(Ordering::Relaxed), "a feed ended");
        });
    }
    Ok(observers)
}

/// Writes changes at an even pace, whoever waits for an answer.
async fn load(
    options: &Options,
    origin: &Origin,
    http: &reqwest::Client,
    clock: &Arc<Clock>,
    requests: u32,
    busiest: &AtomicU64,
) -> anyhow::Result<()> {
    let mut pace = time::interval(Duration::from_secs_f64(
        f64::from(options.batch) / f64::from(options.rate),
    ));
    pace.set_missed_tick_behavior(time::MissedTickBehavior::Burst);
    let mut writes = Vec::new();
    for number in 0..requests {
        pace.tick().await;
        let first = number * options.batch;
        let links: Vec<_> = (first..first + options.batch)
            .map(|number| json!({"path": format!("/{number}"), "target": format!("https://target.example/{number}")}))
            .collect();
        let request = http
            .post(format!("{}/v1/links/batch", origin.url))
            .bearer_auth(&origin.token);
        let request = request
            .header("wayside-tenant", "bench")
            .json(&json!({"site": "bench", "links": links}));
        let (clock, range) = (
            Arc::clone(clock),
            usize::try_from(first)?..usize::try_from(first + options.batch)?,
        );
        writes.push(tokio::spawn(async move {
            let mark = |times: &[AtomicU64]| {
                let now = clock.now_ns();
                times[range.clone()]
                    .iter()
                    .for_each(|at| at.store(now, Ordering::Relaxed));
            };
            mark(&clock.sent);
            request.send().await?.error_for_status()?;
            mark(&clock.acknowledged);
            anyhow::Ok(())
        }));
        if number.is_multiple_of(100) {
            busiest.fetch_max(origin.resident_kib()?, Ordering::Relaxed);
        }
    }
    for write in writes {
        write.await??;
    }
    busiest.fetch_max(origin.resident_kib()?, Ordering::Relaxed);
    Ok(())
}

/// Takes the time of every change.
async fn observe(client: OriginClient, clock: Arc<Clock>, changes: usize) -> anyhow::Result<()> {
    let mut feed = client.feed(0, None).await?;
    let (mut told, mut last) = (0, 0);
    while told < changes {
        let event = feed.next().await?.context("the feed ended")?;
        if let Change::Link { path, .. } = event.change {
            ensure!(event.seq == last + 1, "a gap before {}", event.seq);
            clock.told(path.trim_start_matches('/').parse()?);
            told += 1;
        }
        last = event.seq;
    }
    Ok(())
}

async fn write(http: &reqwest::Client, origin: &Origin, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
    let request = http.post(format!("{}{path}", origin.url)).bearer_auth(&origin.token);
    request
        .header("wayside-tenant", "bench")
        .json(body)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn per(kib: u64, followers: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / f64::from(u32::try_from(followers.max(1)).unwrap_or(u32::MAX))
}
