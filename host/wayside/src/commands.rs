//! The commands, a module each, and how they are run.

use crate::cli::{Command, Globals};

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod edge;
pub(crate) mod geo;
pub(crate) mod link;
pub(crate) mod node;
pub(crate) mod origin;
pub(crate) mod policy;
pub(crate) mod rule;
pub(crate) mod site;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod token;

mod fields;
mod file;
mod values;

/// Does what the command line asks for.
pub(crate) fn run(command: Command, globals: &Globals) -> anyhow::Result<()> {
    match command {
        Command::Dev(args) => dev::run(args, globals),
        Command::Edge(args) => edge::run(args, globals),
        Command::Origin(args) => origin::run(args, globals),
        Command::Site(args) => site::run(args, globals),
        Command::Link(args) => link::run(args, globals),
        Command::Rule(args) => rule::run(args, globals),
        Command::Policy(args) => policy::run(args, globals),
        Command::Target(args) => target::run(args, globals),
        Command::Stream(args) => stream::run(args, globals),
        Command::Node(args) => node::run(args, globals),
        Command::Token(args) => token::run(args, globals),
        Command::Geo(args) => geo::run(args, globals),
        Command::Config(args) => config::run(args, globals),
        Command::Status(args) => status::run(args, globals),
        Command::Completions(args) => completions::run(args, globals),
    }
}
