//! The `wayside` command: reads what is asked for, does it, and says by its exit code how that went.

mod cli;
mod client;
mod commands;
mod dates;
mod exit;
mod first_token;
mod logging;
mod output;
mod running;
mod settings;

use std::process::ExitCode;

/// Small allocations on the request path are what an edge does most; this allocator is made for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::parse();
    let outcome = commands::run(cli.command, &cli.globals);
    exit::report(outcome)
}
