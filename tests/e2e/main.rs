//! Whole-system tests: the real binary over real sockets.
//!
//! Each test starts the processes it needs on free ports with a folder of its own, and ends them by their ids. Nothing
//! is shared, so all run side by side.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test says what it expects by failing, and why it was left out"
)]

mod harness;
mod openssl;
mod origins;

mod admin;
mod admission;
mod authors;
mod bad_requests;
mod bindings;
mod broken;
mod cli;
mod demo;
mod evasions;
mod eyes;
mod full_disk;
mod geo;
mod held;
mod http1;
mod imports;
mod javascript;
mod layers;
mod levels;
mod logs;
mod nodes;
mod outages;
mod plans;
mod players;
mod policies;
mod pop_cache;
mod postgres;
mod records;
mod regions;
mod remembered;
mod shared_cache;
mod stream_commands;
mod stream_manifests;
mod stream_policies;
mod streams;
mod tls;
