//! `wayside geo`: what geography databases say.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};
use wayside_edge::geo::Database;

use crate::{cli::Globals, output};

const FIRST: &[&str] = &[
    "address",
    "country",
    "continent",
    "subdivision",
    "city",
    "asn",
    "organisation",
];

const LOOKUP_EXAMPLES: &str = "\
Examples:
  wayside geo lookup 81.2.69.142 --geo GeoLite2-City.mmdb
  wayside geo lookup 2001:db8::1 --geo GeoLite2-City.mmdb --geo-asn GeoLite2-ASN.mmdb --output json";

/// What can be asked about geography.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// Look an address up, as an edge node would
    #[command(after_help = LOOKUP_EXAMPLES)]
    Lookup {
        /// The IP address
        address: IpAddr,
        /// Database of places: GeoLite2 or GeoIP2 City or Country (.mmdb)
        #[arg(long, value_name = "FILE", required_unless_present = "geo_asn")]
        geo: Option<PathBuf>,
        /// Database of autonomous systems (.mmdb)
        #[arg(long, value_name = "FILE")]
        geo_asn: Option<PathBuf>,
    },
}

/// Does what is asked.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<()> {
    let Args::Lookup { address, geo, geo_asn } = args;
    let database = Database::open(geo.as_deref(), geo_asn.as_deref())?;
    let mut found = serde_json::to_value(database.look_up(address)).context("print the geography")?;
    if let Value::Object(fields) = &mut found {
        fields.insert("address".to_owned(), json!(address));
    }
    output::record(globals.output, &found, FIRST)
}
