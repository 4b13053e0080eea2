//! The edge's cache of links and assets.
//!
//! Memory, behind it the node's disk, behind that what the nodes of a PoP share, behind that whoever loads.
//!
//! In: look-ups by site and path, invalidations from the change feed, a [`load::LoadLink`] that asks further away.
//! Out: held links, each with its freshness; nothing older than the last invalidation of its key. This crate must not know requests, decisions or the origin's protocol.

pub mod aside;
pub mod assets;
pub mod clock;
pub mod counts;
pub mod disk;
pub mod links;
pub mod load;
pub mod shared;

mod codec;
mod epochs;
mod key;
mod trouble;
