//! The edge's cache of links.
//!
//! In: look-ups by site and path, invalidations from the change feed, a [`load::LoadLink`] that asks further away.
//! Out: held links, each with its freshness. This crate must not know requests, decisions or the origin's protocol.

pub mod clock;
pub mod counts;
pub mod disk;
pub mod links;
pub mod load;
pub mod shared;

mod codec;
mod epochs;
mod key;
