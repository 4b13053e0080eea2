//! `wayside target`: the CDNs and edge servers that serve streams.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    fields,
    values::{duration, name},
};
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Format, Listing},
};

mod content;
mod status;
mod zones;

use content::Content;

const TARGETS: &[&str] = &["v1", "targets"];
const COLUMNS: &[&str] = &["name", "region", "service", "weight", "sessions_max", "cost", "urls"];
const FIRST: &[&str] = &["name", "service", "region", "urls"];
/// What the API tells of a target beside what it takes.
const TOLD_ONLY: &[&str] = &["since_ms", "updated_at"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside target add cdn-a --url https://a.example.com/vod/ --region eu --probe ping.txt
  wayside target list
  wayside target drain cdn-a
  wayside target restore cdn-a";
const ADD_EXAMPLES: &str = "\
Examples:
  wayside target add cdn-a --url https://a.example.com/vod/ --region eu --weight 3 --probe ping.txt
  wayside target add cdn-b --url https://b.example.com/ --region us --signing akamai --secret akamai-b
  wayside target add in-a --ingest rtmp://in-a.example.com/live/{asset} --region eu --probe tcp://in-a.example.com:1935
  wayside target add cdn-c --file cdn-c.json";
const SET_EXAMPLES: &str = "\
Examples:
  wayside target set cdn-a --weight 5 --sessions-max 20000
  wayside target set cdn-a --probe none --country DE --country FR
  wayside target get cdn-a --output json | jq '.cost = 2' | wayside target set cdn-a --file -";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside target list
  wayside target list --output json";
const GET_EXAMPLES: &str = "\
Examples:
  wayside target get cdn-a";
const DRAIN_EXAMPLES: &str = "\
Examples:
  wayside target drain cdn-a";
const RESTORE_EXAMPLES: &str = "\
Examples:
  wayside target restore cdn-a";
const LOAD_EXAMPLES: &str = "\
Examples:
  wayside target load cdn-a
  wayside target load cdn-a 0.8 --for 5m
  wayside target load cdn-a none";
const RM_EXAMPLES: &str = "\
Examples:
  wayside target rm cdn-a";

/// What can be asked about targets.
#[derive(Subcommand)]
pub(crate) enum Args {
    #[command(flatten)]
    Target(TargetArgs),
    /// Show how targets do, as a node sees them: their health, sessions, latency
    #[command(after_help = status::EXAMPLES)]
    Status(status::Args),
}

/// What is asked of the origin.
#[derive(Subcommand)]
pub(crate) enum TargetArgs {
    /// Make a target
    #[command(alias = "create", after_help = ADD_EXAMPLES)]
    Add(Named),
    /// Change the named fields of a target
    #[command(after_help = SET_EXAMPLES)]
    Set(Named),
    /// List the tenant's targets
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show a target
    #[command(alias = "show", after_help = GET_EXAMPLES)]
    Get {
        /// The target's name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Send nobody new to a target, and move away who is there
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain {
        /// The target's name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Take a target into service again
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore {
        /// The target's name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Show how loaded a target is, or say so for a while
    #[command(after_help = LOAD_EXAMPLES)]
    Load {
        /// The target's name
        #[arg(value_parser = name)]
        name: String,
        /// How loaded it is, from 0; 1 is full, `none` to say so no more
        #[arg(value_parser = load_or_none)]
        load: Option<Value>,
        /// For how long that counts
        #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "60s", requires = "load")]
        ttl: Duration,
    },
    /// Say which networks are near which targets: coverage zones
    #[command(subcommand, after_help = zones::EXAMPLES)]
    Zones(zones::Args),
    /// End a target; assets that name it have one pathway less
    #[command(alias = "delete", after_help = RM_EXAMPLES)]
    Rm {
        /// The target's name
        #[arg(value_parser = name)]
        name: String,
    },
}

/// A target, and what is said of it.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// The target's name, within its tenant
    #[arg(value_parser = name)]
    name: String,
    /// All that is said of it, as the API takes it: a JSON file, or `-` for standard input. What is named here beside
    /// it counts more
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    content: Box<Content>,
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    match args {
        Args::Target(args) => {
            let client = Client::origin(globals)?;
            block_on(converse(args, &client, globals.output))
        }
        Args::Status(args) => status::run(&args, globals),
    }
}

async fn converse(args: TargetArgs, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        TargetArgs::Add(Named { name, file, content }) => {
            let mut target = fields::from_file(file.as_deref(), TOLD_ONLY)?;
            target.insert("name".to_owned(), json!(name));
            content.apply(&mut target)?;
            let made = client.send(Method::POST, TARGETS, &target).await;
            let made = made.with_context(|| format!("add target {name}"))?;
            output::record(format, &made, FIRST)
        }
        TargetArgs::Set(named) => {
            let changed = set(named, client).await?;
            output::record(format, &changed, FIRST)
        }
        TargetArgs::List => {
            let listing = Listing::new(format, COLUMNS);
            client.list(TARGETS, &[], listing).await.context("list targets")
        }
        TargetArgs::Get { name } => {
            let target = client.get(&["v1", "targets", &name], &[]).await;
            let target = target.with_context(|| format!("show target {name}"))?;
            output::record(format, &target, FIRST)
        }
        TargetArgs::Drain { name } => serve(&name, "draining", client, format).await,
        TargetArgs::Restore { name } => serve(&name, "in", client, format).await,
        TargetArgs::Load { name, load, ttl } => {
            let shown = say_load(&name, load, ttl, client).await?;
            output::record(format, &shown, &["name", "sessions"])
        }
        TargetArgs::Zones(args) => zones::run(args, client, format).await,
        TargetArgs::Rm { name } => {
            let ended = client.delete(&["v1", "targets", &name], &[]).await;
            ended.with_context(|| format!("remove target {name}"))?;
            let document = json!({ "removed": { "name": name } });
            output::done(format, &format!("removed target {name}"), &document)
        }
    }
}

async fn set(named: Named, client: &Client) -> anyhow::Result<Value> {
    let Named { name, file, content } = named;
    let path = ["v1", "targets", &name];
    let context = || format!("change target {name}");
    let mut target = match &file {
        Some(file) => fields::from_file(Some(file), TOLD_ONLY)?,
        None => {
            anyhow::ensure!(!content.is_empty(), "change target {name}: name a field, or a --file");
            let held = client.get(&path, &[]).await.with_context(context)?;
            let mut held = fields::without(fields::of(held)?, TOLD_ONLY);
            // Who drains it meanwhile is not undone: what is not said stays.
            held.remove("service");
            held
        }
    };
    content.apply(&mut target)?;
    client.send(Method::PUT, &path, &target).await.with_context(context)
}

async fn serve(name: &str, service: &str, client: &Client, format: Format) -> anyhow::Result<()> {
    let path = ["v1", "targets", name, "service"];
    let changed = client.send(Method::PUT, &path, &json!({ "service": service })).await;
    let changed = changed.with_context(|| format!("change the service of target {name}"))?;
    output::record(format, &changed, FIRST)
}

async fn say_load(name: &str, load: Option<Value>, ttl: Duration, client: &Client) -> anyhow::Result<Value> {
    let path = ["v1", "targets", name, "load"];
    let context = || format!("say how loaded target {name} is");
    match load {
        Some(Value::Null) => client.delete(&path, &[]).await.with_context(context)?,
        Some(load) => {
            let said = json!({ "load": load, "ttl_s": ttl.as_secs() });
            return client.send(Method::PUT, &path, &said).await.with_context(context);
        }
        None => {}
    }
    let shown = client.get(&path, &[]).await;
    shown.with_context(|| format!("show how loaded target {name} is"))
}

fn load_or_none(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    // JSON has no infinity, and nothing in place of a number takes a word back.
    let load = text.parse().ok().filter(|load: &f64| load.is_finite());
    let load = load.ok_or("expected a number such as 0.8, or `none`")?;
    Ok(load.into())
}
