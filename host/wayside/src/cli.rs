//! The command line: what can be asked of `wayside`, with which options, and how each is explained.
//!
//! In: the process's arguments and environment. Out: a [`Cli`], or the end of the process with exit code 2 and what was
//! expected. It does nothing itself.

use std::path::PathBuf;

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use wayside_edge_config::url::ServiceUrl;

use crate::{
    client::access::{service_url, tenant},
    commands::{
        completions, config, dev, edge, geo, link, node, origin, policy, rule, site, status, stream, target, token,
    },
    output::Format,
};

/// Redirects at the edge: an edge, its origin, and the command that speaks to them.
#[derive(Parser)]
#[command(name = "wayside", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  wayside dev
  wayside site add localhost --host localhost
  wayside link add localhost /hello https://example.com/
  curl -i http://localhost:8080/hello";

const EDGE_EXAMPLES: &str = "\
Examples:
  wayside edge --config wayside.toml
  WAYSIDE__UPSTREAM__URL=http://10.0.0.1:7070 WAYSIDE__UPSTREAM__TOKEN_FILE=node-token wayside edge";

/// What holds for every command. (No `Debug`: it would show the token.)
#[derive(clap::Args)]
pub(crate) struct Globals {
    /// How results are shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = GLOBAL)]
    pub(crate) output: Format,
    /// Where the origin answers
    #[arg(
        long,
        global = true,
        env = "WAYSIDE_ORIGIN",
        default_value = "http://127.0.0.1:7070",
        value_parser = service_url,
        value_name = "URL",
        help_heading = ORIGIN
    )]
    pub(crate) origin_url: ServiceUrl,
    /// The token to show the origin; better in the environment, where no other process reads it
    #[arg(
        long,
        global = true,
        env = "WAYSIDE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = ORIGIN
    )]
    pub(crate) token: Option<String>,
    /// The file that holds the token, when there is no --token; for an origin on this machine, .wayside/token
    #[arg(long, global = true, env = "WAYSIDE_TOKEN_FILE", value_name = "FILE", help_heading = ORIGIN)]
    pub(crate) token_file: Option<PathBuf>,
    /// The file of the authorities whose certificate the origin may have, in PEM; the system's unless named
    #[arg(long, global = true, env = "WAYSIDE_CA_FILE", value_name = "FILE", help_heading = ORIGIN)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The tenant to act in; unless named, `default`, or the one whose token it is
    #[arg(
        long,
        global = true,
        env = "WAYSIDE_TENANT",
        value_parser = tenant,
        value_name = "NAME",
        help_heading = ORIGIN
    )]
    pub(crate) tenant: Option<String>,
    /// Where the edge's own endpoint answers
    #[arg(
        long,
        global = true,
        env = "WAYSIDE_ADMIN",
        default_value = "http://127.0.0.1:9090",
        value_parser = service_url,
        value_name = "URL",
        help_heading = EDGE
    )]
    pub(crate) admin_url: ServiceUrl,
}

/// Reads the command line. Ends the process when it asks for help or cannot be read.
pub(crate) fn parse() -> Cli {
    let read = || Cli::from_arg_matches(&command().try_get_matches()?);
    read().unwrap_or_else(|error| readable(error).exit())
}

/// The error, without repeating a long value in full.
fn readable(mut error: clap::Error) -> clap::Error {
    let kind = ContextKind::InvalidValue;
    if let Some(ContextValue::String(value)) = error.get(kind)
        && value.chars().count() > VALUE_CHARS_MAX
    {
        let start: String = value.chars().take(VALUE_CHARS_MAX).collect();
        error.insert(kind, ContextValue::String(start + "…"));
    }
    error
}

/// How much of a refused value an error repeats, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// The command line as clap knows it.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    for name in WITHOUT_ORIGIN {
        command = command.mut_subcommand(name, |command| hide(command, ORIGIN));
    }
    for name in WITHOUT_ORIGIN.iter().chain(&WITHOUT_EDGE) {
        command = command.mut_subcommand(name, |command| hide(command, EDGE));
    }
    command
}

/// Commands that ask nobody: where the origin answers, and as whom to ask it, says nothing about them.
const WITHOUT_ORIGIN: [&str; 6] = ["dev", "edge", "origin", "geo", "config", "completions"];
/// Commands that ask the origin alone.
const WITHOUT_EDGE: [&str; 4] = ["site", "link", "rule", "token"];

/// Leaves the options under a heading out of a command's help, and of the help of those below it.
fn hide(command: clap::Command, heading: &str) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|argument| {
        let is_meant = argument.get_help_heading() == Some(heading);
        let is_hidden = is_meant || argument.is_hide_set();
        argument.hide(is_hidden)
    });
    for name in names {
        command = command.mut_subcommand(name, |command| hide(command, heading));
    }
    command
}

const GLOBAL: &str = "Global options";
const ORIGIN: &str = "Origin";
const EDGE: &str = "Edge";

/// What can be asked.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run an edge and an origin in one process, to try things out
    Dev(dev::Args),
    /// Run an edge
    #[command(after_help = EDGE_EXAMPLES)]
    Edge(edge::Args),
    /// Run an origin, or back up and restore its database
    Origin(origin::Args),
    /// Add, show and remove sites
    #[command(subcommand, after_help = site::EXAMPLES)]
    Site(site::Args),
    /// Add, show, change and remove links
    #[command(subcommand, after_help = link::EXAMPLES)]
    Link(link::Args),
    /// Add, show and remove rules, which answer for many paths
    #[command(subcommand, after_help = rule::EXAMPLES)]
    Rule(rule::Args),
    /// Build, push and bind policies, the programs that decide
    #[command(subcommand, after_help = policy::EXAMPLES)]
    Policy(policy::Args),
    /// Add, show, drain and remove targets: the CDNs and edge servers that serve streams
    #[command(subcommand, after_help = target::EXAMPLES)]
    Target(target::Args),
    /// Add, show, change and remove assets, which players play
    #[command(subcommand, after_help = stream::EXAMPLES)]
    Stream(stream::Args),
    /// Make, show and revoke tokens
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::Args),
    /// Invite, show and revoke edges
    #[command(subcommand, after_help = node::EXAMPLES)]
    Node(node::Args),
    /// Look addresses up in geography databases
    #[command(subcommand, after_help = geo::EXAMPLES)]
    Geo(geo::Args),
    /// Check, describe and print configuration
    #[command(subcommand, after_help = config::EXAMPLES)]
    Config(config::Args),
    /// Show how an edge and its origin are
    Status(status::Args),
    /// Print a shell's completions
    Completions(completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::{Parser as _, error::ErrorKind};

    use super::{Cli, Command, command};
    use crate::commands::link;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n"), "{path} has no examples");
            let is_its_own = |line: &str| line.contains(path.trim());
            assert!(
                examples.lines().any(is_its_own),
                "no example of {path} is one:\n{examples}"
            );
            let below = command.get_subcommands().filter(|below| below.get_name() != "help");
            below.for_each(|below| check(below, &path));
        }
        check(&command(), "");
    }

    #[test]
    fn commands_speak_of_the_options_that_mean_something_to_them() {
        let help = |words: &[&str]| {
            let result = command().try_get_matches_from(words);
            result.expect_err("help").to_string()
        };
        for words in [
            &["wayside", "dev", "--help"][..],
            &["wayside", "geo", "lookup", "--help"],
        ] {
            let text = help(words);
            assert!(!text.contains("--tenant") && text.contains("--output"), "{text}");
        }
        let text = help(&["wayside", "link", "add", "--help"]);
        assert!(text.contains("--tenant") && !text.contains("--admin-url"), "{text}");
        assert!(help(&["wayside", "status", "--help"]).contains("--admin-url"));
    }

    #[test]
    fn lines_of_the_documentation_are_understood() {
        for line in [
            "wayside site add localhost --host localhost --host 127.0.0.1",
            "wayside link add localhost /hello https://example.com/ --status 302 --tag x --forward-query \
             --starts-at 2026-01-01T00:00:00Z --expires-at 1893456000 --fallback https://example.com/over",
            "wayside link list --site localhost --prefix /a --limit 3 --output json",
            "wayside --output json link list localhost",
            "wayside link set localhost /hello --target https://example.com/new --expires-at none",
            "wayside rule add localhost /docs/* https://docs.example/{splat} --priority 10 --status 301",
            "wayside policy push geo-redirect geo.wasm",
            "wayside policy bind localhost /geo geo-redirect --on-failure open --set de=https://example.de/",
            "wayside policy rollback localhost /geo",
            "wayside target add cdn-a --url https://a.example/vod/ --region eu --at -33.9,18.4 --probe ping.txt",
            "wayside target create cdn-b --file cdn-b.json --signing akamai --secret akamai-b",
            "wayside target drain cdn-a",
            "wayside target load cdn-a 0.8 --for 5m",
            "wayside target zones set zones.json",
            "wayside stream add shop film --source https://o.example/vod/film/ --hls a.m3u8 --pathway cdn-a=x/y",
            "wayside stream list --site shop --prefix live- --limit 3",
            "wayside stream ingest-key shop show --remove",
            "wayside token create ci --scope write --tenant acme",
            "wayside geo lookup 81.2.69.142 --geo city.mmdb --geo-asn asn.mmdb",
            "wayside geo lookup 81.2.69.142 --config wayside.toml",
            "wayside config check wayside.toml",
            "wayside --origin-url http://127.0.0.1:1 --admin-url http://127.0.0.1:2 status",
            "wayside dev --listen 127.0.0.1:0 --trust-proxy 10.0.0.0/8 --log-requests",
            "wayside completions bash",
        ] {
            let words = line.split(' ').filter(|word| !word.is_empty());
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_of_usage() {
        for line in [
            "wayside lnik list",
            "wayside link list",
            "wayside link set localhost /a",
            "wayside link add localhost /a https://a.example/ --status 200",
            "wayside site get ..",
            "wayside policy bind localhost /geo geo-redirect",
            "wayside policy bind localhost /geo geo-redirect --on-failure maybe",
            "wayside policy bind localhost /geo geo-redirect --on-failure open --set de",
            "wayside target set cdn-a --service on",
            "wayside target set cdn-a --at here",
            "wayside target load cdn-a much",
            "wayside target load cdn-a inf",
            "wayside target load cdn-a nan",
            "wayside target set cdn-a --at nan,1",
            "wayside target load cdn-a --for 5m",
            "wayside target add a/b --url https://a.example/",
            "wayside stream set shop film --balancer random",
            "wayside geo lookup nowhere --geo a.mmdb",
            "wayside geo lookup 1.2.3.4 --geo a.mmdb --config a.toml",
            "wayside site list --origin-url ftp://origin.example",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).err();
            let is_usage = |error: &clap::Error| error.exit_code() == 2 && error.kind() != ErrorKind::DisplayHelp;
            assert!(error.as_ref().is_some_and(is_usage), "{line}");
        }
    }

    #[test]
    fn global_options_may_stand_anywhere() {
        for line in ["wayside --tenant a link list s", "wayside link list s --tenant a"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(cli.globals.tenant.as_deref(), Some("a"), "{line}");
            assert!(matches!(cli.command, Command::Link(link::Args::List { .. })), "{line}");
        }
    }

    #[test]
    fn an_instant_that_is_none_is_an_error_of_usage() {
        let line = "wayside link add s /x https://example.com/ --expires-at soon";
        let error = Cli::try_parse_from(line.split(' ')).err().expect("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("RFC 3339"), "{error}");
    }

    #[test]
    fn an_address_that_is_none_is_told_what_one_looks_like() {
        let error = Cli::try_parse_from("wayside geo lookup 1.2.3".split(' '));
        let said = error.err().expect("refused").to_string();
        assert!(
            said.contains("1.2.3") && said.contains("expected an IPv4 or IPv6 address such as 192.0.2.1"),
            "{said}"
        );
    }
}
