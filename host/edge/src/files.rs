//! Writing a file so that it is there whole or not at all.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Replaces `path` by what `write` writes: written beside it, flushed to the disk, renamed over it, and the folder flushed, so that
/// a crash at any point leaves the old content or the new. Makes the folder when it is missing.
///
/// # Errors
/// What the system says, or `write`.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    let beside = write_beside(path, write)?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

/// As [`replace`], and what was there before stays beside it, at [`previous`]. After a crash in the middle only that is
/// there.
pub(crate) fn rotate(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    let beside = write_beside(path, write)?;
    match fs::rename(path, previous(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&beside, path)?;
    // From the first time on there are two, so that damage to one is none to the other.
    if !previous(path).exists() {
        fs::copy(path, previous(path))?;
    }
    sync_folder(path)
}

/// Where [`rotate`] leaves what was there before.
pub(crate) fn previous(path: &Path) -> PathBuf {
    path.with_added_extension("previous")
}

fn write_beside(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<PathBuf> {
    fs::create_dir_all(folder(path)?)?;
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
    Ok(beside)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(folder(path)?)?.sync_all()
}

fn folder(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::other("the path has no folder"))
}
