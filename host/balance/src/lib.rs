//! Choosing among targets that are slow, busy, far away or dead.
//!
//! In: what is known of each target, the instant and a source of randomness. Out: which target is asked next, and what
//! changed. This crate is pure: no async, no I/O, no clock; the same arguments give the same choices, so that a seed
//! replays a whole outage. It must not know what a target is or how it is asked.
//!
//! Balancers: [`round_robin`], [`smooth_weighted`], [`least_connections`], [`two_choices`], [`consistent_hash`],
//! [`nearest`]; scores for the fourth: [`adaptive`], [`latency`]. State machines: [`breaker`], [`budget`], [`hedge`], [`failback`], [`mod@panic`], [`level`].
//! [`fleet`] puts the latter together for origins in regions.

pub mod adaptive;
pub mod breaker;
pub mod budget;
pub mod consistent_hash;
pub mod failback;
pub mod fleet;
pub mod hash;
pub mod hedge;
pub mod latency;
pub mod least_connections;
pub mod level;
pub mod moment;
pub mod nearest;
pub mod panic;
pub mod quantile;
pub mod random;
pub mod round_robin;
pub mod smooth_weighted;
pub mod two_choices;
