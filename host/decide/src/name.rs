//! Names that people give: of tenants, sites, policies, settings.

use std::fmt;

use crate::{invalid::Invalid, limits::NAME_BYTES_MAX};

/// A name of letters, digits, `-`, `_` and `.`, starting with a letter or digit. Case counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Reads a name; `what` says of what, for the error (`site name`).
    ///
    /// # Errors
    /// [`Invalid`] when it is empty, too long or holds another character.
    pub fn parse(what: &'static str, text: &str) -> Result<Self, Invalid> {
        if !Self::is_valid(text) {
            let expected =
                format!("1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`, starting with a letter or digit");
            return Err(Invalid::text(what, text, expected));
        }
        Ok(Self(text.into()))
    }

    /// Whether a text is a name; cheaper than reading it.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let is_of_set = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        starts_well && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_of_set)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_plain() {
        for good in ["a", "geo-redirect", "A_1.2", &"x".repeat(64)] {
            assert!(Name::parse("site name", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert!(Name::parse("site name", bad).is_err(), "{bad:?}");
        }
    }
}
