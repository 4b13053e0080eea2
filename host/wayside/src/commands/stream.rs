//! `wayside stream`: the assets of a site, which players play.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    fields::{self, Fields},
    values::{ListedSite, name},
};
use crate::{
    cli::Globals,
    client::{Client, block_on},
    output::{self, Format, Listing},
};

mod content;
mod explain;

use content::Content;

const ASSETS: &[&str] = &["v1", "assets"];
const INGEST_KEY: &[&str] = &["v1", "assets", "ingest-key"];
const COLUMNS: &[&str] = &["id", "state", "balancer", "hls", "dash", "source", "updated_at"];
const FIRST: &[&str] = &["site", "id", "state", "source"];
/// What the API tells of an asset beside what it takes.
const TOLD_ONLY: &[&str] = &["has_ingest_key", "created_at", "updated_at"];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside stream add shop film --source https://origin.example.com/vod/film/ --hls master.m3u8
  wayside stream set shop film --pathway cdn-a --pathway cdn-b=copies/film
  wayside stream list shop
  wayside stream explain shop --asset film --ip 203.0.113.9";
const ADD_EXAMPLES: &str = "\
Examples:
  wayside stream add shop film --source https://origin.example.com/vod/film/ --hls master.m3u8 --dash film.mpd
  wayside stream add shop film --pathway cdn-a --pathway cdn-b=copies/film --balancer nearest
  wayside stream add shop film --file film.json";
const SET_EXAMPLES: &str = "\
Examples:
  wayside stream set shop film --state ready --ttl 10
  wayside stream set shop film --pathway all";
const LIST_EXAMPLES: &str = "\
Examples:
  wayside stream list shop
  wayside stream list shop --prefix live- --limit 20 --output json";
const GET_EXAMPLES: &str = "\
Examples:
  wayside stream get shop film";
const KEY_EXAMPLES: &str = "\
Examples:
  wayside stream ingest-key shop show
  wayside stream ingest-key shop show --remove";
const RM_EXAMPLES: &str = "\
Examples:
  wayside stream rm shop film";

/// What can be asked about streams.
#[derive(Subcommand)]
pub(crate) enum Args {
    #[command(flatten)]
    Asset(AssetArgs),
    /// Say which target of an asset a visitor would get on a node, and why the others not
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
}

/// What is asked of the origin.
#[derive(Subcommand)]
pub(crate) enum AssetArgs {
    /// Make an asset
    #[command(alias = "create", after_help = ADD_EXAMPLES)]
    Add(Named),
    /// Change the named fields of an asset
    #[command(after_help = SET_EXAMPLES)]
    Set(Named),
    /// List a site's assets by id
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        site: ListedSite,
        /// Only assets whose id starts so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// At most so many; all unless said
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show an asset
    #[command(alias = "show", after_help = GET_EXAMPLES)]
    Get(This),
    /// Give an asset a new ingest key, with which its recorder asks where to send it; shown this once
    #[command(after_help = KEY_EXAMPLES)]
    IngestKey {
        #[command(flatten)]
        this: This,
        /// Take the key that there is away
        #[arg(long)]
        remove: bool,
    },
    /// End an asset: players are told that it is gone
    #[command(alias = "delete", after_help = RM_EXAMPLES)]
    Rm(This),
}

/// An asset.
#[derive(clap::Args)]
pub(crate) struct This {
    /// The site's name
    #[arg(value_parser = name)]
    site: String,
    /// What the asset is called at its site
    #[arg(value_parser = name)]
    id: String,
}

/// An asset, and what is said of it.
#[derive(clap::Args)]
pub(crate) struct Named {
    #[command(flatten)]
    this: This,
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
        Args::Asset(args) => {
            let client = Client::origin(globals)?;
            block_on(converse(args, &client, globals.output))
        }
        Args::Explain(args) => explain::run(&args, globals),
    }
}

async fn converse(args: AssetArgs, client: &Client, format: Format) -> anyhow::Result<()> {
    match args {
        AssetArgs::Add(Named { this, file, content }) => {
            let mut asset = fields::from_file(file.as_deref(), TOLD_ONLY)?;
            this.name(&mut asset);
            content.apply(&mut asset);
            let made = client.send(Method::POST, ASSETS, &asset).await;
            let made = made.with_context(|| format!("add asset {} to site {}", this.id, this.site))?;
            output::record(format, &made, FIRST)
        }
        AssetArgs::Set(named) => {
            let changed = set(named, client).await?;
            output::record(format, &changed, FIRST)
        }
        AssetArgs::List { site, prefix, limit } => {
            let mut query = vec![("site", site.name())];
            query.extend(prefix.as_deref().map(|prefix| ("prefix", prefix)));
            let listing = Listing::new(format, COLUMNS);
            let context = || format!("list assets of site {}", site.name());
            let listed = client.list_in_parts(ASSETS, &query, limit, listing).await;
            listed.with_context(context)
        }
        AssetArgs::Get(this) => {
            let asset = client.get(ASSETS, &this.query()).await;
            let asset = asset.with_context(|| format!("show {}", this.words()))?;
            output::record(format, &asset, FIRST)
        }
        AssetArgs::IngestKey { this, remove } => ingest_key(&this, remove, client, format).await,
        AssetArgs::Rm(this) => {
            let ended = client.delete(ASSETS, &this.query()).await;
            ended.with_context(|| format!("remove {}", this.words()))?;
            let document = json!({ "removed": { "site": this.site, "id": this.id } });
            output::done(format, &format!("removed {}", this.words()), &document)
        }
    }
}

async fn set(named: Named, client: &Client) -> anyhow::Result<Value> {
    let Named { this, file, content } = named;
    let context = || format!("change {}", this.words());
    // A new asset is made by `add`: what is not there cannot be changed.
    let held = client.get(ASSETS, &this.query()).await.with_context(context)?;
    let mut asset = match &file {
        Some(file) => fields::from_file(Some(file), TOLD_ONLY)?,
        None => {
            anyhow::ensure!(!content.is_empty(), "{}: name a field, or a --file", context());
            fields::without(fields::of(held)?, TOLD_ONLY)
        }
    };
    this.name(&mut asset);
    content.apply(&mut asset);
    client.send(Method::PUT, ASSETS, &asset).await.with_context(context)
}

async fn ingest_key(this: &This, remove: bool, client: &Client, format: Format) -> anyhow::Result<()> {
    if remove {
        let ended = client.delete(INGEST_KEY, &this.query()).await;
        ended.with_context(|| format!("remove the ingest key of {}", this.words()))?;
        let document = json!({ "removed": { "site": this.site, "id": this.id, "ingest_key": true } });
        return output::done(
            format,
            &format!("removed the ingest key of {}", this.words()),
            &document,
        );
    }
    let body = json!({ "site": this.site, "id": this.id });
    let made = client.send(Method::POST, INGEST_KEY, &body).await;
    let made = made.with_context(|| format!("make an ingest key for {}", this.words()))?;
    match (format, made["key"].as_str()) {
        // By itself on its line, so that it can be taken.
        (Format::Table, Some(key)) => output::line(key),
        _ => output::json(&made),
    }
}

impl This {
    fn query(&self) -> [(&str, &str); 2] {
        [("site", &self.site), ("id", &self.id)]
    }

    fn words(&self) -> String {
        format!("asset {} of site {}", self.id, self.site)
    }

    fn name(&self, asset: &mut Fields) {
        asset.insert("site".to_owned(), json!(self.site));
        asset.insert("id".to_owned(), json!(self.id));
    }
}
