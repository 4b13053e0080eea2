//! `wayside config`: checking, explaining and printing configurations.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use wayside_edge_config::{config::Config, read::parse};

use crate::{
    cli::Globals,
    output::{self, Format},
    settings,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside config print > wayside.toml
  wayside config check wayside.toml
  wayside config schema > wayside.schema.json";
const CHECK_EXAMPLES: &str = "\
Examples:
  wayside config check wayside.toml      (prints `wayside.toml: ok`, or what is wrong where)";
const SCHEMA_EXAMPLES: &str = "\
Examples:
  wayside config schema > wayside.schema.json";
const PRINT_EXAMPLES: &str = "\
Examples:
  wayside config print > wayside.toml                            (every setting with its default)
  WAYSIDE__EDGE__THREADS=2 wayside config print wayside.toml     (what a process would use)";

/// What can be asked about configurations.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Check a file: names file, line, column, what stands there and what was expected
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema of the file
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print what a process would use: defaults, the file, the environment; secrets are masked
    #[command(after_help = PRINT_EXAMPLES)]
    Print {
        /// The file
        file: Option<PathBuf>,
    },
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let format = globals.output;
    match args {
        Args::Check { file } => {
            let name = file.display().to_string();
            parse(&name, &settings::read(&file)?)?;
            output::done(format, &format!("{name}: ok"), &json!({ "file": name, "ok": true }))
        }
        Args::Schema => output::json(&Config::schema()),
        Args::Print { file } => {
            let config = settings::load(file.as_deref())?;
            match format {
                Format::Table => output::text(&config.to_toml().context("print the configuration")?),
                Format::Json => output::json(&serde_json::to_value(&config).context("print the configuration")?),
            }
        }
    }
}
