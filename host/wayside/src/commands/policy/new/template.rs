//! The files of a new policy: the sample, its tests, and the SDK as it is in the repository.
//!
//! In: a language and a name. Out: paths and contents. It must not write.

use serde_json::{Value, json};

use super::{Lang, World};

/// Longest name, in bytes: that of a policy at the origin.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// Names that packages beside the policy have, or that a compiler gives another meaning.
pub(super) const NAMES_TAKEN: [&str; 8] = [
    "wayside",
    "wayside-sdk",
    "wayside-sdk-macros",
    "std",
    "core",
    "alloc",
    "test",
    "proc-macro",
];

/// A path of the folder, and what stands in the file.
type File = (&'static str, &'static str);

/// A file of `guest/`, held by the binary.
macro_rules! guest {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/", $path))
    };
}

const RUST: &[File] = &[
    ("Cargo.toml", guest!("templates/rust/Cargo.toml")),
    // What the samples are built with; cargo leaves out what this policy does not need.
    ("Cargo.lock", guest!("Cargo.lock")),
    ("README.md", guest!("templates/rust/README.md")),
    (".gitignore", guest!("templates/rust/gitignore")),
    ("wayside-sdk/Cargo.toml", guest!("sdk/Cargo.toml")),
    ("wayside-sdk/src/bindings.rs", guest!("sdk/src/bindings.rs")),
    ("wayside-sdk/src/clock.rs", guest!("sdk/src/clock.rs")),
    ("wayside-sdk/src/contract.rs", guest!("sdk/src/contract.rs")),
    ("wayside-sdk/src/decision.rs", guest!("sdk/src/decision.rs")),
    ("wayside-sdk/src/lib.rs", guest!("sdk/src/lib.rs")),
    ("wayside-sdk/src/link.rs", guest!("sdk/src/link.rs")),
    ("wayside-sdk/src/log.rs", guest!("sdk/src/log.rs")),
    ("wayside-sdk/src/node.rs", guest!("sdk/src/node.rs")),
    ("wayside-sdk/src/plan.rs", guest!("sdk/src/plan.rs")),
    ("wayside-sdk/src/request.rs", guest!("sdk/src/request.rs")),
    ("wayside-sdk/src/settings.rs", guest!("sdk/src/settings.rs")),
    ("wayside-sdk/src/streams.rs", guest!("sdk/src/streams.rs")),
    ("wayside-sdk/src/testing.rs", guest!("sdk/src/testing.rs")),
    (
        "wayside-sdk/src/testing/contract.rs",
        guest!("sdk/src/testing/contract.rs"),
    ),
    (
        "wayside-sdk/src/testing/vectors.rs",
        guest!("sdk/src/testing/vectors.rs"),
    ),
    ("wayside-sdk/src/visitor.rs", guest!("sdk/src/visitor.rs")),
    ("wayside-sdk/wit/policy.wit", guest!("sdk/wit/policy.wit")),
    ("wayside-sdk-macros/Cargo.toml", guest!("sdk-macros/Cargo.toml")),
    ("wayside-sdk-macros/src/lib.rs", guest!("sdk-macros/src/lib.rs")),
];

const JS: &[File] = &[
    ("package.json", guest!("templates/js/package.json")),
    ("README.md", guest!("templates/js/README.md")),
    (".gitignore", guest!("templates/js/gitignore")),
    ("tsconfig.json", guest!("policies/geo-redirect-js/tsconfig.json")),
    ("wayside-sdk/package.json", guest!("js/package.json")),
    ("wayside-sdk/build.mjs", guest!("js/build.mjs")),
    ("wayside-sdk/tsconfig.json", guest!("js/tsconfig.json")),
    ("wayside-sdk/tsconfig.policy.json", guest!("js/tsconfig.policy.json")),
    ("wayside-sdk/src/clock.ts", guest!("js/src/clock.ts")),
    ("wayside-sdk/src/contract.d.ts", guest!("js/src/contract.d.ts")),
    ("wayside-sdk/src/decision.ts", guest!("js/src/decision.ts")),
    ("wayside-sdk/src/guard.ts", guest!("js/src/guard.ts")),
    ("wayside-sdk/src/index.ts", guest!("js/src/index.ts")),
    ("wayside-sdk/src/link.ts", guest!("js/src/link.ts")),
    ("wayside-sdk/src/log.ts", guest!("js/src/log.ts")),
    ("wayside-sdk/src/node.ts", guest!("js/src/node.ts")),
    ("wayside-sdk/src/plan.ts", guest!("js/src/plan.ts")),
    ("wayside-sdk/src/request.ts", guest!("js/src/request.ts")),
    ("wayside-sdk/src/run.ts", guest!("js/src/run.ts")),
    ("wayside-sdk/src/settings.ts", guest!("js/src/settings.ts")),
    ("wayside-sdk/src/streams.ts", guest!("js/src/streams.ts")),
    ("wayside-sdk/src/visitor.ts", guest!("js/src/visitor.ts")),
    ("wayside-sdk/wit/policy.wit", guest!("js/wit/policy.wit")),
];

/// What is written of a world: its sample in each language, with its tests, and how to try it.
struct Sample {
    rust: File,
    js: File,
    tests: File,
    /// What `wayside policy run` is told, and what `wayside policy bind` sets.
    run: &'static str,
    bind: &'static str,
}

const REDIRECT: Sample = Sample {
    rust: ("src/lib.rs", guest!("policies/geo-redirect/src/lib.rs")),
    js: ("src/policy.ts", guest!("policies/geo-redirect-js/src/policy.ts")),
    tests: ("tests.toml", guest!("policies/geo-redirect/tests.toml")),
    run: "--url https://go.example.com/ --country DE --set de=https://example.de/",
    bind: "--set de=https://example.de/",
};

const STREAM: Sample = Sample {
    rust: ("src/lib.rs", guest!("policies/two-cdns/src/lib.rs")),
    js: ("src/policy.ts", guest!("templates/js/stream-policy.ts")),
    tests: ("tests.toml", guest!("policies/two-cdns/tests.toml")),
    run: "--url https://go.example.com/video/film/ --asset film --set first=cdn-a --set second=cdn-b",
    bind: "--set first=cdn-a --set second=cdn-b",
};

/// All files of a policy of this name.
pub(super) fn files(lang: Lang, world: World, name: &str) -> Vec<(&'static str, String)> {
    let sample = match world {
        World::RedirectPolicy => &REDIRECT,
        World::StreamPolicy => &STREAM,
    };
    let (files, source) = match lang {
        Lang::Rust => (RUST, sample.rust),
        Lang::Js => (JS, sample.js),
    };
    let files = files.iter().chain([&source, &sample.tests]);
    let mut files: Vec<_> = files.map(|&(path, text)| (path, fitted(text, name, sample))).collect();
    if lang == Lang::Js {
        files.push(("package-lock.json", npm_lock(name)));
    }
    files
}

/// A file of the repository as it has to be in the folder: with the policy's name, and the SDK's where they lie there.
fn fitted(text: &str, name: &str, sample: &Sample) -> String {
    text.replace("{{name}}", name)
        .replace("{{try}}", sample.run)
        .replace("{{set}}", sample.bind)
        .replace("\"../sdk-macros\"", "\"../wayside-sdk-macros\"")
}

/// The lock file of the samples for a policy beside its SDK: the packages that they were tested with.
fn npm_lock(name: &str) -> String {
    let mut lock: Value = serde_json::from_str(guest!("package-lock.json")).unwrap_or_default();
    lock["name"] = json!(name);
    lock["version"] = json!("0.1.0");
    let Some(packages) = lock["packages"].as_object_mut() else {
        return String::new();
    };
    packages.retain(|path, package| {
        let is_sample = package["resolved"]
            .as_str()
            .is_some_and(|place| place.starts_with("policies/"));
        !is_sample && !path.starts_with("policies/")
    });
    let own = json!({
        "name": name,
        "version": "0.1.0",
        "dependencies": { "@wayside/policy": "file:wayside-sdk" },
    });
    packages.insert(String::new(), own);
    packages.insert(
        "node_modules/@wayside/policy".to_owned(),
        json!({ "resolved": "wayside-sdk", "link": true }),
    );
    if let Some(sdk) = packages.remove("js") {
        packages.insert("wayside-sdk".to_owned(), sdk);
    }
    format!("{lock:#}\n")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{JS, Lang, RUST, World, files, npm_lock};

    /// The files below a folder of `guest/`, but for what npm installs.
    fn listed(folder: &str, found: &mut BTreeSet<String>) {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest");
        for entry in fs::read_dir(guest.join(folder)).expect("folder") {
            let name = entry.expect("entry").file_name().into_string().expect("name");
            let path = format!("{folder}/{name}");
            if guest.join(&path).is_dir() {
                if name != "node_modules" {
                    listed(&path, found);
                }
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn the_binary_holds_the_whole_sdk() {
        for (folder, place, files) in [
            ("sdk", "wayside-sdk", RUST),
            ("sdk-macros", "wayside-sdk-macros", RUST),
            ("js", "wayside-sdk", JS),
        ] {
            let mut expected = BTreeSet::new();
            listed(folder, &mut expected);
            let held = files
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(&format!("{place}/")));
            let held: BTreeSet<String> = held.map(|path| format!("{folder}/{path}")).collect();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn every_file_bears_the_policys_name_and_no_gap_is_left() {
        let kinds = [Lang::Rust, Lang::Js].map(|lang| [(lang, World::RedirectPolicy), (lang, World::StreamPolicy)]);
        for (lang, world) in kinds.into_iter().flatten() {
            for (path, text) in files(lang, world, "my-policy") {
                // Those of the contract's templates have one brace.
                assert!(!text.is_empty() && !text.contains("{{name}}"), "{path}: {text}");
                assert!(!text.contains("{{try}}") && !text.contains("{{set}}"), "{path}: {text}");
                assert!(!text.contains("../sdk-macros"), "{path}");
            }
        }
    }

    /// Whoever installs gets the packages from the public registry, whatever registry they were found in here.
    #[test]
    fn locked_packages_of_npm_come_from_the_public_registry() {
        let lock: serde_json::Value = serde_json::from_str(&npm_lock("my-policy")).expect("JSON");
        let packages = lock["packages"].as_object().expect("packages");
        assert!(
            packages.len() > 100 && packages.contains_key("wayside-sdk"),
            "{}",
            packages.len()
        );
        for (path, package) in packages {
            let is_registered = path.contains("node_modules/") && package["link"] != true;
            let place = package["resolved"].as_str();
            let is_public = place.is_some_and(|place| place.starts_with("https://registry.npmjs.org/"));
            assert!(
                is_public == is_registered && package["integrity"].is_string() == is_registered,
                "{path}: {place:?}"
            );
        }
    }
}
