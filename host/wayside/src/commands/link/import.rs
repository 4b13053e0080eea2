//! `wayside link import`: many links of one site out of a file.
//!
//! Links go in batches, each written whole or not at all, and each a replacement of what was there: the same file may be
//! imported again, or from where it stopped.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    client::{Client, refusal::Refusal},
    commands::values::name,
    dates,
    output::{self, Format},
    progress::Progress,
};

/// Links sent together.
const BATCH_LINKS: usize = 5_000;
/// And no more bytes of them, about.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Longest line, in bytes: a link with everything it can have.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// How long an origin that says "not now" is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before asking again.
const WAIT: Duration = Duration::from_secs(1);
/// What the API tells of a link beside what it takes.
const TOLD_ONLY: [&str; 3] = ["site", "created_at", "updated_at"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside link import shop links.csv           (a first line of names: path,target,status,tags,…)
  wayside link import shop links.jsonl         (an object a line, as the API takes it)
  wayside link import shop links.csv --from-line 500002
  wayside link list old --output json | jq -c '.items[]' | wayside link import new - --format jsonl";

/// How links are written down.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A line of names, then a link a line
    Csv,
    /// An object a line
    Jsonl,
}

/// What is imported, and whereto.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The site's name
    #[arg(value_parser = name)]
    site: String,
    /// The file; `-` for standard input
    file: PathBuf,
    /// How links are written down; by the file's ending unless said
    #[arg(long, value_enum)]
    format: Option<Kind>,
    /// Begin at this line of the file
    #[arg(long, value_name = "N", default_value_t = 1)]
    from_line: u64,
}

/// Writes the links of a file.
pub(super) async fn run(args: Args, client: &Client, format: Format) -> anyhow::Result<()> {
    let file = args.file.display().to_string();
    let kind = kind(&args)?;
    let (reader, size) = open(&args.file)?;
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        inner: reader,
        read: Arc::clone(&read),
    };
    let mut links = Links::new(BufReader::with_capacity(1 << 20, counted), kind, args.from_line)
        .with_context(|| format!("read {file}"))?;
    let (mut progress, mut written) = (Progress::start(), 0_u64);
    loop {
        let batch = links.batch().with_context(|| {
            let from = links.from_line;
            format!("read {file}; the {written} links before line {from} are written (go on with --from-line {from})")
        })?;
        let Some(batch) = batch else { break };
        send(client, &args.site, &batch).await.with_context(|| {
            let (first, last) = (batch.first_line(), batch.last_line());
            format!(
                "import lines {first} to {last} of {file}; the {written} links before are written (go on with --from-line {first})"
            )
        })?;
        written += batch.links.len() as u64;
        let share = size.map(|size| share(read.load(Ordering::Relaxed), size));
        progress.tell(written, "links", share);
    }
    let took = progress.end().as_secs_f64();
    let sentence = format!("wrote {written} links of site {} in {took:.1} s", args.site);
    output::done(
        format,
        &sentence,
        &json!({ "written": written, "site": args.site, "seconds": took }),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(read: u64, size: u64) -> f64 {
    read as f64 / size.max(1) as f64
}

fn kind(args: &Args) -> anyhow::Result<Kind> {
    if let Some(kind) = args.format {
        return Ok(kind);
    }
    match args.file.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Kind::Csv),
        Some("jsonl" | "ndjson") => Ok(Kind::Jsonl),
        _ => bail!(
            "{}: expected a name that ends in .csv or .jsonl, or --format csv or --format jsonl",
            args.file.display()
        ),
    }
}

/// The file, and how long it is where that is known.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
    let size = file
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|of| of.len());
    Ok((Box::new(file), size))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Links that are sent together, each with its line.
struct Batch {
    links: Vec<Value>,
    lines: Vec<u64>,
}

impl Batch {
    fn first_line(&self) -> u64 {
        self.lines.first().copied().unwrap_or_default()
    }

    fn last_line(&self) -> u64 {
        self.lines.last().copied().unwrap_or_default()
    }

    /// The line of the link that a refusal names as `links[N].field`.
    fn line_of(&self, field: &str) -> Option<u64> {
        let (index, _) = field.strip_prefix("links[")?.split_once(']')?;
        self.lines.get(index.parse::<usize>().ok()?).copied()
    }
}

/// Writes a batch. An origin that cannot now is asked again for a while: the same batch twice is the same as once.
async fn send(client: &Client, site: &str, batch: &Batch) -> anyhow::Result<()> {
    let body = json!({ "site": site, "links": batch.links });
    let until = Instant::now() + PATIENCE;
    loop {
        let Err(error) = client.send(Method::POST, &["v1", "links", "batch"], &body).await else {
            return Ok(());
        };
        let refusal = error.downcast_ref::<Refusal>();
        if refusal.is_some_and(Refusal::is_for_now) && Instant::now() < until {
            tokio::time::sleep(WAIT).await;
            continue;
        }
        let line = refusal.and_then(|refusal| batch.line_of(refusal.field()?));
        return Err(match line {
            Some(line) => error.context(format!("line {line}")),
            None => error,
        });
    }
}

/// The links of a file, in order.
struct Links<R> {
    lines: Lines<R>,
    /// The names in the first line of a CSV file.
    columns: Option<csv::StringRecord>,
    /// Where the next batch begins.
    from_line: u64,
}

impl<R: BufRead> Links<R> {
    fn new(reader: R, kind: Kind, from_line: u64) -> anyhow::Result<Self> {
        let mut lines = Lines { reader, number: 0 };
        let columns = match kind {
            Kind::Jsonl => None,
            Kind::Csv => {
                let first = lines
                    .next()?
                    .context("line 1: expected the columns' names, found nothing")?;
                let columns = record(&first).context("line 1")?;
                let has = |name| columns.iter().any(|column| column == name);
                ensure!(
                    has("path") && has("target"),
                    "line 1: expected the columns' names, `path` and `target` among them, found {first:?}"
                );
                Some(columns)
            }
        };
        while lines.number + 1 < from_line && lines.next()?.is_some() {}
        Ok(Self {
            from_line: lines.number + 1,
            lines,
            columns,
        })
    }

    /// The next links; none at the end.
    fn batch(&mut self) -> anyhow::Result<Option<Batch>> {
        self.from_line = self.lines.number + 1;
        let (mut bytes, mut links, mut numbers) = (0, Vec::new(), Vec::new());
        while links.len() < BATCH_LINKS && bytes < BATCH_BYTES {
            let Some(line) = self.lines.next()? else { break };
            if line.trim().is_empty() {
                continue;
            }
            let number = self.lines.number;
            let link = match &self.columns {
                Some(columns) => of_record(columns, &line),
                None => of_object(&line),
            };
            links.push(link.with_context(|| format!("line {number}"))?);
            numbers.push(number);
            bytes += line.len();
        }
        Ok((!links.is_empty()).then_some(Batch { links, lines: numbers }))
    }
}

/// Lines with their numbers, none longer than a link can be.
struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = Vec::new();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        ensure!(
            read < LINE_BYTES_MAX,
            "line {number}: expected at most {LINE_BYTES_MAX} bytes, found more"
        );
        let line = String::from_utf8(line).with_context(|| format!("line {number}: expected UTF-8"))?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }
}

fn of_object(line: &str) -> anyhow::Result<Value> {
    let mut link: Map<String, Value> = serde_json::from_str(line).context("expected a JSON object")?;
    for told in TOLD_ONLY {
        link.remove(told);
    }
    Ok(Value::Object(link))
}

/// The fields of one line; a field with a comma in it stands in quotes.
fn record(line: &str) -> anyhow::Result<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    reader
        .read_record(&mut record)
        .context("expected comma-separated values")?;
    Ok(record)
}

fn of_record(columns: &csv::StringRecord, line: &str) -> anyhow::Result<Value> {
    let record = record(line)?;
    ensure!(
        record.len() == columns.len(),
        "expected {} fields, found {}",
        columns.len(),
        record.len()
    );
    let mut link = Map::new();
    for (column, text) in columns.iter().zip(&record) {
        // What is left out is as if the column were not there.
        if !text.is_empty() && !TOLD_ONLY.contains(&column) {
            link.insert(column.to_owned(), value(column, text)?);
        }
    }
    Ok(Value::Object(link))
}

fn value(column: &str, text: &str) -> anyhow::Result<Value> {
    let wrong = |expected: &str| anyhow::anyhow!("{column}: expected {expected}, found {text:?}");
    Ok(match column {
        "status" => json!(text.parse::<u16>().map_err(|_| wrong("a status such as 302"))?),
        "forward_query" => json!(text.parse::<bool>().map_err(|_| wrong("`true` or `false`"))?),
        "starts_at" | "expires_at" => {
            json!(dates::parse(text).map_err(|expected| anyhow::anyhow!("{column}: {expected}"))?)
        }
        "tags" => json!(text.split_whitespace().collect::<Vec<_>>()),
        _ => json!(text),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{BATCH_LINKS, Kind, Links};

    fn read(text: &str, kind: Kind, from_line: u64) -> anyhow::Result<Vec<(u64, Value)>> {
        let mut links = Links::new(text.as_bytes(), kind, from_line)?;
        let mut all = Vec::new();
        while let Some(batch) = links.batch()? {
            assert!(batch.links.len() <= BATCH_LINKS);
            all.extend(batch.lines.into_iter().zip(batch.links));
        }
        Ok(all)
    }

    #[test]
    fn csv_has_names_and_leaves_out_what_it_likes() {
        let text = "path,target,status,tags,expires_at\r\n/a,https://a.example/,301,x y,2026-12-01T00:00:00Z\n\n\
            /b,\"https://b.example/?q=1,2\",,,\n";
        let links = read(text, Kind::Csv, 1).expect("links");
        let first = json!({"path": "/a", "target": "https://a.example/", "status": 301, "tags": ["x", "y"], "expires_at": 1_796_083_200});
        assert_eq!(links[0], (2, first));
        assert_eq!(
            links[1],
            (4, json!({"path": "/b", "target": "https://b.example/?q=1,2"}))
        );
        assert_eq!(read(text, Kind::Csv, 4).expect("links").len(), 1);
        assert_eq!(read(text, Kind::Csv, 99).expect("links").len(), 0);
    }

    #[test]
    fn json_lines_are_what_the_api_takes_and_tells() {
        let text =
            "{\"path\":\"/a\",\"target\":\"https://a.example/\",\"site\":\"go\",\"created_at\":1}\n{\"path\":\"/b\"}";
        let links = read(text, Kind::Jsonl, 1).expect("links");
        assert_eq!(links[0], (1, json!({"path": "/a", "target": "https://a.example/"})));
        assert_eq!(links[1].0, 2);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, kind, expected) in [
            ("", Kind::Csv, "line 1"),
            ("a,b\n", Kind::Csv, "line 1"),
            ("path,target\n/a\n", Kind::Csv, "line 2: expected 2 fields, found 1"),
            (
                "path,target,status\n/a,x,y\n",
                Kind::Csv,
                "line 2: status: expected a status",
            ),
            ("{}\n[]\n", Kind::Jsonl, "line 2: expected a JSON object"),
        ] {
            let error = format!("{:#}", read(text, kind, 1).expect_err(text));
            assert!(error.contains(expected), "{error}");
        }
        let long = "x".repeat(super::LINE_BYTES_MAX + 1);
        assert!(read(&long, Kind::Jsonl, 1).is_err());
    }
}
