//! The last good manifests on the node's disk, for a start while their origin is away.
//!
//! A file each, whole or not at all: its first line is the SHA-256 of the rest, its second says what it is, and the
//! manifest follows as it came. What is damaged or of another URL counts as absent. All of it blocks.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wayside_decide::{digest::Digest, site::SiteId};

use super::content::Content;
use crate::{files, streams::fetch::Validators};

/// How long between two of the same manifest, at least: those of live streams change all the time.
const KEEP_INTERVAL: Duration = Duration::from_secs(30);
/// What remains when there is too much, of sixteen parts.
const REMAINING: u64 = 15;

/// The folder of manifests.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the folder has, once it was looked at.
    bytes: Option<u64>,
    /// When each was kept.
    kept: HashMap<PathBuf, Instant>,
}

/// What a manifest is.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    site: u64,
    url: String,
    kept_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<Box<str>>,
}

impl Shelf {
    /// Manifests in this folder, of so many bytes together.
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self {
            folder,
            bytes_max,
            state: Mutex::default(),
        }
    }

    /// Keeps a manifest, unless that was done just before.
    pub(super) fn keep(&self, site: SiteId, content: &Content) -> io::Result<()> {
        let path = self.path(site, &content.url);
        // One at a time, so that what is counted is what is there.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.kept.retain(|_, kept| now < *kept + KEEP_INTERVAL);
        if state.kept.contains_key(&path) || content.body.len() as u64 > self.bytes_max {
            return Ok(());
        }
        let header = Header {
            site: site.0,
            url: content.url.to_string(),
            kept_s: unix_s(),
            etag: content.validators.etag.clone(),
            last_modified: content.validators.last_modified.clone(),
        };
        let sealed = [&serde_json::to_vec(&header)?[..], b"\n", &content.body].concat();
        let digest = Digest::of(&sealed).to_string();
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        files::replace(&path, |out| {
            writeln!(out, "{digest}")?;
            out.write_all(&sealed)
        })?;
        state.kept.insert(path.clone(), now);
        let bytes = match state.bytes {
            Some(bytes) => (bytes + fs::metadata(&path)?.len()).saturating_sub(before),
            None => self.list()?.iter().map(|(_, _, bytes)| bytes).sum(),
        };
        state.bytes = Some(if bytes > self.bytes_max { self.tidy()? } else { bytes });
        Ok(())
    }

    /// The manifest of a URL and how long ago it was kept; none when there is none that is whole.
    pub(super) fn read(&self, site: SiteId, url: &str) -> Option<(Bytes, Validators, Duration)> {
        let bytes = Bytes::from(fs::read(self.path(site, url)).ok()?);
        let digest_end = bytes.iter().position(|byte| *byte == b'\n')?;
        let sealed = bytes.slice(digest_end + 1..);
        if bytes[..digest_end] != *Digest::of(&sealed).to_string().as_bytes() {
            return None;
        }
        let header_end = sealed.iter().position(|byte| *byte == b'\n')?;
        let header: Header = serde_json::from_slice(&sealed[..header_end]).ok()?;
        if (header.site, header.url.as_str()) != (site.0, url) {
            return None;
        }
        let validators = Validators {
            etag: header.etag,
            last_modified: header.last_modified,
        };
        let age = Duration::from_secs(unix_s().saturating_sub(header.kept_s));
        Some((sealed.slice(header_end + 1..), validators, age))
    }

    /// Removes the oldest until there is room, and says what there is.
    fn tidy(&self) -> io::Result<u64> {
        let mut all = self.list()?;
        all.sort();
        let mut bytes: u64 = all.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, size) in all {
            if bytes <= self.bytes_max / 16 * REMAINING {
                break;
            }
            fs::remove_file(path)?;
            bytes -= size;
        }
        Ok(bytes)
    }

    fn list(&self) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
        let files = fs::read_dir(&self.folder)?.map(|entry| {
            let entry = entry?;
            let metadata = entry.metadata()?;
            Ok((metadata.modified()?, entry.path(), metadata.len()))
        });
        files.collect()
    }

    fn path(&self, site: SiteId, url: &str) -> PathBuf {
        let name = Digest::of(format!("{site} {url}").as_bytes()).to_string();
        self.folder.join(name)
    }
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wayside_decide::{site::SiteId, stream::base::BaseUrl, target::Target};

    use super::Shelf;
    use crate::streams::{
        fetch::Validators,
        manifests::{Kind, content},
    };

    #[test]
    fn the_folder_does_not_grow_past_its_room() {
        let disk = tempfile::tempdir().expect("folder");
        let shelf = Shelf::new(disk.path().join("manifests"), 50_000);
        let folder = BaseUrl::parse("http://a.example/").expect("a folder");
        let content = |number: usize, bytes: usize| {
            let url = Target::parse(&format!("http://a.example/{number}.m3u8")).expect("a URL");
            let text = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#{}", "x".repeat(bytes));
            let read = content::read(0, Kind::Hls, (&url, &folder), Bytes::from(text), Validators::default());
            read.expect("a playlist")
        };
        for number in 0..40 {
            shelf.keep(SiteId(1), &content(number, 4_000)).expect("kept");
            let bytes: u64 = shelf.list().expect("files").iter().map(|(_, _, bytes)| bytes).sum();
            assert!(bytes <= 50_000, "{bytes} bytes after {number}");
        }
        assert!(shelf.read(SiteId(1), "http://a.example/39.m3u8").is_some());
        assert!(
            shelf.read(SiteId(2), "http://a.example/39.m3u8").is_none(),
            "of another site"
        );
        assert!(shelf.read(SiteId(1), "http://a.example/0.m3u8").is_none(), "the oldest");
        shelf.keep(SiteId(1), &content(99, 60_000)).expect("passed over");
        assert!(
            shelf.read(SiteId(1), "http://a.example/99.m3u8").is_none(),
            "larger than all"
        );
    }
}
