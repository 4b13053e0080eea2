//! A policy in JavaScript, from its source to a visitor. `tests/run` installs what builds it, and builds the sample.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{BINARY, Dev, repository, text};

const SAMPLE: &str = "guest/policies/geo-redirect-js/geo-redirect-js.wasm";

/// Compiling an engine of JavaScript takes seconds, twice: at the origin and at the edge.
const COMPILED_WITHIN: Duration = Duration::from_secs(100);

/// The sample's component. It is not committed, for it has 12 MB; a test without it would show nothing.
fn sample() -> String {
    let path = repository().join(SAMPLE);
    assert!(
        path.is_file(),
        "{SAMPLE} is not there, build it first: npm ci --prefix guest && \
         cargo run -p wayside -- policy build guest/policies/geo-redirect-js"
    );
    path.to_str().expect("path").to_owned()
}

/// Asks from a country until it is sent to this place.
fn leads(dev: &Dev, country: &str, place: &str) {
    let give_up = Instant::now() + COMPILED_WITHIN;
    loop {
        let response = dev.process.get_with("/js", &[("Wayside-Demo-Country", country)]);
        if response.location().as_deref() == Some(place) {
            return;
        }
        assert!(
            Instant::now() < give_up,
            "{country}: expected {place}, found {response:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// By its imports, not by the whole contract: so `wayside policy inspect` tells what a policy may ask.
#[test]
fn a_component_of_javascript_imports_what_the_policy_asks_and_nothing_else() {
    let bytes = fs::read(sample()).expect("read");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("wayside:policy/visitor@1.0.0") && holds("wayside:policy/settings@1.0.0"));
    for unused in [
        "wayside:policy/request@1.0.0",
        "wayside:policy/clock@1.0.0",
        "in-network",
        "time-zone",
    ] {
        assert!(!holds(unused), "it holds {unused}");
    }
}

#[test]
fn a_policy_in_javascript_decides_and_its_decisions_are_remembered() {
    let component = sample();
    let dev = Dev::start();
    dev.ok(&["policy", "push", "geo-js", &component]);
    let bind = ["policy", "bind", "localhost", "/js", "geo-js", "--on-failure", "closed"];
    let settings = [
        "--set",
        "de=https://example.de{path}",
        "--set",
        "default=https://example.com/",
    ];
    dev.ok(&[&bind[..], &settings].concat());
    // Whatever a compiler takes, it keeps no other change waiting.
    for round in 0..3 {
        let (path, place) = (format!("/meanwhile-{round}"), format!("https://{round}.example/"));
        dev.ok(&["rule", "add", "localhost", &path, &place]);
        dev.wait_for(&path, Some(&place));
        assert_eq!(dev.process.get("/js").status, 503, "compiled too soon to show anything");
    }
    let runs = || dev.process.metric("wayside_policy_runs_total{outcome=\"decided\"}");
    let remembered = || dev.process.metric("wayside_policy_remembered_total");
    for (country, place) in [("DE", "https://example.de/js"), ("FR", "https://example.com/")] {
        leads(&dev, country, place);
        let (ran, answered) = (runs(), remembered());
        leads(&dev, country, place);
        assert!(runs() <= ran && remembered() > answered, "{country} ran again");
    }
    assert!((runs() - 2.0).abs() < 0.5, "one run for each country, found {}", runs());
}

/// A package with this policy, and the SDK where npm would put it.
struct Package(TempDir);

impl Package {
    fn new(policy: &str) -> Self {
        let package = Self(tempfile::tempdir().expect("folder"));
        package.write(
            "package.json",
            r#"{"name": "mine", "dependencies": {"@wayside/policy": "*"}}"#,
        );
        package.write("src/policy.ts", policy);
        let scope = package.0.path().join("node_modules/@wayside");
        fs::create_dir_all(&scope).expect("folder");
        let sdk = repository().join("guest/js").canonicalize().expect("SDK");
        std::os::unix::fs::symlink(sdk, scope.join("policy")).expect("link");
        package
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, contents).expect("write");
    }

    /// What a build says that must fail.
    fn refusal(&self) -> String {
        refusal(self.0.path(), &[])
    }
}

fn build(folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(["policy", "build"])
        .arg(folder)
        .envs(variables.iter().copied());
    command.output().expect("run wayside")
}

fn refusal(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = build(folder, variables);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_policy_that_cannot_be_built_is_told_what_is_wrong_with_it() {
    for (policy, expected) in [
        (
            "export const other = 1;",
            "./src/policy.ts exports other, expected a function `decide`",
        ),
        ("const inner = 1;", "./src/policy.ts exports nothing"),
        ("export function decide( {", "src/policy.ts:1:25"),
        (
            "import fs from \"node:fs\"; export const decide = () => fs.x;",
            "node:fs",
        ),
        (
            "import pad from \"left-pad\"; export const decide = () => pad();",
            "Could not resolve \"left-pad\"",
        ),
        (
            "import { visitor } from \"@wayside/policy\"; const at = visitor.country(); export const decide = () => at;",
            "asks visitor.country outside of `decide`",
        ),
    ] {
        let said = Package::new(policy).refusal();
        assert!(
            said.contains(expected) && said.contains("package `mine`"),
            "{policy}\n{said}"
        );
    }
    let package = Package::new("import { deny } from \"@wayside/policy\"; export const decide = () => deny(418);");
    package.write(
        "tsconfig.json",
        r#"{"extends": "@wayside/policy/tsconfig.json", "include": ["src"]}"#,
    );
    let said = package.refusal();
    assert!(
        said.contains("418") && said.contains("TypeScript found the mistakes above"),
        "{said}"
    );
}

#[test]
fn what_is_missing_to_build_javascript_is_named_with_the_remedy() {
    let package = Package::new("export const decide = () => undefined;");
    let folder = package.0.path();
    let without_node = refusal(folder, &[("PATH", "")]);
    assert!(
        without_node.contains("found no Node.js, expected Node.js 18"),
        "{without_node}"
    );
    fs::remove_file(folder.join("src/policy.ts")).expect("remove");
    let said = package.refusal();
    assert!(said.contains("expected src/policy.ts or src/policy.js"), "{said}");
    fs::remove_dir_all(folder.join("node_modules")).expect("remove");
    let said = package.refusal();
    assert!(said.contains("run `npm install` in "), "{said}");
}
