//! Versions of the programs that a build uses, for the record.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

use crate::{
    client_info::ClientInfo,
    error::Error,
    shell::{Command, EnvOverlay, Shell},
};

/// A program that takes longer to print its version has none.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest version that is recorded, in characters.
const MAX_VERSION: usize = 200;

/// Records the path of each of `tools` and the first line of its `--version`, as `tool NAME`. `path` is searched unless `env`
/// has a `PATH`.
pub(crate) async fn record(
    tools: &[String],
    path: &OsStr,
    cwd: &Path,
    env: &EnvOverlay,
    info: &mut ClientInfo,
    shell: &mut impl Shell,
) -> Result<(), Error> {
    let path = env.get("PATH").cloned().flatten().unwrap_or_else(|| path.to_owned());
    for tool in tools {
        let described = match shell.find(OsStr::new(tool), &path, cwd) {
            None => "not found".to_owned(),
            Some(file) => {
                let argv = vec![file.clone().into(), "--version".into()];
                let version = first_line(argv, cwd, env, shell).await?;
                format!("{}: {}", file.display(), version.unwrap_or_else(|| "unknown version".to_owned()))
            }
        };
        info.insert(format!("tool {tool}"), described.into());
    }
    Ok(())
}

/// The first line that is not blank of a successful command's output.
async fn first_line(
    argv: Vec<OsString>,
    cwd: &Path,
    env: &EnvOverlay,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let command =
        Command { label: String::new(), argv, cwd: cwd.to_owned(), env: env.clone(), quiet_timeout: None };
    let output = shell.capture(command, LIMIT).await;
    if output.stopped {
        return Err(Error::Stopped);
    }
    // Some programs print it on the one, some on the other.
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.filter(|_| output.status == 0).map(|line| line.chars().take(MAX_VERSION).collect()))
}
