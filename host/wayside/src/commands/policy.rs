//! `wayside policy`: WebAssembly components that decide.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use wayside_decide::{binding::VisitorKey, digest::Digest, limits::COMPONENT_BYTES_MAX};

use super::{
    file::read_at_most,
    values::{ListedSite, name, setting},
};
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Format, Listing},
};

mod build;
mod explain;
mod local;
mod logs;
mod new;
mod plan;

const BINDINGS: &[&str] = &["v1", "bindings"];
const ROLLBACK: &[&str] = &["v1", "bindings", "rollback"];
const VERSION_COLUMNS: &[&str] = &["name", "digest", "size", "world", "created_at"];
const BINDING_COLUMNS: &[&str] = &["prefix", "policy", "on_failure", "visitor_key", "settings", "digest"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside policy build guest/policies/geo-redirect
  wayside policy push geo-redirect guest/components/geo-redirect.wasm
  wayside policy bind shop /where geo-redirect --on-failure open --set default=https://example.com/";
const BUILD_EXAMPLES: &str = "\
Examples:
  wayside policy build guest/policies/geo-redirect
  wayside policy build --check guest/policies/*      (compiles nothing; fails when one is out of date)";
const PUSH_EXAMPLES: &str = "\
Examples:
  wayside policy push geo-redirect guest/components/geo-redirect.wasm";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside policy list
  wayside policy list geo-redirect --output json";
const BIND_EXAMPLES: &str = "\
Examples:
  wayside policy bind shop /geo geo-redirect --on-failure open --set de=https://example.de/
  wayside policy bind shop / ab-split --on-failure closed --digest 3f0c…";
const BINDINGS_EXAMPLES: &str = "\
Examples:
  wayside policy bindings shop";
const UNBIND_EXAMPLES: &str = "\
Examples:
  wayside policy unbind shop /geo";
const ROLLBACK_EXAMPLES: &str = "\
Examples:
  wayside policy rollback shop /geo";

/// What can be asked about policies.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Write a new policy's folder, which builds and passes its tests as it is
    #[command(after_help = new::EXAMPLES)]
    New(new::Args),
    /// Build policies written in Rust, JavaScript or TypeScript
    #[command(after_help = BUILD_EXAMPLES)]
    Build(build::Args),
    /// Show what a component is and what it can ask
    #[command(after_help = local::INSPECT_EXAMPLES)]
    Inspect(local::Inspect),
    /// Run a component's tests
    #[command(after_help = local::TEST_EXAMPLES)]
    Test(local::Test),
    /// Try a component on one request: what it decides, and what it asks
    #[command(after_help = local::RUN_EXAMPLES)]
    Run(local::Try),
    /// Draw what a policy depends on, from what a running node remembers
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Show what policies say on a running node, and why they gave no decision
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Args),
    /// Tell what another version would change, from what a running node keeps of live traffic
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::Args),
    #[command(flatten)]
    Recorded(Recorded),
}

/// What the origin is asked.
#[derive(Subcommand)]
pub(crate) enum Recorded {
    /// Upload a component as the newest version of a policy
    #[command(after_help = PUSH_EXAMPLES)]
    Push {
        /// The policy's name, within its tenant
        #[arg(value_parser = name)]
        name: String,
        /// The component
        file: PathBuf,
    },
    /// List the versions of all policies, or of one, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// The policy's name
        #[arg(value_parser = name)]
        name: Option<String>,
    },
    /// Let a policy decide for a part of a site
    #[command(after_help = BIND_EXAMPLES)]
    Bind(BindArgs),
    /// List what decides for which part of a site
    #[command(after_help = BINDINGS_EXAMPLES)]
    Bindings {
        #[command(flatten)]
        site: ListedSite,
    },
    /// Let no policy decide there any more
    #[command(after_help = UNBIND_EXAMPLES)]
    Unbind {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The part of the site
        prefix: String,
    },
    /// Go back to what was bound there before
    #[command(after_help = ROLLBACK_EXAMPLES)]
    Rollback {
        /// The site's name
        #[arg(value_parser = name)]
        site: String,
        /// The part of the site
        prefix: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct BindArgs {
    /// The site's name
    #[arg(value_parser = name)]
    site: String,
    /// The part of the site: `/geo` stands for `/geo` and all below it, `/` for the whole site
    prefix: String,
    /// The policy's name
    #[arg(value_parser = name)]
    policy: String,
    /// What holds when the policy fails
    #[arg(long, value_enum)]
    on_failure: OnFailure,
    /// The policy's version, by the SHA-256 of its component; the newest unless said
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    digest: Option<String>,
    /// A setting that the policy reads; repeat for more
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// What the policy's buckets tell visitors apart by: `address`, `cookie:NAME` or `header:NAME`
    #[arg(long, value_name = "KEY", default_value = "address", value_parser = visitor_key)]
    visitor_key: String,
}

/// What holds when a policy fails. There is no default: whoever binds one says it.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    /// Go on without it: the link decides, then the rules
    Open,
    /// Refuse with 503
    Closed,
}

#[derive(Serialize)]
struct NewBinding {
    site: String,
    prefix: String,
    policy: String,
    digest: Option<String>,
    settings: BTreeMap<String, String>,
    on_failure: OnFailure,
    visitor_key: String,
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    match args {
        Args::New(args) => new::run(&args, globals.output),
        Args::Build(args) => build::run(&args, globals.output),
        Args::Inspect(args) => local::inspect(&args, globals.output),
        Args::Test(args) => local::test(&args, globals.output),
        Args::Run(args) => local::try_one(args, globals.output),
        Args::Explain(args) => explain::run(&args, globals),
        Args::Logs(args) => logs::run(&args, globals),
        Args::Plan(args) => plan::run(&args, globals),
        Args::Recorded(args) => {
            let client = Client::origin(globals)?;
            block_on(converse(args, &client, globals.output))
        }
    }
}

async fn converse(args: Recorded, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        Recorded::Push { name, file } => {
            let component = read_at_most(&file, COMPONENT_BYTES_MAX)?;
            let context = || format!("push {} as policy {name}", file.display());
            let pushed = client
                .upload(&["v1", "policies", &name], &[], component)
                .await
                .with_context(context)?;
            output::record(format, &pushed, VERSION_COLUMNS)
        }
        Recorded::List { name } => {
            let path = ["v1", "policies", name.as_deref().unwrap_or_default()];
            let path = if name.is_some() { &path[..] } else { &path[..2] };
            client
                .list(path, &[], Listing::new(format, VERSION_COLUMNS))
                .await
                .context("list policies")
        }
        Recorded::Bind(args) => {
            let context = format!("bind policy {} to {} of site {}", args.policy, args.prefix, args.site);
            let bound = client
                .send(Method::PUT, BINDINGS, &NewBinding::from(args))
                .await
                .context(context)?;
            output::record(format, &bound, BINDING_COLUMNS)
        }
        Recorded::Bindings { site } => {
            let context = || format!("list bindings of site {}", site.name());
            let query = [("site", site.name())];
            client
                .list(BINDINGS, &query, Listing::new(format, BINDING_COLUMNS))
                .await
                .with_context(context)
        }
        Recorded::Unbind { site, prefix } => {
            let query = [("site", &*site), ("prefix", &*prefix)];
            let context = || format!("unbind {prefix} of site {site}");
            client.delete(BINDINGS, &query).await.with_context(context)?;
            let document = json!({ "removed": { "site": site, "prefix": prefix } });
            output::done(format, &format!("unbound {prefix} of site {site}"), &document)
        }
        Recorded::Rollback { site, prefix } => {
            let body = json!({ "site": site, "prefix": prefix });
            let context = || format!("roll back {prefix} of site {site}");
            let bound = client.send(Method::POST, ROLLBACK, &body).await.with_context(context)?;
            output::record(format, &bound, BINDING_COLUMNS)
        }
    }
}

impl From<BindArgs> for NewBinding {
    fn from(args: BindArgs) -> Self {
        let BindArgs {
            site,
            prefix,
            policy,
            on_failure,
            digest,
            settings,
            visitor_key,
        } = args;
        Self {
            site,
            prefix,
            policy,
            digest,
            settings: settings.into_iter().collect(),
            on_failure,
            visitor_key,
        }
    }
}

fn visitor_key(text: &str) -> Result<String, String> {
    let key = VisitorKey::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(key.to_string())
}

fn digest(text: &str) -> Result<String, String> {
    let digest = Digest::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(digest.to_string())
}
