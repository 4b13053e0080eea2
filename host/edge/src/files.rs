//! Writing a file so that it is there whole or not at all.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Replaces `path` by what `write` writes: written beside it, flushed to the disk, renamed over it, and the folder flushed, so that
/// a crash at any point leaves the old content or the new. Makes the folder when it is missing.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the path has no folder"))?;
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    // Snapshots hold the sites' keys: nobody but the node's own user reads them.
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    let mut buffered = io::BufWriter::new(file);
    write(&mut buffered)?;
    buffered.into_inner()?.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}
