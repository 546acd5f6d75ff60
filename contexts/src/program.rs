//! How a version control program is called for one source: its fixed words, tries again, and what its messages mean.

mod refusal;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

pub(crate) use refusal::{Meaning, says};

use crate::{Command, Ended, Shell, error::Error, url::Url};

/// Arguments of different types of string.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$(::std::ffi::OsStr::new($arg)),*] };
}
pub(crate) use args;

/// Variables set (`Some`) or removed (`None`).
pub(crate) type Overlay = BTreeMap<String, Option<OsString>>;

/// How much patience there is with what lies beyond this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Nothing is asked of it at all.
    pub offline: bool,
    /// How long to wait before each further try, after a fault of the network.
    pub waits: Vec<Duration>,
    /// How long a command that speaks to another machine may print nothing.
    pub silence: Duration,
}

/// A version control program.
pub(crate) struct Tool {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The words that all its commands begin with, the program first, and their environment.
    pub(crate) frame: fn(&Url) -> (Vec<OsString>, Overlay),
    /// The meanings that its messages can have, the more telling first, and parts of them in lower case, beside those that all
    /// programs say alike.
    pub(crate) messages: &'static [(Meaning, &'static [&'static str])],
    /// The exit status that only an unknown option leads to.
    pub(crate) usage: Option<i64>,
    /// The oldest version that will do.
    pub(crate) oldest: &'static str,
}

/// Runs one program for one source.
pub(crate) struct Program<'a, S> {
    tool: &'static Tool,
    shell: &'a mut S,
    url: &'a Url,
    place: PathBuf,
    network: &'a Network,
    words: Vec<OsString>,
    labels: BTreeSet<String>,
    login: bool,
}

impl<'a, S: Shell> Program<'a, S> {
    /// For the repository at `url`, whose entry in the cache is (to be) the directory `place`.
    pub(crate) fn new(
        tool: &'static Tool,
        url: &'a Url,
        place: PathBuf,
        network: &'a Network,
        shell: &'a mut S,
    ) -> Self {
        let (words, labels) = (Vec::new(), BTreeSet::new());
        Self { tool, shell, url, place, network, words, labels, login: true }
    }

    /// With `words` after those that all its commands begin with.
    pub(crate) fn with(mut self, words: impl IntoIterator<Item = OsString>) -> Self {
        self.words.extend(words);
        self
    }

    /// From now on the commands are those of another program of the same system.
    pub(crate) fn call(&mut self, tool: &'static Tool) {
        self.tool = tool;
    }

    /// Whether commands from now on have the login that the address holds; they do at first.
    pub(crate) fn log_in(&mut self, login: bool) {
        self.login = login;
    }

    /// Whose commands these are.
    pub(crate) fn url(&self) -> &'a Url {
        self.url
    }

    /// Where its entry in the cache is, or will be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// A line for the person.
    pub(crate) fn note(&mut self, text: &str) {
        self.shell.note(text);
    }

    /// Tells that an entry of the cache is thrown away.
    pub(crate) fn anew(&mut self, what: &str, cache: &Path, said: &str) {
        self.note(&format!("the {what} `{}` is damaged ({said}): making it anew", cache.display()));
    }

    /// Tells that what the cache holds has to do.
    pub(crate) fn do_without(&mut self, error: &Error) {
        do_without(error, self.shell);
    }

    /// Runs the program in `cwd` and answers with its output, or with the words for its failure.
    pub(crate) async fn run(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Error> {
        let ended = self.attempt(label, cwd, args).await?;
        if ended.status == 0 { Ok(ended.stdout) } else { Err(self.refusal(label, &ended)) }
    }

    /// As [`Program::run`], where a failure can be an answer; only a command that could not do its work at all, or that
    /// was stopped, is an error.
    pub(crate) async fn attempt(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Ended, Error> {
        self.once(label, cwd, args, None).await
    }

    /// As [`Program::run`], for what speaks to where the repository is: tried again after faults of the network, and
    /// not at all where the network is not to be used.
    pub(crate) async fn online(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Error> {
        self.online_mending(label, cwd, args, None).await
    }

    /// As [`Program::online`], with the command `mend` run before each further try, for what a try that was cut short leaves
    /// behind. Whether that succeeds makes no difference.
    pub(crate) async fn online_mending(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
        mend: Option<&'static str>,
    ) -> Result<Vec<u8>, Error> {
        if self.network.offline && !self.url.is_local() {
            return Err(Error::Offline(self.url.clone()));
        }
        let mut waits = self.network.waits.iter();
        loop {
            let ended = self.once(label, cwd, args, Some(self.network.silence)).await?;
            if ended.status == 0 {
                return Ok(ended.stdout);
            }
            again(self.refusal(label, &ended), &mut waits, self.shell).await?;
            if let Some(mend) = mend {
                self.attempt(mend, cwd, &[mend]).await?;
            }
        }
    }

    async fn once(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
        silence: Option<Duration>,
    ) -> Result<Ended, Error> {
        let bare = self.url.without_login();
        let (mut words, env) = (self.tool.frame)(if self.login { self.url } else { &bare });
        words.extend(self.words.iter().cloned());
        words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        let command = Command {
            label: unused(&mut self.labels, label),
            argv: words,
            cwd: cwd.to_owned(),
            env,
            silence,
        };
        let ended = self.shell.run(command).await;
        if ended.stopped {
            return Err(Error::Stopped);
        }
        if ended.status == -1 || self.tool.usage == Some(ended.status) {
            return Err(self.refusal(label, &ended));
        }
        Ok(ended)
    }

    /// The words for a failed command.
    pub(crate) fn refusal(&self, label: &str, ended: &Ended) -> Error {
        refusal::read(self.tool, label, ended, self.url, &self.place)
    }
}

/// Tells that what the cache holds has to do, and why.
pub(crate) fn do_without(error: &Error, shell: &mut impl Shell) {
    shell.note(&format!("building what the cache holds: {error}"));
}

/// Waits before a further try after `error`; gives it back where another try is of no use, or was the last.
pub(crate) async fn again(
    error: Error,
    waits: &mut slice::Iter<'_, Duration>,
    shell: &mut impl Shell,
) -> Result<(), Error> {
    let Some(wait) = waits.next().filter(|_| error.is_of_the_network()) else { return Err(error) };
    let why = error.to_string();
    shell.note(&format!("{}; trying again in {} s", why.lines().next().unwrap_or_default(), wait.as_secs()));
    shell.pause(*wait).await;
    Ok(())
}

/// `clone`, then `clone 2`: labels are keys of one record.
pub(crate) fn unused(labels: &mut BTreeSet<String>, label: &str) -> String {
    let mut unused = label.to_owned();
    let mut count = 1;
    while !labels.insert(unused.clone()) {
        count += 1;
        unused = format!("{label} {count}");
    }
    unused
}
