//! `pony-run man`: the manual page.

use clap::CommandFactory as _;

use super::{Failure, print};
use crate::{cli::Cli, exit::Exit};

/// Prints it.
pub(super) fn man() -> Result<Exit, Failure> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    rendered.map_err(|error| Failure::of(Exit::CannotRecord, &error))?;
    Ok(print(&String::from_utf8_lossy(&text)))
}
