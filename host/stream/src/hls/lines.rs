//! The lines of a playlist, §4.1.
//!
//! In: bytes. Out: lines with their places. Lines end with a line feed, before which a carriage return may stand.

use std::ops::Range;

use wayside_decide::invalid::quote;

use crate::splice::{self, Error};

/// What a playlist begins with.
const HEADER: &str = "#EXTM3U";

/// The byte order mark. A playlist must not have one; where it does, it stays.
const BOM: char = '\u{feff}';

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// Which, from 1.
    pub(super) number: usize,
    /// Its text, without its end.
    pub(super) text: &'a str,
    /// Where the text stands.
    pub(super) range: Range<usize>,
    /// Its end: empty when the file ends first.
    pub(super) ending: &'a str,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A tag, with what follows its colon.
    Tag(&'a str, Option<&'a str>),
    /// A URI.
    Uri(&'a str),
    /// A comment, or nothing.
    Other,
}

impl<'a> Line<'a> {
    /// What the line is.
    pub(super) fn kind(&self) -> Kind<'a> {
        let text = self.text.trim_matches([' ', '\t']);
        if text.starts_with("#EXT") {
            // From the line's own start: places of attributes are counted from there.
            return match self.text.split_once(':') {
                Some((name, value)) => Kind::Tag(name.trim_matches([' ', '\t']), Some(value)),
                None => Kind::Tag(text, None),
            };
        }
        if text.is_empty() || text.starts_with('#') {
            return Kind::Other;
        }
        Kind::Uri(text)
    }

    /// Where a piece of the line's text stands in the file.
    pub(super) fn place_of(&self, piece: &str) -> Range<usize> {
        let offset = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let start = self.range.start + offset.min(self.text.len());
        start..start + piece.len()
    }
}

/// The lines of a playlist: the first, which says that it is one, and the others.
///
/// # Errors
/// [`Error::Line`] when it is no UTF-8, or begins with something else.
pub(super) fn playlist(bytes: &[u8]) -> Result<(Line<'_>, impl Iterator<Item = Line<'_>>), Error> {
    let text = splice::text(bytes)?;
    let mut lines = lines(text);
    match lines.next() {
        Some(line) if line.text.trim_end() == HEADER => Ok((line, lines)),
        Some(line) => Err(Error::line(line.number, quote(line.text), HEADER)),
        None => Err(Error::line(1, "an empty file", HEADER)),
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    let mut number = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let (line, ending) = match rest.split_once('\n') {
            Some((line, _)) => match line.strip_suffix('\r') {
                Some(line) => (line, "\r\n"),
                None => (line, "\n"),
            },
            None => (rest, ""),
        };
        let range = start..start + line.len();
        start = range.end + ending.len();
        number += 1;
        Some(Line {
            number,
            text: line,
            range,
            ending,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Kind, lines};

    #[test]
    fn lines_have_kinds_and_places() {
        let text = "\u{feff}#EXTM3U\r\n\n#a\n #EXT-X-A:b=\"c:d\"\nu.ts \n#EXT-X-B";
        let kinds: Vec<_> = lines(text).map(|line| line.kind()).collect();
        assert_eq!(
            kinds,
            [
                Kind::Tag("#EXTM3U", None),
                Kind::Other,
                Kind::Other,
                Kind::Tag("#EXT-X-A", Some("b=\"c:d\"")),
                Kind::Uri("u.ts"),
                Kind::Tag("#EXT-X-B", None),
            ]
        );
        let line = lines(text).nth(4).expect("a line");
        assert_eq!(&text[line.place_of(line.text.trim())], "u.ts");
        let endings: Vec<_> = lines(text).map(|line| line.ending).collect();
        assert_eq!(endings, ["\r\n", "\n", "\n", "\n", "\n", ""]);
    }

    proptest! {
        #[test]
        fn lines_and_their_ends_are_the_whole_file(text in "(\u{feff}|)([a#:é\r\n]|\r\n){0,60}") {
            let mut done = if text.starts_with('\u{feff}') { 3 } else { 0 };
            for line in lines(&text) {
                prop_assert_eq!(line.range.start, done);
                done = line.range.end + line.ending.len();
                prop_assert_eq!(&text[line.range.end..done], line.ending);
                prop_assert!(!line.text.contains('\n'));
            }
            prop_assert_eq!(done, text.len());
        }
    }
}
