//! The origin over real sockets: the API as people and programs use it, the feed as nodes follow it, and the record
//! as it outlives the process.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, its helpers too"
)]

mod access;
mod failures;
mod feed;
mod happy;
mod harness;
mod record;
mod refusals;
mod snapshot;
