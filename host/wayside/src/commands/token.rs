//! `wayside token`: who may speak to the origin's API.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::values::name;
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Listing},
};

const TOKENS: &[&str] = &["v1", "tokens"];
const COLUMNS: &[&str] = &["id", "name", "tenant", "scope", "created_at", "revoked_at"];
const FIRST: &[&str] = &["token", "id", "name", "tenant", "scope"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside token create ci --scope write --tenant acme
  wayside token list --tenant acme
  wayside token revoke 0123456789ab";
const CREATE_EXAMPLES: &str = "\
Examples:
  wayside token create ci --scope write --tenant acme
  wayside token create edge-fra-1 --scope read --operator      (what an edge node needs)
  wayside token create ci --scope write --output json | jq -r .token > ci.token";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside token list --tenant acme
  wayside token list --operator";
const REVOKE_EXAMPLES: &str = "\
Examples:
  wayside token revoke 0123456789ab        (the id: the part of a token between its underscores)";

/// What can be asked about tokens.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Make a token; it is shown this once
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        #[command(flatten)]
        name: GivenName,
        /// What its holder may do
        #[arg(long, value_enum)]
        scope: Scope,
        /// Reach every tenant; only operators may make such tokens
        #[arg(long)]
        operator: bool,
    },
    /// List a tenant's tokens, without their secrets
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// List the operators' tokens
        #[arg(long)]
        operator: bool,
    },
    /// End a token, at once
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The token's id
        id: String,
        /// It is an operator's
        #[arg(long)]
        operator: bool,
    },
}

/// What to call a token.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct GivenName {
    /// What to call it
    #[arg(value_name = "NAME", value_parser = name)]
    positional: Option<String>,
    /// What to call it
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
}

impl GivenName {
    fn text(&self) -> &str {
        let name = self.positional.as_deref().or(self.name.as_deref());
        // Clap has seen to it that there is one.
        name.unwrap_or_default()
    }
}

/// What a token's holder may do; each includes those before it.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Look
    Read,
    /// Change sites, links, rules, policies and bindings
    Write,
    /// Make and revoke tokens
    Admin,
}

#[derive(Serialize)]
struct NewToken<'a> {
    name: &'a str,
    scope: Scope,
    operator: bool,
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    block_on(converse(args, globals))
}

async fn converse(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let format = globals.output;
    match args {
        Args::Create { name, scope, operator } => {
            let name = name.text();
            let token = NewToken { name, scope, operator };
            let client = client(globals, operator)?;
            let made = client
                .send(Method::POST, TOKENS, &token)
                .await
                .with_context(|| format!("create token {name}"))?;
            output::record(format, &made, FIRST)
        }
        Args::List { operator } => {
            let listing = Listing::new(format, COLUMNS);
            client(globals, operator)?
                .list(TOKENS, &[], listing)
                .await
                .context("list tokens")
        }
        Args::Revoke { id, operator } => {
            let client = client(globals, operator)?;
            client
                .delete(TOKENS, &[("id", &id)])
                .await
                .with_context(|| format!("revoke token {id}"))?;
            output::done(
                format,
                &format!("revoked token {id}"),
                &json!({ "revoked": { "id": id } }),
            )
        }
    }
}

/// The operators' tokens are nobody's tenant's.
fn client(globals: &Globals, operator: bool) -> anyhow::Result<Client> {
    if operator {
        Client::operator(globals)
    } else {
        Client::origin(globals)
    }
}
