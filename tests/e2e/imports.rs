//! Many links out of a file.

use std::{fmt::Write as _, fs, path::Path};

use crate::harness::Dev;

fn path(file: &Path) -> &str {
    file.to_str().expect("a path")
}

#[test]
fn a_file_of_links_is_imported_again_and_from_where_it_stopped() {
    let dev = Dev::start();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("links.csv");
    let mut lines = "path,target,status,tags\n".to_owned();
    for number in 0..12_000 {
        let _ = writeln!(lines, "/many/{number},https://a.example/{number},301,one two");
    }
    fs::write(&file, &lines).expect("write");
    let said = dev.ok(&["link", "import", "localhost", path(&file)]);
    assert!(said.contains("wrote 12000 links of site localhost"), "{said}");
    dev.wait_for("/many/0", Some("https://a.example/0"));
    dev.wait_for("/many/11999", Some("https://a.example/11999"));
    // Once more, with one that is wrong in the second batch.
    let wrong = lines
        .replace("https://a.example/7000,", "javascript:x,")
        .replace("a.example", "b.example");
    fs::write(&file, wrong).expect("write");
    let said = dev.fails(&["link", "import", "localhost", path(&file)]);
    for expected in [
        "lines 5002 to 10001",
        "the 5000 links before",
        "--from-line 5002",
        "line 7002",
        "target",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    dev.wait_for("/many/4999", Some("https://b.example/4999"));
    dev.wait_for("/many/5000", Some("https://a.example/5000"));
    fs::write(&file, lines.replace("a.example", "b.example")).expect("write");
    let rest = [
        "--output",
        "json",
        "link",
        "import",
        "localhost",
        path(&file),
        "--from-line",
        "5002",
    ];
    let said: serde_json::Value = serde_json::from_str(&dev.ok(&rest)).expect("JSON");
    assert_eq!(said["written"], 7_000);
    dev.wait_for("/many/11999", Some("https://b.example/11999"));
    dev.wait_for("/many/0", Some("https://b.example/0"));
}

#[test]
fn what_one_site_lists_another_imports() {
    let dev = Dev::start();
    let folder = tempfile::tempdir().expect("folder");
    dev.ok(&["site", "add", "copy", "--host", "copy.example"]);
    let listed = dev.ok(&["--output", "json", "link", "list", "localhost"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let items = listed["items"].as_array().expect("links");
    assert!(!items.is_empty());
    let file = folder.path().join("links.jsonl");
    let lines: Vec<String> = items.iter().map(ToString::to_string).collect();
    fs::write(&file, lines.join("\n")).expect("write");
    dev.ok(&["link", "import", "copy", path(&file)]);
    let copied = dev.ok(&["--output", "json", "link", "list", "copy"]);
    let copied: serde_json::Value = serde_json::from_str(&copied).expect("JSON");
    assert_eq!(copied["items"].as_array().expect("links").len(), items.len());
}

#[test]
fn what_cannot_be_imported_is_said() {
    let dev = Dev::start();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("links.txt");
    fs::write(&file, "{\"path\": 1}\n").expect("write");
    let said = dev.fails(&["link", "import", "localhost", path(&file)]);
    assert!(said.contains("--format jsonl"), "{said}");
    let said = dev.fails(&["link", "import", "localhost", path(&file), "--format", "jsonl"]);
    assert!(said.contains("line 1") && said.contains("path"), "{said}");
    let said = dev.fails(&["link", "import", "localhost", "nowhere.csv"]);
    assert!(said.contains("nowhere.csv"), "{said}");
}
