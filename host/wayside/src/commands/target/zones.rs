//! `wayside target zones`: which networks are near which of a tenant's targets.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
use wayside_upstream::protocol::zones::ZONES_BYTES_MAX;

use crate::{
    client::Client,
    commands::file::read_at_most,
    output::{self, Format},
};

const ZONES: &[&str] = &["v1", "zones"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside target zones set zones.json
  wayside target zones show
  wayside target zones clear";
const SET_EXAMPLES: &str = "\
Examples:
  wayside target zones set zones.json

The file is JSON as Traffic Control's coverage zone file; a group is the region of targets:
  {\"coverageZones\": {\"eu\": {\"network\": [\"192.0.2.0/24\"], \"network6\": [\"2001:db8::/32\"]}}}";
const SHOW_EXAMPLES: &str = "\
Examples:
  wayside target zones show";
const CLEAR_EXAMPLES: &str = "\
Examples:
  wayside target zones clear";

/// What can be asked about coverage zones.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Take the tenant's coverage zones from a file, in place of those before
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The file, or `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the tenant's coverage zones
    #[command(after_help = SHOW_EXAMPLES)]
    Show,
    /// Have no coverage zones
    #[command(after_help = CLEAR_EXAMPLES)]
    Clear,
}

/// Does what is asked.
pub(super) async fn run(args: Args, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        Args::Set { file } => {
            let text = read_at_most(&file, ZONES_BYTES_MAX)?;
            let written = client.send_text(Method::PUT, ZONES, text).await;
            let written = written.with_context(|| format!("take coverage zones from {}", file.display()))?;
            output::record(format, &written, &["groups", "networks"])
        }
        // As it was uploaded: as JSON in any case.
        Args::Show => output::json(&client.get(ZONES, &[]).await.context("show coverage zones")?),
        Args::Clear => {
            client.delete(ZONES, &[]).await.context("remove coverage zones")?;
            let document = json!({ "removed": { "zones": true } });
            output::done(format, "removed the coverage zones", &document)
        }
    }
}
