//! `pony-run shell RUN`: a shell in a kept tree, as a step would find it.
#![expect(clippy::disallowed_methods, reason = "this process becomes the shell, with its environment")]

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Failure, say, setup};
use crate::{
    environment::of_steps,
    exit::Exit,
    home::Home,
    process::spawn::{self, Environment},
    record::{RunRecord, folder::RunFolder},
    retained,
    words::plain,
};

/// Becomes that shell, or `command`; comes back only if that fails.
pub(super) fn shell(run: Option<&str>, command: &[OsString]) -> Result<Exit, Failure> {
    let home = setup::home()?;
    let folder = find(&home, run)?;
    let record = folder.read_result().map_err(wrong)?;
    let cwd = match &record.cwd {
        Some(cwd) if Path::new(cwd).is_dir() => PathBuf::from(cwd),
        Some(cwd) => {
            return Err(wrong(format!(
                "the build folder of that run, `{cwd}`, is gone (passing runs keep theirs only with --keep always)"
            )));
        }
        None => return Err(wrong("that run ended before it had a build folder".to_owned())),
    };
    let env = environment(&record, &cwd);
    let default = env.get(&OsString::from("SHELL")).cloned().unwrap_or_else(|| "/bin/sh".into());
    let (program, arguments) = if let Some((program, arguments)) = command.split_first() {
        (program.clone(), arguments)
    } else {
        say(&format!("{}. Shell in {}; `exit` leaves it.", headline(&record), cwd.display()));
        (default, &[][..])
    };
    // Looked for where steps would: a new program is found by the old environment else.
    let path = env.get(&OsString::from("PATH")).cloned().unwrap_or_default();
    let found = spawn::find(&program, &path, &cwd).unwrap_or_else(|| PathBuf::from(&program));
    let error = Command::new(found).args(arguments).current_dir(&cwd).env_clear().envs(env).exec();
    Err(wrong(format!("cannot start `{}`: {error}", program.display())))
}

/// The run, and how it ended: `zlib, 2026-11-28 12:35 UTC: failed at "docs" (make docs)`.
fn headline(record: &RunRecord) -> String {
    let when = record.started.strftime("%Y-%m-%d %H:%M UTC");
    let step = record.culprit().map(|step| format!(" at \"{}\" ({})", step.name, step.command));
    plain(&format!("{}, {when}: {}{}", record.package, record.outcome.word(), step.unwrap_or_default()))
}

/// What a step of the run sees, but for the run's mark: nobody shall take the shell for a leftover.
fn environment(record: &RunRecord, cwd: &Path) -> Environment {
    let inherited: Environment = std::env::vars_os().collect();
    let mut env = of_steps(&inherited, record.environment_from, &record.secrets);
    env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    for (name, value) in &record.environment {
        match value {
            Some(value) => env.insert(name.into(), value.into()),
            None => env.remove(&OsString::from(name)),
        };
    }
    env.insert("PWD".into(), cwd.into());
    env
}

/// The run's folder, by its path, its id, or a package.
fn find(home: &Home, run: Option<&str>) -> Result<RunFolder, Failure> {
    let Some(run) = run else {
        let kept = retained::list(home).unwrap_or_default();
        return kept.iter().find_map(|tree| RunFolder::by_id(home, &tree.run_id)).ok_or_else(|| {
            wrong("no build folders are kept (passing runs keep theirs only with --keep always)".to_owned())
        });
    };
    let path = Path::new(run);
    if run.contains('/') && path.is_dir() {
        return Ok(RunFolder::at(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned())));
    }
    if let Some(folder) = RunFolder::by_id(home, run) {
        return Ok(folder);
    }
    let kept = retained::list(home).unwrap_or_default();
    let of_package = kept
        .iter()
        .filter_map(|tree| RunFolder::by_id(home, &tree.run_id))
        .find(|folder| folder.read_result().is_ok_and(|record| record.package == run));
    of_package.ok_or_else(|| {
        let kept: Vec<String> = kept.into_iter().map(|tree| tree.run_id).collect();
        let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
        wrong(format!("no run or package `{run}` has a kept build folder; kept runs: {kept}"))
    })
}

fn wrong(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, message.to_string())
}
