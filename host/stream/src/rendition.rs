//! The renditions that a playlist or an MPD offers, for pages that show them.
//!
//! What is read here is shown and not acted on: what is missing, odd or overlong is left out, and nothing is refused that
//! the way into it did not refuse. All of it together is small, however large the manifest, for it is told to everybody who
//! asks where to begin.

/// Most renditions that are told of.
pub(crate) const RENDITIONS_MAX: usize = 64;
/// Longest name, frame rate or list of codecs that is told of, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 128;

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

impl Rendition {
    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [&self.name, &self.frame_rate, &self.codecs];
        size_of::<Self>() + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    }
}

/// A text as it is told; none when it is too long for that.
pub(crate) fn told(text: &str) -> Option<Box<str>> {
    (text.len() <= TEXT_BYTES_MAX).then(|| text.into())
}
