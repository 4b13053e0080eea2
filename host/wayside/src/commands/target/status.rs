//! `wayside target status`: how targets do, as a running node sees them.

use anyhow::Context as _;

use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::Listing,
};

const COLUMNS: &[&str] = &[
    "tenant",
    "target",
    "region",
    "service",
    "health",
    "share_percent",
    "sessions",
    "sessions_everywhere",
    "kbit_s",
    "latency_ms",
    "problem",
];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside target status
  wayside target status --admin-url http://10.0.0.7:9090 --output json";

/// Nothing beyond what holds for every command.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, globals: &Globals) -> anyhow::Result<()> {
    let edge = Client::anonymous("edge", globals.admin_url.clone())?;
    let listing = Listing::new(globals.output, COLUMNS);
    block_on(edge.list(&["streams", "targets"], &[], listing)).context("show how targets do")
}
