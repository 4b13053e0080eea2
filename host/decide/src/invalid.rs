//! The one error of every parser in this crate: what was read, what stood there, what would have been right.

use std::fmt::Write as _;

/// How much of a refused text an error repeats, in characters.
const FOUND_CHARS_MAX: usize = 80;

/// A text or number that cannot become a domain type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: found {found}, expected {expected}")]
pub struct Invalid {
    /// The kind of thing that was read, in the field's words: `target`, `host name`, `status`.
    pub what: &'static str,
    /// What stood there, quoted, escaped and cut to a readable length.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

impl Invalid {
    /// An error about `text`, which is quoted, escaped and shortened.
    #[must_use]
    pub fn text(what: &'static str, text: &str, expected: impl Into<String>) -> Self {
        Self {
            what,
            found: quote(text),
            expected: expected.into(),
        }
    }

    /// An error about something that is not text, described in the caller's words.
    #[must_use]
    pub fn other(what: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            what,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// `text` in double quotes, control characters escaped, cut after `FOUND_CHARS_MAX` characters.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut characters = text.chars();
    for character in characters.by_ref().take(FOUND_CHARS_MAX) {
        quoted.extend(character.escape_debug());
    }
    let rest = characters.count();
    quoted.push('"');
    if rest > 0 {
        // Writing to a String cannot fail.
        let _ = write!(quoted, " and {rest} more characters");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quoting_escapes_and_shortens() {
        assert_eq!(quote("a\r\nb"), r#""a\r\nb""#);
        assert_eq!(
            quote(&"x".repeat(83)),
            format!("\"{}\" and 3 more characters", "x".repeat(80))
        );
    }
}
