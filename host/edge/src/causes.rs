//! An error and what lies beneath it, on one line: for logs, and for the person at the command line.
//!
//! Many errors say in their own words what was attempted and leave why it failed to their source; the HTTP client's
//! says "error sending request" and keeps "connection refused" three sources down.

use std::error::Error;

/// The error and its causes, but for those that an error above has told already.
#[must_use]
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let words = found.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = found.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::told;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Above {
        words: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let above = |words| Above {
            words,
            source: io::Error::other("no such file"),
        };
        assert_eq!(told(&above("read it")), "read it: no such file");
        assert_eq!(told(&above("a.toml: no such file")), "a.toml: no such file");
    }
}
