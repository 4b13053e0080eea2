//! `wayside edge`: a node that follows an origin elsewhere.

use std::path::PathBuf;

use anyhow::Context as _;
use wayside_edge::node::Node;
use wayside_upstream::{access::Access, http::Roots};

use crate::{
    cli::Globals,
    client::access,
    logging, output,
    running::{self, End},
    settings,
};

const NO_TOKEN: &str = "there is no token for the origin: set `upstream.token_file` in the configuration, or \
                        WAYSIDE_TOKEN_FILE or WAYSIDE_TOKEN";

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
    let token = access::token(globals, Some(&config.upstream), None)?.context(NO_TOKEN)?;
    let roots = config.upstream.ca_file.as_deref().map(Roots::read).transpose();
    let access = Access::by_token(&token, roots.context("upstream.ca_file")?.unwrap_or_default())?;
    let node_settings = running::node_settings(&config, access);
    running::block_on(async {
        let end = End::listen()?;
        let node = Node::start(node_settings).await?;
        output::line(&format!("edge    http://{}", node.address()))?;
        output::line(&format!("admin   http://{}", node.admin_address()))?;
        end.asked().await;
        node.drain().await;
        Ok(())
    })
}
