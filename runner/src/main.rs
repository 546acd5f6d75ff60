//! `pony-run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pony_runner::app::main().into()
}
