//! Runs a tenant's policy, a WebAssembly component, as a [`Decider`](wayside_decide::decision::Decider).
//!
//! In: a component's bytes, and a recorder through which the guest asks. Out: a decision, or why there is none. Every
//! run has a sandbox of its own, no WASI, a deadline and a cap on memory. This crate must not know HTTP, the origin,
//! or what becomes of a decision.

pub mod admission;
pub mod artefact;
pub mod asks;
mod background;
mod bindings;
pub mod compiler;
mod conv;
pub mod encode;
pub mod engine;
pub mod facts;
pub mod guest;
mod inspect;
pub mod limits;
pub mod note;
pub mod pool;
mod queue;
pub mod refusal;
mod sandbox;
pub mod source;
pub mod toolchain;
mod turns;
pub mod vectors;
pub mod world;
