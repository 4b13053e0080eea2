//! The configuration of a Wayside process: schema, checking and defaults.
//!
//! In: the text of a TOML file and the environment's variables, both handed in. Out: a [`config::Config`] whose every
//! value can be used, or a [`error::ConfigError`] that says where the mistake is, what stands there and what was
//! expected. This crate must not read files or the environment, and knows nothing of what its values set up.

pub mod address;
pub mod config;
pub mod error;
pub mod name;
pub mod number;
pub mod path;
pub mod read;
pub mod secret;
pub mod store;
pub mod url;

mod suggest;
mod text;
