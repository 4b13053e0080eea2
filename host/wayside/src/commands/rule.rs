//! `wayside rule`: one answer for many paths of a site.

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::values::{ListedSite, name, status};
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Format, Listing},
};

const RULES: &[&str] = &["v1", "rules"];
const COLUMNS: &[&str] = &["id", "priority", "pattern", "target", "status"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside rule add shop '/docs/*' 'https://docs.example.com/{splat}'
  wayside rule list shop";
const ADD_EXAMPLES: &str = "\
Examples:
  wayside rule add shop '/docs/*' 'https://docs.example.com/{splat}'
  wayside rule add shop '/docs/old/*' https://docs.example.com/archive --priority 10 --status 301";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside rule list shop";
const RM_EXAMPLES: &str = "\
Examples:
  wayside rule rm shop 3        (the number that `wayside rule list shop` shows)";

/// What can be asked about rules.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Make a rule
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// Which paths: an exact one, or all below one, such as `/docs/*`
        pattern: String,
        /// Where they lead: a URL in which `{splat}` stands for what `*` matched
        target: String,
        /// Rules with lower numbers are tried first
        #[arg(long, value_name = "N", default_value_t = 100)]
        priority: u32,
        /// The status of the redirect: 301, 302, 303, 307 or 308
        #[arg(long, value_name = "CODE", default_value_t = 302, value_parser = status)]
        status: u16,
    },
    /// List a site's rules in the order in which they are tried
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        site: ListedSite,
    },
    /// End a rule
    #[command(after_help = RM_EXAMPLES)]
    Rm {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The rule's number
        id: u64,
    },
}

#[derive(Serialize)]
struct NewRule<'a> {
    site: &'a str,
    priority: u32,
    pattern: &'a str,
    target: &'a str,
    status: u16,
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let client = Client::origin(globals)?;
    block_on(converse(args, &client, globals.output))
}

async fn converse(args: Args, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        Args::Add {
            site,
            pattern,
            target,
            priority,
            status,
        } => {
            let rule = NewRule {
                site: &site,
                priority,
                pattern: &pattern,
                target: &target,
                status,
            };
            let context = || format!("add rule {pattern} to site {site}");
            let made = client.send(Method::POST, RULES, &rule).await.with_context(context)?;
            output::record(format, &made, COLUMNS)
        }
        Args::List { site } => {
            let context = || format!("list rules of site {}", site.name());
            let query = [("site", site.name())];
            client
                .list(RULES, &query, Listing::new(format, COLUMNS))
                .await
                .with_context(context)
        }
        Args::Rm { site, id } => {
            let query = [("site", &*site), ("id", &*id.to_string())];
            client
                .delete(RULES, &query)
                .await
                .with_context(|| format!("remove rule {id} of site {site}"))?;
            let document = json!({ "removed": { "site": site, "id": id } });
            output::done(format, &format!("removed rule {id} of site {site}"), &document)
        }
    }
}
