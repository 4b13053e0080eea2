//! How a command line has to begin so that it can be pasted: in this folder, and by whoever has just built `wayside`.
//!
//! In: where the origin answers and where its token lies. Out: the words before the command's own. It must not know
//! what is tried with them.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::client::TOKEN_FILE;

/// `wayside` as it is called here, with what it must be told to reach the origin at `origin`, whose token is in
/// `token`.
pub(super) fn command(origin: SocketAddr, token: &Path) -> String {
    let program = program(env::args_os().next().map(PathBuf::from), is_on_path());
    let mut words = vec![quoted(&program), format!("--origin-url http://{origin}")];
    // Commands find the token by themselves where they look for it, and only for an origin of this machine.
    let is_found = origin.ip().is_loopback() && is_same_file(token, Path::new(TOKEN_FILE));
    if !is_found {
        let whole = std::path::absolute(token).unwrap_or_else(|_| token.to_owned());
        words.push(format!("--token-file {}", quoted(&whole)));
    }
    words.join(" ")
}

/// `wayside` where the shell knows it, else the path by which this process was started.
fn program(started_as: Option<PathBuf>, is_on_path: bool) -> PathBuf {
    let name = PathBuf::from("wayside");
    if is_on_path {
        return name;
    }
    // A name without a folder was looked up in a PATH that is not this one.
    let path = started_as.filter(|path| path.components().count() > 1);
    path.or_else(|| env::current_exe().ok()).unwrap_or(name)
}

fn is_on_path() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join("wayside").is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%,=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{program, quoted};

    #[test]
    fn the_program_is_called_by_a_name_that_leads_to_it() {
        let check = |started_as: &str, is_on_path, expected: &str| {
            let found = program(Some(PathBuf::from(started_as)), is_on_path);
            assert_eq!(found, Path::new(expected), "{started_as}");
        };
        check("target/debug/wayside", true, "wayside");
        check("target/debug/wayside", false, "target/debug/wayside");
        check("./wayside", false, "./wayside");
        let elsewhere = program(Some(PathBuf::from("wayside")), false);
        assert!(elsewhere.is_absolute(), "{}", elsewhere.display());
    }

    #[test]
    fn paths_are_one_word_each() {
        for (path, expected) in [
            ("target/debug/wayside", "target/debug/wayside"),
            ("/a b/token", "'/a b/token'"),
            ("/it's/token", r"'/it'\''s/token'"),
            ("~x", "'~x'"),
            ("/$HOME", "'/$HOME'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
