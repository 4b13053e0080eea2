//! HTTP Live Streaming: playlists, and what is spliced into them.
//!
//! In: an origin's playlist as bytes. Out: the same with steering, pathways and signed URLs, everything else byte for byte
//! as it was. Sections are those of draft-pantos-hls-rfc8216bis, content steering its §4.4.6.6 and §7.

mod attributes;
mod lines;
pub mod multivariant;
pub mod renditions;
