//! Errors from the output of version control programs. They run with `LC_ALL=C`, so that messages are in English.

use std::path::Path;

use super::{
    failure_kind::{FailureKind, mentions},
    tool::Tool,
};
use crate::{error::Error, shell::CommandOutput, url::Url};

/// Longest message that is quoted, in characters.
const MAX_MESSAGE: usize = 300;

/// Killed by SIGPIPE: the connection is gone.
const BROKEN_PIPE: i64 = -13;

/// The error for a command that failed; `entry_dir` is its cache entry.
pub(crate) fn read_failure(
    tool: &Tool,
    label: &str,
    output: &CommandOutput,
    url: &Url,
    entry_dir: &Path,
) -> Error {
    let text = String::from_utf8_lossy(&output.stderr);
    // Progress is overwritten with `\r`.
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if output.status == -1 {
        return Error::MissingProgram { program: tool.name.to_owned(), detail: decisive(&lines) };
    }
    if tool.usage == Some(output.status) {
        let detail = lines.first().map_or(String::new(), |line| cut(line));
        return Error::TooOld { program: tool.name.to_owned(), detail, oldest: tool.oldest };
    }
    if output.quiet {
        return Error::Unreachable { url: url.clone(), detail: "no output for too long".to_owned() };
    }
    let Some((kind, line)) = kind(tool, &lines) else {
        if output.status == BROKEN_PIPE {
            return Error::Unreachable { url: url.clone(), detail: "the connection was closed".to_owned() };
        }
        return Error::Command { step: label.to_owned(), status: output.status, detail: decisive(&lines) };
    };
    let (url, detail) = (url.clone(), cut(line));
    match kind {
        FailureKind::DiskFull => Error::DiskFull { detail },
        FailureKind::NoSuchHost => Error::NoSuchHost { url, detail },
        FailureKind::Authentication => Error::Authentication { program: Some(tool.name), url, detail },
        FailureKind::NoSuchRepository => Error::NoSuchRepository { program: tool.name, url, detail },
        FailureKind::Unreachable => Error::Unreachable { url, detail },
        FailureKind::Damaged => Error::Damaged { url, detail, cache: entry_dir.to_owned() },
    }
}

/// The first kind of the table that a line is of, and that line.
fn kind<'a>(tool: &Tool, lines: &[&'a str]) -> Option<(FailureKind, &'a str)> {
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    tool.messages.iter().find_map(|(kind, parts)| {
        let is_it = |line: &String| {
            // What upstream says about its own objects is not about the cache.
            let upstream = *kind == FailureKind::Damaged && line.starts_with("remote:");
            !upstream && (mentions(line, *kind) || parts.iter().any(|part| line.contains(part)))
        };
        lower.iter().position(is_it).map(|index| (*kind, lines[index]))
    })
}

/// How the line begins that gives the reason.
const PREFIXES: [&str; 4] = ["fatal:", "error:", "abort:", "svn: E"];

/// The line that gives the reason, else the last.
fn decisive(lines: &[&str]) -> String {
    let reason = |line: &&&str| PREFIXES.iter().any(|prefix| line.starts_with(prefix));
    let line = lines.iter().find(reason).or(lines.last()).copied().unwrap_or("no output");
    cut(line)
}

fn cut(line: &str) -> String {
    line.trim_start_matches("fatal: ").trim_start_matches("abort: ").chars().take(MAX_MESSAGE).collect()
}
