//! `wayside geo`: what geography databases say.

use std::{net::IpAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde_json::{Value, json};
use wayside_edge::geo_watch::GeoFiles;

use crate::{cli::Globals, output, running, settings};

const FIRST: &[&str] = &[
    "address",
    "country",
    "continent",
    "subdivision",
    "city",
    "asn",
    "organisation",
];

pub(crate) const EXAMPLES: &str = "\
Examples:
  wayside geo lookup 81.2.69.142 --geo GeoLite2-City.mmdb";
const LOOKUP_EXAMPLES: &str = "\
Examples:
  wayside geo lookup 81.2.69.142 --config wayside.toml
  wayside geo lookup 81.2.69.142 --geo GeoLite2-City.mmdb
  wayside geo lookup 2001:db8::1 --geo GeoLite2-City.mmdb --geo-asn GeoLite2-ASN.mmdb --output json";

/// What can be asked about geography.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Look an address up, as an edge node would
    #[command(after_help = LOOKUP_EXAMPLES)]
    Lookup {
        /// The IPv4 or IPv6 address
        #[arg(value_parser = address)]
        address: IpAddr,
        /// Database of places: GeoLite2 or GeoIP2 City or Country (.mmdb)
        #[arg(long, value_name = "FILE")]
        geo: Option<PathBuf>,
        /// Database of autonomous systems: GeoLite2 ASN (.mmdb)
        #[arg(long, value_name = "FILE")]
        geo_asn: Option<PathBuf>,
        /// The configuration whose databases are asked; unless one is named above, those of this environment's
        #[arg(long, value_name = "FILE", conflicts_with_all = ["geo", "geo_asn"])]
        config: Option<PathBuf>,
    },
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let Args::Lookup {
        address,
        geo,
        geo_asn,
        config,
    } = args;
    let named = GeoFiles {
        places: geo,
        systems: geo_asn,
        ..GeoFiles::default()
    };
    let files = if named.is_any() {
        named
    } else {
        running::geo_files(&settings::load(config.as_deref())?)
    };
    ensure!(
        files.is_any(),
        "there is no geography database: name one with `--geo FILE` or `--geo-asn FILE`, or with `--config FILE` a \
         configuration that sets `geo.city` or `geo.asn`"
    );
    let mut found = serde_json::to_value(files.open()?.look_up(address)).context("print the geography")?;
    if let Value::Object(fields) = &mut found {
        fields.insert("address".to_owned(), json!(address));
    }
    output::record(globals.output, &found, FIRST)
}

fn address(text: &str) -> Result<IpAddr, String> {
    let expected = |_| "expected an IPv4 or IPv6 address such as 192.0.2.1".to_owned();
    text.parse().map_err(expected)
}
