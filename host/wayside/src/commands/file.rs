//! Files that people name, standard input among them: read up to a limit, whatever they say of their length.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, ensure};

/// Reads a file of at most `bytes_max`; standard input, when it is called `-`.
pub(super) fn read_at_most(path: &Path, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let context = || format!("read {}", path.display());
    let from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(context)?)
    };
    let mut bytes = Vec::new();
    // A pipe says nothing of its length, and a file may grow.
    let one_more = bytes_max as u64 + 1;
    from.take(one_more).read_to_end(&mut bytes).with_context(context)?;
    ensure!(
        bytes.len() <= bytes_max,
        "{}: expected at most {bytes_max} bytes, found more",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::read_at_most;

    #[test]
    fn no_more_is_read_than_the_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "12345").expect("a file");
        assert_eq!(read_at_most(&path, 5).expect("as many"), b"12345");
        let refused = format!("{:#}", read_at_most(&path, 4).expect_err("more"));
        assert!(refused.contains("expected at most 4 bytes, found more"), "{refused}");
        // It says that it is empty, and never ends.
        let endless = read_at_most("/dev/zero".as_ref(), 4).expect_err("endless");
        assert!(endless.to_string().contains("found more"), "{endless}");
    }
}
