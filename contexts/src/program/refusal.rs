//! What the messages of version control programs mean. They are run with `LC_ALL=C`, so they are in English.

use std::path::Path;

use super::Tool;
use crate::{Ended, error::Error, url::Url};

/// Longest message that is repeated, in characters.
const LONGEST: usize = 300;

/// Killed by SIGPIPE: who was spoken to had gone.
const BROKEN_PIPE: i64 = -13;

/// What a message means, whichever program it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    DiskFull,
    NoSuchHost,
    Authentication,
    NoSuchRepository,
    Unreachable,
    /// What is in the cache is broken.
    Damaged,
}

/// What all programs say alike, as it comes from the system, from ssh or from a library that many use.
const COMMON: [(Meaning, &[&str]); 4] = [
    (Meaning::DiskFull, &["no space left on device", "disk quota exceeded", "disk full", "disk is full"]),
    (
        Meaning::NoSuchHost,
        &[
            "could not resolve host",
            "name or service not known",
            "nodename nor servname",
            "failed to lookup address",
        ],
    ),
    (Meaning::Authentication, &["permission denied (", "host key verification failed"]),
    (
        Meaning::Unreachable,
        &[
            "connection aborted",
            "connection broken",
            "connection closed",
            "connection refused",
            "connection reset",
            "connection timed out",
            "network is unreachable",
            "no route to host",
            "operation timed out",
            "temporary failure in name resolution",
        ],
    ),
];

/// Parts of messages in lower case that have this meaning whichever program says them.
fn common(meaning: Meaning) -> &'static [&'static str] {
    COMMON.iter().find(|(of, _)| *of == meaning).map_or(&[], |(_, parts)| parts)
}

/// Whether `line`, in lower case, has this meaning whichever program says it.
pub(crate) fn says(line: &str, meaning: Meaning) -> bool {
    common(meaning).iter().any(|part| line.contains(part))
}

/// The words for a command that failed; `place` is its entry in the cache.
pub(super) fn read(tool: &Tool, label: &str, ended: &Ended, url: &Url, place: &Path) -> Error {
    let text = String::from_utf8_lossy(&ended.stderr);
    // Progress is overwritten with `\r`.
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if ended.status == -1 {
        return Error::MissingProgram { program: tool.name.to_owned(), said: telling(&lines) };
    }
    if tool.usage == Some(ended.status) {
        let said = lines.first().map_or(String::new(), |line| cut(line));
        return Error::TooOld { program: tool.name.to_owned(), said, oldest: tool.oldest };
    }
    if ended.silent {
        return Error::Unreachable { url: url.clone(), said: "it fell silent".to_owned() };
    }
    let Some((meaning, line)) = meaning(tool, &lines) else {
        if ended.status == BROKEN_PIPE {
            return Error::Unreachable { url: url.clone(), said: "the connection was closed".to_owned() };
        }
        return Error::Command { step: label.to_owned(), status: ended.status, said: telling(&lines) };
    };
    let (url, said) = (url.clone(), cut(line));
    match meaning {
        Meaning::DiskFull => Error::DiskFull { said },
        Meaning::NoSuchHost => Error::NoSuchHost { url, said },
        Meaning::Authentication => Error::Authentication { program: Some(tool.name), url, said },
        Meaning::NoSuchRepository => Error::NoSuchRepository { program: tool.name, url, said },
        Meaning::Unreachable => Error::Unreachable { url, said },
        Meaning::Damaged => Error::Damaged { url, said, cache: place.to_owned() },
    }
}

/// The first meaning of the table that a line has, and that line.
fn meaning<'a>(tool: &Tool, lines: &[&'a str]) -> Option<(Meaning, &'a str)> {
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    tool.messages.iter().find_map(|(meaning, parts)| {
        let is_it = |line: &String| {
            // What the other side says of its own objects is not about ours.
            let theirs = *meaning == Meaning::Damaged && line.starts_with("remote:");
            !theirs && (says(line, *meaning) || parts.iter().any(|part| line.contains(part)))
        };
        lower.iter().position(is_it).map(|index| (*meaning, lines[index]))
    })
}

/// How the line begins that says why.
const PREFIXES: [&str; 4] = ["fatal:", "error:", "abort:", "svn: E"];

/// The line that says why, else the last.
fn telling(lines: &[&str]) -> String {
    let why = |line: &&&str| PREFIXES.iter().any(|prefix| line.starts_with(prefix));
    let line = lines.iter().find(why).or(lines.last()).copied().unwrap_or("it said nothing");
    cut(line)
}

fn cut(line: &str) -> String {
    line.trim_start_matches("fatal: ").trim_start_matches("abort: ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Error {
        let ended = Ended { status: 128, stderr: stderr.into(), ..Ended::default() };
        read(
            &crate::git::TOOL,
            "cache_update",
            &ended,
            &"https://host/x".parse().unwrap(),
            Path::new("/cache/x"),
        )
    }

    #[test]
    fn messages_have_their_meaning() {
        for (stderr, message) in [
            (
                "fatal: unable to access 'https://host/x/': Could not resolve host: host",
                "no such host: `https://host/x` (unable to access 'https://host/x/': Could not resolve host: host)",
            ),
            (
                "ssh: Could not resolve hostname host: Name or service not known\nfatal: Could not read from remote \
                 repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
                "no such host: `https://host/x` (ssh: Could not resolve hostname host: Name or service not known)",
            ),
            (
                "git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                "`https://host/x` wants a login (git@host: Permission denied (publickey).)",
            ),
            (
                "fatal: could not read Username for 'https://host': terminal prompts disabled",
                "`https://host/x` wants a login (could not read Username for 'https://host': terminal prompts disabled)",
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://host/x/' not found",
                "no repository at `https://host/x` (remote: Repository not found.)",
            ),
            (
                "error: RPC failed; curl 56 GnuTLS recv error\nfatal: early EOF",
                "`https://host/x` cannot be reached (error: RPC failed; curl 56 GnuTLS recv error)",
            ),
            (
                "error: copy-fd: write returned: No space left on device\nfatal: cannot copy packfile",
                "the disk is full (error: copy-fd: write returned: No space left on device)",
            ),
            (
                "Receiving objects: 10%\rfatal: packfile x.pack cannot be accessed",
                "the objects of `https://host/x` are damaged (packfile x.pack cannot be accessed)",
            ),
            (
                "remote: fatal: bad object 123\nfatal: something else",
                "`cache_update` failed with exit status 128 (something else)",
            ),
            ("", "`cache_update` failed with exit status 128 (it said nothing)"),
        ] {
            assert_eq!(said(stderr).to_string(), message);
        }
    }

    #[test]
    fn a_program_that_spoke_to_nobody_blames_the_network() {
        let ended = Ended { status: BROKEN_PIPE, ..Ended::default() };
        let url = "git://host/x".parse().unwrap();
        let error = read(&crate::git::TOOL, "remote_head", &ended, &url, Path::new("/cache/x"));
        assert_eq!(error.to_string(), "`git://host/x` cannot be reached (the connection was closed)");
        assert!(error.is_of_the_network());
    }

    #[test]
    fn a_long_message_is_cut() {
        let Error::Command { said, .. } = said(&"\u{e9}".repeat(5000)) else { panic!() };
        assert_eq!(said.chars().count(), LONGEST);
    }
}
