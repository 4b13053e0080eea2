//! Streams on a node: what tenants' playlists are fetched with, kept in and signed by.

use std::{collections::HashMap, path::PathBuf};

use ipnet::IpNet;

use self::secrets::Variable;

pub(crate) mod fetch;
pub mod secrets;
pub(crate) mod tokens;

/// What a node must be told about streams.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Networks beside the public ones that tenants' URLs may lead to.
    pub private_networks: Vec<IpNet>,
    /// The folder of keys; none when absent.
    pub secrets: Option<PathBuf>,
    /// Keys that stood in the environment, by the variable's name behind [`secrets::VARIABLE_PREFIX`].
    pub variables: HashMap<String, Variable>,
    /// Memory for playlists, in bytes.
    pub memory_bytes_max: u64,
    /// Room for playlists in the node's folder, in bytes; 0 keeps none there.
    pub disk_bytes_max: u64,
}
