//! How the programs that make and fill environments are run, and what their messages mean.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Command, Ended, Request, Shell,
    error::Error,
    git::{UNASKING, unredirected},
    program::{Meaning, Overlay, again, says, unused},
};

/// Variables that would have packages put elsewhere than into the environment, or another interpreter taken. Steps do not
/// have them either: what they install belongs into the environment too.
pub(super) const REDIRECTING: [&str; 16] = [
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

/// What else changes the work of these programs in ways that a recipe did not ask for.
const MISLEADING: [&str; 12] = [
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

/// Nothing may ask a person, nor download an interpreter that nobody asked for.
const SETTINGS: [(&str, &str); 4] = [
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_INPUT", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

/// Installers give up a silent server themselves, long before this; but a compiler that they run may be silent for long.
const LEAST_SILENCE: Duration = Duration::from_mins(15);

/// Most lines of a message that are repeated, and most characters.
const MOST_LINES: usize = 10;
const MOST_CHARACTERS: usize = 1000;

/// How the line begins from which on a program says why it failed.
const TELLING: [&str; 5] =
    ["error:", "fatal:", "×", "runtimeerror:", "the virtual environment was not created"];

/// What else a line has in it, in lower case, that tells of a fault of the network.
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
    pub(super) request: &'a Request,
    /// The tree's root: what requirements are relative to.
    pub(super) cwd: &'a Path,
    /// What steps have, as far as it is set: the run's own `HOME` and `TMPDIR`.
    env: Overlay,
    /// What messages are not to repeat, longest first.
    pub(super) secrets: Vec<String>,
    labels: BTreeSet<String>,
}

impl<'a, S: Shell> Tools<'a, S> {
    pub(super) fn new(
        shell: &'a mut S,
        request: &'a Request,
        cwd: &'a Path,
        env: Overlay,
        secrets: Vec<String>,
    ) -> Self {
        Self { shell, request, cwd, env, secrets, labels: BTreeSet::new() }
    }

    /// The file that `program` names.
    pub(super) fn find(&self, program: impl AsRef<OsStr>) -> Option<PathBuf> {
        self.shell.find(program.as_ref(), &self.request.path, self.cwd)
    }

    /// Runs a program; a failure is an answer, but for what concerns all programs.
    pub(super) async fn attempt(
        &mut self,
        label: &str,
        argv: &[impl AsRef<OsStr>],
        silence: Option<Duration>,
    ) -> Result<Ended, Error> {
        let words: Vec<OsString> = argv.iter().map(|word| word.as_ref().to_owned()).collect();
        let program = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let command = Command {
            label: unused(&mut self.labels, label),
            argv: words,
            cwd: self.cwd.to_owned(),
            env: self.env.clone().into_iter().chain(environment(&self.request.path)).collect(),
            silence,
        };
        let ended = self.shell.run(command).await;
        if ended.stopped {
            return Err(Error::Stopped);
        }
        if ended.status == -1 {
            return Err(Error::MissingProgram { program, said: said(&ended, &self.secrets) });
        }
        let said = said(&ended, &self.secrets);
        match said.lines().find(|line| is_of_the_disk(line)) {
            Some(line) if ended.status != 0 => Err(Error::DiskFull { said: line.to_owned() }),
            _ => Ok(ended),
        }
    }

    /// Runs a program that must succeed, and that may speak to other machines: tried again after faults of the network.
    pub(super) async fn install(&mut self, label: &str, argv: &[impl AsRef<OsStr>]) -> Result<(), Error> {
        let mut waits = self.request.network.waits.iter();
        let silence = self.request.network.silence.max(LEAST_SILENCE);
        loop {
            let ended = self.attempt(label, argv, Some(silence)).await?;
            if ended.status == 0 {
                return Ok(());
            }
            let error = Error::Install {
                said: if ended.silent { "it fell silent".to_owned() } else { self.said(&ended) },
                network: ended.silent || is_of_the_network(&ended),
            };
            again(error, &mut waits, self.shell).await?;
        }
    }

    /// A program's own words for its failure.
    pub(super) fn said(&self, ended: &Ended) -> String {
        said(ended, &self.secrets)
    }
}

/// For all programs here. The person's caches, indexes and proxies stay.
fn environment(path: &OsStr) -> Overlay {
    let mut env = unredirected();
    env.extend(REDIRECTING.into_iter().chain(MISLEADING).map(|name| (name.to_owned(), None)));
    let set = UNASKING.into_iter().chain(SETTINGS);
    env.extend(set.map(|(name, value)| (name.to_owned(), Some(value.into()))));
    env.insert("PATH".to_owned(), Some(path.to_owned()));
    env
}

fn is_of_the_disk(line: &str) -> bool {
    says(&line.to_lowercase(), Meaning::DiskFull)
}

fn is_of_the_network(ended: &Ended) -> bool {
    let said = String::from_utf8_lossy(&ended.stderr).to_lowercase();
    says(&said, Meaning::NoSuchHost)
        || says(&said, Meaning::Unreachable)
        || NETWORK.iter().any(|part| said.contains(part))
}

/// What an installer said: from the line on that begins to tell why it failed, else its last lines; without secrets, and
/// of long ones the begin and the end. `python -m venv` explains itself on its standard output.
fn said(ended: &Ended, secrets: &[String]) -> String {
    let (stderr, stdout) = (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
    let lines = |text: &str| -> Vec<String> {
        let lines = text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    let (stderr, stdout) = (lines(&stderr), lines(&stdout));
    let telling = |lines: &[String]| {
        lines.iter().position(|line| {
            let line = line.trim_start().to_lowercase();
            TELLING.iter().any(|begin| line.starts_with(begin))
        })
    };
    let (lines, from) = match (telling(&stderr), telling(&stdout)) {
        (None, Some(at)) => (&stdout, at),
        (None, None) if stderr.is_empty() => (&stdout, stdout.len().saturating_sub(MOST_LINES)),
        (at, _) => (&stderr, at.unwrap_or(stderr.len().saturating_sub(MOST_LINES))),
    };
    let lines = &lines[from..];
    let mut said = if lines.len() > MOST_LINES {
        let (first, last) = (&lines[..3], &lines[lines.len() - (MOST_LINES - 4)..]);
        format!("{}\n…\n{}", first.join("\n"), last.join("\n"))
    } else if lines.is_empty() {
        "it said nothing".to_owned()
    } else {
        lines.join("\n")
    };
    for secret in secrets {
        said = said.replace(secret, "***");
    }
    said.trim().chars().take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stdout: &str, stderr: &str) -> Ended {
        Ended { status: 1, stdout: stdout.into(), stderr: stderr.into(), ..Ended::default() }
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
            ("", "", "it said nothing"),
            ("", "error: at https://ann:s3cret@host", "error: at https://ann:***@host"),
        ] {
            assert_eq!(said(&failed(stdout, stderr), &["s3cret".to_owned()]), expected);
        }
        let lines: Vec<String> = (0..50).map(|line| format!("line {line}")).collect();
        let long = said(&failed("", &format!("error: x\n{}", lines.join("\n"))), &[]);
        assert!(
            long.starts_with("error: x\nline 0\nline 1\n…\nline 44\n") && long.ends_with("line 49"),
            "{long}"
        );
        assert_eq!(said(&failed("", &"é".repeat(5000)), &[]).chars().count(), MOST_CHARACTERS);
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
            assert_eq!(is_of_the_network(&failed("", stderr)), expected, "{stderr}");
        }
    }

    #[test]
    fn nothing_leads_installers_astray() {
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
