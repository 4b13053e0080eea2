//! What a guest is built from, and the digest of it.
//!
//! In: a policy's directory. Out: its language; in Rust its package, every package it builds on by path (the SDK among
//! them), and one digest over their sources and over the locked versions of all other packages. It must not know how a
//! guest is compiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wayside_decide::digest::Digest;

pub mod js;

/// How deep directories may be nested; a symbolic link that leads back into itself ends here.
const DEPTH_MAX: usize = 16;

/// The sources of a guest cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no directory.
    #[error("{}: there is no such folder, expected the one of a policy's package", .0.display())]
    NoFolder(PathBuf),
    /// There is no package in the directory.
    #[error(
        "{}: there is no Cargo.toml in it and no package.json, expected the folder of a policy's package", .0.display()
    )]
    NoPackage(PathBuf),
    /// The package's dependencies are not there.
    #[error("{dir}: the packages it depends on are not installed, run `npm install` in {dir}", dir = .0.display())]
    NotInstalled(PathBuf),
    /// Cargo could not be run.
    #[error("run `cargo metadata`: {0}; is cargo installed and on the PATH?")]
    NoCargo(#[source] io::Error),
    /// Cargo refused the package.
    #[error("read the package in {}: {reason}", .dir.display())]
    Metadata {
        /// The package's directory.
        dir: PathBuf,
        /// What cargo said.
        reason: String,
    },
    /// A file could not be read.
    #[error("read {}: {reason}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What a guest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A package of cargo's.
    Rust,
    /// A package of npm's, in JavaScript or TypeScript.
    JavaScript,
}

/// A guest's package and the packages it builds on by path.
#[derive(Debug)]
pub struct Sources {
    /// The package's name.
    pub name: String,
    /// The root of its cargo workspace.
    pub workspace: PathBuf,
    /// Where cargo builds it.
    pub target: PathBuf,
    /// Every local package's directory by its name, the guest's own among them.
    pub packages: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Sources {
    /// Finds the package in `dir` and what it builds on, without downloading anything.
    ///
    /// # Errors
    /// [`SourceError`] when there is no package, or cargo cannot read it.
    pub fn find(cargo: &Path, dir: &Path) -> Result<Self, SourceError> {
        let (_, dir) = package_dir(dir)?;
        let (own, metadata) = package(cargo, &dir)?;
        let mut sources = Self {
            name: own.name.clone(),
            workspace: metadata.workspace_root,
            target: metadata.target_directory,
            packages: BTreeMap::new(),
        };
        let mut open = vec![(own, dir)];
        while let Some((found, dir)) = open.pop() {
            if sources.packages.insert(found.name, dir).is_some() {
                continue;
            }
            let built = found
                .dependencies
                .into_iter()
                .filter(|one| one.kind.as_deref() != Some("dev"));
            for path in built.filter_map(|one| one.path) {
                let (next, _) = package(cargo, &path)?;
                open.push((next, path));
            }
        }
        Ok(sources)
    }

    /// The digest over all of it. It depends on contents and on paths inside the packages, never on where they lie.
    ///
    /// # Errors
    /// [`SourceError::Read`] for a file that cannot be read, the lock file among them.
    pub fn digest(&self) -> Result<Digest, SourceError> {
        digest(&self.workspace, &self.entries()?)
    }

    /// Everything that counts, by a name that is the same on every machine.
    fn entries(&self) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
        let mut entries = BTreeMap::new();
        for (package, dir) in &self.packages {
            for part in ["Cargo.toml", "build.rs", "src", "wit"] {
                collect(&dir.join(part), &format!("{package}/{part}"), DEPTH_MAX, &mut entries)?;
            }
        }
        // The workspace's manifest holds the profile.
        collect(
            &self.workspace.join("Cargo.toml"),
            "workspace/Cargo.toml",
            1,
            &mut entries,
        )?;
        for line in self.locked()? {
            entries.insert(format!("lock/{line}"), Vec::new());
        }
        Ok(entries)
    }

    /// The locked packages the guest builds on, so that another member's dependency makes no component stale.
    fn locked(&self) -> Result<BTreeSet<String>, SourceError> {
        let path = self.workspace.join("Cargo.lock");
        let text = fs::read_to_string(&path).map_err(|error| read_error(&path, &error))?;
        let lock: Lock = toml::from_str(&text).map_err(|error| read_error(&path, &error.message()))?;
        let mut lines = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![self.name.as_str()];
        while let Some(wanted) = open.pop() {
            if !seen.insert(wanted) {
                continue;
            }
            // `name`, or `name version` where the lock file holds several.
            let mut words = wanted.split(' ');
            let (name, version) = (words.next(), words.next());
            for locked in &lock.package {
                if Some(locked.name.as_str()) == name && version.is_none_or(|version| locked.version == version) {
                    let checksum = locked.checksum.as_deref().unwrap_or("local");
                    lines.insert(format!("{} {} {checksum}", locked.name, locked.version));
                    open.extend(locked.dependencies.iter().map(String::as_str));
                }
            }
        }
        Ok(lines)
    }
}

/// The package's language and the directory's whole path, when there is a package in it.
///
/// # Errors
/// [`SourceError`] when there is none.
pub fn package_dir(dir: &Path) -> Result<(Language, PathBuf), SourceError> {
    if !dir.is_dir() {
        return Err(SourceError::NoFolder(dir.to_owned()));
    }
    let whole = dir.canonicalize().map_err(|error| read_error(dir, &error))?;
    if whole.join("Cargo.toml").is_file() {
        Ok((Language::Rust, whole))
    } else if whole.join("package.json").is_file() {
        Ok((Language::JavaScript, whole))
    } else {
        Err(SourceError::NoPackage(dir.to_owned()))
    }
}

/// The package in this directory, as cargo reads it.
fn package(cargo: &Path, dir: &Path) -> Result<(Package, Metadata), SourceError> {
    let manifest = dir.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(SourceError::NoPackage(dir.to_owned()));
    }
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(SourceError::NoCargo)?;
    let refuse = |reason: String| SourceError::Metadata {
        dir: dir.to_owned(),
        reason,
    };
    if !output.status.success() {
        return Err(refuse(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mut metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| refuse(error.to_string()))?;
    let own = metadata.packages.iter().position(|one| one.manifest_path == manifest);
    let own = own.ok_or_else(|| refuse("it is a workspace without a package of its own".to_owned()))?;
    Ok((metadata.packages.swap_remove(own), metadata))
}

/// One digest over contents by name; `place` is for the error.
fn digest(place: &Path, entries: &BTreeMap<String, Vec<u8>>) -> Result<Digest, SourceError> {
    let mut hasher = Sha256::new();
    for (name, contents) in entries {
        for part in [name.as_bytes(), contents] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::parse(&digits).map_err(|error| read_error(place, &error))
}

/// Reads a file, or every file below a directory, under a name. What is not there is left out.
fn collect(path: &Path, name: &str, depth: usize, entries: &mut BTreeMap<String, Vec<u8>>) -> Result<(), SourceError> {
    // Follows symbolic links: the SDK's `wit` is one.
    let Ok(kind) = fs::metadata(path) else {
        return Ok(());
    };
    let failed = |error: io::Error| read_error(path, &error);
    if kind.is_file() {
        entries.insert(name.to_owned(), fs::read(path).map_err(failed)?);
        return Ok(());
    }
    if depth == 0 {
        return Err(read_error(path, &format!("directories nested deeper than {DEPTH_MAX}")));
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let child = format!("{name}/{}", entry.file_name().to_string_lossy());
        collect(&entry.path(), &child, depth - 1, entries)?;
    }
    Ok(())
}

fn read_error(path: &Path, reason: &impl ToString) -> SourceError {
    SourceError::Read {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
