//! Steering players to the target that serves them best.
//!
//! In: targets, what is known of them, playlists, what players report, the instant and keys. Out: which target is taken
//! and why, playlists and steering manifests with signed URLs. This crate is pure: no async, no I/O, no clock; the same
//! arguments give the same answer. It must not know HTTP, stores, serialisation formats or configuration.

pub mod cmcd;
pub mod dash;
pub mod hls;
pub mod pathway;
pub mod quality;
pub mod rendition;
pub mod reports;
#[cfg(test)]
mod samples;
pub mod select;
pub mod session;
pub mod sessions;
pub mod sign;
pub mod splice;
pub mod steering;
pub mod zones;
