//! What a node keeps beside its links to start from: the last directory, its place in the feed, which links are
//! popular, and assets.
//!
//! Each is a file of JSON values, one a line: a header, what is kept, and at the end the digest of all that stands
//! before it. A file is replaced whole, and the one before it stays beside it as the last known good: where the newer
//! is torn, changed or of another format, it is set aside and the older one is read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wayside_cache::{aside::set_aside, clock::Kept, disk::Disk, links::Popular};
use wayside_decide::{digest::Digest, site::SiteId};
use wayside_upstream::protocol::{EdgeDirectory, streams::EdgeAsset};

use crate::{files, follow::Place};

const FORMAT: u32 = 3;

/// A node's place in the feed, as of some second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Every change up to here is forgotten in what is kept on disk.
    #[serde(flatten)]
    pub(crate) place: Place,
    /// Of which files of links that is true: a run without them goes on, and forgets nothing there.
    #[serde(default)]
    disk: Option<u64>,
    /// The node's own seconds.
    node_s: u64,
    /// The calendar's, of the same instant.
    wall_s: u64,
}

impl Position {
    pub(crate) fn new(place: Place, clock: Kept, disk: Option<&Disk>) -> Self {
        Self {
            place,
            disk: disk.map(Disk::id),
            node_s: clock.node_s,
            wall_s: clock.wall_s,
        }
    }

    /// Whether what these files have kept from before is as of the place.
    pub(crate) fn is_of(&self, disk: &Disk) -> bool {
        self.disk == Some(disk.id())
    }

    pub(crate) const fn clock(&self) -> Kept {
        Kept {
            node_s: self.node_s,
            wall_s: self.wall_s,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct PopularLine {
    hits: u32,
    site_id: u64,
    path: Box<str>,
}

/// An asset with its site.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptAsset {
    pub(crate) site_id: u64,
    pub(crate) asset: EdgeAsset,
    /// Whether nothing said that it may have changed by then.
    #[serde(default)]
    pub(crate) is_trusted: bool,
}

/// The folder in which all of it is.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    folder: PathBuf,
}

impl Snapshot {
    pub(crate) const fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The last directory; none when none can be read.
    pub(crate) fn directory(&self) -> Option<EdgeDirectory> {
        self.read("directory").and_then(|mut values| values.pop())
    }

    pub(crate) fn keep_directory(&self, directory: &EdgeDirectory) -> io::Result<()> {
        self.write("directory", std::iter::once(directory))
    }

    /// The place in the feed; none when none can be read.
    pub(crate) fn position(&self) -> Option<Position> {
        self.read("position").and_then(|mut values| values.pop())
    }

    /// Keeps the place in the feed. Everything before it must be forgotten on disk by then.
    pub(crate) fn keep_position(&self, position: &Position) -> io::Result<()> {
        self.write("position", std::iter::once(position))
    }

    /// The popular links, the most popular first.
    pub(crate) fn popular(&self) -> Vec<Popular> {
        let lines: Vec<PopularLine> = self.read("popular").unwrap_or_default();
        let popular = lines.into_iter().map(|line| Popular {
            hits: line.hits,
            site: SiteId(line.site_id),
            path: line.path,
        });
        popular.collect()
    }

    pub(crate) fn keep_popular(&self, popular: &[Popular]) -> io::Result<()> {
        let lines = popular.iter().map(|popular| PopularLine {
            hits: popular.hits,
            site_id: popular.site.0,
            path: popular.path.clone(),
        });
        self.write("popular", lines)
    }

    /// The assets that were held. Those of the file before the newest may have changed since: the place in the feed that is
    /// kept is beyond them.
    pub(crate) fn assets(&self) -> Vec<KeptAsset> {
        let Some((mut assets, is_newest)) = self.read_either::<KeptAsset>("assets") else {
            return Vec::new();
        };
        for asset in &mut assets {
            asset.is_trusted &= is_newest;
        }
        assets
    }

    /// Keeps assets: before a place in the feed beyond any of them is kept.
    pub(crate) fn keep_assets(&self, assets: impl Iterator<Item = KeptAsset>) -> io::Result<()> {
        self.write("assets", assets)
    }

    fn write<T: Serialize>(&self, name: &str, values: impl Iterator<Item = T>) -> io::Result<()> {
        files::rotate(&self.folder.join(name), |out| seal(out, name, values))
    }

    /// The values of a file, else of the one before it; says what is wrong with each that is set aside.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<Vec<T>> {
        self.read_either(name).map(|(values, _)| values)
    }

    /// As [`Self::read`], and whether they are those of the newest file.
    fn read_either<T: DeserializeOwned>(&self, name: &str) -> Option<(Vec<T>, bool)> {
        let newest = self.folder.join(name);
        let files = [(newest.clone(), true), (files::previous(&newest), false)];
        files.into_iter().find_map(|(path, is_newest)| match read(&path, name) {
            Ok(values) => values.map(|values| (values, is_newest)),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "set aside what the node kept; going on with what was kept before");
                if let Err(error) = set_aside(&path) {
                    tracing::error!(path = %path.display(), %error, "set aside a file");
                }
                None
            }
        })
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It is not what this version writes, or not all of it.
    #[error("expected a file of format {FORMAT}, found {0}")]
    Unusable(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

fn seal<T: Serialize>(out: &mut dyn io::Write, kind: &str, values: impl Iterator<Item = T>) -> io::Result<()> {
    let mut digest = Digest::hasher();
    let mut push = |line: Vec<u8>, out: &mut dyn io::Write| {
        let line = [&line[..], b"\n"].concat();
        digest.update(&line);
        out.write_all(&line)
    };
    let header = Header {
        format: FORMAT,
        kind: kind.to_owned(),
    };
    push(serde_json::to_vec(&header)?, out)?;
    for value in values {
        push(serde_json::to_vec(&value)?, out)?;
    }
    let sha256 = digest.finish().to_string();
    let mut line = serde_json::to_vec(&Seal { sha256 })?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads a file; none when there is none.
fn read<T: DeserializeOwned>(path: &Path, kind: &str) -> Result<Option<Vec<T>>, SnapshotError> {
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
    let unreadable = |error: serde_json::Error| SnapshotError::Unusable(error.to_string());
    let mut lines = sealed.lines();
    let header: Header = serde_json::from_str(lines.next().unwrap_or_default()).map_err(unreadable)?;
    if (header.format, header.kind.as_str()) != (FORMAT, kind) {
        return Err(SnapshotError::Unusable(format!(
            "{} of format {}",
            header.kind, header.format
        )));
    }
    let values = lines.map(serde_json::from_str);
    values.collect::<Result<_, _>>().map(Some).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use wayside_cache::{
        clock::Kept,
        disk::{self, Disk},
    };

    use super::{KeptAsset, Position, Snapshot, read};
    use crate::follow::Place;

    fn position(cursor: u64) -> Position {
        let clock = Kept { node_s: 5, wall_s: 6 };
        let place = Place {
            cursor: Some(cursor),
            ..Place::default()
        };
        Position::new(place, clock, None)
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let snapshot = Snapshot::of(folder.path().join("deep"));
        assert_eq!(snapshot.position(), None);
        snapshot.keep_position(&position(7)).expect("write");
        assert_eq!(snapshot.position(), Some(position(7)));
        let path = folder.path().join("deep/position");
        let good = fs::read(&path).expect("bytes");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).expect("write");
            assert!(read::<Position>(&path, "position").is_err(), "byte {at} flipped");
            fs::write(&path, &good[..at]).expect("write");
            assert!(read::<Position>(&path, "position").is_err(), "cut at {at}");
        }
        fs::write(&path, &good).expect("write");
        assert!(read::<Position>(&path, "directory").is_err(), "of another kind");
    }

    #[test]
    fn the_last_known_good_is_read_where_the_newest_is_damaged() {
        let folder = tempfile::tempdir().expect("folder");
        let snapshot = Snapshot::of(folder.path().to_owned());
        for cursor in 1..=3 {
            snapshot.keep_position(&position(cursor)).expect("write");
        }
        let path = folder.path().join("position");
        fs::write(&path, "torn").expect("write");
        assert_eq!(snapshot.position(), Some(position(2)));
        assert_eq!(
            fs::read(folder.path().join("position.unusable")).expect("aside"),
            b"torn"
        );
        snapshot.keep_position(&position(4)).expect("write");
        assert_eq!(snapshot.position(), Some(position(4)), "goes on");
        fs::remove_file(&path).expect("remove");
        assert_eq!(
            snapshot.position(),
            Some(position(2)),
            "as after a crash between two renames"
        );
        // A folder in a file's place is set aside as well.
        fs::create_dir(&path).expect("folder");
        assert_eq!(snapshot.position(), Some(position(2)));
        snapshot.keep_position(&position(5)).expect("write");
        assert_eq!(snapshot.position(), Some(position(5)));
    }

    #[test]
    fn assets_of_the_file_before_the_newest_are_not_trusted() {
        let folder = tempfile::tempdir().expect("folder");
        let snapshot = Snapshot::of(folder.path().to_owned());
        let keep = |of_before: &[bool]| {
            let assets = of_before.iter().map(|is_trusted| KeptAsset {
                site_id: 1,
                asset: serde_json::from_str(r#"{"id":"film"}"#).expect("an asset"),
                is_trusted: *is_trusted,
            });
            snapshot.keep_assets(assets).expect("write");
        };
        let trusted = || snapshot.assets().iter().map(|kept| kept.is_trusted).collect::<Vec<_>>();
        keep(&[true, false]);
        assert_eq!(trusted(), [true, false]);
        keep(&[true]);
        fs::write(folder.path().join("assets"), "torn").expect("write");
        assert_eq!(trusted(), [false, false]);
    }

    #[test]
    fn what_an_older_version_kept_is_read_and_checked() {
        let old: Position = serde_json::from_str(r#"{"epoch":null,"cursor":7,"resync":null,"node_s":5,"wall_s":6}"#)
            .expect("a place without its files of links");
        assert_eq!(old, position(7));
        let folder = tempfile::tempdir().expect("folder");
        let settings = disk::Settings {
            folder: folder.path().to_owned(),
            bytes_max: 1 << 20,
        };
        let disk = Disk::open(&settings).expect("a disk");
        assert!(!old.is_of(&disk));
        let now = Position::new(old.place.clone(), old.clock(), Some(&disk));
        assert!(now.is_of(&disk) && now != old);
        let kept: KeptAsset = serde_json::from_str(r#"{"site_id":1,"asset":{"id":"film"}}"#).expect("an asset");
        assert!(!kept.is_trusted);
    }
}
