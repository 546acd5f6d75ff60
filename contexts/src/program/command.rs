//! Calling a program for one repository: fixed options, retries, errors from its output.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    failure::read_failure,
    network::{Network, fall_back_to_cache, retry_after},
    tool::Tool,
};
use crate::{
    error::Error,
    shell::{Command, CommandOutput, Shell, unique_label},
    url::Url,
};

/// A program that is called for one repository.
pub(crate) struct Program<'a, S> {
    tool: &'static Tool,
    shell: &'a mut S,
    url: &'a Url,
    entry_dir: PathBuf,
    network: &'a Network,
    options: Vec<OsString>,
    labels: BTreeSet<String>,
    login: bool,
}

impl<'a, S: Shell> Program<'a, S> {
    /// For the repository at `url`, whose cache entry is, or will be, the directory `entry_dir`.
    pub(crate) fn new(
        tool: &'static Tool,
        url: &'a Url,
        entry_dir: PathBuf,
        network: &'a Network,
        shell: &'a mut S,
    ) -> Self {
        let (options, labels) = (Vec::new(), BTreeSet::new());
        Self { tool, shell, url, entry_dir, network, options, labels, login: true }
    }

    /// With `options` at the start of all commands.
    pub(crate) fn with(mut self, options: impl IntoIterator<Item = OsString>) -> Self {
        self.options.extend(options);
        self
    }

    /// From now on the commands are those of another program for the same repository.
    pub(crate) fn call(&mut self, tool: &'static Tool) {
        self.tool = tool;
    }

    /// Whether commands from now on are given the login in the address, as they are at first.
    pub(crate) fn log_in(&mut self, login: bool) {
        self.login = login;
    }

    /// The repository.
    pub(crate) fn url(&self) -> &'a Url {
        self.url
    }

    /// Where its cache entry is, or will be.
    pub(crate) fn entry_dir(&self) -> &Path {
        &self.entry_dir
    }

    /// A line for the person.
    pub(crate) fn note(&mut self, text: &str) {
        self.shell.note(text);
    }

    /// Tells the person that an entry of the cache is rebuilt.
    pub(crate) fn note_rebuild(&mut self, what: &str, cache: &Path, detail: &str) {
        self.note(&format!("the {what} `{}` is damaged ({detail}): rebuilding it", cache.display()));
    }

    /// Tells the person that the cache is used, and why.
    pub(crate) fn fall_back_to_cache(&mut self, error: &Error) {
        fall_back_to_cache(error, self.shell);
    }

    /// Runs the program in `cwd`; returns its standard output.
    pub(crate) async fn run(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Error> {
        let output = self.attempt(label, cwd, args).await?;
        if output.status == 0 { Ok(output.stdout) } else { Err(self.failure(label, &output)) }
    }

    /// As [`Program::run`], for commands whose failure is a result; only one that could not run, or was stopped, is an error.
    pub(crate) async fn attempt(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<CommandOutput, Error> {
        self.once(label, cwd, args, None).await
    }

    /// As [`Program::run`], for commands that speak to upstream: retried after network errors, and an error offline.
    pub(crate) async fn online(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Error> {
        self.online_with_cleanup(label, cwd, args, None).await
    }

    /// As [`Program::online`], with the command `cleanup` before each retry, to clear away what an interrupted command leaves. Its
    /// failure is ignored.
    pub(crate) async fn online_with_cleanup(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
        cleanup: Option<&'static str>,
    ) -> Result<Vec<u8>, Error> {
        if self.network.offline && !self.url.is_local() {
            return Err(Error::Offline(self.url.clone()));
        }
        let mut delays = self.network.retry_delays.iter();
        loop {
            let output = self.once(label, cwd, args, Some(self.network.quiet_timeout)).await?;
            if output.status == 0 {
                return Ok(output.stdout);
            }
            retry_after(self.failure(label, &output), &mut delays, self.shell).await?;
            if let Some(cleanup) = cleanup {
                self.attempt(cleanup, cwd, &[cleanup]).await?;
            }
        }
    }

    async fn once(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
        quiet_timeout: Option<Duration>,
    ) -> Result<CommandOutput, Error> {
        let bare = self.url.without_login();
        let (mut words, env) = (self.tool.command_line)(if self.login { self.url } else { &bare });
        words.extend(self.options.iter().cloned());
        words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        let command = Command {
            label: unique_label(&mut self.labels, label),
            argv: words,
            cwd: cwd.to_owned(),
            env,
            quiet_timeout,
        };
        let output = self.shell.run(command).await;
        if output.stopped {
            return Err(Error::Stopped);
        }
        if output.status == -1 || self.tool.usage == Some(output.status) {
            return Err(self.failure(label, &output));
        }
        Ok(output)
    }

    /// The error for a failed command.
    pub(crate) fn failure(&self, label: &str, output: &CommandOutput) -> Error {
        read_failure(self.tool, label, output, self.url, &self.entry_dir)
    }
}
