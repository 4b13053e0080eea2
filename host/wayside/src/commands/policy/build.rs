//! `wayside policy build`: from a policy's source to its component.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use wayside_policy::toolchain;

use crate::output::{self, Format, Heard, Listing};

const COLUMNS: &[&str] = &["component", "size", "source"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folders of the policies' Cargo.toml or package.json
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Build nothing; fail when a component was built from other sources than those that are there
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    if args.check {
        return check(&args.folders, format);
    }
    let mut built = Vec::new();
    for folder in &args.folders {
        let context = || format!("build {}", folder.display());
        let component = toolchain::build(folder).with_context(context)?;
        built.push(json!({
            "component": component.path,
            "size": component.component.len(),
            "source": component.source.to_string(),
        }));
    }
    let mut listing = Listing::new(format, COLUMNS);
    match listing.show(&built)? {
        Heard::Somebody => listing.end(),
        Heard::Nobody => Ok(()),
    }
}

/// Looks at all of them before it fails: whoever has to rebuild wants to know how much.
fn check(folders: &[PathBuf], format: Format) -> anyhow::Result<()> {
    let stale: Vec<_> = folders
        .iter()
        .filter_map(|folder| toolchain::check(folder).err())
        .collect();
    if !stale.is_empty() {
        let lines: Vec<_> = stale.iter().map(ToString::to_string).collect();
        anyhow::bail!("{}", lines.join("\nerror: "));
    }
    let count = folders.len();
    let noun = if count == 1 { "component is" } else { "components are" };
    output::done(
        format,
        &format!("{count} {noun} up to date"),
        &json!({ "up_to_date": Value::from(count) }),
    )
}
