//! The last good manifests on the node's disk, for a start while their origin is away.
//!
//! A file each, whole or not at all: its first line is the SHA-256 of the rest, its second says what it is, and the
//! manifest follows as it came. Its time is that of the origin's last word that it is so. What is damaged or of another URL
//! counts as absent. All of it blocks.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
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
    pub(super) interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the folder has, once it was looked at.
    bytes: Option<u64>,
    /// What was kept just before.
    kept: HashMap<PathBuf, Kept>,
}

#[derive(Debug)]
struct Kept {
    at: Instant,
    /// Which content.
    id: u64,
    /// Whether somebody comes for what followed on it.
    is_awaited: bool,
}

/// What became of a manifest that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// The content of this number is there.
    There(u64),
    /// Another was kept just before: this one may be in so long.
    Later(Duration),
    /// There is none, or it is too large, or somebody comes for it already.
    Not,
}

/// A manifest as it was kept: its bytes, what tells them from the next, and how long ago its origin said that it is so.
pub(super) type Shelved = (Bytes, Validators, Duration);

/// What a manifest is.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    site: u64,
    url: String,
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
            interval: KEEP_INTERVAL,
            state: Mutex::default(),
        }
    }

    /// Keeps the manifest of a URL, if `current` has one, unless another was kept just before: then who asks first is told
    /// in how long to come again.
    pub(super) fn keep(
        &self,
        site: SiteId,
        url: &str,
        current: impl FnOnce() -> Option<Arc<Content>>,
    ) -> io::Result<Keeping> {
        let path = self.path(site, url);
        let mut state = self.lock();
        let now = Instant::now();
        state.kept.retain(|_, kept| now < kept.at + self.interval);
        let Some(content) = current().filter(|content| content.body.len() as u64 <= self.bytes_max) else {
            return Ok(Keeping::Not);
        };
        if let Some(kept) = state.kept.get_mut(&path) {
            if kept.id == content.id {
                return Ok(Keeping::There(content.id));
            }
            return Ok(match std::mem::replace(&mut kept.is_awaited, true) {
                true => Keeping::Not,
                false => Keeping::Later(kept.at + self.interval - now),
            });
        }
        let header = Header {
            site: site.0,
            url: url.to_owned(),
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
        let kept = Kept {
            at: now,
            id: content.id,
            is_awaited: false,
        };
        state.kept.insert(path.clone(), kept);
        let bytes = match state.bytes {
            Some(bytes) => (bytes + fs::metadata(&path)?.len()).saturating_sub(before),
            None => self.list()?.iter().map(|(_, _, bytes)| bytes).sum(),
        };
        state.bytes = Some(if bytes > self.bytes_max { self.tidy()? } else { bytes });
        Ok(Keeping::There(content.id))
    }

    /// Notes that the origin has confirmed the manifest of a URL; false when there is none.
    pub(super) fn confirm(&self, site: SiteId, url: &str) -> io::Result<bool> {
        let _state = self.lock();
        match File::options().write(true).open(self.path(site, url)) {
            Ok(file) => file.set_modified(SystemTime::now()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the manifest of a URL, if there is one.
    pub(super) fn remove(&self, site: SiteId, url: &str) -> io::Result<()> {
        let path = self.path(site, url);
        let mut state = self.lock();
        state.kept.remove(&path);
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        state.bytes = state.bytes.map(|bytes| bytes.saturating_sub(before));
        Ok(())
    }

    /// The manifest of a URL and how long ago its origin said that it is so; none when there is none that is whole.
    pub(super) fn read(&self, site: SiteId, url: &str) -> Option<Shelved> {
        let mut file = File::open(self.path(site, url)).ok()?;
        let confirmed = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let bytes = Bytes::from(bytes);
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
        // By a clock that was put back it is new.
        let age = SystemTime::now().duration_since(confirmed).unwrap_or_default();
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

    /// Nothing is kept, confirmed or removed while somebody has this.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        self.lock()
    }

    /// One at a time, so that what is counted is what is there.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, site: SiteId, url: &str) -> PathBuf {
        let name = Digest::of(format!("{site} {url}").as_bytes()).to_string();
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use wayside_decide::{site::SiteId, stream::base::BaseUrl, target::Target};

    use super::{Keeping, Shelf};
    use crate::streams::{
        fetch::Validators,
        manifests::{
            content::{self, Content},
            kind::Kind,
        },
    };

    /// A playlist of about so many bytes.
    fn content(id: u64, url: &str, bytes: usize) -> Arc<Content> {
        let folder = BaseUrl::parse("http://a.example/").expect("a folder");
        let url = Target::parse(url).expect("a URL");
        let text = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#{}", "x".repeat(bytes));
        let read = content::read(id, Kind::Hls, (&url, &folder), Bytes::from(text), Validators::default());
        Arc::new(read.expect("a playlist"))
    }

    fn keep(shelf: &Shelf, content: &Arc<Content>) -> Keeping {
        let kept = shelf.keep(SiteId(1), &content.url, || Some(Arc::clone(content)));
        kept.expect("kept")
    }

    #[test]
    fn the_folder_does_not_grow_past_its_room() {
        let disk = tempfile::tempdir().expect("folder");
        let shelf = Shelf::new(disk.path().join("manifests"), 50_000);
        for number in 0..40 {
            keep(
                &shelf,
                &content(number, &format!("http://a.example/{number}.m3u8"), 4_000),
            );
            let bytes: u64 = shelf.list().expect("files").iter().map(|(_, _, bytes)| bytes).sum();
            assert!(bytes <= 50_000, "{bytes} bytes after {number}");
        }
        assert!(shelf.read(SiteId(1), "http://a.example/39.m3u8").is_some());
        assert!(
            shelf.read(SiteId(2), "http://a.example/39.m3u8").is_none(),
            "of another site"
        );
        assert!(shelf.read(SiteId(1), "http://a.example/0.m3u8").is_none(), "the oldest");
        keep(&shelf, &content(99, "http://a.example/99.m3u8", 60_000));
        assert!(
            shelf.read(SiteId(1), "http://a.example/99.m3u8").is_none(),
            "larger than all"
        );
    }

    #[test]
    fn what_follows_soon_waits_for_its_turn_and_what_is_removed_is_gone() {
        let disk = tempfile::tempdir().expect("folder");
        let mut shelf = Shelf::new(disk.path().join("manifests"), 50_000);
        let url = "http://a.example/1.m3u8";
        let size = |shelf: &Shelf| shelf.read(SiteId(1), url).map(|(body, ..)| body.len() / 1_000);
        assert_eq!(keep(&shelf, &content(1, url, 1_000)), Keeping::There(1));
        assert_eq!(
            keep(&shelf, &content(1, url, 1_000)),
            Keeping::There(1),
            "that one was kept"
        );
        let wait = keep(&shelf, &content(2, url, 2_000));
        assert!(
            matches!(wait, Keeping::Later(wait) if wait <= shelf.interval),
            "{wait:?}"
        );
        assert_eq!(
            keep(&shelf, &content(3, url, 3_000)),
            Keeping::Not,
            "somebody comes already"
        );
        assert_eq!(size(&shelf), Some(1));
        shelf.interval = Duration::ZERO;
        assert_eq!(keep(&shelf, &content(3, url, 3_000)), Keeping::There(3));
        assert_eq!(size(&shelf), Some(3));
        shelf.remove(SiteId(1), url).expect("removed");
        shelf.remove(SiteId(1), url).expect("nothing there");
        let kept = shelf.keep(SiteId(1), url, || None).expect("nothing to keep");
        assert_eq!((kept, size(&shelf)), (Keeping::Not, None));
    }
}
