//! Writing a file so that it is there whole or not at all.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Replaces `path` by `bytes`: written beside it, flushed to the disk, renamed over it, and the folder flushed, so that
/// a crash at any point leaves the old content or the new. Makes the folder when it is missing.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the path has no folder"))?;
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    // Snapshots hold the sites' keys: nobody but the node's own user reads them.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}
