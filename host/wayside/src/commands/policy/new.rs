//! `wayside policy new`: a folder with a policy that builds and passes its tests as it is.
//!
//! In: a name and a language. Out: files, all of them held by this binary: nobody needs a checkout, or a registry that
//! has the SDK.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::json;

use crate::output::{self, Format};

mod template;

pub(super) const EXAMPLES: &str = "\
Examples:
  wayside policy new my-policy
  wayside policy new my-policy --lang js
  wayside policy new my-cdns --world stream-policy";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The policy's name, and the folder's
    #[arg(value_parser = package_name)]
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
    /// What it decides
    #[arg(long, value_enum, default_value_t)]
    world: World,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum World {
    /// Where a visitor goes
    #[default]
    RedirectPolicy,
    /// Who serves a stream
    StreamPolicy,
}

impl World {
    /// What the policy does that is written.
    const fn sample(self) -> &'static str {
        match self {
            Self::RedirectPolicy => "sends each country's visitors to a place of its own",
            Self::StreamPolicy => "splits a stream between two CDNs",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Lang {
    /// Rust: a component of 20 kB
    #[default]
    Rust,
    /// TypeScript or JavaScript: a component of 12 MB, which brings its engine along
    Js,
}

pub(super) fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let Args { name, lang, world } = args;
    let folder = PathBuf::from(name);
    fs::create_dir(&folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow::anyhow!("{name} is there already, expected a name that no folder has"),
        _ => anyhow::Error::new(error).context(format!("create the folder {name}")),
    })?;
    for (path, contents) in template::files(*lang, *world, name) {
        write(&folder.join(path), &contents)?;
    }
    output::done(
        format,
        &format!("wrote {name}, a policy that {}; go on with", world.sample()),
        &json!({ "folder": folder }),
    )?;
    if format == Format::Json {
        return Ok(());
    }
    let install = (*lang == Lang::Js).then(|| "npm ci".to_owned());
    let steps = [
        Some(format!("cd {name}")),
        install,
        Some("wayside policy build .".to_owned()),
        Some(format!("wayside policy test {name}.wasm")),
    ];
    steps
        .into_iter()
        .flatten()
        .try_for_each(|step| output::line(&format!("    {step}")))
}

fn write(path: &Path, contents: &str) -> anyhow::Result<()> {
    let context = || format!("write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    fs::write(path, contents).with_context(context)
}

/// Reads a name that cargo and npm take for a package's, and every file system for a folder's.
fn package_name(text: &str) -> Result<String, String> {
    let is_of_set = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !starts_well || text.len() > template::NAME_BYTES_MAX || !text.bytes().all(is_of_set) {
        return Err(format!(
            "expected 1 to {} lower-case letters, digits or `-`, starting with a letter",
            template::NAME_BYTES_MAX
        ));
    }
    if template::NAMES_TAKEN.contains(&text) {
        return Err("expected another name: a package that the policy is built with has this one".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::package_name;

    #[test]
    fn a_policy_is_named_as_a_package_can_be() {
        for good in ["geo", "my-policy", "v2"] {
            assert_eq!(package_name(good).as_deref(), Ok(good));
        }
        let long = "x".repeat(65);
        for bad in [
            "",
            "Geo",
            "2nd",
            "-a",
            "a/b",
            "..",
            "a b",
            "ä",
            "wayside-sdk",
            "std",
            &long,
        ] {
            assert!(package_name(bad).is_err(), "{bad:?}");
        }
    }
}
