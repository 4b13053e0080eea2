//! Multivariant playlists: steering and pathways, §4.4.6.
//!
//! The first pathway takes the places of the origin's variants and renditions; each other one gets copies of them, in
//! groups of renditions of its own, directly behind. Attributes but the groups, `PATHWAY-ID` and `URI` are the same in
//! all copies, for players merge pathways by that.

use wayside_decide::{invalid::quote, name::Name, stream::asset::Existing, target::Target};

use super::{
    attributes::{Attribute, attributes},
    lines::{self, Kind, Line},
};
use crate::{
    pathway::{NoUrl, Pathway, Place, Source, check_first, check_pathways},
    splice::{Edits, Error, Template},
};

const STEERING: &str = "#EXT-X-CONTENT-STEERING";
const STREAM: &str = "#EXT-X-STREAM-INF";
const I_FRAMES: &str = "#EXT-X-I-FRAME-STREAM-INF";
const MEDIA: &str = "#EXT-X-MEDIA";
/// The hole in which the tag of steering stands.
const TAG: usize = 0;
/// Tags that only media playlists have.
const OF_MEDIA_PLAYLISTS: [&str; 3] = ["#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE"];
/// Attributes of variants that name a group of renditions.
const GROUPS: [&str; 4] = ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];

/// A playlist into which pathways are spliced, but for who steers a session. That is the same for all sessions, so that it
/// is worked out once and kept.
#[derive(Debug, Clone)]
pub struct Prepared {
    template: Template,
    pathways: Vec<Name>,
}

impl Prepared {
    /// What it takes in memory, in bytes: the weight caches count.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.template.weight() + self.pathways.len() * size_of::<Name>()
    }

    /// The playlist of a session that begins on `first` and asks `server` for steering manifests: an absolute URL, for
    /// not all players resolve it alike.
    ///
    /// # Errors
    /// [`Error::Pathways`] when the playlist has no such pathway.
    pub fn steered(&self, server: &Target, first: &Name) -> Result<Vec<u8>, Error> {
        check_first(&self.pathways, first)?;
        let tag = format!(r#"{STEERING}:SERVER-URI="{server}",PATHWAY-ID="{first}""#);
        Ok(self.template.fill(&[tag]))
    }
}

/// Splices pathways into a multivariant playlist.
///
/// # Errors
/// [`Error`] when the playlist is broken, too large, of media, has several pathways of its own, or names what is not on
/// the targets.
pub fn prepare(
    playlist: &[u8],
    source: &Source,
    pathways: &[Pathway<'_>],
    existing: Existing,
) -> Result<Prepared, Error> {
    let pathway_names = check_pathways(pathways)?;
    let mut splicer = Splicer {
        source,
        pathways,
        edits: Edits::new(playlist)?,
        own_pathway: None,
        variants: 0,
    };
    let (header, mut lines) = lines::playlist(playlist)?;
    // What is put behind the last line needs an end before it.
    let ending = if header.ending.is_empty() { "\n" } else { header.ending };
    let mut steered_at = None;
    while let Some(line) = lines.next() {
        let Kind::Tag(name, value) = line.kind() else { continue };
        match name {
            STEERING if steered_at.is_some() => {
                return Err(Error::line(line.number, format!("{STEERING} again"), "one at most"));
            }
            STEERING if existing == Existing::Refuse => {
                return Err(Error::line(
                    line.number,
                    quote(line.text),
                    "no steering of the origin's own",
                ));
            }
            STEERING => {
                steered_at = Some(line.number);
                splicer.edits.leave(line.range, TAG);
            }
            STREAM => {
                let uri = uri_of(&line, &mut lines)?;
                splicer.variant(&line, value, &uri)?;
            }
            I_FRAMES | MEDIA => splicer.tag(&line, value, ending)?,
            _ if OF_MEDIA_PLAYLISTS.contains(&name) => {
                return Err(Error::line(
                    line.number,
                    quote(line.text),
                    "a multivariant playlist, without segments",
                ));
            }
            _ => {}
        }
    }
    if splicer.variants == 0 {
        return Err(Error::line(
            header.number,
            "no variant",
            format!("one {STREAM} at least"),
        ));
    }
    if steered_at.is_none() {
        let behind = header.range.end;
        splicer.edits.insert(behind, ending.to_owned())?;
        splicer.edits.leave(behind..behind, TAG);
    }
    Ok(Prepared {
        template: splicer.edits.template(),
        pathways: pathway_names,
    })
}

/// The line of the URI that belongs to a variant. Comments between are tolerated, as players do.
fn uri_of<'a>(of: &Line<'a>, lines: &mut impl Iterator<Item = Line<'a>>) -> Result<Line<'a>, Error> {
    let expected = || format!("the URI of the variant of line {}", of.number);
    for line in lines {
        match line.kind() {
            Kind::Uri(_) => return Ok(line),
            Kind::Tag(..) => return Err(Error::line(line.number, quote(line.text), expected())),
            Kind::Other => {}
        }
    }
    Err(Error::line(of.number, "the end of the file", expected()))
}

/// A change within a line: a piece of its text and what takes its place.
type Change<'a> = (&'a str, String);

struct Splicer<'a> {
    source: &'a Source,
    pathways: &'a [Pathway<'a>],
    edits: Edits<'a>,
    /// The pathway that the origin's playlist names, if it does.
    own_pathway: Option<String>,
    variants: usize,
}

impl Splicer<'_> {
    /// A variant and its URI, for the first pathway in place, for each other one behind.
    fn variant(&mut self, line: &Line<'_>, value: Option<&str>, uri_line: &Line<'_>) -> Result<(), Error> {
        self.variants += 1;
        let attributes = self.attributes_of(line, value)?;
        let uri = uri_line.text.trim_matches([' ', '\t']);
        let place = self.locate(uri_line, uri)?;
        let mut copies = String::new();
        for (index, pathway) in self.pathways.iter().enumerate() {
            let is_copy = index > 0;
            self.edits.check_room(copies.len() + line.text.len())?;
            let mut changes = named(&attributes, value.unwrap_or_default(), pathway.id);
            if is_copy {
                changes.extend(grouped(line, &attributes, &GROUPS, pathway.id)?);
            }
            let url = match &place {
                Place::Below(below) => url(uri_line, pathway, below)?,
                Place::Elsewhere => uri.to_owned(),
            };
            if is_copy {
                let ending = line.ending;
                copies.push_str(&format!("{ending}{}{ending}{url}", changed(line, changes)));
                continue;
            }
            self.change(line, changes)?;
            self.edits.replace(uri_line.place_of(uri), url)?;
        }
        self.edits.insert(uri_line.range.end, copies)
    }

    /// A tag that has its URI as an attribute, or none.
    fn tag(&mut self, line: &Line<'_>, value: Option<&str>, ending: &str) -> Result<(), Error> {
        let attributes = self.attributes_of(line, value)?;
        let is_media = matches!(line.kind(), Kind::Tag(MEDIA, _));
        let uri = attributes.iter().find(|attribute| attribute.name == "URI");
        let uri = uri.map(|uri| {
            uri.text()
                .ok_or_else(|| Error::line(line.number, quote(uri.value), "a quoted URI"))
        });
        let uri = uri.transpose()?;
        if uri.is_none() && !is_media {
            return Err(Error::line(line.number, "no URI", format!("one in {I_FRAMES}")));
        }
        let place = uri.map(|uri| self.locate(line, uri)).transpose()?;
        let mut copies = String::new();
        for (index, pathway) in self.pathways.iter().enumerate() {
            let is_copy = index > 0;
            self.edits.check_room(copies.len() + line.text.len())?;
            let mut changes = if is_media {
                Vec::new()
            } else {
                named(&attributes, value.unwrap_or_default(), pathway.id)
            };
            if is_copy {
                let groups: &[&str] = if is_media { &["GROUP-ID"] } else { &GROUPS };
                changes.extend(grouped(line, &attributes, groups, pathway.id)?);
            }
            if let (Some(uri), Some(Place::Below(below))) = (uri, &place) {
                changes.push((uri, url(line, pathway, below)?));
            }
            if is_copy {
                copies.push_str(&format!("{ending}{}", changed(line, changes)));
            } else {
                self.change(line, changes)?;
            }
        }
        self.edits.insert(line.range.end, copies)
    }

    fn change(&mut self, line: &Line<'_>, changes: Vec<Change<'_>>) -> Result<(), Error> {
        for (piece, with) in changes {
            self.edits.replace(line.place_of(piece), with)?;
        }
        Ok(())
    }

    /// The attributes of a tag; the pathway that they name must be the same in all.
    fn attributes_of<'l>(&mut self, line: &Line<'_>, value: Option<&'l str>) -> Result<Vec<Attribute<'l>>, Error> {
        let Some(value) = value else {
            return Err(Error::line(line.number, quote(line.text), "a colon and attributes"));
        };
        let read = attributes(value);
        let read = read.map_err(|(found, expected)| Error::line(line.number, found, expected))?;
        if let Some(own) = read.iter().find(|attribute| attribute.name == "PATHWAY-ID") {
            let named = self.own_pathway.get_or_insert_with(|| own.value.to_owned());
            if named != own.value {
                let expected = format!("one pathway, {named}: a playlist with several cannot be given others");
                let found = format!("PATHWAY-ID={}", quote(own.text().unwrap_or(own.value)));
                return Err(Error::line(line.number, found, expected));
            }
        }
        Ok(read)
    }

    fn locate(&self, line: &Line<'_>, uri: &str) -> Result<Place, Error> {
        let located = self.source.locate(uri);
        located.map_err(|expected| Error::line(line.number, quote(uri), expected))
    }
}

fn url(line: &Line<'_>, pathway: &Pathway<'_>, below: &str) -> Result<String, Error> {
    match pathway.url(below) {
        Ok(url) => Ok(url.to_string()),
        Err(NoUrl::Sign(error)) => Err(Error::Sign {
            line: line.number,
            error,
        }),
        Err(NoUrl::Expected(expected)) => Err(Error::line(line.number, quote(below), expected)),
    }
}

/// Names the pathway: in place of the one that is named, or behind the last attribute.
fn named<'a>(attributes: &[Attribute<'a>], value: &'a str, id: &Name) -> Vec<Change<'a>> {
    if let Some(own) = attributes.iter().find(|attribute| attribute.name == "PATHWAY-ID") {
        return vec![(own.value, format!("\"{id}\""))];
    }
    let (behind, joint) = match attributes.last() {
        Some(last) => (&last.value[last.value.len()..], ","),
        None => (&value[value.len()..], ""),
    };
    vec![(behind, format!("{joint}PATHWAY-ID=\"{id}\""))]
}

/// Gives groups of renditions the pathway's name behind their own.
fn grouped<'a>(
    line: &Line<'_>,
    attributes: &[Attribute<'a>],
    names: &[&str],
    id: &Name,
) -> Result<Vec<Change<'a>>, Error> {
    let suffix = format!("@{id}");
    let mut changes = Vec::new();
    for attribute in attributes.iter().filter(|attribute| names.contains(&attribute.name)) {
        // `CLOSED-CAPTIONS=NONE` has no quotes, and names no group.
        let Some(group) = attribute.text() else { continue };
        if group.ends_with(&suffix) {
            let expected = format!("a group whose name does not end with {suffix}");
            return Err(Error::line(line.number, quote(group), expected));
        }
        changes.push((group, format!("{group}{suffix}")));
    }
    Ok(changes)
}

/// A line's text with changes.
fn changed(line: &Line<'_>, mut changes: Vec<Change<'_>>) -> String {
    changes.sort_by_key(|(piece, _)| line.place_of(piece).start);
    let (mut text, mut done) = (String::with_capacity(line.text.len() * 2), 0);
    for (piece, with) in &changes {
        let place = line.place_of(piece);
        let (start, end) = (place.start - line.range.start, place.end - line.range.start);
        text.push_str(line.text.get(done..start).unwrap_or_default());
        text.push_str(with);
        done = end;
    }
    text.push_str(line.text.get(done..).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests;
