//! Why a configuration cannot be used, in words for the person who wrote it.

use std::{collections::HashMap, ops::Range};

use serde::de::IgnoredAny;
use toml::Spanned;

use crate::suggest::meant;

/// A configuration that cannot be used. Its text names the place, what stands there and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A mistake in the file.
    #[error("{file}:{line}:{column}: {problem}")]
    File {
        /// The file's name, as it was handed in.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What stands there and what was expected.
        problem: String,
    },
    /// A mistake in an environment variable.
    #[error("{variable}: {problem}")]
    Variable {
        /// The variable's name.
        variable: String,
        /// What stands there and what was expected.
        problem: String,
    },
    /// Two settings, each right in itself, that exclude each other.
    #[error("{one} and {other} are both set, expected only one of them")]
    Conflict {
        /// The one, as `section.key`.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Two settings that mean nothing without each other.
    #[error("only one of {one} and {other} is set, expected both or neither")]
    Apart {
        /// The one, as `section.key`.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A setting that means nothing without another.
    #[error("{one} is set without {other}, expected both")]
    Alone {
        /// The one, as `section.key`.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Something that no single value is wrong about.
    #[error("{field}: {problem}")]
    Field {
        /// Where it stands, as `section.key`.
        field: String,
        /// What stands there and what was expected.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn in_file(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let (line, column) = position(text, error.span());
        Self::File {
            file: file.to_owned(),
            line,
            column,
            problem: explain(error.message()),
        }
    }

    /// The same with its place in the file, where the setting that it names stands there.
    pub(crate) fn placed(self, file: &str, text: &str) -> Self {
        let Self::Field { field, problem } = &self else {
            return self;
        };
        let Some(span) = span(text, field) else {
            return self;
        };
        let (line, column) = position(text, Some(span));
        Self::File {
            file: file.to_owned(),
            line,
            column,
            problem: format!("{field}: {problem}"),
        }
    }

    pub(crate) fn in_variable(variable: &str, message: &str) -> Self {
        Self::Variable {
            variable: variable.to_owned(),
            problem: explain(message),
        }
    }
}

/// Where the key of a setting stands; of one within a list, the list's.
fn span(text: &str, field: &str) -> Option<Range<usize>> {
    let (section, key) = field.split_once('.')?;
    let key = key.split(['.', '[']).next()?;
    let sections: HashMap<String, HashMap<Spanned<String>, IgnoredAny>> = toml::from_str(text).ok()?;
    let found = sections.get(section)?.keys().find(|found| found.get_ref() == key)?;
    Some(found.span())
}

/// Line and column of a span's beginning, both from 1.
fn position(text: &str, span: Option<Range<usize>>) -> (usize, usize) {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The message on one line, with a suggestion where there is one.
fn explain(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match meant(&line) {
        Some(name) => format!("{line} (did you mean `{name}`?)"),
        None => line,
    }
}
