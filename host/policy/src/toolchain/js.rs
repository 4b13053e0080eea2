//! Guests in JavaScript and TypeScript: finds Node.js and lets the SDK's own tool build.
//!
//! In: a policy's directory. Out: the component, the digest of its sources and where it belongs. It must not know how
//! the SDK bundles: that is `build.mjs` of the SDK's version that the policy has installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{BuildError, Made, file_error, printed};
use crate::source::{SourceError, js::JsSources};

/// The oldest major version of Node.js that the tools run on.
pub(super) const NODE_MAJOR_MIN: u32 = 18;

const NODE: &str = "node";

/// Bundles the package and makes a component of it.
pub(super) fn build(dir: &Path) -> Result<Made, BuildError> {
    check_node(dir)?;
    let (sources, path) = sources(dir)?;
    let draft = sources.dir.join(format!("{}.wasm.draft", sources.name));
    let status = Command::new(NODE)
        .arg(sources.sdk.join("build.mjs"))
        .args([&sources.dir, &draft])
        .current_dir(&sources.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .map_err(|error| BuildError::Run {
            program: NODE.into(),
            error,
        })?;
    if !status.success() {
        return Err(BuildError::Bundle(sources.name));
    }
    let component = fs::read(&draft).map_err(|error| file_error("read", &draft, error))?;
    fs::remove_file(&draft).map_err(|error| file_error("remove", &draft, error))?;
    Ok(Made {
        component,
        source: sources.digest()?,
        path,
    })
}

/// The package's sources, and where its component belongs.
pub(super) fn sources(dir: &Path) -> Result<(JsSources, PathBuf), SourceError> {
    let sources = JsSources::find(dir)?;
    // As the author has written it.
    let path = dir.join(format!("{}.wasm", sources.name));
    Ok((sources, path))
}

fn check_node(dir: &Path) -> Result<(), BuildError> {
    let version = printed(Path::new(NODE), dir, &["--version"]);
    // `v20.20.2`
    let major = version
        .as_deref()
        .and_then(|version| version.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MAJOR_MIN) {
        return Ok(());
    }
    let found = version.map_or_else(|| "no Node.js".to_owned(), |version| format!("Node.js {version}"));
    Err(BuildError::NoNode { found })
}
