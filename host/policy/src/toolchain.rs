//! Builds a guest: by its language's tools, from its sources to a component.
//!
//! In: a policy's directory. Out: its component, written where components are kept, with the digest of its sources.
//! This is the tool on the author's machine; a node must not use it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wayside_decide::digest::Digest;

use crate::{
    encode::{self, EncodeError},
    limits::TESTS_BYTES_MAX,
    source::{self, Language, SourceError},
    vectors::{VectorError, Vectors},
};

mod js;
mod rust;

/// A guest that was built.
#[derive(Debug)]
pub struct Built {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// The file it was written to.
    pub path: PathBuf,
    /// The digest of its sources, which the component holds too.
    pub source: Digest,
}

/// A guest cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The sources cannot be told.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No compiler here can build for WebAssembly.
    #[error(
        "no Rust compiler here can build for {target}: run `rustup target add {target}`, or on Debian \
         `apt-get install rustc-web cargo-web rust-web-src lld`", target = rust::TARGET
    )]
    NoToolchain,
    /// There is no Node.js, or none that is new enough.
    #[error(
        "found {found}, expected Node.js {} or newer on the PATH, which builds policies in JavaScript: \
         https://nodejs.org, or on Debian `apt-get install nodejs npm`",
        js::NODE_MAJOR_MIN
    )]
    NoNode {
        /// What is there instead.
        found: String,
    },
    /// The compiler could not be started.
    #[error("run {}: {error}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The compiler failed; it has said why on standard error.
    #[error("cargo could not build the package `{0}`; its messages stand above")]
    Compile(String),
    /// The package is none that becomes a component.
    #[error("the package `{0}` builds no WebAssembly module, expected `crate-type = [\"cdylib\"]` under `[lib]`")]
    NoModule(String),
    /// The JavaScript could not be made a component; what is wrong with it stands on standard error.
    #[error("the package `{0}` could not be built; the messages above say why")]
    Bundle(String),
    /// The module is none of a policy.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The policy's tests cannot be read.
    #[error("{}: {error}", .path.display())]
    Tests {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: VectorError,
    },
    /// The policy's tests are too long to travel with the component.
    #[error("{}: found {found} bytes, expected at most {TESTS_BYTES_MAX}", .path.display())]
    LongTests {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        found: usize,
    },
    /// A file could not be read or written.
    #[error("{action} {}: {error}", .path.display())]
    File {
        /// `read`, `write` or `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// A committed component is not what its sources say.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The sources cannot be told.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no component.
    #[error("{}: cannot be read ({error}), run `wayside policy build`", .path.display())]
    Missing {
        /// Where it was expected.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The component does not say what it was built from.
    #[error("{}: does not say what it was built from, run `wayside policy build`", .path.display())]
    Unmarked {
        /// The component.
        path: PathBuf,
    },
    /// The tests have changed since.
    #[error("{}: brings along other tests than tests.toml, run `wayside policy build`", .path.display())]
    Tests {
        /// The component.
        path: PathBuf,
    },
    /// The sources have changed since.
    #[error("{}: built from sources {found}, but they are {expected} now, run `wayside policy build`", .path.display())]
    Changed {
        /// The component.
        path: PathBuf,
        /// The digest of the sources in the component.
        found: Digest,
        /// The digest of the sources as they are.
        expected: Digest,
    },
}

/// What a language's tools made, before it says what it was made of.
struct Made {
    component: Vec<u8>,
    source: Digest,
    /// Where it belongs.
    path: PathBuf,
}

/// Builds the guest in `dir` and writes the component: in Rust to `components/` of its workspace where there is such a
/// directory, else beside its Cargo.toml; in JavaScript beside its package.json. The compilers' messages go to
/// standard error.
///
/// # Errors
/// [`BuildError`], which names the remedy where there is one.
pub fn build(dir: &Path) -> Result<Built, BuildError> {
    // First: in a folder that is not there, no compiler runs, and none would be blamed.
    let (language, _) = source::package_dir(dir)?;
    let Made {
        component,
        source,
        path,
    } = match language {
        Language::Rust => rust::build(dir)?,
        Language::JavaScript => js::build(dir)?,
    };
    let mut component = encode::with_source(component, source);
    if let Some(tests) = read_tests(dir)? {
        component = encode::with_tests(component, &tests);
    }
    // Beside it first: a build that is cut off leaves the old component whole.
    let draft = path.with_extension("wasm.new");
    fs::write(&draft, &component).map_err(|error| file_error("write", &draft, error))?;
    fs::rename(&draft, &path).map_err(|error| file_error("write", &path, error))?;
    Ok(Built {
        component,
        path,
        source,
    })
}

/// Checks that the component of the guest in `dir` was built from its sources as they are. Compiles nothing.
///
/// # Errors
/// [`Stale`], which names the component and what to do.
pub fn check(dir: &Path) -> Result<(), Stale> {
    let (language, _) = source::package_dir(dir)?;
    let (expected, path) = match language {
        Language::Rust => {
            let (sources, path) = rust::sources(dir)?;
            (sources.digest(), path)
        }
        Language::JavaScript => {
            let (sources, path) = js::sources(dir)?;
            (sources.digest(), path)
        }
    };
    let component = fs::read(&path).map_err(|error| Stale::Missing {
        path: path.clone(),
        error,
    })?;
    let expected = expected?;
    match encode::source(&component) {
        None => Err(Stale::Unmarked { path }),
        Some(found) if found != expected => Err(Stale::Changed { path, found, expected }),
        Some(_) if encode::tests(&component).map(str::to_owned) != fs::read_to_string(dir.join("tests.toml")).ok() => {
            Err(Stale::Tests { path })
        }
        Some(_) => Ok(()),
    }
}

/// The policy's tests, when it has any and they can be read as such.
fn read_tests(dir: &Path) -> Result<Option<String>, BuildError> {
    let path = dir.join("tests.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("read", &path, error)),
    };
    if text.len() > TESTS_BYTES_MAX {
        let found = text.len();
        return Err(BuildError::LongTests { path, found });
    }
    match Vectors::parse(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(BuildError::Tests { path, error }),
    }
}

/// What a program prints, when it succeeds.
fn printed(program: &Path, dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn file_error(action: &'static str, path: &Path, error: io::Error) -> BuildError {
    BuildError::File {
        action,
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use wayside_decide::digest::Digest;

    use super::{BuildError, Stale, build, check};
    use crate::{encode::with_source, source::SourceError};

    /// A workspace with a policy, a package it builds on, and one that is none of its business.
    fn workspace(root: &Path) {
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            fs::write(path, text).expect("write");
        };
        let manifest = |name: &str, rest: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}")
        };
        write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"policy\", \"sdk\", \"other\"]\n",
        );
        write(
            "policy/Cargo.toml",
            &manifest("policy", "[dependencies]\nsdk = { path = \"../sdk\" }\n"),
        );
        write("policy/src/lib.rs", "");
        write("policy/README.md", "");
        write("sdk/Cargo.toml", &manifest("sdk", ""));
        write("sdk/src/lib.rs", "");
        write("wit/policy.wit", "package a:b;");
        write("other/Cargo.toml", &manifest("other", ""));
        write("other/src/lib.rs", "");
        let lock =
            ["other", "policy", "sdk"].map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"));
        let lock = lock.join("\n").replace(
            "name = \"policy\"\nversion = \"1.0.0\"\n",
            "name = \"policy\"\nversion = \"1.0.0\"\ndependencies = [\"sdk\"]\n",
        );
        write("Cargo.lock", &format!("version = 4\n\n{lock}"));
        #[cfg(unix)]
        std::os::unix::fs::symlink("../wit", root.join("sdk/wit")).expect("link");
    }

    /// The digest of the sources as they are, found out by being wrong about it.
    fn digest(dir: &Path, component: &Path) -> Digest {
        let unknown = with_source(b"\0asm\x0d\0\x01\0".to_vec(), Digest::of(b"unknown"));
        fs::write(component, unknown).expect("write");
        match check(dir) {
            Err(Stale::Changed { expected, .. }) => expected,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_component_is_stale_when_what_it_was_built_from_has_changed_and_only_then() {
        let root = tempfile::tempdir().expect("directory");
        workspace(root.path());
        let dir = root.path().join("policy");
        let component = dir.canonicalize().expect("path").join("policy.wasm");
        assert!(matches!(check(&dir), Err(Stale::Missing { .. })));
        fs::write(&component, b"\0asm\x0d\0\x01\0").expect("write");
        assert!(matches!(check(&dir), Err(Stale::Unmarked { .. })));
        let first = digest(&dir, &component);
        fs::write(&component, with_source(b"\0asm\x0d\0\x01\0".to_vec(), first)).expect("write");
        assert!(check(&dir).is_ok());
        for irrelevant in ["other/src/lib.rs", "policy/README.md"] {
            fs::write(root.path().join(irrelevant), "changed").expect("write");
            assert!(check(&dir).is_ok(), "{irrelevant}");
        }
        // Tests travel with the component, but what it does was not built from them.
        fs::write(dir.join("tests.toml"), "changed").expect("write");
        assert!(matches!(check(&dir), Err(Stale::Tests { .. })));
        fs::remove_file(dir.join("tests.toml")).expect("remove");
        let mut digests = vec![first];
        for relevant in [
            "policy/src/lib.rs",
            "policy/src/new.rs",
            "sdk/src/lib.rs",
            "wit/policy.wit",
        ] {
            fs::write(root.path().join(relevant), format!("// {relevant}")).expect("write");
            let changed = digest(&dir, &component);
            assert!(!digests.contains(&changed), "{relevant}");
            digests.push(changed);
        }
    }

    #[test]
    fn the_digest_is_the_same_wherever_the_sources_lie() {
        let roots = [(); 2].map(|()| tempfile::tempdir().expect("directory"));
        let [first, second] = roots.each_ref().map(|root| {
            workspace(root.path());
            let dir = root.path().join("policy");
            digest(&dir, &dir.join("policy.wasm"))
        });
        assert_eq!(first, second);
    }

    #[test]
    fn a_directory_without_a_package_is_named() {
        let root = tempfile::tempdir().expect("directory");
        let error = build(root.path()).expect_err("no package");
        assert!(
            matches!(error, BuildError::Source(SourceError::NoPackage(_))),
            "{error}"
        );
        assert!(error.to_string().contains("there is no Cargo.toml in it"), "{error}");
        let missing = root.path().join("missing");
        let built = build(&missing).expect_err("no folder").to_string();
        let checked = check(&missing).expect_err("no folder").to_string();
        assert_eq!(built, checked);
        assert!(built.contains("missing: there is no such folder"), "{built}");
    }
}
