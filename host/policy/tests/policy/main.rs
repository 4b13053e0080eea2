//! The whole of the policy crate on real components: the samples, the hostile ones, and what is no policy at all.

#![allow(
    clippy::expect_used,
    reason = "a test says what it expects by failing, its helpers too"
)]

mod hostile;
mod javascript;
mod refused;
mod remembered;
mod samples;
mod sharing;
mod streams;

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use wayside_decide::trace::Recorder;
use wayside_policy::{
    admission::Admission,
    compiler::Compiler,
    engine::{Engine, EngineOptions},
    facts::MapFacts,
    guest::Guest,
};

/// Longer than a node's deadline: a test must not fail because the machine is busy.
const DEADLINE_MS: u64 = 500;

/// One engine for all tests, as in a process.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine(Duration::from_millis(DEADLINE_MS)));

fn engine(deadline: Duration) -> Engine {
    let options = EngineOptions {
        deadline,
        ..EngineOptions::default()
    };
    Engine::new(&options).expect("engine")
}

fn admission() -> Admission {
    Admission::new(ENGINE.clone(), Compiler::here())
}

fn guests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../guest")
}

/// The bytes of a committed component.
fn component(name: &str) -> Vec<u8> {
    let path = guests().join("components").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `wayside policy build`", path.display()))
}

fn load(name: &str) -> Arc<Guest> {
    Arc::new(admission().load(&component(name)).expect("a committed component loads"))
}

/// A recorder over a request about which nothing is known but the binding's settings.
fn with_settings(settings: &[(&str, &str)]) -> Recorder {
    let settings = settings
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Recorder::new(Arc::new(MapFacts {
        settings: settings.collect(),
        ..MapFacts::default()
    }))
}
