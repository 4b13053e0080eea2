//! Every sample policy, its committed component against its own tests.

use std::fs;

use wayside_policy::{encode, toolchain, vectors::Vectors, world::World};

use crate::{admission, component, guests, load};

#[test]
fn every_sample_passes_its_tests() {
    let mut checked = 0;
    for entry in fs::read_dir(guests().join("policies")).expect("policies") {
        let dir = entry.expect("entry").path();
        let name = dir.file_name().expect("name").to_string_lossy().into_owned();
        // A sample in JavaScript is not committed: `tests/run` builds and tests it.
        if !dir.join("Cargo.toml").is_file() {
            continue;
        }
        let text = fs::read_to_string(dir.join("tests.toml"))
            .unwrap_or_else(|error| panic!("{name}: a sample policy needs tests in tests.toml: {error}"));
        let vectors = Vectors::parse(&text).unwrap_or_else(|error| panic!("{name}/tests.toml: {error}"));
        let mismatches: Vec<String> = vectors.check(&load(&name)).iter().map(ToString::to_string).collect();
        assert!(mismatches.is_empty(), "{name}:\n{}", mismatches.join("\n"));
        checked += 1;
    }
    assert!(checked >= 10, "only {checked} sample policies were found");
}

#[test]
fn every_component_is_admitted_and_asks_only_what_it_shows() {
    for (name, asks) in [
        ("geo-redirect", &["visitor", "settings"][..]),
        ("ab-split", &["visitor", "settings"]),
        ("device-link", &["visitor", "settings"]),
        ("opening-hours", &["clock", "settings"]),
        ("nearest-place", &["visitor", "settings"]),
        ("language", &["request", "settings"]),
        ("maintenance", &["clock", "visitor", "settings"]),
        ("embargo", &["visitor", "settings"]),
        ("canary", &["link", "visitor", "settings"]),
        ("hostile", &["request", "visitor", "clock", "settings"]),
        ("two-cdns", &["visitor", "settings"]),
        ("hostile-stream", &["settings"]),
    ] {
        let bytes = component(name);
        let (admitted, _) = admission()
            .admit(&bytes)
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(admitted.bytes, bytes.len());
        let of_streams = matches!(name, "two-cdns" | "hostile-stream");
        assert_eq!(
            admitted.world,
            if of_streams { World::Stream } else { World::Redirect },
            "{name}"
        );
        let always = if of_streams {
            &["log", "decisions", "plans"][..]
        } else {
            &["log", "decisions"]
        };
        let mut expected: Vec<String> = asks
            .iter()
            .chain(always)
            .map(|name| format!("wayside:policy/{name}@1.0.0"))
            .collect();
        let mut found = admitted.imports;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        assert!(
            encode::source(&bytes).is_some(),
            "{name} does not say what it was built from"
        );
    }
}

#[test]
fn no_committed_component_is_stale_or_names_a_path_of_the_machine_it_was_built_on() {
    let home = std::env::home_dir().filter(|home| home.parent().is_some());
    let home = home.map(|home| format!("{}/", home.display()));
    let places = [env!("CARGO_MANIFEST_DIR"), "/home/", "/.cargo/", "/tmp/", "/Users/"];
    let places: Vec<&str> = places.into_iter().chain(home.as_deref()).collect();
    for parent in ["policies", "fixtures"] {
        for entry in fs::read_dir(guests().join(parent)).expect("directory") {
            let dir = entry.expect("entry").path();
            if !dir.join("Cargo.toml").is_file() {
                continue;
            }
            toolchain::check(&dir).unwrap_or_else(|stale| panic!("{stale}"));
            let name = dir.file_name().expect("name").to_string_lossy().into_owned();
            let bytes = component(&name);
            for place in &places {
                let holds = bytes.windows(place.len()).any(|window| window == place.as_bytes());
                assert!(!holds, "{name} names {place}");
            }
        }
    }
}
