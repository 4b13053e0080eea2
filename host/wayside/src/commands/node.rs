//! `wayside node`: which edges may follow the origin.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::values::{duration, name};
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Listing},
};

const NODES: &[&str] = &["v1", "nodes"];
const COLUMNS: &[&str] = &[
    "id",
    "name",
    "state",
    "invited_at",
    "expires_at",
    "enrolled_at",
    "revoked_at",
];
const FIRST: &[&str] = &["invitation", "id", "name", "expires_at"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside node invite edge-fra-1
  wayside node list
  wayside node revoke node_0123456789abcdef";
const INVITE_EXAMPLES: &str = "\
Examples:
  wayside node invite edge-fra-1
  wayside node invite edge-fra-1 --valid-for 24h
  wayside node invite edge-fra-1 --output json | jq -r .invitation > invitation
                                        (what `upstream.invitation_file` of the node's configuration names)";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside node list";
const REVOKE_EXAMPLES: &str = "\
Examples:
  wayside node revoke node_0123456789abcdef";

/// What can be asked about nodes.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Invite an edge: prints what it enrols with, once
    #[command(after_help = INVITE_EXAMPLES)]
    Invite {
        /// What to call it
        #[arg(value_parser = name)]
        name: String,
        /// How long the invitation holds: 30m, 24h, 7d
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
        valid_for: Duration,
    },
    /// List the nodes and where each is in its life
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Revoke a node or its invitation: it gets nothing more
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The node's id
        id: String,
    },
}

#[derive(Serialize)]
struct NewNode<'a> {
    name: &'a str,
    valid_for_s: u64,
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    block_on(converse(args, globals))
}

async fn converse(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let (format, client) = (globals.output, Client::operator(globals)?);
    match args {
        Args::Invite { name, valid_for } => {
            let node = NewNode {
                name: &name,
                valid_for_s: valid_for.as_secs(),
            };
            let invited = client.send(Method::POST, NODES, &node).await;
            output::record(format, &invited.with_context(|| format!("invite node {name}"))?, FIRST)
        }
        Args::List => {
            let listing = Listing::new(format, COLUMNS);
            client.list(NODES, &[], listing).await.context("list nodes")
        }
        Args::Revoke { id } => {
            let revoked = client.delete(NODES, &[("id", &id)]).await;
            revoked.with_context(|| format!("revoke node {id}"))?;
            output::done(
                format,
                &format!("revoked node {id}"),
                &json!({ "revoked": { "id": id } }),
            )
        }
    }
}
