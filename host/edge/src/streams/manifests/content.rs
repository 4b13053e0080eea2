//! A manifest that can be used.
//!
//! In: bytes. Out: the manifest, when pathways can be spliced into it. One that cannot never takes the place of a good one.

use std::sync::Arc;

use bytes::Bytes;
use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};
use wayside_stream::{
    dash,
    hls::{multivariant, renditions},
    pathway::{Pathway, Proof, Source},
    rendition::Rendition,
    splice,
};

use super::kind::Kind;
use crate::streams::fetch::Validators;

/// A manifest as it came.
#[derive(Debug)]
pub(super) struct Content {
    /// No other has it.
    pub(super) id: u64,
    pub(super) kind: Kind,
    pub(super) url: Arc<str>,
    pub(super) body: Bytes,
    pub(super) source: Source,
    pub(super) validators: Validators,
    pub(super) renditions: Arc<[Rendition]>,
}

impl Content {
    /// What it takes in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let Validators { etag, last_modified } = &self.validators;
        let validators = [etag, last_modified].into_iter().flatten().map(|text| text.len());
        let renditions = self.renditions.iter().map(Rendition::weight);
        let texts = self.url.len() + validators.sum::<usize>();
        size_of::<Self>() + self.body.len() + texts + renditions.sum::<usize>()
    }
}

/// A manifest of an asset whose files are below `folder`. What is wrong with it, as a message.
pub(super) fn read(
    id: u64,
    kind: Kind,
    (url, folder): (&Target, &BaseUrl),
    body: Bytes,
    validators: Validators,
) -> Result<Content, String> {
    let source = Source::new(url, folder).map_err(|invalid| invalid.to_string())?;
    try_out(kind, &source, folder, &body).map_err(|error| error.to_string())?;
    let renditions = match kind {
        Kind::Hls => renditions::read(&body).map_err(|error| error.to_string())?,
        Kind::Dash => dash::renditions::read(&body),
    };
    Ok(Content {
        id,
        kind,
        url: url.as_str().into(),
        body,
        source,
        validators,
        renditions: renditions.into(),
    })
}

/// Splices one pathway in, to where it came from.
fn try_out(kind: Kind, source: &Source, folder: &BaseUrl, body: &[u8]) -> Result<(), splice::Error> {
    let Ok(id) = Name::parse("pathway", "origin") else {
        return Ok(());
    };
    let pathways = [Pathway {
        id: &id,
        base: folder,
        proof: Proof::Open,
    }];
    match kind {
        Kind::Hls => multivariant::prepare(body, source, &pathways, Existing::Replace).map(drop),
        Kind::Dash => dash::prepare(body, source, &pathways, Existing::Replace).map(drop),
    }
}
