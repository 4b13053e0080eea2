//! `wayside completions`: scripts for shells.

use clap_complete::Shell;

use crate::{
    cli::{self, Globals},
    output,
};

const EXAMPLES: &str = "\
Examples:
  source <(wayside completions bash)
  wayside completions zsh > ~/.zfunc/_wayside
  wayside completions fish > ~/.config/fish/completions/wayside.fish";

/// For which shell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

/// Does what is asked.
pub(crate) fn run(args: Args, _: &Globals) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "wayside", &mut script);
    output::text(&String::from_utf8_lossy(&script))
}
