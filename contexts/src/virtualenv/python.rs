//! Which interpreter an environment is made of.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{spec::VirtualenvContext, tools::Tools};
use crate::{
    error::Error,
    shell::{CommandOutput, Shell},
};

/// The interpreter that a recipe asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Python {
    /// A program that exists.
    Program(PathBuf),
    /// Any whose version begins like this: `3.12`, `3.12.4`.
    Version(String),
}

impl Python {
    /// Finds what a recipe calls `name`, if that can be told without starting it.
    pub(super) fn choose(
        name: Option<&str>,
        context: &VirtualenvContext<'_>,
        tools: &Tools<'_, impl Shell>,
    ) -> Option<Self> {
        let Some(name) = name else {
            return ["python3", "python"].iter().find_map(|name| tools.find(name)).map(Self::Program);
        };
        if is_version(name) {
            return Some(Self::Version(name.to_owned()));
        }
        if name.contains('/') || name.starts_with('~') {
            let path = context.absolute(Path::new(name));
            return tools.find(path).map(Self::Program);
        }
        tools.find(name).map(Self::Program)
    }

    /// The program: the first of `python3.12`, `python3` and `python` whose version
    /// is the requested one.
    pub(super) async fn program(&self, tools: &mut Tools<'_, impl Shell>) -> Result<PathBuf, Error> {
        let requested = match self {
            Self::Program(path) => return Ok(path.clone()),
            Self::Version(requested) => requested,
        };
        let minor: Vec<&str> = requested.split('.').take(2).collect();
        for name in [format!("python{}", minor.join(".")), "python3".to_owned(), "python".to_owned()] {
            if let Some(path) = tools.find(&name)
                && version(&path, tools).await?.is_some_and(|version| begins(&version, requested))
            {
                return Ok(path);
            }
        }
        Err(missing(requested, tools).await?)
    }

    /// As an option of `uv venv`, which looks for versions itself.
    pub(super) fn argument(&self) -> OsString {
        match self {
            Self::Program(path) => path.into(),
            Self::Version(version) => version.into(),
        }
    }
}

/// The error for an interpreter that is not installed, with the versions of those that are.
pub(super) async fn missing(requested: &str, tools: &mut Tools<'_, impl Shell>) -> Result<Error, Error> {
    let minors = (5..=20).map(|minor| format!("python3.{minor}"));
    let names = ["python3", "python", "python2.7", "pypy3"].map(str::to_owned).into_iter().chain(minors);
    let paths: BTreeSet<PathBuf> = names.filter_map(|name| tools.find(name)).collect();
    let mut available = BTreeSet::new();
    for path in paths {
        // By number: 3.9 before 3.10.
        available.extend(version(&path, tools).await?.map(|version| {
            let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
            (parts, version)
        }));
    }
    let available = available.into_iter().map(|(_, version)| version).collect();
    Ok(Error::NoPython { requested: requested.to_owned(), available })
}

/// The version that the program prints; `None` if it does not work.
pub(super) async fn version(
    program: &Path,
    tools: &mut Tools<'_, impl Shell>,
) -> Result<Option<String>, Error> {
    let output =
        tools.attempt("python version", &[program.as_os_str(), OsStr::new("--version")], None).await?;
    Ok(told(&output))
}

/// `Python 3.12.4`; Python 2 says it on its standard error.
fn told(output: &CommandOutput) -> Option<String> {
    let detail =
        String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
    let version = detail.lines().next()?.strip_prefix("Python ")?.split_whitespace().next()?;
    (output.status == 0).then(|| version.to_owned())
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Whether `version` is `requested` or a finer one of it.
fn begins(version: &str, requested: &str) -> bool {
    version.strip_prefix(requested).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_part_by_part() {
        for (version, requested, expected) in [
            ("3.12.4", "3.12", true),
            ("3.12.4", "3", true),
            ("3.12.4", "3.12.4", true),
            ("3.12.4+", "3.12.4", true),
            ("3.12.4", "3.1", false),
            ("3.1", "3.12", false),
        ] {
            assert_eq!(begins(version, requested), expected, "{version} {requested}");
        }
        assert!(
            is_version("3")
                && is_version("2.7")
                && !is_version("python3")
                && !is_version("")
                && !is_version(">=3")
        );
    }

    #[test]
    fn what_interpreters_say_of_themselves() {
        let detail = |stdout: &str, stderr: &str, status| {
            told(&CommandOutput {
                status,
                stdout: stdout.into(),
                stderr: stderr.into(),
                ..CommandOutput::default()
            })
        };
        assert_eq!(detail("Python 3.12.4\n", "", 0).as_deref(), Some("3.12.4"));
        assert_eq!(detail("", "Python 2.7.18\n", 0).as_deref(), Some("2.7.18"));
        assert_eq!(
            detail("Python 3.10.12 (af44d0b8, Aug 01 2023)\n[PyPy 7.3.12]\n", "", 0).as_deref(),
            Some("3.10.12")
        );
        assert_eq!(detail("", "pyenv: python3.12: command not found\n", 127), None);
        assert_eq!(detail("", "", 0), None);
    }
}
