//! Files of the node that cannot be used: kept for whoever wants to know why, and out of the way.

use std::{fs, io, path::Path};

/// Puts what cannot be used out of the way, in place of what was put there before.
///
/// # Errors
/// What the system says when it cannot be moved.
pub fn set_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_added_extension("unusable");
    match fs::symlink_metadata(&aside) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&aside)?,
        Ok(_) => fs::remove_file(&aside)?,
        Err(_) => {}
    }
    fs::rename(path, aside)
}
