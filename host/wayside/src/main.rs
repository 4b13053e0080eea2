//! The `wayside` command: reads what is asked for, does it, and says by its exit code how that went.

mod cli;
mod client;
mod commands;
mod dates;
mod exit;
mod first_token;
mod identity;
mod logging;
mod output;
mod progress;
mod running;
mod settings;

use std::process::ExitCode;

use wayside_policy::compiler;

/// Small allocations on the request path are what an edge does most; this allocator is made for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else is read: a compiler has no options, and needs nothing of what follows.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == compiler::CHILD_ARGUMENT)
    {
        return compiler::compile_for_parent();
    }
    let cli = cli::parse();
    let outcome = commands::run(cli.command, &cli.globals);
    exit::report(outcome)
}
