//! `pony-run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pony_runner::verbs::main().into()
}
