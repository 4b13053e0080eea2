//! `wayside link`: one path of a site and where it leads.

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::values::{ListedSite, name};
use crate::{
    cli::Globals,
    client::{Client, block_on, refusal::Refusal},
    output::{self, Format, Listing},
};

mod fields;
mod import;

use fields::{Changes, Content};

const LINKS: &[&str] = &["v1", "links"];
const COLUMNS: &[&str] = &["path", "target", "status", "tags", "starts_at", "expires_at"];
const FIRST: &[&str] = &["site", "path", "target", "status"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside link add shop /sale https://example.com/sale
  wayside link set shop /sale --target https://example.com/winter
  wayside link list shop
  wayside link import shop links.csv";
const ADD_EXAMPLES: &str = "\
Examples:
  wayside link add shop /sale https://example.com/sale
  wayside link add shop /sale https://example.com/sale --status 301 --tag spring --forward-query
  wayside link add shop /sale https://example.com/sale --starts-at 2026-12-01T00:00:00Z \\
      --expires-at 2027-01-01T00:00:00Z --fallback https://example.com/";
const SET_EXAMPLES: &str = "\
Examples:
  wayside link set shop /sale --target https://example.com/winter
  wayside link set shop /sale --expires-at none --tag winter --tag sale";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside link list shop
  wayside link list --site shop --prefix /2026/ --limit 20
  wayside link list shop --output json | jq -r '.items[].path'";
const GET_EXAMPLES: &str = "\
Examples:
  wayside link get shop /sale";
const RM_EXAMPLES: &str = "\
Examples:
  wayside link rm shop /sale";

/// What can be asked about links.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Make a link
    #[command(after_help = ADD_EXAMPLES)]
    Add(Content),
    /// Change the named fields of a link
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The link's path
        path: String,
        #[command(flatten)]
        changes: Changes,
    },
    /// List a site's links by path
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        site: ListedSite,
        /// Only links whose path starts so
        #[arg(long, value_name = "PATH")]
        prefix: Option<String>,
        /// At most so many; all unless said
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a link
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The link's path
        path: String,
    },
    /// Make or replace many links of a site, out of a file
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
    /// End a link
    #[command(after_help = RM_EXAMPLES)]
    Rm {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The link's path
        path: String,
    },
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let client = Client::origin(globals)?;
    block_on(converse(args, &client, globals.output))
}

async fn converse(args: Args, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        Args::Add(link) => {
            let made = add(client, link).await?;
            output::record(format, &made, FIRST)
        }
        Args::Set { site, path, changes } => {
            let context = || format!("change link {path} of site {site}");
            let changed = set(client, &site, &path, changes).await.with_context(context)?;
            output::record(format, &changed, FIRST)
        }
        Args::List { site, prefix, limit } => {
            let mut query = vec![("site", site.name())];
            query.extend(prefix.as_deref().map(|prefix| ("prefix", prefix)));
            let listing = Listing::new(format, COLUMNS);
            let context = || format!("list links of site {}", site.name());
            client
                .list_in_parts(LINKS, &query, limit, listing)
                .await
                .with_context(context)
        }
        Args::Get { site, path } => {
            let query = [("site", &*site), ("path", &*path)];
            let context = || format!("show link {path} of site {site}");
            let link = client.get(LINKS, &query).await.with_context(context)?;
            output::record(format, &link, FIRST)
        }
        Args::Import(args) => import::run(args, client, format).await,
        Args::Rm { site, path } => {
            let query = [("site", &*site), ("path", &*path)];
            let context = || format!("remove link {path} of site {site}");
            client.delete(LINKS, &query).await.with_context(context)?;
            let document = json!({ "removed": { "site": site, "path": path } });
            output::done(format, &format!("removed link {path} of site {site}"), &document)
        }
    }
}

async fn add(client: &Client, link: Content) -> anyhow::Result<Value> {
    let (site, path) = (&link.site, &link.path);
    client.send(Method::POST, LINKS, &link).await.map_err(|error| {
        let exists = error.downcast_ref().is_some_and(Refusal::is_conflict);
        if exists {
            anyhow::anyhow!("link {path} of site {site} exists already; `wayside link set {site} {path} …` changes it")
        } else {
            error.context(format!("add link {path} to site {site}"))
        }
    })
}

/// Reads the link, changes what was named and writes it whole: the API knows no partial change.
async fn set(client: &Client, site: &str, path: &str, changes: Changes) -> anyhow::Result<Value> {
    let held = client.get(LINKS, &[("site", site), ("path", path)]).await?;
    let mut link: Content = serde_json::from_value(held).context("read the link as it is")?;
    changes.apply(&mut link);
    client.send(Method::PUT, LINKS, &link).await
}
