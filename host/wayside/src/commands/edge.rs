//! `wayside edge`: a node that follows an origin elsewhere.

use std::path::PathBuf;

use wayside_edge::node::Node;

use crate::{
    cli::Globals,
    identity, logging, output,
    running::{self, End},
    settings,
};

/// Run an edge
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration; see `wayside config schema`. Environment variables `WAYSIDE__SECTION__KEY` go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the node until the process is asked to end.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let config = settings::load(args.config.as_deref())?;
    logging::start(&config.log);
    running::block_on(async {
        let mut end = End::listen()?;
        let Some(access) = end.or(identity::access(&config, globals)).await else {
            return Ok(());
        };
        let access = access?;
        let node_settings = running::node_settings(&config, access)?;
        let node = Node::start(node_settings).await?;
        output::line(&format!("edge    http://{}", node.address()))?;
        output::line(&format!("admin   http://{}", node.admin_address()))?;
        end.asked().await;
        node.drain().await;
        Ok(())
    })
}
