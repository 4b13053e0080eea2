//! A manifest with pathways in it, but for who steers a session.
//!
//! In: a manifest as it came, and the copies that it is to name. Out: what is the same for all sessions, worked out once,
//! and from it the manifest of each. It must not know where that is kept.

use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};
use wayside_stream::{dash, hls::multivariant, pathway::Pathway, splice};

use super::{content::Content, kind::Kind};
use crate::streams::tokens::Pass;

/// Up to which size, for all its pathways together, a manifest is given pathways by the thread that asks.
pub(super) const QUICK_BYTES_MAX: usize = 64 * 1024;

/// A copy of the asset as manifests name it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The target.
    pub(crate) id: Name,
    /// Where its copy begins.
    pub(crate) base: BaseUrl,
    /// What its URLs are signed by.
    pub(crate) pass: Pass,
}

/// A manifest with pathways, but for who steers a session.
#[derive(Debug)]
pub(crate) struct Ready {
    spliced: Spliced,
    /// What the best of its renditions takes, in kbit/s; none when it lists none.
    pub(crate) top_kbit_s: Option<u64>,
}

#[derive(Debug)]
enum Spliced {
    Hls(multivariant::Prepared),
    Dash(dash::Prepared),
}

/// What a manifest of a session says beside its pathways.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where the player asks for steering manifests.
    pub(crate) server: Target,
    /// Where it got this manifest.
    pub(crate) own: Target,
    /// The pathway on which it begins.
    pub(crate) first: Name,
}

impl Ready {
    /// What it takes in memory, in bytes: at least what is written of it, but for what is the session's own.
    pub(super) fn weight(&self) -> usize {
        match &self.spliced {
            Spliced::Hls(prepared) => prepared.weight(),
            Spliced::Dash(prepared) => prepared.weight(),
        }
    }

    /// The manifest of one session.
    ///
    /// # Errors
    /// [`splice::Error`] when the session begins on a pathway that is not in it.
    pub(super) fn steered(&self, session: &Session) -> Result<Vec<u8>, splice::Error> {
        let Session { server, own, first } = session;
        match &self.spliced {
            Spliced::Hls(prepared) => prepared.steered(server, first),
            Spliced::Dash(prepared) => {
                let steering = dash::Steering { server, mpd: own };
                prepared.steered(&steering, first)
            }
        }
    }
}

/// Splices these copies in: those that can stand in a manifest, as [`Kind::carries`] says of their targets.
///
/// # Errors
/// [`splice::Error`] when that cannot be done.
pub(super) fn prepare(content: &Content, places: &[Place], existing: Existing) -> Result<Ready, splice::Error> {
    let pathways = places.iter().filter_map(|place| {
        Some(Pathway {
            id: &place.id,
            base: &place.base,
            proof: place.pass.proof()?,
        })
    });
    let pathways: Vec<Pathway<'_>> = pathways.collect();
    let (body, source) = (&content.body, &content.source);
    let spliced = match content.kind {
        Kind::Hls => Spliced::Hls(multivariant::prepare(body, source, &pathways, existing)?),
        Kind::Dash => Spliced::Dash(dash::prepare(body, source, &pathways, existing)?),
    };
    let renditions = content.renditions.iter();
    let top = renditions.map(|rendition| rendition.bandwidth).max();
    Ok(Ready {
        spliced,
        top_kbit_s: top.map(|bits| bits / 1_000).filter(|kbit_s| *kbit_s > 0),
    })
}
