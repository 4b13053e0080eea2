//! The control plane: the API, the store, tokens and the change feed.
//!
//! In: requests of operators, site owners and edge nodes. Out: a record that nothing acknowledged is ever lost from,
//! and a feed that tells every node what changed. This crate must not know how an edge caches or decides.

pub mod backup;
pub mod node;
pub mod origin;
pub mod store;
pub mod token;

#[allow(
    unused_qualifications,
    reason = "utoipa's macros name the types of their parameters by path"
)]
mod api;
mod clock;
mod loads;
mod secret;
mod tail;
