//! The `Shell` for what contexts ask without a run: is there something new upstream, is the cache sound.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use pony_contexts::{
    Command, CommandOutput, Stage,
    shell::{Download, DownloadError, Downloaded},
};

use crate::{
    download,
    process::{
        captured::{ask, spec},
        spawn::{self, Environment},
    },
};

/// No question takes longer.
const LIMIT: Duration = Duration::from_mins(10);

/// The `Shell` for questions that are asked without a run.
#[derive(Debug)]
pub(crate) struct DirectShell {
    env: Environment,
    /// What the person is to be told.
    pub(crate) notes: Vec<String>,
}

impl DirectShell {
    /// Its commands see `env`.
    pub(crate) fn new(env: Environment) -> Self {
        Self { env, notes: Vec::new() }
    }
}

impl pony_contexts::Shell for DirectShell {
    async fn run(&mut self, command: Command) -> CommandOutput {
        let limit = command.quiet_timeout.unwrap_or(LIMIT);
        ask(&spec(command, &self.env), limit).await
    }

    async fn capture(&mut self, command: Command, limit: Duration) -> CommandOutput {
        ask(&spec(command, &self.env), limit).await
    }

    async fn download(&mut self, download: Download) -> Result<Downloaded, DownloadError> {
        download::fetch(&download).await
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
        spawn::find(program, path, cwd)
    }

    fn begin(&mut self, _: Stage) {}

    fn complete(&mut self, _: String) {}

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}
