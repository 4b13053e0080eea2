//! Where the elements of an MPD stand that steering touches.
//!
//! In: bytes, and where they came from. Out: the children of the root, and how far up the addresses further in lead. What
//! a browser's parser would refuse is refused here. It must not know what becomes of it.

use std::{borrow::Cow, ops::Range};

use quick_xml::{Reader, escape::unescape, events::Event};
use wayside_decide::invalid::quote;

use super::{
    reach::{Address, Reach, Up, climb, is_plain},
    tags::{self, Attribute, Fault},
};
use crate::{
    pathway::{Place, Source},
    splice::{self, Error},
};

/// The byte order mark.
const BOM: char = '\u{feff}';
/// Deepest nesting.
const DEPTH_MAX: usize = 64;
/// Longest message of the parser that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// The root's name.
const ROOT: &str = "MPD";
/// Elements that may have base URLs.
const WITH_BASE: [&str; 5] = [ROOT, "Period", "AdaptationSet", "EmptyAdaptationSet", "Representation"];
/// What is expected of an address that names the origin.
const RELATIVE: &str = "a relative one: an absolute one leads past the targets";

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
        let attributes = self.attributes()?;
        let others = attributes
            .iter()
            .filter(|attribute| attribute.name != "serviceLocation");
        Ok(others.map(|attribute| attribute.whole).collect())
    }

    fn attributes(&self) -> Result<Vec<Attribute<'_>>, Error> {
        let mut attributes = Vec::new();
        let read = tags::read(self.name, self.attributes, &mut attributes);
        read.map_err(|fault| wrong(self.line, fault))?;
        Ok(attributes)
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
    /// What there must be between the asset's folder and the MPD's base, by what stands further in.
    pub(super) needed: Option<Up<'a>>,
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
/// [`Error::Line`] when it is no well-formed XML, has a document type, is no MPD with a period, or names what it should
/// not further in.
pub(super) fn read<'a>(mpd: &'a [u8], source: &Source) -> Result<Outline<'a>, Error> {
    let text = splice::text(mpd)?;
    let mut walk = Walk {
        text,
        source,
        open: Vec::new(),
        attributes: Vec::new(),
        counted: (0, 1),
        outline: None,
        is_over: false,
    };
    if let Some(at) = text.find(|c| !tags::is_character(c)) {
        let found = quote(text[at..].get(..1).unwrap_or_default());
        return Err(Error::line(walk.line(at), found, "characters that XML may have"));
    }
    let skipped = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    // The reader would leave a second one out as well, and then count bytes from behind it.
    if text[skipped..].starts_with(BOM) {
        return Err(Error::line(1, "a second byte order mark", "one at most"));
    }
    let mut reader = Reader::from_str(&text[skipped..]);
    reader.config_mut().check_comments = true;
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
            Event::Text(_) | Event::GeneralRef(_) => walk.text(range)?,
            Event::CData(_) => walk.content(range)?,
            Event::Decl(_) if start > skipped => {
                let expected = "it at the beginning alone";
                return Err(Error::line(walk.line(start), "an XML declaration", expected));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// An element that is open.
struct Open<'a> {
    /// Its start tag.
    tag: Range<usize>,
    /// Its name, without the prefix of the root; empty when it has another.
    name: &'a str,
    attributes: &'a str,
    reach: Reach<'a>,
}

/// Elements that are open, and what was seen so far.
struct Walk<'a, 's> {
    text: &'a str,
    source: &'s Source,
    open: Vec<Open<'a>>,
    /// Of the last start tag.
    attributes: Vec<Attribute<'a>>,
    /// Up to which byte lines were counted, and on which line that is.
    counted: (usize, usize),
    outline: Option<Outline<'a>>,
    is_over: bool,
}

impl<'a> Walk<'a, '_> {
    fn start(&mut self, tag: Range<usize>) -> Result<(), Error> {
        let line = self.line(tag.start);
        if self.open.len() == DEPTH_MAX {
            return Err(Error::line(line, "elements in elements past 64", "64 at most"));
        }
        let (name, attributes) = tags::name_and_rest(self.text.get(tag.clone()).unwrap_or_default());
        if self.open.is_empty() {
            let (prefix, local) = name.rfind(':').map_or(("", name), |colon| name.split_at(colon + 1));
            if local != ROOT || self.is_over {
                return Err(Error::line(line, quote(name), "one MPD"));
            }
            self.outline = Some(Outline {
                prefix,
                line,
                root_end: tag.end,
                elements: Vec::new(),
                needed: None,
            });
        }
        tags::read(name, attributes, &mut self.attributes).map_err(|fault| wrong(line, fault))?;
        // Elements of other prefixes are somebody else's, whatever they are called.
        let prefix = self.outline.as_ref().map_or("", |outline| outline.prefix);
        let local = name.strip_prefix(prefix).filter(|local| !local.contains(':'));
        let name = local.unwrap_or_default();
        let reach = self.named(line, name)?;
        self.open.push(Open {
            tag,
            name,
            attributes,
            reach,
        });
        Ok(())
    }

    /// What the last start tag names, as that of an element of this name.
    fn named(&self, line: usize, element: &'a str) -> Result<Reach<'a>, Error> {
        let mut reach = Reach::default();
        for attribute in &self.attributes {
            let Attribute { name, value, .. } = *attribute;
            if (element, name) == ("Representation", "id") && !is_plain(&plain(value)) {
                let found = tags::described(name, value, element);
                return Err(Error::line(line, found, "an identifier without segments of dots"));
            }
            let address = Address {
                line,
                element,
                attribute: Some(name),
                value,
            };
            // Where representations are, or where it stands.
            let is_inherited = match (element, name) {
                ("SegmentTemplate", "media" | "index" | "initialization" | "bitstreamSwitching")
                | ("SegmentURL", "media" | "index")
                | ("Initialization" | "RepresentationIndex" | "BitstreamSwitching", "sourceURL") => true,
                ("InitializationSet" | "InitializationGroup", "initialization") => false,
                _ => continue,
            };
            let value = plain(value);
            if self.is_elsewhere(&address, &value)? {
                continue;
            }
            let climb = climb(&value).map_err(|expected| misled(&address, expected))?;
            if is_inherited {
                reach.name(address, climb);
            } else {
                reach.name_here(address, climb);
            }
        }
        Ok(reach)
    }

    /// Whether an address is absolute; one that names the origin would lead past the targets.
    fn is_elsewhere(&self, address: &Address<'_>, value: &str) -> Result<bool, Error> {
        let value = value.trim();
        if !Source::is_absolute(value) {
            return Ok(false);
        }
        match self.source.locate(value) {
            Ok(Place::Below(_)) => Err(misled(address, RELATIVE)),
            _ => Ok(true),
        }
    }

    fn end(&mut self, tag: Range<usize>) -> Result<(), Error> {
        let Some(open) = self.open.pop() else {
            let line = self.line(tag.start);
            return Err(Error::line(line, "the end of an element", "its start before it"));
        };
        let depth = self.open.len();
        self.is_over = depth == 0;
        let Open {
            tag: start,
            name,
            attributes,
            reach,
        } = open;
        let line = self.line_of_closed(start.start);
        let element = Element {
            name,
            attributes,
            line,
            // An empty element ends where its tag ends.
            content: self.text.get(start.end..tag.start).unwrap_or_default(),
            range: start.start..tag.end,
        };
        if depth > 1 && name == "BaseURL" {
            return self.base_url(&element);
        }
        if let Some(parent) = self.open.last_mut() {
            parent.reach.end(&reach, WITH_BASE.contains(&name));
        }
        match &mut self.outline {
            Some(outline) if depth == 0 => outline.needed = reach.needed(),
            Some(outline) if depth == 1 => outline.elements.push(element),
            _ => {}
        }
        Ok(())
    }

    /// A base URL further in is resolved against the MPD's, or is elsewhere. Pathways are of the MPD as a whole.
    fn base_url(&mut self, element: &Element<'a>) -> Result<(), Error> {
        let mut attributes = element.attributes()?.into_iter();
        if attributes.any(|attribute| attribute.name == "serviceLocation") {
            let found = "a serviceLocation of a BaseURL further in";
            let expected = "none: pathways are those of the MPD, and others cannot be added to its own";
            return Err(Error::line(element.line, found, expected));
        }
        let text = element.text()?;
        let address = Address {
            line: element.line,
            element: element.name,
            attribute: None,
            value: element.content,
        };
        let climb = match self.is_elsewhere(&address, &text)? {
            true => None,
            false => Some(climb(text.trim()).map_err(|expected| misled(&address, expected))?),
        };
        if let Some(parent) = self.open.last_mut() {
            parent.reach.base(address, climb);
        }
        Ok(())
    }

    /// Text with what stands for characters in it.
    fn text(&mut self, range: Range<usize>) -> Result<(), Error> {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let checked = tags::check_references(text);
        checked.map_err(|fault| wrong(self.line(range.start), fault))?;
        if text.contains("]]>") {
            return Err(Error::line(
                self.line(range.start),
                "]]> in text",
                "it at the end of CDATA alone",
            ));
        }
        self.content(range)
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

/// The value of an attribute as players read it. That its references are good was looked at.
fn plain(value: &str) -> Cow<'_, str> {
    unescape(value).unwrap_or(Cow::Borrowed(value))
}

fn wrong(line: usize, (found, expected): Fault) -> Error {
    Error::line(line, found, expected)
}

fn misled(address: &Address<'_>, expected: &str) -> Error {
    Error::line(address.line, address.described(), expected)
}
