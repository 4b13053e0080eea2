//! What a node keeps on disk to start from: the last directory, its place in the feed, and the links it held.
//!
//! One JSON value a line: a header, the directory, one line a link, and at the end the digest of all that stands
//! before it. A file that is torn, changed or of another format is refused whole and the node starts without it.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use wayside_cache::links::LinkCache;
use wayside_decide::{
    digest::{Digest, Hasher},
    link::Link,
    site::SiteId,
};
use wayside_upstream::protocol::{Cursor, EdgeDirectory, EdgeLink};

use crate::files;

const FORMAT: u32 = 2;

/// A snapshot read back.
pub(crate) struct Snapshot {
    pub(crate) cursor: Cursor,
    pub(crate) directory: EdgeDirectory,
    pub(crate) links: Vec<(SiteId, String, Link)>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It is not what this version writes, or not all of it.
    #[error("expected a snapshot of format {FORMAT}, found {0}")]
    Unusable(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    cursor: Cursor,
}

#[derive(Serialize, Deserialize)]
struct Line {
    site_id: u64,
    path: String,
    link: EdgeLink,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

/// Writes the snapshot so that it is there whole or not at all. `cursor` must have been read before, so that every
/// change after it is seen again.
pub(crate) fn write(path: &Path, cursor: Cursor, directory: &EdgeDirectory, links: &LinkCache) -> io::Result<usize> {
    let mut written = 0;
    files::replace(path, |out| {
        let mut out = Sealing {
            out,
            digest: Digest::hasher(),
        };
        out.push(&Header { format: FORMAT, cursor })?;
        out.push(directory)?;
        for (site, path, held) in links.links() {
            let Some(link) = held.link.as_ref().map(EdgeLink::from) else {
                continue;
            };
            out.push(&Line {
                site_id: site.0,
                path: path.into(),
                link,
            })?;
            written += 1;
        }
        let seal = Seal {
            sha256: out.digest.clone().finish().to_string(),
        };
        out.push(&seal)
    })?;
    Ok(written)
}

/// Writes lines and takes their digest on the way, so that a million links need no memory at once.
struct Sealing<'o> {
    out: &'o mut dyn io::Write,
    digest: Hasher,
}

impl Sealing<'_> {
    fn push(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.out.write_all(&line)
    }
}

/// Reads a snapshot; none when there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Snapshot>, SnapshotError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let unusable = |found: &str| SnapshotError::Unusable(found.to_owned());
    let body = text
        .strip_suffix('\n')
        .ok_or_else(|| unusable("a file that ends in the middle of a line"))?;
    let (sealed, seal) = body.rsplit_once('\n').ok_or_else(|| unusable("less than two lines"))?;
    let seal: Seal = serde_json::from_str(seal).map_err(|_| unusable("no seal at the end"))?;
    let sealed = format!("{sealed}\n");
    if seal.sha256 != Digest::of(sealed.as_bytes()).to_string() {
        return Err(unusable("content that its seal does not fit"));
    }
    parse(&sealed)
        .map(Some)
        .map_err(|error| SnapshotError::Unusable(error.to_string()))
}

fn parse(sealed: &str) -> Result<Snapshot, Box<dyn std::error::Error>> {
    let mut lines = sealed.lines();
    let header: Header = serde_json::from_str(lines.next().unwrap_or_default())?;
    if header.format != FORMAT {
        return Err(format!("format {}", header.format).into());
    }
    let directory = serde_json::from_str(lines.next().unwrap_or_default())?;
    let links = lines.map(|line| {
        let Line { site_id, path, link } = serde_json::from_str(line)?;
        Ok((SiteId(site_id), path, Link::try_from(link)?))
    });
    let links: Vec<_> = links.collect::<Result<_, Box<dyn std::error::Error>>>()?;
    Ok(Snapshot {
        cursor: header.cursor,
        directory,
        links,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        future::Future,
        pin::Pin,
        sync::Arc,
        time::{Duration, Instant},
    };

    use wayside_cache::{
        links::{LinkCache, Settings},
        load::{LoadLink, Loaded},
    };
    use wayside_decide::{link::Link, site::SiteId};
    use wayside_upstream::protocol::{EdgeDirectory, EdgeLink};

    use super::{read, write};

    struct Nowhere;

    impl LoadLink for Nowhere {
        fn load<'a>(&'a self, _: SiteId, _: &'a str) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
            Box::pin(async { Ok(None) })
        }
    }

    #[tokio::test]
    async fn every_flipped_byte_and_every_cut_is_refused() {
        let settings = Settings {
            bytes_max: 1 << 20,
            ttl: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(1),
            stale_max: Duration::from_secs(1),
            load_timeout: Duration::from_secs(1),
        };
        let links = LinkCache::new(settings, Arc::new(Nowhere), tokio::runtime::Handle::current());
        let wire: EdgeLink = serde_json::from_str(r#"{"target":"https://a.example/","status":302}"#).expect("JSON");
        links.restore(SiteId(1), "/a", Link::try_from(wire).expect("link"), Instant::now());
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("deep/snapshot");
        assert!(read(&path).expect("no file").is_none());
        let directory = EdgeDirectory {
            epoch: None,
            cursor: 6,
            sites: Vec::new(),
        };
        assert_eq!(write(&path, 7, &directory, &links).expect("write"), 1);
        let snapshot = read(&path).expect("read").expect("snapshot");
        assert_eq!(
            (snapshot.cursor, snapshot.directory, snapshot.links.len()),
            (7, directory, 1)
        );
        let good = fs::read(&path).expect("bytes");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).expect("write");
            assert!(read(&path).is_err(), "byte {at} flipped");
            fs::write(&path, &good[..at]).expect("write");
            assert!(read(&path).is_err(), "cut at {at}");
        }
    }
}
