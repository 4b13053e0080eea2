//! What a decision is, and nothing about how it travels.
//!
//! In: facts about a request, behind the [`facts::Facts`] trait. Out: a [`decision::Decision`] and the
//! [`trace::Trace`] of every question that led to it. This crate is pure: no async, no I/O, no clock, no
//! randomness, no wasmtime; `now` and every key are arguments. It must not know HTTP servers, stores,
//! serialisation formats or configuration.

pub mod agent;
pub mod binding;
pub mod bucket;
pub mod decision;
pub mod dependence;
pub mod digest;
pub mod estimate;
pub mod facts;
pub mod host;
pub mod invalid;
pub mod language;
pub mod limits;
pub mod link;
pub mod name;
pub mod path;
pub mod point;
pub mod question;
pub mod rule;
pub mod site;
pub mod status;
pub mod stream;
pub mod target;
pub mod template;
pub mod trace;
pub mod tree;
pub mod zone;
