//! What an edge node and its origin say to each other.
//!
//! [`protocol`] holds the types on the wire, which `origin` writes and `edge` reads; [`client`] is the edge's side of
//! the conversation with one origin, [`origins`] that with all of them, in regions; [`access`] and [`identity`] say how a
//! node shows who it is. The same protocol serves one process and a network. This crate must not know how the edge caches
//! or how the origin stores.

pub mod access;
pub mod client;
pub mod enrol;
pub mod http;
pub mod identity;
pub mod origins;
pub mod protocol;
