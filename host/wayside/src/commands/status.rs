//! `wayside status`: how an edge is, and whether its origin answers.

use anyhow::Context as _;
use serde_json::json;
use wayside_edge_config::url::ServiceUrl;

use crate::{
    cli::Globals,
    client::{Client, access::service_url, block_on},
    output,
};

const EXAMPLES: &str = "\
Examples:
  wayside status
  wayside status --admin-url http://10.0.0.7:9090 --output json";

/// Whose status.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the edge's own endpoint answers
    #[arg(
        long,
        env = "WAYSIDE_ADMIN",
        default_value = "http://127.0.0.1:9090",
        value_parser = service_url,
        value_name = "URL"
    )]
    admin_url: ServiceUrl,
}

/// Fails when the edge does not answer; an origin that does not is part of how things are.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let edge = Client::anonymous("edge", args.admin_url)?;
    let origin = Client::anonymous("origin", globals.origin_url.clone())?;
    let document = block_on(async {
        let status = edge.get(&["status"], &[]).await.context("show the status")?;
        let is_healthy = origin.check(&["healthz"]).await.is_ok();
        Ok(json!({ "edge": status, "origin": { "url": globals.origin_url.as_str(), "healthy": is_healthy } }))
    })?;
    output::record(globals.output, &document, &[])
}
