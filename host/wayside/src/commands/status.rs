//! `wayside status`: how an edge is, and whether its origin answers.

use anyhow::Context as _;
use serde_json::json;

use crate::{
    cli::Globals,
    client::{Client, block_on},
    output,
};

const EXAMPLES: &str = "\
Examples:
  wayside status
  wayside status --admin-url http://10.0.0.7:9090 --output json";

/// Nothing beyond what holds for every command.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Fails when the edge does not answer; an origin that does not is part of how things are.
pub(crate) fn run(_: Args, globals: &Globals) -> anyhow::Result<()> {
    let edge = Client::anonymous("edge", globals.admin_url.clone())?;
    let origin = Client::anonymous_origin(globals)?;
    let document = block_on(async {
        let status = edge.get(&["status"], &[]).await.context("show the status")?;
        let is_healthy = origin.check(&["healthz"]).await.is_ok();
        Ok(json!({ "edge": status, "origin": { "url": globals.origin_url.as_str(), "healthy": is_healthy } }))
    })?;
    output::record(globals.output, &document, &[])
}
