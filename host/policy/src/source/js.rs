//! What a guest in JavaScript is built from, and the digest of it.
//!
//! In: a directory with a package.json. Out: its files, those of the SDK it has installed, and the lock file that
//! names all other packages. It must not run anything: not even Node.js has to be there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use wayside_decide::{digest::Digest, invalid::quote};

use super::{DEPTH_MAX, SourceError, collect, digest, package_dir, read_error};

/// The SDK's name as a package.
const SDK: &str = "@wayside/policy";

/// A guest's package and the SDK it builds with.
#[derive(Debug)]
pub struct JsSources {
    /// The package's name, without its scope.
    pub name: String,
    /// The package's directory.
    pub dir: PathBuf,
    /// The SDK's directory.
    pub sdk: PathBuf,
    /// The lock file; there is none where another tool than npm installs.
    lock: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Manifest {
    name: Option<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
    #[serde(default, rename = "devDependencies")]
    dev_dependencies: BTreeMap<String, String>,
}

impl JsSources {
    /// Finds the package in `dir` and the SDK it has installed.
    ///
    /// # Errors
    /// [`SourceError`] when the package cannot be read, does not depend on the SDK, or has not installed it.
    pub fn find(dir: &Path) -> Result<Self, SourceError> {
        let (_, whole) = package_dir(dir)?;
        let path = dir.join("package.json");
        let text = fs::read_to_string(&path).map_err(|error| read_error(&path, &error))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| read_error(&path, &error))?;
        let name = name(&path, manifest.name.as_deref())?;
        let mut dependencies = manifest.dependencies.keys().chain(manifest.dev_dependencies.keys());
        if !dependencies.any(|name| name == SDK) {
            let reason = format!("found no {SDK} under `dependencies`, expected it: a policy is built with it");
            return Err(read_error(&path, &reason));
        }
        // As Node.js looks: in the directory, then in each above it.
        let installed = whole.ancestors().find_map(|root| {
            let sdk = root.join("node_modules").join(SDK).canonicalize().ok()?;
            sdk.join("build.mjs").is_file().then_some((root, sdk))
        });
        let (root, sdk) = installed.ok_or_else(|| SourceError::NotInstalled(dir.to_owned()))?;
        let lock = Some(root.join("package-lock.json")).filter(|lock| lock.is_file());
        Ok(Self {
            name,
            dir: whole,
            sdk,
            lock,
        })
    }

    /// The digest over all files of the package's directory but those that no build reads, over the SDK and over the
    /// lock file. Modules that the policy imports from beside its directory are not in it.
    ///
    /// # Errors
    /// [`SourceError::Read`] for a file that cannot be read.
    pub fn digest(&self) -> Result<Digest, SourceError> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).map_err(|error| read_error(&self.dir, &error))? {
            let entry = entry.map_err(|error| read_error(&self.dir, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // The SDK may lie inside, as in a package of `wayside policy new`; it comes below, by its own name.
            let is_sdk = entry.path().canonicalize().is_ok_and(|path| path == self.sdk);
            if !is_sdk && is_read(&name) {
                collect(&entry.path(), &format!("policy/{name}"), DEPTH_MAX, &mut entries)?;
            }
        }
        for part in ["package.json", "build.mjs", "src", "wit"] {
            collect(&self.sdk.join(part), &format!("sdk/{part}"), DEPTH_MAX, &mut entries)?;
        }
        if let Some(lock) = &self.lock {
            collect(lock, "lock", 1, &mut entries)?;
        }
        digest(&self.dir, &entries)
    }
}

/// Whether a build reads what has this name.
fn is_read(name: &str) -> bool {
    let is_output = name.contains(".wasm");
    let is_beside = ["node_modules", "package-lock.json", "tests.toml", "README.md"].contains(&name);
    !(is_output || is_beside || name.starts_with('.'))
}

/// The name, which becomes a file's.
fn name(path: &Path, name: Option<&str>) -> Result<String, SourceError> {
    let found = name.unwrap_or_default();
    let own = match found.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').map(|(_, own)| own),
        None => Some(found),
    };
    let is_fit = |own: &&str| {
        own.starts_with(|first: char| first.is_ascii_alphanumeric())
            && own
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one))
    };
    own.filter(is_fit).map(str::to_owned).ok_or_else(|| {
        let reason = format!(
            "`name`: found {}, expected a package's name such as \"my-policy\"",
            quote(found)
        );
        read_error(path, &reason)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::JsSources;
    use crate::source::SourceError;

    const MANIFEST: &str = r#"{"name": "@shop/geo", "dependencies": {"@wayside/policy": "1.0.0"}}"#;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("write");
    }

    fn package(root: &Path) {
        write(root, "policy/package.json", MANIFEST);
        write(root, "policy/src/policy.ts", "");
        write(root, "package-lock.json", "{}");
        write(root, "node_modules/@wayside/policy/build.mjs", "");
        write(root, "node_modules/@wayside/policy/src/index.ts", "");
    }

    #[test]
    fn the_digest_changes_with_what_a_build_reads_and_with_nothing_else() {
        let root = tempfile::tempdir().expect("directory");
        package(root.path());
        let sources = JsSources::find(&root.path().join("policy")).expect("sources");
        assert_eq!(sources.name, "geo");
        let mut digests = vec![sources.digest().expect("digest")];
        for irrelevant in [
            "policy/tests.toml",
            "policy/geo.wasm",
            "policy/.git/HEAD",
            "policy/node_modules/a/index.js",
            "node_modules/b/index.js",
            "other/package.json",
        ] {
            write(root.path(), irrelevant, "changed");
            assert_eq!(sources.digest().ok(), digests.last().copied(), "{irrelevant}");
        }
        for relevant in [
            "policy/src/policy.ts",
            "policy/src/places.json",
            "policy/tsconfig.json",
            "policy/package.json",
            "package-lock.json",
            "node_modules/@wayside/policy/src/index.ts",
            "node_modules/@wayside/policy/wit/policy.wit",
        ] {
            write(root.path(), relevant, "changed");
            let changed = sources.digest().expect("digest");
            assert!(!digests.contains(&changed), "{relevant}");
            digests.push(changed);
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        let root = tempfile::tempdir().expect("directory");
        let dir = root.path();
        let refusal = |manifest: &str| {
            write(dir, "package.json", manifest);
            JsSources::find(dir).expect_err("refused")
        };
        let missing = refusal(MANIFEST);
        assert!(matches!(missing, SourceError::NotInstalled(_)), "{missing}");
        assert!(missing.to_string().contains("run `npm install` in "), "{missing}");
        for (manifest, expected) in [
            (r#"{"name": "a"}"#, "found no @wayside/policy under `dependencies`"),
            (r#"{"dependencies": {}}"#, "`name`: found \"\""),
            (r#"{"name": "../a"}"#, "`name`: found \"../a\""),
            (r#"{"name": "@a"}"#, "expected a package's name"),
            ("{", "package.json: EOF"),
        ] {
            let refused = refusal(manifest).to_string();
            assert!(refused.contains(expected), "{manifest}: {refused}");
        }
    }
}
