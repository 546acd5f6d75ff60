//! Versions of the programs that a build uses, for the record.

use std::{ffi::OsStr, path::Path, time::Duration};

use crate::{Command, Facts, Request, Shell, error::Error, program::Overlay};

/// What takes longer to say its version says none.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest version that is told, in characters.
const LONGEST: usize = 200;

/// Tells of each tool that was asked for where it is and the first line of its `--version`, as the fact `tool NAME`.
pub(crate) async fn describe(
    request: &Request,
    cwd: &Path,
    env: &Overlay,
    facts: &mut Facts,
    shell: &mut impl Shell,
) -> Result<(), Error> {
    let path = env.get("PATH").cloned().flatten().unwrap_or_else(|| request.path.clone());
    for tool in &request.tools {
        let told = match shell.find(OsStr::new(tool), &path, cwd) {
            None => "not found".to_owned(),
            Some(file) => {
                let argv = vec![file.clone().into(), "--version".into()];
                let version = first_line(argv, cwd, env, shell).await?;
                format!("{}: {}", file.display(), version.unwrap_or_else(|| "says no version".to_owned()))
            }
        };
        facts.insert(format!("tool {tool}"), told.into());
    }
    Ok(())
}

/// The first line with something in it that a command prints, if it ends well.
async fn first_line(
    argv: Vec<std::ffi::OsString>,
    cwd: &Path,
    env: &Overlay,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let command =
        Command { label: String::new(), argv, cwd: cwd.to_owned(), env: env.clone(), silence: None };
    let ended = shell.ask(command, LIMIT).await;
    if ended.stopped {
        return Err(Error::Stopped);
    }
    // Some say it on the one, some on the other.
    let said = [ended.stdout, ended.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.filter(|_| ended.status == 0).map(|line| line.chars().take(LONGEST).collect()))
}
