//! How the programs that make and fill environments are called, and what their messages mean.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use super::spec::VirtualenvContext;
use crate::{
    error::Error,
    program::{FailureKind, mentions, retry_after},
    shell::{Command, CommandOutput, EnvOverlay, Shell, unique_label},
    source::git::{NON_INTERACTIVE, unset_redirects},
};

/// Variables that would have packages put elsewhere than into the environment, or another interpreter taken. Steps do not
/// have them either: what they install belongs into the environment too.
pub(super) const REDIRECTS: [&str; 16] = [
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "UV_PREFIX",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "VIRTUAL_ENV",
];

/// Other variables that change what these programs do, unknown to the recipe.
const UNWANTED: [&str; 12] = [
    "PIP_DRY_RUN",
    "PIP_REQUIREMENT",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONSTARTUP",
    "UV_VENV_CLEAR",
    "UV_VENV_SEED",
    "VIRTUALENV_CLEAR",
    "VIRTUALENV_NO_PIP",
    "VIRTUALENV_NO_SEED",
    "VIRTUALENV_PYTHON",
    "VIRTUALENV_SYSTEM_SITE_PACKAGES",
];

/// Nothing may ask a person, or download an interpreter that nobody asked for.
const SETTINGS: [(&str, &str); 4] = [
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_INPUT", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

/// Installers give up on an unresponsive server themselves, long before this; but a compiler that they run may be quiet for long.
const MIN_QUIET_TIMEOUT: Duration = Duration::from_mins(15);

/// Longest message that is quoted, in lines and in characters.
const MAX_LINES: usize = 10;
const MAX_CHARACTERS: usize = 1000;

/// How the line begins with which a program starts to say why it failed.
const REASONS: [&str; 5] =
    ["error:", "fatal:", "×", "runtimeerror:", "the virtual environment was not created"];

/// Parts of lines, in lower case, that tell of a network error, beside those that all programs share.
const NETWORK: [&str; 12] = [
    "bad gateway",
    "connect timeout",
    "connecttimeout",
    "dns error",
    "error sending request",
    "failed to establish a new connection",
    "gateway timeout",
    "max retries exceeded",
    "read timed out",
    "remote end closed connection",
    "service unavailable",
    "too many requests",
];

/// Runs programs for one environment.
pub(super) struct Tools<'a, S> {
    pub(super) shell: &'a mut S,
    pub(super) context: &'a VirtualenvContext<'a>,
    /// The tree's root: what requirements are relative to.
    pub(super) cwd: &'a Path,
    /// Variables of steps so far: the run's own `HOME` and `TMPDIR`.
    env: EnvOverlay,
    /// Redacted in messages, longest first.
    pub(super) secrets: Vec<String>,
    labels: BTreeSet<String>,
}

impl<'a, S: Shell> Tools<'a, S> {
    pub(super) fn new(
        shell: &'a mut S,
        context: &'a VirtualenvContext<'a>,
        cwd: &'a Path,
        env: EnvOverlay,
        secrets: Vec<String>,
    ) -> Self {
        Self { shell, context, cwd, env, secrets, labels: BTreeSet::new() }
    }

    /// The file that `program` names.
    pub(super) fn find(&self, program: impl AsRef<OsStr>) -> Option<PathBuf> {
        self.shell.find(program.as_ref(), self.context.path, self.cwd)
    }

    /// Runs a program; its failure is a result, but a full disk is an error.
    pub(super) async fn attempt(
        &mut self,
        label: &str,
        argv: &[impl AsRef<OsStr>],
        quiet_timeout: Option<Duration>,
    ) -> Result<CommandOutput, Error> {
        let argv: Vec<OsString> = argv.iter().map(|word| word.as_ref().to_owned()).collect();
        let program = argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let command = Command {
            label: unique_label(&mut self.labels, label),
            argv,
            cwd: self.cwd.to_owned(),
            env: self.env.clone().into_iter().chain(environment(self.context.path)).collect(),
            quiet_timeout,
        };
        let output = self.shell.run(command).await;
        if output.stopped {
            return Err(Error::Stopped);
        }
        if output.status == -1 {
            return Err(Error::MissingProgram { program, detail: message(&output, &self.secrets) });
        }
        let message = message(&output, &self.secrets);
        match message.lines().find(|line| is_disk_full(line)) {
            Some(line) if output.status != 0 => Err(Error::DiskFull { detail: line.to_owned() }),
            _ => Ok(output),
        }
    }

    /// Runs a program that must succeed, and that may use the network: retried after network errors.
    pub(super) async fn install(&mut self, label: &str, argv: &[impl AsRef<OsStr>]) -> Result<(), Error> {
        let mut delays = self.context.network.retry_delays.iter();
        let quiet_timeout = self.context.network.quiet_timeout.max(MIN_QUIET_TIMEOUT);
        loop {
            let output = self.attempt(label, argv, Some(quiet_timeout)).await?;
            if output.status == 0 {
                return Ok(());
            }
            let error = Error::Install {
                detail: if output.quiet {
                    "no output for too long".to_owned()
                } else {
                    self.message(&output)
                },
                network: output.quiet || is_network_error(&output),
            };
            retry_after(error, &mut delays, self.shell).await?;
        }
    }

    /// A program's message for its failure.
    pub(super) fn message(&self, output: &CommandOutput) -> String {
        message(output, &self.secrets)
    }
}

/// For all programs here. The person's caches, indexes and proxies stay.
fn environment(path: &OsStr) -> EnvOverlay {
    let mut env = unset_redirects();
    env.extend(REDIRECTS.into_iter().chain(UNWANTED).map(|name| (name.to_owned(), None)));
    let set = NON_INTERACTIVE.into_iter().chain(SETTINGS);
    env.extend(set.map(|(name, value)| (name.to_owned(), Some(value.into()))));
    env.insert("PATH".to_owned(), Some(path.to_owned()));
    env
}

fn is_disk_full(line: &str) -> bool {
    mentions(&line.to_lowercase(), FailureKind::DiskFull)
}

fn is_network_error(output: &CommandOutput) -> bool {
    let detail = String::from_utf8_lossy(&output.stderr).to_lowercase();
    mentions(&detail, FailureKind::NoSuchHost)
        || mentions(&detail, FailureKind::Unreachable)
        || NETWORK.iter().any(|part| detail.contains(part))
}

/// An installer's message: from the line on that gives the reason, else its last lines; redacted, and shortened in the
/// middle. `python -m venv` explains itself on its standard output.
fn message(output: &CommandOutput, secrets: &[String]) -> String {
    let (stderr, stdout) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let lines = |text: &str| -> Vec<String> {
        let lines = text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    let (stderr, stdout) = (lines(&stderr), lines(&stdout));
    let reason = |lines: &[String]| {
        lines.iter().position(|line| {
            let line = line.trim_start().to_lowercase();
            REASONS.iter().any(|begin| line.starts_with(begin))
        })
    };
    let (lines, from) = match (reason(&stderr), reason(&stdout)) {
        (None, Some(at)) => (&stdout, at),
        (None, None) if stderr.is_empty() => (&stdout, stdout.len().saturating_sub(MAX_LINES)),
        (at, _) => (&stderr, at.unwrap_or(stderr.len().saturating_sub(MAX_LINES))),
    };
    let lines = &lines[from..];
    let mut message = if lines.len() > MAX_LINES {
        let (first, last) = (&lines[..3], &lines[lines.len() - (MAX_LINES - 4)..]);
        format!("{}\n…\n{}", first.join("\n"), last.join("\n"))
    } else if lines.is_empty() {
        "no output".to_owned()
    } else {
        lines.join("\n")
    };
    for secret in secrets {
        message = message.replace(secret, "***");
    }
    message.trim().chars().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stdout: &str, stderr: &str) -> CommandOutput {
        CommandOutput { status: 1, stdout: stdout.into(), stderr: stderr.into(), ..CommandOutput::default() }
    }

    #[test]
    fn why_it_failed() {
        for (stdout, stderr, expected) in [
            (
                "",
                "Using Python 3.11.7 environment at: x\nerror: No solution found\n  cause: Because x was not found\n",
                "error: No solution found\n  cause: Because x was not found",
            ),
            (
                "",
                "  \u{d7} No solution found when resolving dependencies:\n  \u{2570}\u{2500}\u{25b6} Because x was not found\n",
                "\u{d7} No solution found when resolving dependencies:\n  \u{2570}\u{2500}\u{25b6} Because x was not found",
            ),
            (
                "Collecting x\n",
                "  WARNING: Retrying\rERROR: Could not find a version\nERROR: No matching distribution\n",
                "ERROR: Could not find a version\nERROR: No matching distribution",
            ),
            (
                "The virtual environment was not created successfully because ensurepip is not\navailable.\n",
                "",
                "The virtual environment was not created successfully because ensurepip is not\navailable.",
            ),
            ("", "Traceback\n  x\nValueError: y\n", "Traceback\n  x\nValueError: y"),
            ("out\n", "", "out"),
            ("", "", "no output"),
            ("", "error: at https://ann:s3cret@host", "error: at https://ann:***@host"),
        ] {
            assert_eq!(message(&failed(stdout, stderr), &["s3cret".to_owned()]), expected);
        }
        let lines: Vec<String> = (0..50).map(|line| format!("line {line}")).collect();
        let long = message(&failed("", &format!("error: x\n{}", lines.join("\n"))), &[]);
        assert!(
            long.starts_with("error: x\nline 0\nline 1\n…\nline 44\n") && long.ends_with("line 49"),
            "{long}"
        );
        assert_eq!(message(&failed("", &"é".repeat(5000)), &[]).chars().count(), MAX_CHARACTERS);
    }

    #[test]
    fn whose_fault_it_is() {
        for (stderr, expected) in [
            (
                "error: Failed to fetch: `https://host/`\n  cause: tcp connect error\n  cause: Connection refused (os error 111)",
                true,
            ),
            (
                "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\nERROR: No matching",
                true,
            ),
            ("fatal: unable to access 'https://host/x/': Could not resolve host: host", true),
            ("ERROR: No matching distribution found for x", false),
        ] {
            assert_eq!(is_network_error(&failed("", stderr)), expected, "{stderr}");
        }
    }

    #[test]
    fn installers_are_not_redirected() {
        let env = environment(OsStr::new("/bin"));
        for name in [
            "VIRTUAL_ENV",
            "PYTHONHOME",
            "PYTHONPATH",
            "PIP_USER",
            "PIP_TARGET",
            "UV_SYSTEM_PYTHON",
            "GIT_DIR",
        ] {
            assert_eq!(env[name], None, "{name}");
        }
        assert_eq!(env["PIP_NO_INPUT"].as_deref(), Some(OsStr::new("1")));
        assert_eq!(env["GIT_TERMINAL_PROMPT"].as_deref(), Some(OsStr::new("0")));
        // What the person's own language and caches are stays.
        assert!(
            !env.contains_key("LC_ALL") && !env.contains_key("UV_CACHE_DIR") && !env.contains_key("HOME")
        );
    }
}
