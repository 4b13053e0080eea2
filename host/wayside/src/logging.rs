//! The process's log: on standard error, for people on a terminal and for machines elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};
use wayside_edge_config::config::{Log, LogFormat};

/// Starts the log. `RUST_LOG`, where set, chooses more finely than the configuration.
pub(crate) fn start(log: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(log)));
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_span_events(FmtSpan::NONE)
        // A log that cannot be written, on a full disk or a closed pipe, must not end what it tells of.
        .log_internal_errors(false);
    let is_pretty = match log.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // A second start in one process, as in tests, keeps the first log.
    let _ = if is_pretty {
        lines.try_init()
    } else {
        lines.json().flatten_event(true).try_init()
    };
}

/// What is written, in the words of the filter. Requests are asked for by themselves, whatever the level of the rest.
fn directives(log: &Log) -> String {
    let level = log.level.as_str();
    if log.requests {
        format!("{level},wayside::request=info")
    } else {
        level.to_owned()
    }
}
