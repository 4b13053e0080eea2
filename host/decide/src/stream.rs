//! What streams are made of: targets that serve them and assets that players play, as their owners describe them,
//! and what policies plan of them.
//!
//! Descriptions only: which target is taken, and how its URLs are signed, is the crate `wayside-stream`'s.

pub mod asset;
pub mod base;
pub mod plan;
pub mod probe;
pub mod signing;
pub mod target;
