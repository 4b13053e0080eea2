//! Dynamic Adaptive Streaming over HTTP: what is spliced into a manifest (MPD).
//!
//! In: an origin's MPD as bytes. Out: the same with content steering (ETSI TS 103 998) and one `BaseURL` a target,
//! everything else byte for byte as it was. Events of a parser say where elements stand; the text is never written anew.
//!
//! Segments are resolved against `BaseURL` without its query, so that only a token in the path reaches them. `Location`
//! leads back to the edge; `PatchLocation` is taken out, for patches are of the origin's MPD: players fetch the whole then.
//! Addresses further in stay as they are, and so does where they lead: below the asset's folder, or elsewhere by a host
//! that they name. One that leads out of the folder, or to the origin, is refused.

use std::ops::Range;

use wayside_decide::{invalid::quote, name::Name, stream::asset::Existing, target::Target};

use self::{
    outline::{Element, Outline},
    reach::Up,
};
use crate::{
    pathway::{NoUrl, Pathway, Place, Proof, Source, check_first, check_pathways},
    splice::{Edits, Error, Template},
};

mod outline;
mod reach;
pub mod renditions;
mod tags;

/// The holes in which steering and the MPD's own location stand.
const STEERING: usize = 0;
const LOCATION: usize = 1;

/// What is spliced in.
#[derive(Debug, Clone, Copy)]
pub struct Steering<'a> {
    /// Where players ask for steering manifests.
    pub server: &'a Target,
    /// Where players get this MPD from the edge.
    pub mpd: &'a Target,
}

/// An MPD into which pathways are spliced, but for who steers a session. That is the same for all sessions, so that it is
/// worked out once and kept.
#[derive(Debug, Clone)]
pub struct Prepared {
    template: Template,
    prefix: String,
    pathways: Vec<Name>,
}

impl Prepared {
    /// What it takes in memory, in bytes: the weight caches count.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.template.weight() + self.pathways.len() * size_of::<Name>()
    }

    /// The MPD of a session that begins on `first`.
    ///
    /// # Errors
    /// [`Error::Pathways`] when the MPD has no such pathway.
    pub fn steered(&self, steering: &Steering<'_>, first: &Name) -> Result<Vec<u8>, Error> {
        check_first(&self.pathways, first)?;
        let prefix = &self.prefix;
        // The first pathway was chosen just now, so that players need not ask before they begin.
        let element = format!(
            r#"<{prefix}ContentSteering defaultServiceLocation="{first}" queryBeforeStart="false" clientRequirement="true">{}</{prefix}ContentSteering>"#,
            escaped(steering.server)
        );
        let location = format!("<{prefix}Location>{}</{prefix}Location>", escaped(steering.mpd));
        Ok(self.template.fill(&[element, location]))
    }
}

/// Splices pathways into an MPD.
///
/// # Errors
/// [`Error`] when the MPD is broken, too large, has several base URLs of its own, or has its segments elsewhere than on
/// the targets; and for a token in the query.
pub fn prepare(mpd: &[u8], source: &Source, pathways: &[Pathway<'_>], existing: Existing) -> Result<Prepared, Error> {
    let pathway_names = check_pathways(pathways)?;
    let mut edits = Edits::new(mpd)?;
    let outline = outline::read(mpd, source)?;
    let below = below(&outline, source)?;
    check_inner(&outline, source, &below)?;
    let prefix = outline.prefix;
    let mut added = Vec::new();
    let own = outline.children("BaseURL").next();
    let attributes = own.map(Element::other_attributes).transpose()?.unwrap_or_default();
    for pathway in pathways {
        edits.check_room(added.iter().map(String::len).sum::<usize>() + attributes.len())?;
        let url = url(&outline, pathway, &below)?;
        added.push(format!(
            r#"<{prefix}BaseURL{attributes} serviceLocation="{}">{}</{prefix}BaseURL>"#,
            pathway.id,
            escaped(&url)
        ));
    }
    let (at, space) = place(mpd, &outline);
    let added = added.join(space);
    // Where ours begin, and where what follows them stands.
    let (range, behind) = own.map_or((at..at, space), |own| (own.range.clone(), ""));
    let end = range.end;
    edits.replace(range, added)?;
    match steered(&outline, existing)? {
        Some(range) => {
            edits.insert(end, behind.to_owned())?;
            edits.leave(range, STEERING);
        }
        None => {
            edits.insert(end, space.to_owned())?;
            edits.leave(end..end, STEERING);
            edits.insert(end, behind.to_owned())?;
        }
    }
    for (place, own) in outline.children("Location").enumerate() {
        if place == 0 {
            edits.leave(own.range.clone(), LOCATION);
        } else {
            edits.replace(own.range.clone(), String::new())?;
        }
    }
    for patches in outline.children("PatchLocation") {
        edits.replace(patches.range.clone(), String::new())?;
    }
    Ok(Prepared {
        template: edits.template(),
        prefix: prefix.to_owned(),
        pathways: pathway_names,
    })
}

/// What follows the asset's folder in the URL against which the MPD's segments are resolved.
fn below(outline: &Outline<'_>, source: &Source) -> Result<String, Error> {
    let mut own = outline.children("BaseURL");
    let Some(first) = own.next() else {
        return Ok(source.own_folder().to_owned());
    };
    if let Some(second) = own.next() {
        return Err(Error::line(
            second.line,
            "a second BaseURL of the MPD",
            "one at most: others cannot be added",
        ));
    }
    let text = first.text()?;
    match source.locate(text.trim()) {
        Ok(Place::Below(below)) => Ok(below),
        Ok(Place::Elsewhere) => Err(Error::line(
            first.line,
            quote(&text),
            "a BaseURL below the asset's folder: with one elsewhere nothing is left for the targets",
        )),
        Err(expected) => Err(Error::line(first.line, quote(&text), expected)),
    }
}

/// Addresses further in are resolved against ours: none may lead out of the asset's folder, which is another on each target.
fn check_inner(outline: &Outline<'_>, source: &Source, below: &str) -> Result<(), Error> {
    let path = below.split(['?', '#']).next().unwrap_or_default();
    let folders = path.matches('/').count() as i64;
    match outline.needed {
        Some(Up {
            folders: needed,
            address,
        }) if needed > folders => {
            let expected = source.expected_below();
            Err(Error::line(address.line, address.described(), expected))
        }
        _ => Ok(()),
    }
}

/// Where the origin's own steering stands, if there is any and it is to be replaced.
fn steered(outline: &Outline<'_>, existing: Existing) -> Result<Option<Range<usize>>, Error> {
    let mut own = outline.children("ContentSteering");
    let Some(first) = own.next() else { return Ok(None) };
    if existing == Existing::Refuse {
        return Err(Error::line(
            first.line,
            "ContentSteering",
            "no steering of the origin's own",
        ));
    }
    match own.next() {
        Some(second) => Err(Error::line(second.line, "ContentSteering again", "one at most")),
        None => Ok(Some(first.range.clone())),
    }
}

fn url(outline: &Outline<'_>, pathway: &Pathway<'_>, below: &str) -> Result<Target, Error> {
    let line = outline.line;
    match pathway.proof {
        Proof::Token(token) if !token.is_in_path() => {
            let found = format!("a token in the query for pathway {}", pathway.id);
            return Err(Error::line(
                line,
                found,
                "one in the path: segments do not inherit a query",
            ));
        }
        Proof::Token(_) | Proof::Open => {}
    }
    pathway.url(below).map_err(|refused| match refused {
        NoUrl::Sign(error) => Error::Sign { line, error },
        NoUrl::Expected(expected) => Error::line(line, quote(below), expected),
    })
}

/// Where elements of ours stand when there is no `BaseURL` whose place they take: before the first child that may not
/// stand before them; and the white space that stands before that.
fn place<'a>(mpd: &'a [u8], outline: &Outline<'_>) -> (usize, &'a str) {
    let is_before = |element: &&Element<'_>| element.name != "ProgramInformation";
    let at = outline
        .elements
        .iter()
        .find(is_before)
        .map_or(outline.root_end, |element| element.range.start);
    let before = mpd.get(..at).unwrap_or_default();
    let text = before
        .iter()
        .rposition(|byte| !byte.is_ascii_whitespace())
        .map_or(0, |last| last + 1);
    let space = before.get(text..).and_then(|space| std::str::from_utf8(space).ok());
    (at, space.unwrap_or_default())
}

/// A URL as text of an element. In normal form it has neither `<` nor `>`.
fn escaped(url: &Target) -> String {
    url.as_str().replace('&', "&amp;")
}

#[cfg(test)]
mod tests;
