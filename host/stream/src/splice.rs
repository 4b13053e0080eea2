//! Changing a few places of a text and nothing else.
//!
//! In: bytes and changes at their places. Out: the bytes with the changes, everything between them as it was. It must not
//! know what the text means.

use std::ops::Range;

use crate::sign;

/// Largest playlist that is read, in bytes.
pub const PLAYLIST_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Largest playlist that is written, in bytes: each pathway adds its copies.
pub const SPLICED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a playlist was not spliced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too large.
    #[error("playlist: found {found} bytes, expected {most} at most")]
    Size {
        /// How large.
        found: usize,
        /// How large it may be.
        most: usize,
    },
    /// With what is spliced in it would be too large.
    #[error("spliced playlist: found more than {most} bytes, expected {most} at most")]
    Spliced {
        /// How large it may be.
        most: usize,
    },
    /// It is broken, or has what cannot be steered.
    #[error("line {line}: found {found}, expected {expected}")]
    Line {
        /// Where, from 1.
        line: usize,
        /// What stands there, shortened.
        found: String,
        /// What should.
        expected: String,
    },
    /// A URL could not be signed.
    #[error("line {line}: {error}")]
    Sign {
        /// Where, from 1.
        line: usize,
        /// Why.
        error: sign::Error,
    },
    /// The pathways to be spliced in are none, or two of one name, or not those of the playlist.
    #[error("pathways: found {found}, expected one or more, each with a name of its own, to begin on one of them")]
    Pathways {
        /// What they are.
        found: String,
    },
}

impl Error {
    /// Something wrong in a line.
    pub(crate) fn line(line: usize, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Line {
            line,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// The text of a playlist.
///
/// # Errors
/// [`Error::Line`] when it is no UTF-8.
pub(crate) fn text(playlist: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(playlist).map_err(|broken| {
        let before = playlist.get(..broken.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::line(line, "bytes that are no UTF-8", "UTF-8")
    })
}

/// Changes to a text.
#[derive(Debug)]
pub(crate) struct Edits<'a> {
    text: &'a [u8],
    edits: Vec<(Range<usize>, With)>,
    added: usize,
}

/// What takes the place of a range.
#[derive(Debug)]
enum With {
    Text(String),
    /// Something that is not known yet, by its number.
    Hole(usize),
}

impl<'a> Edits<'a> {
    /// No changes yet.
    ///
    /// # Errors
    /// [`Error::Size`] when the text is too large to be read.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, Error> {
        if text.len() > PLAYLIST_BYTES_MAX {
            return Err(Error::Size {
                found: text.len(),
                most: PLAYLIST_BYTES_MAX,
            });
        }
        Ok(Self {
            text,
            edits: Vec::new(),
            added: 0,
        })
    }

    /// Puts `with` in place of `range`. Ranges do not overlap; those that begin at one place are kept in the order in
    /// which they came.
    ///
    /// # Errors
    /// [`Error::Spliced`] when that would be too large.
    pub(crate) fn replace(&mut self, range: Range<usize>, with: String) -> Result<(), Error> {
        self.check_room(with.len())?;
        self.added += with.len();
        self.edits.push((range, With::Text(with)));
        Ok(())
    }

    /// Whether there is room for so many bytes more. To be asked before copies are made.
    ///
    /// # Errors
    /// [`Error::Spliced`] when there is not.
    pub(crate) fn check_room(&self, more: usize) -> Result<(), Error> {
        if self.text.len() + self.added + more > SPLICED_BYTES_MAX {
            let most = SPLICED_BYTES_MAX;
            return Err(Error::Spliced { most });
        }
        Ok(())
    }

    /// Puts `what` at a place.
    ///
    /// # Errors
    /// As [`Edits::replace`].
    pub(crate) fn insert(&mut self, at: usize, what: String) -> Result<(), Error> {
        self.replace(at..at, what)
    }

    /// Leaves a hole in place of `range`, to be filled by its number.
    pub(crate) fn leave(&mut self, range: Range<usize>, hole: usize) {
        self.edits.push((range, With::Hole(hole)));
    }

    /// The text with its changes, around its holes.
    pub(crate) fn template(mut self) -> Template {
        self.edits.sort_by_key(|(range, _)| range.start);
        let mut template = Template::default();
        let mut left = self.text.len() + self.added;
        let mut part = Vec::with_capacity(left);
        let mut done = 0;
        for (range, with) in &self.edits {
            // What overlaps was a mistake of ours; what is done is not written twice for it.
            part.extend_from_slice(self.text.get(done..range.start).unwrap_or_default());
            done = done.max(range.end);
            match with {
                With::Text(text) => part.extend_from_slice(text.as_bytes()),
                With::Hole(hole) => {
                    left = left.saturating_sub(part.len());
                    // No part keeps the room of those behind it.
                    let whole = std::mem::replace(&mut part, Vec::with_capacity(left));
                    template.before_holes.push((whole.into(), *hole));
                }
            }
        }
        part.extend_from_slice(self.text.get(done..).unwrap_or_default());
        template.end = part.into();
        template
    }
}

/// A text with holes: what is the same for all sessions is worked out once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    before_holes: Vec<(Box<[u8]>, usize)>,
    end: Box<[u8]>,
}

impl Template {
    /// What it takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let parts = self.before_holes.iter();
        parts
            .map(|(part, _)| part.len() + size_of::<(Box<[u8]>, usize)>())
            .sum::<usize>()
            + self.end.len()
    }

    /// The text with `with` in its holes, by their numbers.
    pub(crate) fn fill(&self, with: &[String]) -> Vec<u8> {
        let parts: usize = self.before_holes.iter().map(|(part, _)| part.len()).sum();
        let added: usize = with.iter().map(String::len).sum();
        let mut filled = Vec::with_capacity(parts + added + self.end.len());
        for (part, hole) in &self.before_holes {
            filled.extend_from_slice(part);
            filled.extend_from_slice(with.get(*hole).map_or(b"", |text| text.as_bytes()));
        }
        filled.extend_from_slice(&self.end);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::{Edits, Error, PLAYLIST_BYTES_MAX, text};

    #[test]
    fn what_is_not_changed_stays_as_it_was() {
        let mut edits = Edits::new(b"one two\xff three").expect("short");
        edits.replace(4..7, "2".to_owned()).expect("short");
        edits.insert(0, "<".to_owned()).expect("short");
        edits.insert(14, ">".to_owned()).expect("short");
        assert_eq!(edits.template().fill(&[]), b"<one 2\xff three>");
    }

    #[test]
    fn holes_are_filled_by_their_numbers() {
        let mut edits = Edits::new(b"one two three").expect("short");
        edits.leave(4..7, 1);
        edits.insert(13, "!".to_owned()).expect("short");
        edits.leave(13..13, 0);
        let template = edits.template();
        assert_eq!(template.fill(&["<".to_owned(), "2".to_owned()]), b"one 2 three!<");
        assert_eq!(template.fill(&["<".to_owned()]), b"one  three!<");
    }

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        assert_eq!(text("a\né".as_bytes()), Ok("a\né"));
        let refused = text(b"a\n\nb\xff").expect_err("no text").to_string();
        assert_eq!(refused, "line 3: found bytes that are no UTF-8, expected UTF-8");
    }

    #[test]
    fn sizes_are_bounded() {
        let large = vec![b'x'; PLAYLIST_BYTES_MAX + 1];
        let text = Edits::new(&large).expect_err("too large").to_string();
        assert_eq!(text, "playlist: found 10485761 bytes, expected 10485760 at most");
        let mut edits = Edits::new(&large[1..]).expect("just not too large");
        let refused = (0..30).find_map(|_| edits.insert(0, "y".repeat(1024 * 1024)).err());
        assert_eq!(refused, Some(Error::Spliced { most: 16 * 1024 * 1024 }));
    }

    #[test]
    fn what_is_kept_weighs_what_it_says() {
        let text = vec![b'x'; 1_000_000];
        let mut edits = Edits::new(&text).expect("short");
        edits.leave(8..8, 0);
        edits.leave(500_000..500_000, 1);
        edits.insert(500_000, "y".repeat(100_000)).expect("short");
        let weight = edits.template().weight();
        assert!((1_100_000..1_101_000).contains(&weight), "{weight} bytes");
    }
}
