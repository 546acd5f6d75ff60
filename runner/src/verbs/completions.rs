//! `pony-run completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::print;
use crate::{cli::Cli, exit::Exit};

/// Prints them.
pub(super) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "pony-run", &mut text);
    print(&String::from_utf8_lossy(&text))
}
