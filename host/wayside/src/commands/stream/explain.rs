//! `wayside stream explain`: which target a visitor would get on a running node, and why the others not.

use std::net::IpAddr;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    cli::Globals,
    client::{Client, DEFAULT_TENANT, block_on},
    commands::values::name,
    output::{self, Format},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside stream explain shop --asset film --ip 203.0.113.9
  wayside stream explain shop --asset film --ip 2001:db8::1 --output json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The site's name
    #[arg(value_parser = name)]
    site: String,
    /// What the asset is called at its site
    #[arg(long, value_parser = name)]
    asset: String,
    /// The visitor's address
    #[arg(long, value_name = "ADDRESS")]
    ip: IpAddr,
    /// The session, as a playlist or `/.wayside/play/` gave it out, when it is to be one that plays
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

/// The part of the node's answer that is shown.
#[derive(Debug, Deserialize)]
struct Told {
    balancer: String,
    visitor: Visitor,
    policy: Option<String>,
    target: Option<String>,
    why: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Visitor {
    country: Option<String>,
    asn: Option<u32>,
    zone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    line: String,
}

pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let edge = Client::anonymous("edge", globals.admin_url.clone())?;
    let tenant = globals.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    let ip = args.ip.to_string();
    let mut query = vec![
        ("tenant", tenant),
        ("site", &*args.site),
        ("asset", &*args.asset),
        ("ip", &*ip),
    ];
    query.extend(args.session.as_deref().map(|session| ("session", session)));
    let context = || format!("explain asset {} of site {}", args.asset, args.site);
    let document = block_on(async { edge.get(&["streams", "explain"], &query).await }).with_context(context)?;
    if globals.output == Format::Json {
        return output::record(globals.output, &document, &[]);
    }
    let told: Told = serde_json::from_value(document).context("read the node's answer")?;
    output::text(&describe(&told, args.ip))
}

fn describe(told: &Told, ip: IpAddr) -> String {
    let known = |what: &str, value: Option<String>| value.map(|value| format!("{what} {value}"));
    let Visitor { country, asn, zone } = &told.visitor;
    let of: Vec<String> = [
        known("country", country.clone()),
        known("AS", asn.map(|asn| asn.to_string())),
        known("zone", zone.clone()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let of = if of.is_empty() {
        "nothing known of it".to_owned()
    } else {
        of.join(", ")
    };
    let policy = told.policy.as_deref().unwrap_or("none bound");
    let target = told.target.as_deref().unwrap_or("none");
    let mut text = format!(
        "visitor   {ip}: {of}\npolicy    {policy}\nbalancer  {}\ntarget    {target}: {}\n\n",
        told.balancer, told.why
    );
    for target in &told.targets {
        text.push_str(&target.line);
        text.push('\n');
    }
    text
}
