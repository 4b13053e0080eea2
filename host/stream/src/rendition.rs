//! The renditions that a playlist or an MPD offers, for pages that show them.
//!
//! What is read here is shown and not acted on: what is missing or odd is left out, and nothing is refused that the way
//! into it did not refuse.

/// Most renditions that are told of.
pub(crate) const RENDITIONS_MAX: usize = 64;

/// One of several versions of the same content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendition {
    /// What it is called, when it is called anything.
    pub name: Option<Box<str>>,
    /// The most that it takes, in bits a second.
    pub bandwidth: u64,
    /// Width and height, in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames a second, as written.
    pub frame_rate: Option<Box<str>>,
    /// Codecs, RFC 6381.
    pub codecs: Option<Box<str>>,
}
