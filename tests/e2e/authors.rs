//! What a policy's author does before anybody else sees it: inspect, test, try.

use std::process::{Command, Output};

use crate::harness::{BINARY, repository, text};

fn wayside(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .current_dir(repository())
        .output()
        .expect("run wayside")
}

fn ok(arguments: &[&str]) -> String {
    let output = wayside(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(arguments: &[&str]) -> String {
    let output = wayside(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

const GEO: &str = "guest/components/geo-redirect.wasm";
const URL: &str = "https://go.example.com/shoes?size=7";

#[test]
fn a_component_shows_what_it_is_and_what_it_can_ask() {
    let shown = ok(&["policy", "inspect", GEO]);
    assert!(
        shown.contains("wayside:policy/visitor@1.0.0") && shown.contains("small"),
        "{shown}"
    );
    assert!(!shown.contains("wasi"), "{shown}");
    assert!(
        shown.contains("visitor.country") && !shown.contains("visitor.city"),
        "{shown}"
    );
    let costly = ok(&[
        "policy",
        "inspect",
        "guest/components/interpreter.wasm",
        "--output",
        "json",
    ]);
    let costly: serde_json::Value = serde_json::from_str(&costly).expect("JSON");
    let asks: Vec<&String> = costly["costly"].as_object().expect("an object").keys().collect();
    assert_eq!(asks, ["request.cookie", "request.header", "request.query"]);
    assert!(fails(&["policy", "inspect", "README.md"]).contains("expected a WebAssembly component"));
    assert!(fails(&["policy", "inspect", "no-such-file"]).contains("no-such-file"));
}

/// `tests/run` builds such folders, and runs their tests.
#[test]
fn a_new_policy_is_a_folder_that_was_not_there() {
    let folder = tempfile::tempdir().expect("folder");
    let new = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(["policy", "new"])
            .args(arguments)
            .current_dir(folder.path());
        command.output().expect("run wayside")
    };
    let rust = text(&new(&["one"]).stdout);
    assert!(
        rust.contains("wayside policy build .") && !rust.contains("npm"),
        "{rust}"
    );
    let js = text(&new(&["two", "--lang", "js"]).stdout);
    assert!(js.contains("npm ci"), "{js}");
    for file in [
        "one/src/lib.rs",
        "one/.gitignore",
        "two/src/policy.ts",
        "two/package-lock.json",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let again = new(&["one", "--lang", "js"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("one is there already"),
        "{}",
        text(&again.stderr)
    );
    assert!(!folder.path().join("one/package.json").exists());
    assert_eq!(new(&["../three"]).status.code(), Some(2));
    assert_eq!(new(&["four", "--lang", "cobol"]).status.code(), Some(2));
}

#[test]
fn tests_pass_for_their_own_policy_and_fail_for_another() {
    let passed = ok(&["policy", "test", GEO, "guest/policies/geo-redirect/tests.toml"]);
    assert!(passed.contains("tests passed"), "{passed}");
    let failed = fails(&["policy", "test", GEO, "guest/policies/ab-split/tests.toml"]);
    assert!(
        failed.contains("the first buckets are in B") && failed.contains("found proceed"),
        "{failed}"
    );
    // Why it was decided so stands beside what was decided.
    assert!(
        failed.contains("expected redirect")
            && failed.contains("and the questions")
            && failed.contains("visitor.country"),
        "{failed}"
    );
    assert!(fails(&["policy", "test", GEO, "Cargo.toml"]).contains("Cargo.toml"));
    // What is no component is told apart from one without tests.
    let said = fails(&["policy", "test", "README.md"]);
    assert!(
        said.contains("expected a WebAssembly component") && !said.contains("tests"),
        "{said}"
    );
}

#[test]
fn a_try_shows_decision_location_and_questions() {
    let place = "de=https://example.de{path}{?query}";
    let run = ["policy", "run", GEO, "--url", URL, "--country", "de", "--set", place];
    let tried = ok(&run);
    for line in [
        "decision  302 https://example.de{path}{?query}",
        "location  https://example.de/shoes?size=7",
        "asked     visitor.country → \"DE\"",
    ] {
        assert!(tried.contains(line), "{line}: {tried}");
    }
    // As many instructions each time, and others for other answers.
    let counted = fuel(&tried).expect("a count");
    assert_eq!(fuel(&ok(&run)), Some(counted));
    let elsewhere = run.map(|argument| if argument == "de" { "at" } else { argument });
    assert_ne!(fuel(&ok(&elsewhere)), Some(counted));
    let phone = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)";
    let device = [
        "guest/components/device-link.wasm",
        "--url",
        URL,
        "--set",
        "ios=https://a.example/",
        "--header",
        phone,
    ];
    let tried = ok(&[&["policy", "run"][..], &device].concat());
    assert!(tried.contains("location  https://a.example/"), "{tried}");
    for (arguments, expected) in [
        (["--url", "nonsense", "--method", "GET"], "an absolute URL"),
        (["--url", URL, "--country", "Germany"], "two letters"),
        (
            ["--url", "https://a.example//b", "--method", "GET"],
            "exactly one slash",
        ),
        (["--url", URL, "--geo", "README.md"], "README.md"),
        (["--url", URL, "--header", "X: A\r\nB: c"], "without control characters"),
    ] {
        let refused = fails(&[&["policy", "run", GEO][..], &arguments].concat());
        assert!(refused.contains(expected), "{arguments:?}: {refused}");
    }
    let hostile = ["guest/components/hostile.wasm", "--url", URL, "--set", "mode=loop"];
    let cut_off = fails(&[&["policy", "run"][..], &hostile].concat());
    assert!(cut_off.contains("no decision"), "{cut_off}");
}

/// The instructions that a try counted.
fn fuel(tried: &str) -> Option<u64> {
    let count = tried.lines().find_map(|line| line.strip_prefix("fuel "))?;
    count.trim().strip_suffix(" instructions")?.parse().ok()
}
