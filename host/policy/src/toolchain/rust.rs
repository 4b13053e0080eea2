//! Guests in Rust: finds a compiler that can build them, runs it, and makes a component of what comes out.
//!
//! In: a policy's directory. Out: the component, the digest of its sources and where it belongs. It must not know
//! other languages.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{BuildError, Made, file_error, printed};
use crate::{
    encode,
    source::{SourceError, Sources},
};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian's `rustc-web` and `cargo-web` put themselves.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Compiles the package and makes a component of it.
pub(super) fn build(dir: &Path) -> Result<Made, BuildError> {
    let toolchain = Toolchain::find(dir).ok_or(BuildError::NoToolchain)?;
    let sources = Sources::find(&toolchain.cargo, dir)?;
    let module = compile(&toolchain, &sources, dir)?;
    let core_module = fs::read(&module).map_err(|error| file_error("read", &module, error))?;
    Ok(Made {
        component: encode::component(&core_module)?,
        source: sources.digest()?,
        path: component_path(&sources, dir),
    })
}

/// The package's sources, and where its component belongs.
pub(super) fn sources(dir: &Path) -> Result<(Sources, PathBuf), SourceError> {
    let sources = Sources::find(&any_cargo(), dir)?;
    let path = component_path(&sources, dir);
    Ok((sources, path))
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
