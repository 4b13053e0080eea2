//! The data plane: listeners, the request pipeline, geography and the admin endpoint.
//!
//! In: settings, and an origin to follow. Out: answers to visitors. [`node`] puts the parts together; a request's way
//! is in `pipeline`, top to bottom. This crate must not know how settings are read, nor how the origin stores.

pub mod causes;
pub mod degradation;
pub mod facts;
pub mod files;
pub mod geo;
pub mod geo_watch;
pub mod listen;
pub mod node;
pub mod rehearsal;

mod account;
mod admin;
mod caching;
mod checkpoint;
mod clock;
mod directory;
mod explain;
mod follow;
mod guests;
mod head;
mod held;
mod hidden;
mod loader;
mod memories;
mod metrics;
mod pipeline;
mod plan;
mod policy_log;
mod refusal;
mod remembered;
mod request_id;
mod request_log;
mod respond;
mod snapshot;
pub mod streams;
mod visit;
mod warnings;
mod witness;
