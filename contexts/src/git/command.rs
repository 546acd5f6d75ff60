//! How git is called: the environment and options that make it hermetic and keep it from asking questions.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::{
    Command, Ended, Shell,
    error::Error,
    git::refusal,
    url::{Login, Url},
};

/// Variables that would point git at another repository than the one it is meant to work on, as they are set where
/// pony-run is started from a git hook. Configuration that a person sets (`GIT_CONFIG_GLOBAL`, `GIT_CONFIG_COUNT`) stays.
pub(crate) const REDIRECTING: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
];

/// Set for every git command: nothing may ask a person, and messages are to be understood. Ssh is told to ask a program
/// that always refuses, which leaves `GIT_SSH_COMMAND` and `core.sshCommand` to the person.
const SETTINGS: [(&str, &str); 6] = [
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", ""),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
];

/// No program runs that somebody's configuration or repository names for these moments.
const CONFIG: [&str; 8] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "submodule.recurse=false",
];

/// Answers git's question for a login from the environment, so that no credential is in an argument, a
/// message or a file.
const HELPER: &str =
    r#"!f() { printf 'username=%s\npassword=%s\n' "$PONY_GIT_USERNAME" "$PONY_GIT_PASSWORD"; }; f"#;

/// Arguments of different types of string.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$(::std::ffi::OsStr::new($arg)),*] };
}
pub(super) use args;

/// Runs git for one source.
pub(crate) struct Git<'a, S> {
    shell: &'a mut S,
    url: &'a Url,
    mirror: PathBuf,
    labels: BTreeSet<String>,
}

impl<'a, S: Shell> Git<'a, S> {
    /// For the repository at `url`, whose mirror is (to be) the directory `mirror`.
    pub(crate) fn new(url: &'a Url, mirror: PathBuf, shell: &'a mut S) -> Self {
        Self { shell, url, mirror, labels: BTreeSet::new() }
    }

    /// Whose commands these are.
    pub(crate) fn url(&self) -> &'a Url {
        self.url
    }

    /// Where the mirror of it is, or will be.
    pub(crate) fn mirror(&self) -> &Path {
        &self.mirror
    }

    /// A line for the person.
    pub(crate) fn note(&mut self, text: &str) {
        self.shell.note(text);
    }

    /// Runs git in `cwd` and answers with its output, or with the words for its failure.
    pub(crate) async fn run(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Error> {
        let ended = self.attempt(label, cwd, args).await?;
        if ended.status == 0 { Ok(ended.stdout) } else { Err(self.refusal(label, &ended)) }
    }

    /// As [`Git::run`], where a failure can be an answer; only a command that could not do its work at all, or that was
    /// stopped, is an error.
    pub(crate) async fn attempt(
        &mut self,
        label: &str,
        cwd: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> Result<Ended, Error> {
        let (mut words, env) = frame(self.url);
        words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        let command = Command { label: self.unused(label), argv: words, cwd: cwd.to_owned(), env };
        let ended = self.shell.run(command).await;
        if ended.stopped {
            return Err(Error::Stopped);
        }
        match ended.status {
            -1 | 129 => Err(self.refusal(label, &ended)),
            _ => Ok(ended),
        }
    }

    /// The words for a failed command.
    pub(crate) fn refusal(&self, label: &str, ended: &Ended) -> Error {
        refusal::read(label, ended, self.url, &self.mirror)
    }

    /// `clone`, then `clone 2`: labels are keys of one record.
    fn unused(&mut self, label: &str) -> String {
        let mut unused = label.to_owned();
        let mut count = 1;
        while !self.labels.insert(unused.clone()) {
            count += 1;
            unused = format!("{label} {count}");
        }
        unused
    }
}

/// Git with the options that all its commands get, and their environment.
fn frame(url: &Url) -> (Vec<OsString>, BTreeMap<String, Option<OsString>>) {
    let mut argv: Vec<OsString> = vec!["git".into()];
    argv.extend(CONFIG.map(OsString::from));
    let mut env = unredirected();
    env.extend(SETTINGS.map(|(name, value)| (name.to_owned(), Some(value.into()))));
    if let Some(scope) = url.login_scope() {
        let mut configure = |key: &str, value: &str| {
            argv.extend(["-c".into(), format!("credential.{scope}.{key}={value}").into()]);
        };
        match url.login() {
            Some(Login::Pair { user, password }) => {
                // The empty one first: what helpers there are would be asked before, and told to store it after.
                configure("helper", "");
                configure("helper", HELPER);
                env.insert("PONY_GIT_USERNAME".to_owned(), Some(user.into()));
                env.insert("PONY_GIT_PASSWORD".to_owned(), Some(password.into()));
            }
            Some(Login::Name(user)) => configure("username", &user),
            None => {}
        }
    }
    (argv, env)
}

/// An environment in which git finds its repository by the working directory alone.
pub(crate) fn unredirected() -> BTreeMap<String, Option<OsString>> {
    REDIRECTING.into_iter().map(|name| (name.to_owned(), None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(url: &str) -> (String, BTreeMap<String, Option<OsString>>) {
        let (argv, env) = frame(&url.parse().unwrap());
        let words: Vec<_> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
        (words.join(" "), env)
    }

    #[test]
    fn passwords_are_in_the_environment_alone() {
        let (argv, env) = framed("https://ann:p%40ss@host/x");
        assert!(!argv.contains("p%40ss") && !argv.contains("p@ss") && !argv.contains("ann"), "{argv}");
        assert!(
            argv.contains("-c credential.https://host.helper= -c credential.https://host.helper=!f()"),
            "{argv}"
        );
        assert_eq!(env["PONY_GIT_PASSWORD"].as_deref(), Some(OsStr::new("p@ss")));
        assert_eq!(env["PONY_GIT_USERNAME"].as_deref(), Some(OsStr::new("ann")));

        let (argv, env) = framed("https://ghp_0123456789abcdef@host/x");
        assert!(!argv.contains("ghp_"), "{argv}");
        assert_eq!(env["PONY_GIT_PASSWORD"].as_deref(), Some(OsStr::new("")));
    }

    #[test]
    fn a_plain_user_name_leaves_the_helpers_in_place() {
        let (argv, env) = framed("https://ann@host/x");
        assert!(argv.ends_with("-c credential.https://host.username=ann"), "{argv}");
        assert!(!env.contains_key("PONY_GIT_PASSWORD"));
    }

    #[test]
    fn nothing_redirects_and_nothing_asks() {
        let (_, env) = framed("/srv/x");
        assert_eq!(env["GIT_DIR"], None);
        assert_eq!(env["GIT_TERMINAL_PROMPT"].as_deref(), Some(OsStr::new("0")));
        assert!(!env.contains_key("GIT_SSH_COMMAND") && !env.contains_key("GIT_CONFIG_COUNT"));
    }
}
