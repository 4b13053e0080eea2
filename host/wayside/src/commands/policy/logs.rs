//! `wayside policy logs`: what policies say on a running node, and why they gave no decision.

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    cli::Globals,
    client::{Client, DEFAULT_TENANT, block_on},
    commands::values::name,
    dates,
    output::{self, Format},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside policy logs
  wayside policy logs localhost /geo --follow
  wayside policy logs localhost --output json      (a line of JSON each)";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The site's name; the policies of all sites unless named
    #[arg(value_parser = name)]
    site: Option<String>,
    /// The part of the site the policy is bound to
    prefix: Option<String>,
    /// Go on with the lines to come
    #[arg(long, short)]
    follow: bool,
}

/// The part of the node's line that is shown.
#[derive(Deserialize)]
struct Line {
    at_s: u64,
    site: String,
    prefix: String,
    policy: String,
    level: String,
    message: String,
}

pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let node = Client::anonymous("edge", globals.admin_url.clone())?;
    let mut which = vec![("tenant", globals.tenant.as_deref().unwrap_or(DEFAULT_TENANT))];
    which.extend(args.site.as_deref().map(|site| ("site", site)));
    which.extend(args.prefix.as_deref().map(|prefix| ("prefix", prefix)));
    if args.follow {
        which.push(("follow", "true"));
    }
    let show = |line: &str| match globals.output {
        Format::Json => output::heard(line),
        Format::Table => output::heard(&shown(line)?),
    };
    block_on(node.lines(&["policies", "logs"], &which, show)).context("read the log of policies")
}

fn shown(line: &str) -> anyhow::Result<String> {
    let Line {
        at_s,
        site,
        prefix,
        policy,
        level,
        message,
    } = serde_json::from_str(line).context("read the node's answer")?;
    let at = dates::show(at_s);
    // A policy's text may hold anything: nothing of it may steer a terminal.
    Ok(format!(
        "{at}  {site} {prefix}  {policy}  {level}: {}",
        message.escape_debug()
    ))
}
