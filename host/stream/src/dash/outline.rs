//! Where the elements of an MPD stand that steering touches.
//!
//! In: bytes. Out: the children of the root, and the base URLs further in. It must not know what becomes of them.

use std::{borrow::Cow, ops::Range};

use quick_xml::{Reader, escape::unescape, events::Event};
use wayside_decide::invalid::quote;

use crate::splice::{self, Error};

/// The byte order mark.
const BOM: char = '\u{feff}';
/// Deepest nesting.
const DEPTH_MAX: usize = 64;
/// Longest message of the parser that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// The root's name.
const ROOT: &str = "MPD";

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Element<'a> {
    /// Its name, without the prefix of the root; empty when it has another.
    pub(super) name: &'a str,
    /// Where it stands, from `<` to `>`.
    pub(super) range: Range<usize>,
    /// On which line it begins.
    pub(super) line: usize,
    attributes: &'a str,
    content: &'a str,
}

impl Element<'_> {
    /// Its attributes but `serviceLocation`, as they stand there, each with the white space before it.
    ///
    /// # Errors
    /// [`Error::Line`] when they are no attributes.
    pub(super) fn other_attributes(&self) -> Result<String, Error> {
        let (mut rest, mut others) = (self.attributes, String::new());
        while !rest.trim_start().is_empty() {
            let Some((name, whole)) = first_attribute(rest) else {
                return Err(Error::line(self.line, quote(rest), "attributes, name=\"value\""));
            };
            if name != "serviceLocation" {
                others.push_str(whole);
            }
            rest = &rest[whole.len()..];
        }
        Ok(others)
    }

    /// Its text.
    ///
    /// # Errors
    /// [`Error::Line`] when it has more than text, or an entity that is not XML's own.
    pub(super) fn text(&self) -> Result<Cow<'_, str>, Error> {
        let expected = "text, with no entities but XML's own";
        if self.content.contains('<') {
            return Err(Error::line(self.line, quote(self.content), expected));
        }
        unescape(self.content).map_err(|_| Error::line(self.line, quote(self.content), expected))
    }
}

/// An MPD.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    /// The prefix of the root's name, with its colon.
    pub(super) prefix: &'a str,
    /// On which line the root begins.
    pub(super) line: usize,
    /// Where the root's start tag ends.
    pub(super) root_end: usize,
    /// The root's children.
    pub(super) elements: Vec<Element<'a>>,
    /// Elements `BaseURL` further in.
    pub(super) inner_base_urls: Vec<Element<'a>>,
}

impl<'a> Outline<'a> {
    /// The root's children of this name.
    pub(super) fn children<'o>(&'o self, name: &'o str) -> impl Iterator<Item = &'o Element<'a>> {
        self.elements.iter().filter(move |element| element.name == name)
    }
}

/// Reads an MPD.
///
/// # Errors
/// [`Error::Line`] when it is no well-formed XML, has a document type, or is no MPD with a period.
pub(super) fn read(mpd: &[u8]) -> Result<Outline<'_>, Error> {
    let text = splice::text(mpd)?;
    let mut walk = Walk {
        text,
        open: Vec::new(),
        counted: (0, 1),
        outline: None,
        is_over: false,
    };
    let skipped = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    // The reader would leave a second one out as well, and then count bytes from behind it.
    if text[skipped..].starts_with(BOM) {
        return Err(Error::line(1, "a second byte order mark", "one at most"));
    }
    let mut reader = Reader::from_str(&text[skipped..]);
    loop {
        let start = skipped + reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|broken| {
            let at = skipped + reader.error_position() as usize;
            // It names elements, which may be as long as the file.
            let found: String = broken.to_string().chars().take(MESSAGE_CHARS_MAX).collect();
            Error::line(walk.line(at), found, "well-formed XML")
        })?;
        let range = start..skipped + reader.buffer_position() as usize;
        match event {
            Event::Start(_) => walk.start(range)?,
            Event::Empty(_) => {
                walk.start(range.clone())?;
                walk.end(range.end..range.end)?;
            }
            Event::End(_) => walk.end(range)?,
            Event::DocType(_) => return Err(Error::line(walk.line(start), "a document type", "none")),
            Event::Eof => return walk.finish(),
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => walk.content(range)?,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// Elements that are open, and what was seen so far.
struct Walk<'a> {
    text: &'a str,
    /// Start tags of the open elements.
    open: Vec<Range<usize>>,
    /// Up to which byte lines were counted, and on which line that is.
    counted: (usize, usize),
    outline: Option<Outline<'a>>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    fn start(&mut self, tag: Range<usize>) -> Result<(), Error> {
        let line = self.line(tag.start);
        if self.open.len() == DEPTH_MAX {
            return Err(Error::line(line, "elements in elements past 64", "64 at most"));
        }
        if self.open.is_empty() {
            let (name, _) = name_and_attributes(&self.text[tag.clone()]);
            let (prefix, local) = name.rfind(':').map_or(("", name), |colon| name.split_at(colon + 1));
            if local != ROOT || self.is_over {
                return Err(Error::line(line, quote(name), "one MPD"));
            }
            self.outline = Some(Outline {
                prefix,
                line,
                root_end: tag.end,
                elements: Vec::new(),
                inner_base_urls: Vec::new(),
            });
        }
        self.open.push(tag);
        Ok(())
    }

    fn end(&mut self, tag: Range<usize>) -> Result<(), Error> {
        let Some(start) = self.open.pop() else {
            let line = self.line(tag.start);
            return Err(Error::line(line, "the end of an element", "its start before it"));
        };
        let depth = self.open.len();
        self.is_over = depth == 0;
        let (name, attributes) = name_and_attributes(&self.text[start.clone()]);
        // Elements of other prefixes are somebody else's, whatever they are called.
        let prefix = self.outline.as_ref().map_or("", |outline| outline.prefix);
        let name = name
            .strip_prefix(prefix)
            .filter(|local| !local.contains(':'))
            .unwrap_or_default();
        if depth == 0 || depth > 1 && name != "BaseURL" {
            return Ok(());
        }
        let line = self.line_of_closed(start.start);
        let element = Element {
            name,
            attributes,
            line,
            // An empty element ends where its tag ends.
            content: self.text.get(start.end..tag.start).unwrap_or_default(),
            range: start.start..tag.end,
        };
        if let Some(outline) = &mut self.outline {
            let of = if depth == 1 {
                &mut outline.elements
            } else {
                &mut outline.inner_base_urls
            };
            of.push(element);
        }
        Ok(())
    }

    /// Text outside the root is none of an MPD, but for white space.
    fn content(&mut self, range: Range<usize>) -> Result<(), Error> {
        let text = self.text.get(range.clone()).unwrap_or_default();
        if self.open.is_empty() && !text.trim().is_empty() {
            return Err(Error::line(self.line(range.start), quote(text.trim()), "an MPD"));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Outline<'a>, Error> {
        let line = self.line(self.text.len());
        let outline = self.outline.take();
        match outline {
            None => Err(Error::line(line, "the end of the file", "an MPD")),
            Some(_) if !self.is_over => Err(Error::line(line, "the end of the file", "the end of each element")),
            Some(outline) if outline.children("Period").next().is_none() => {
                Err(Error::line(outline.line, "no Period", "one at least"))
            }
            Some(outline) => Ok(outline),
        }
    }

    /// The line of a place that is not before the last that was asked for.
    fn line(&mut self, at: usize) -> usize {
        let (done, line) = self.counted;
        let feeds = self.text.as_bytes().get(done..at).unwrap_or_default();
        let line = line + feeds.iter().filter(|byte| **byte == b'\n').count();
        self.counted = (at.max(done), line);
        line
    }

    /// The line of a place before.
    fn line_of_closed(&self, at: usize) -> usize {
        let (done, line) = self.counted;
        let feeds = self.text.as_bytes().get(at..done).unwrap_or_default();
        line - feeds.iter().filter(|byte| **byte == b'\n').count().min(line - 1)
    }
}

/// The name in a start tag, and what follows it up to the tag's end.
fn name_and_attributes(tag: &str) -> (&str, &str) {
    let inside = tag.strip_prefix('<').unwrap_or(tag);
    let inside = inside.strip_suffix('>').unwrap_or(inside);
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let end = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
    inside.split_at(end)
}

/// The name of the first attribute, and all of it with the white space before it.
fn first_attribute(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('=')?;
    let value = after.trim_start();
    let quotation = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let closing = value[1..].find(quotation)? + 1;
    let end = text.len() - value.len() + closing + 1;
    Some((name.trim(), &text[..end]))
}
