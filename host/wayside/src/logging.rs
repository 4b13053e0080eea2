//! The process's log: on standard error, for people on a terminal and for machines elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};
use wayside_edge_config::config::{Log, LogFormat, LogLevel};

/// What dependencies say once for each attempt, where our own lines say it once: a certificate that is not believed, streams
/// and connections that break, statements that take long, with their text. Who asks for `debug` gets all of it.
const QUIETER: &str = "rustls_platform_verifier=off,h2=error,sqlx::query=error,sqlx::pool=error,sqlx_core::pool=error,\
                       sqlx::postgres::notice=error";

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
    let mut directives = log.level.as_str().to_owned();
    if !matches!(log.level, LogLevel::Debug | LogLevel::Trace) {
        directives = format!("{directives},{QUIETER}");
    }
    if log.requests {
        directives = format!("{directives},wayside::request=info");
    }
    directives
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;
    use wayside_edge_config::config::{Log, LogLevel};

    use super::directives;

    #[test]
    fn every_level_reads_as_a_filter_and_only_debug_and_trace_let_dependencies_repeat_themselves() {
        for (level, is_quiet) in [
            (LogLevel::Error, true),
            (LogLevel::Warn, true),
            (LogLevel::Info, true),
            (LogLevel::Debug, false),
            (LogLevel::Trace, false),
        ] {
            for requests in [false, true] {
                let log = Log {
                    level,
                    requests,
                    ..Log::default()
                };
                let directives = directives(&log);
                // Printed, a filter has those that it understood.
                let filter = EnvFilter::try_new(&directives).expect("a filter").to_string();
                assert_eq!(
                    filter.contains("rustls_platform_verifier=off"),
                    is_quiet,
                    "{directives}"
                );
                assert_eq!(filter.contains("sqlx::query=error"), is_quiet, "{directives}");
                assert_eq!(filter.contains("wayside::request=info"), requests, "{directives}");
                assert!(filter.contains(level.as_str()), "{directives}");
            }
        }
    }
}
