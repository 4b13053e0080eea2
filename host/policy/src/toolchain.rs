//! Builds a guest: finds a compiler that can, runs it, and makes a component of what comes out.
//!
//! In: a policy's directory. Out: its component, written where components are kept, with the digest of its sources.
//! This is the tool on the author's machine; a node must not use it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use wayside_decide::digest::Digest;

use crate::{
    encode::{self, EncodeError},
    source::{self, SourceError, Sources},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian's `rustc-web` and `cargo-web` put themselves.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

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
        "no Rust compiler here can build for {TARGET}: run `rustup target add {TARGET}`, or on Debian \
         `apt-get install rustc-web cargo-web rust-web-src lld`"
    )]
    NoToolchain,
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
    /// The module is none of a policy.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A file could not be read or written.
    #[error("{action} {}: {error}", .path.display())]
    File {
        /// `read` or `write`.
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

/// Builds the guest in `dir` and writes the component: to `components/` of its workspace where there is such a
/// directory, else beside its Cargo.toml. Cargo's messages go to standard error.
///
/// # Errors
/// [`BuildError`], which names the remedy where there is one.
pub fn build(dir: &Path) -> Result<Built, BuildError> {
    // First: in a folder that is not there, no compiler runs, and none would be blamed.
    source::package_dir(dir)?;
    let toolchain = Toolchain::find(dir).ok_or(BuildError::NoToolchain)?;
    let sources = Sources::find(&toolchain.cargo, dir)?;
    let module = compile(&toolchain, &sources, dir)?;
    let core_module = fs::read(&module).map_err(|error| file_error("read", &module, error))?;
    let source = sources.digest()?;
    let component = encode::with_source(encode::component(&core_module)?, source);
    let path = component_path(&sources, dir);
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
    let sources = Sources::find(&any_cargo(), dir)?;
    let path = component_path(&sources, dir);
    let component = fs::read(&path).map_err(|error| Stale::Missing {
        path: path.clone(),
        error,
    })?;
    let expected = sources.digest()?;
    match encode::source(&component) {
        None => Err(Stale::Unmarked { path }),
        Some(found) if found != expected => Err(Stale::Changed { path, found, expected }),
        Some(_) => Ok(()),
    }
}

/// A cargo and a compiler that can build guests.
struct Toolchain {
    cargo: PathBuf,
    /// Set where the standard library has to be built too.
    debian: Option<Debian>,
}

struct Debian {
    linker: PathBuf,
}

impl Toolchain {
    fn find(dir: &Path) -> Option<Self> {
        if target_library(dir).is_some_and(|library| library.is_dir()) {
            return Some(Self {
                cargo: any_cargo(),
                debian: None,
            });
        }
        let library = PathBuf::from(printed(Path::new(DEBIAN_RUSTC), dir, &["--print", "sysroot"])?)
            .join("lib/rustlib/src/rust/library");
        let is_complete = library.is_dir() && Path::new(DEBIAN_CARGO).is_file();
        let linker = linker(dir).filter(|_| is_complete)?;
        Some(Self {
            cargo: PathBuf::from(DEBIAN_CARGO),
            debian: Some(Debian { linker }),
        })
    }
}

/// The directory of the standard library for WebAssembly, whether or not it is there.
fn target_library(dir: &Path) -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    printed(&rustc, dir, &["--print", "target-libdir", "--target", TARGET]).map(PathBuf::from)
}

/// The linker of rustup's toolchain, which is as new as the compiler, or else Debian's.
fn linker(dir: &Path) -> Option<PathBuf> {
    let host = printed(Path::new("rustc"), dir, &["--print", "target-libdir"]).map(PathBuf::from);
    let of_rustup = host.and_then(|library| Some(library.parent()?.join("bin/rust-lld")));
    let of_debian = ["/usr/bin/wasm-ld", "/usr/bin/rust-lld"].map(PathBuf::from);
    of_rustup.into_iter().chain(of_debian).find(|path| path.is_file())
}

fn any_cargo() -> PathBuf {
    let is_there = |cargo: &PathBuf| printed(cargo, Path::new("."), &["--version"]).is_some();
    let on_path = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    Some(on_path)
        .filter(is_there)
        .unwrap_or_else(|| PathBuf::from(DEBIAN_CARGO))
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

/// Compiles the package and returns the core module's file.
fn compile(toolchain: &Toolchain, sources: &Sources, dir: &Path) -> Result<PathBuf, BuildError> {
    let mut command = Command::new(&toolchain.cargo);
    command
        .args(["build", "--release", "--lib", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(dir)
        // Takes the place of every other source of flags, so that nobody's own end up in a component.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(sources, toolchain, dir))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(debian) = &toolchain.debian {
        command
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC", DEBIAN_RUSTC)
            // The library can only be built with what is unstable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &debian.linker);
    }
    let output = command.output().map_err(|error| BuildError::Run {
        program: toolchain.cargo.clone(),
        error,
    })?;
    if !output.status.success() {
        return Err(BuildError::Compile(sources.name.clone()));
    }
    let own = sources.packages.get(&sources.name).map(|dir| dir.join("Cargo.toml"));
    let module = output.stdout.split(|byte| *byte == b'\n').find_map(|line| {
        let artefact: Artefact = serde_json::from_slice(line).ok()?;
        let is_own = Some(&artefact.manifest_path) == own.as_ref();
        let mut files = artefact.filenames.into_iter().filter(|_| is_own);
        files.find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
    });
    module.ok_or_else(|| BuildError::NoModule(sources.name.clone()))
}

/// One of cargo's messages: something was built.
#[derive(Deserialize)]
struct Artefact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

/// The compiler's flags: no path of this machine may stand in a component, neither for privacy nor for the bytes to
/// be the same elsewhere.
fn flags(sources: &Sources, toolchain: &Toolchain, dir: &Path) -> String {
    let mut moves = Vec::new();
    if let Some(home) = cargo_home() {
        moves.push((home, "/cargo".to_owned()));
    }
    let rustc = toolchain.debian.as_ref().map_or("rustc", |_| DEBIAN_RUSTC);
    if let Some(sysroot) = printed(Path::new(rustc), dir, &["--print", "sysroot"]).map(PathBuf::from) {
        // Debian's library is a symbolic link to elsewhere.
        let library = sysroot.join("lib/rustlib/src/rust/library").canonicalize();
        moves.extend(library.ok().map(|library| (library, "/rust/library".to_owned())));
        moves.push((sysroot.join("lib/rustlib/src/rust"), "/rust".to_owned()));
    }
    // Cargo names the workspace's own files by their path inside it; the flags stay the same for all its guests.
    let outside = sources
        .packages
        .iter()
        .filter(|(_, dir)| !dir.starts_with(&sources.workspace));
    moves.extend(outside.map(|(name, dir)| (dir.clone(), format!("/{name}"))));
    let flags: Vec<String> = moves
        .into_iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect();
    flags.join("\u{1f}")
}

fn cargo_home() -> Option<PathBuf> {
    let set = env::var_os("CARGO_HOME").map(PathBuf::from);
    set.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
}

fn component_path(sources: &Sources, dir: &Path) -> PathBuf {
    let shared = sources.workspace.join("components");
    let parent = if shared.is_dir() { shared } else { dir.to_owned() };
    parent.join(format!("{}.wasm", sources.name))
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
        write("policy/tests.toml", "");
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
        for irrelevant in ["policy/tests.toml", "other/src/lib.rs", "policy/README.md"] {
            fs::write(root.path().join(irrelevant), "changed").expect("write");
            assert!(check(&dir).is_ok(), "{irrelevant}");
        }
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
