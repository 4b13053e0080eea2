//! `wayside site`: names for sets of hosts.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::values::name;
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Format, Listing},
};

const SITES: &[&str] = &["v1", "sites"];
const COLUMNS: &[&str] = &[
    "name",
    "hosts",
    "not_found",
    "max_age_s",
    "privacy",
    "streams",
    "updated_at",
];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside site add shop --host go.example.com
  wayside site list
  wayside site rm shop";
const ADD_EXAMPLES: &str = "\
Examples:
  wayside site add shop --host go.example.com
  wayside site add shop --host go.example.com --host '*.go.example.com' --not-found https://example.com/";
const SET_EXAMPLES: &str = "\
Examples:
  wayside site set shop --host go.example.com --host go.example.org
  wayside site set shop --not-found none
  wayside site set shop --max-age 3600
  wayside site set shop --privacy full
  wayside site set shop --streams /video";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside site list
  wayside site list --tenant acme --output json";
const GET_EXAMPLES: &str = "\
Examples:
  wayside site get shop";
const RM_EXAMPLES: &str = "\
Examples:
  wayside site rm shop";

/// What can be asked about sites.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Make a site
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The site's name, within its tenant
        #[arg(value_parser = name)]
        name: String,
        /// A host it answers for, exact or with a wildcard: `*.example.com`; repeat for more
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// Where unknown paths lead; without it they are not found
        #[arg(long, value_name = "URL")]
        not_found: Option<String>,
        /// How long caches may keep a redirect at most; 0 for not at all. Unless said, what policies decide is kept for
        /// a minute, and of links and rules nothing is said
        #[arg(long, value_name = "SECONDS")]
        max_age: Option<u32>,
        /// What nodes may keep of visitors' requests, for `wayside policy plan`
        #[arg(long, value_enum, default_value_t = Privacy::Redacted)]
        privacy: Privacy,
        /// Below which path its assets are: with `/video`, the asset `film` has all below `/video/film/`
        #[arg(long, value_name = "PATH")]
        streams: Option<String>,
    },
    /// Change the named fields of a site
    #[command(after_help = SET_EXAMPLES)]
    Set(Changes),
    /// List the tenant's sites
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show a site
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// The site's name
        #[arg(value_parser = name)]
        name: String,
    },
    /// End a site with its links, rules, bindings and assets
    #[command(after_help = RM_EXAMPLES)]
    Rm {
        /// The site's name
        #[arg(value_parser = name)]
        name: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct Changes {
    /// The site's name
    #[arg(value_parser = name)]
    name: String,
    /// The hosts it answers for, in place of those before; repeat for more
    #[arg(long = "host", value_name = "HOST", required_unless_present_any = ["not_found", "max_age", "privacy", "streams"])]
    hosts: Vec<String>,
    /// Where unknown paths lead; `none` for nowhere
    #[arg(long, value_name = "URL")]
    not_found: Option<String>,
    /// How long caches may keep a redirect at most; 0 for not at all, `none` to leave it to the defaults
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_none)]
    max_age: Option<MaxAge>,
    /// What nodes may keep of visitors' requests, for `wayside policy plan`
    #[arg(long, value_enum)]
    privacy: Option<Privacy>,
    /// Below which path its assets are; `none` for nowhere
    #[arg(long, value_name = "PATH")]
    streams: Option<String>,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Privacy {
    /// No addresses, cookies or queries, and few header fields
    Redacted,
    /// All that was sent, and from where
    Full,
}

#[derive(Serialize)]
struct NewSite<'a> {
    name: &'a str,
    hosts: &'a [String],
    not_found: Option<&'a str>,
    max_age_s: Option<u32>,
    privacy: Privacy,
    streams: Option<&'a str>,
}

/// A limit that may be taken off.
#[derive(Clone)]
pub(crate) struct MaxAge(Option<u32>);

fn seconds_or_none(text: &str) -> Result<MaxAge, String> {
    if text == "none" {
        return Ok(MaxAge(None));
    }
    let seconds = text
        .parse()
        .map_err(|_| "expected a whole number of seconds, or `none`")?;
    Ok(MaxAge(Some(seconds)))
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let client = Client::origin(globals)?;
    block_on(converse(args, &client, globals.output))
}

async fn converse(args: Args, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        Args::Add {
            name,
            hosts,
            not_found,
            max_age,
            privacy,
            streams,
        } => {
            let site = NewSite {
                name: &name,
                hosts: &hosts,
                not_found: not_found.as_deref(),
                max_age_s: max_age,
                privacy,
                streams: streams.as_deref(),
            };
            let made = client
                .send(Method::POST, SITES, &site)
                .await
                .with_context(|| format!("add site {name}"))?;
            output::record(format, &made, COLUMNS)
        }
        Args::Set(changes) => change(changes, client, format).await,
        Args::List => client
            .list(SITES, &[], Listing::new(format, COLUMNS))
            .await
            .context("list sites"),
        Args::Get { name } => {
            let site = client
                .get(&["v1", "sites", &name], &[])
                .await
                .with_context(|| format!("show site {name}"))?;
            output::record(format, &site, COLUMNS)
        }
        Args::Rm { name } => {
            client
                .delete(&["v1", "sites", &name], &[])
                .await
                .with_context(|| format!("remove site {name}"))?;
            output::done(
                format,
                &format!("removed site {name}"),
                &json!({ "removed": { "name": name } }),
            )
        }
    }
}

async fn change(changes: Changes, client: &Client, format: Format) -> anyhow::Result<()> {
    let Changes {
        name,
        hosts,
        not_found,
        max_age,
        privacy,
        streams,
    } = changes;
    let path = ["v1", "sites", &name];
    let context = || format!("change site {name}");
    let mut site = client.get(&path, &[]).await.with_context(context)?;
    if !hosts.is_empty() {
        site["hosts"] = json!(hosts);
    }
    if let Some(target) = not_found {
        site["not_found"] = json!(Some(target).filter(|target| target != "none"));
    }
    if let Some(MaxAge(seconds)) = max_age {
        site["max_age_s"] = json!(seconds);
    }
    if let Some(privacy) = privacy {
        site["privacy"] = json!(privacy);
    }
    if let Some(prefix) = streams {
        site["streams"] = json!(Some(prefix).filter(|prefix| prefix != "none"));
    }
    let content = json!({
        "hosts": site["hosts"],
        "not_found": site["not_found"],
        "max_age_s": site["max_age_s"],
        "privacy": site["privacy"],
        "streams": site["streams"],
    });
    let changed = client.send(Method::PUT, &path, &content).await.with_context(context)?;
    output::record(format, &changed, COLUMNS)
}
