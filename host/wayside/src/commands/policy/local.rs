//! `wayside policy inspect|test|run`: what an author does with a component before anybody else sees it. The limits are
//! those of production.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::json;
use wayside_decide::{
    decision::{Decision, Failure},
    limits::COMPONENT_BYTES_MAX,
    name::Name,
    question::caution,
    trace::Recorder,
};
use wayside_edge::{facts::AssetFacts, geo_watch::GeoFiles, rehearsal::Rehearsal};
use wayside_edge_config::config;
use wayside_policy::{
    admission::Admission,
    asks,
    compiler::Compiler,
    encode,
    engine::{Engine, EngineOptions},
    guest::{Guest, Run},
    vectors::Vectors,
};

use crate::{
    commands::{
        file::read_at_most,
        values::{name, setting},
    },
    output::{self, Format},
    running,
};

pub(crate) const INSPECT_EXAMPLES: &str = "\
Examples:
  wayside policy inspect guest/components/geo-redirect.wasm";
pub(crate) const TEST_EXAMPLES: &str = "\
Examples:
  wayside policy test guest/components/geo-redirect.wasm
  wayside policy test guest/components/geo-redirect.wasm guest/policies/geo-redirect/tests.toml";
pub(crate) const RUN_EXAMPLES: &str = "\
Examples:
  wayside policy run guest/components/geo-redirect.wasm --url https://go.example.com/ --country DE \\
      --set de=https://example.de/
  wayside policy run guest/components/device-link.wasm --url https://go.example.com/ --set ios=https://apps.apple.com/ \\
      --header 'User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)'";

/// How much processor time a run may take whose instructions are counted: many times what it took at full speed.
const COUNTING: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Inspect {
    /// The component
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Test {
    /// The component
    file: PathBuf,
    /// Other tests than those it brings along; guest/README.md says how to write them
    tests: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Try {
    /// The component
    file: PathBuf,
    /// The URL that is asked for
    #[arg(long)]
    url: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header field; repeat for more
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The visitor's address
    #[arg(long, default_value = "192.0.2.1")]
    address: IpAddr,
    /// The visitor's country, whatever the database says
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// Database of places (.mmdb)
    #[arg(long, value_name = "FILE")]
    geo: Option<PathBuf>,
    /// Database of autonomous systems (.mmdb)
    #[arg(long, value_name = "FILE")]
    geo_asn: Option<PathBuf>,
    /// A setting that the policy reads; repeat for more
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The asset that is asked for, where a stream is
    #[arg(long, value_name = "ID", value_parser = name)]
    asset: Option<String>,
    /// A tag of the asset; repeat for more
    #[arg(long = "tag", value_name = "TAG", requires = "asset")]
    tags: Vec<String>,
    /// An attribute of the asset; repeat for more
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = setting, requires = "asset")]
    attributes: Vec<(String, String)>,
    /// A target that has a copy of the asset, and its region; repeat for more
    #[arg(long = "target", value_name = "NAME=REGION", value_parser = target, requires = "asset")]
    targets: Vec<(Name, Name)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn target(text: &str) -> Result<(Name, Name), String> {
    let (target, region) = text.split_once('=').ok_or("expected NAME=REGION")?;
    let read = |what, text| Name::parse(what, text).map_err(|invalid| invalid.to_string());
    Ok((read("target", target)?, read("region", region)?))
}

/// Shows what a component is, once it is admitted.
pub(super) fn inspect(args: &Inspect, format: Format) -> anyhow::Result<()> {
    let component = read_at_most(&args.file, COMPONENT_BYTES_MAX)?;
    let (admitted, _) = admission()?
        .admit(&component)
        .with_context(|| format!("{}", args.file.display()))?;
    let functions = asks::functions(&component);
    let costly: BTreeMap<&str, &str> = functions
        .iter()
        .filter_map(|function| Some((&**function, caution(function)?)))
        .collect();
    let document = json!({
        "digest": admitted.digest.to_string(),
        "size": admitted.bytes,
        "class": admitted.class.as_str(),
        "memory_max": admitted.class.memory_bytes_max(),
        "world": admitted.world.as_str(),
        "can_ask": admitted.imports,
        "functions": functions,
        "costly": costly,
        "tests": admitted.tests,
    });
    output::record(
        format,
        &document,
        &[
            "digest",
            "size",
            "class",
            "world",
            "can_ask",
            "functions",
            "costly",
            "tests",
        ],
    )
}

/// Runs a component's tests; fails when one does.
pub(super) fn test(args: &Test, format: Format) -> anyhow::Result<()> {
    let component = read_at_most(&args.file, COMPONENT_BYTES_MAX)?;
    // First: what is no component brings no tests along either, but that is not what is wrong with it.
    let guest = load(&args.file, &component)?;
    let file = args.tests.as_ref().unwrap_or(&args.file);
    let text = match &args.tests {
        Some(tests) => fs::read_to_string(tests).with_context(|| format!("{}", tests.display()))?,
        None => encode::tests(&component)
            .with_context(|| {
                let said =
                    "brings no tests along: write tests.toml beside its sources and build it again, or name a file";
                format!("{}: {said}", file.display())
            })?
            .to_owned(),
    };
    let vectors = Vectors::parse(&text).with_context(|| format!("{}", file.display()))?;
    let failed = vectors.check(&guest);
    if !failed.is_empty() {
        let lines: Vec<_> = failed.iter().map(ToString::to_string).collect();
        let said = format!("{} of {} tests failed", failed.len(), vectors.len());
        anyhow::bail!("{said}\n{}", lines.join("\n"));
    }
    let count = vectors.len();
    output::done(format, &format!("{count} tests passed"), &json!({ "passed": count }))
}

/// Runs a component on one request, and shows what it decided, what it asked, and what it wrote to its log.
pub(super) fn try_one(args: Try, format: Format) -> anyhow::Result<()> {
    let component = read_at_most(&args.file, COMPONENT_BYTES_MAX)?;
    let guest = load(&args.file, &component)?;
    let files = GeoFiles {
        places: args.geo,
        systems: args.geo_asn,
        check_interval: Duration::MAX,
    };
    let asset = args.asset.as_deref().map(|id| Name::parse("asset", id)).transpose()?;
    let pairs = args
        .attributes
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    let tags = args.tags.into_iter().map(Into::into);
    let asset = asset.map(|id| AssetFacts::new(id, tags.collect(), pairs.collect(), args.targets));
    let rehearsal = Rehearsal {
        url: args.url,
        method: args.method.to_ascii_uppercase(),
        headers: args.headers,
        address: args.address,
        country: args.country,
        geo: files.open()?,
        settings: args.settings,
        asset,
    };
    let recorder = Recorder::new(rehearsal.facts()?);
    let began = Instant::now();
    let mut run = guest.run(recorder.clone());
    let took = began.elapsed();
    run.cost.fuel = count_fuel(&component, recorder, &run.result)?;
    show(run, took, format)
}

/// How many instructions the policy executes until this result. In a second run, for counting makes code slower: the
/// first one takes the time that it would on a node. None for a run that was cut off, which may be anywhere.
fn count_fuel(component: &[u8], recorder: Recorder, result: &Result<Decision, Failure>) -> anyhow::Result<Option<u64>> {
    if result.as_ref().is_err_and(|failure| !failure.is_deterministic()) {
        return Ok(None);
    }
    let options = EngineOptions {
        counts_fuel: true,
        deadline: COUNTING,
        ..running::engine_options(&config::Policy::default())
    };
    // It was compiled within a node's limits before.
    let admission = Admission::new(Engine::new(&options)?, Compiler::here());
    let counted = admission.load(component)?.run(recorder);
    // Code that counts needs more stack, too.
    Ok(counted.cost.fuel.filter(|_| counted.result == *result))
}

fn show(run: Run, took: Duration, format: Format) -> anyhow::Result<()> {
    let Run {
        result,
        mut recorder,
        log,
        cost,
    } = run;
    let asked = recorder.trace().clone();
    let location = match &result {
        Ok(Decision::Redirect { location, .. }) => Some(location.render(|question| recorder.ask(question), None)),
        Ok(Decision::Proceed | Decision::Deny(_) | Decision::Plan(_)) | Err(_) => None,
    };
    let questions: Vec<_> = asked
        .iter()
        .map(|(question, answer)| json!({ "question": question.to_string(), "answer": answer.to_string() }))
        .collect();
    let document = json!({
        "decision": result.as_ref().ok().map(ToString::to_string),
        "failure": result.as_ref().err().map(ToString::to_string),
        "location": location.as_ref().map(|location| match location {
            Ok(target) => target.to_string(),
            Err(failure) => format!("refused: {failure}"),
        }),
        "took_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "cpu_us": u64::try_from(cost.cpu.as_micros()).unwrap_or(u64::MAX),
        "fuel": cost.fuel,
        "memory_bytes": cost.memory_bytes,
        "asked": questions,
        "log": log.iter().map(|note| format!("{}: {}", note.level, note.message)).collect::<Vec<_>>(),
    });
    if format == Format::Json {
        return output::json(&document);
    }
    let outcome = result.as_ref().map_or_else(ToString::to_string, ToString::to_string);
    output::line(&format!("decision  {outcome}"))?;
    if let Some(location) = document["location"].as_str() {
        output::line(&format!("location  {location}"))?;
    }
    for (question, answer) in asked.iter() {
        output::line(&format!("asked     {question} → {answer}"))?;
    }
    for note in &log {
        output::line(&format!("log       {}: {}", note.level, note.message.escape_debug()))?;
    }
    output::line(&format!(
        "took      {} µs, {} of them on the processor",
        took.as_micros(),
        cost.cpu.as_micros()
    ))?;
    if let Some(fuel) = cost.fuel {
        output::line(&format!("fuel      {fuel} instructions"))?;
    }
    output::line(&format!("memory    {} KiB", cost.memory_bytes.div_ceil(1024)))?;
    match result {
        Ok(_) => Ok(()),
        Err(_) => anyhow::bail!("the policy gave no decision"),
    }
}

fn load(file: &Path, component: &[u8]) -> anyhow::Result<Guest> {
    admission()?
        .load(component)
        .with_context(|| format!("{}", file.display()))
}

/// With the limits a node has unless told otherwise.
fn admission() -> anyhow::Result<Admission> {
    let engine = Engine::new(&running::engine_options(&config::Policy::default()))?;
    Ok(Admission::new(engine, running::compiler()))
}
