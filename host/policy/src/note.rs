//! What a guest writes to its log.
//!
//! In: messages of any number and length. Out: the first few, cut to a readable length. They change no decision.

use std::fmt;

use crate::limits::{NOTE_BYTES_MAX, NOTES_MAX};

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following a policy step by step.
    Debug,
    /// Worth knowing.
    Info,
    /// Should be looked at.
    Warn,
    /// Went wrong.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// One message of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// The message, at most [`NOTE_BYTES_MAX`] bytes. Text of a tenant's: it may hold anything but is valid UTF-8.
    pub message: Box<str>,
}

/// The notes of one run. The first are kept, and an error in place of the last, so that a guest that talks much can
/// still say why it gives up.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    pub(crate) fn write(&mut self, level: Level, message: &str) {
        if self.0.len() == NOTES_MAX {
            if level != Level::Error {
                return;
            }
            self.0.pop();
        }
        let message = message[..message.floor_char_boundary(NOTE_BYTES_MAX)].into();
        self.0.push(Note { level, message });
    }

    /// What the guest said last, when that was an error: the SDK writes a panic's message there.
    pub(crate) fn last_error(&self) -> Option<&str> {
        let last = self.0.last().filter(|note| note.level == Level::Error);
        last.map(|note| &*note.message)
    }

    pub(crate) fn into_inner(self) -> Vec<Note> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Notes};
    use crate::limits::{NOTE_BYTES_MAX, NOTES_MAX};

    #[test]
    fn notes_are_few_and_short() {
        let mut notes = Notes::default();
        for _ in 0..100 {
            notes.write(Level::Info, &"é".repeat(NOTE_BYTES_MAX));
        }
        assert_eq!(notes.last_error(), None);
        notes.write(Level::Error, "x");
        assert_eq!(notes.last_error(), Some("x"));
        let notes = notes.into_inner();
        assert_eq!(notes.len(), NOTES_MAX);
        assert!(notes.iter().all(|note| note.message.len() <= NOTE_BYTES_MAX));
    }
}
