//! The origin over real sockets: the API as people and programs use it, the feed as nodes follow it, and the record
//! as it outlives the process.
//!
//! What holds whatever the record is kept in runs on both: each test by itself on SQLite, and all of them in
//! `postgres::the_whole_suite_holds`, which owns one server and gives each a database.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test says what it expects by failing, its helpers too, and why it was left out"
)]

#[macro_use]
mod engines;

mod access;
mod assets;
mod failures;
mod feed;
mod happy;
mod harness;
mod loads;
mod nodes;
mod postgres;
mod record;
mod refusals;
mod snapshot;
mod streams;
