//! What git's messages mean. Git is run with `LC_ALL=C`, so they are in English.

use std::path::Path;

use crate::{Ended, error::Error, url::Url};

/// Longest message that is repeated, in characters.
const LONGEST: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    DiskFull,
    NoSuchHost,
    Authentication,
    NoSuchRepository,
    Unreachable,
    Damaged,
}

/// Parts of messages, in lower case, the more telling first: a broken connection is also said to be "no repository".
const MESSAGES: [(Meaning, &[&str]); 6] = [
    (Meaning::DiskFull, &["no space left on device", "disk quota exceeded", "disk full"]),
    (
        Meaning::NoSuchHost,
        &[
            "could not resolve host",
            "unable to look up",
            "name or service not known",
            "nodename nor servname",
        ],
    ),
    (
        Meaning::Authentication,
        &[
            "could not read username",
            "could not read password",
            "authentication failed",
            "terminal prompts disabled",
            "invalid username or ",
            "permission denied (",
            "host key verification failed",
            "requested url returned error: 401",
            "requested url returned error: 403",
            "basic: access denied",
        ],
    ),
    (
        Meaning::NoSuchRepository,
        &[
            "does not appear to be a git repository",
            "repository not found",
            "' not found",
            "repository not exported",
            "not valid: is this a git repository",
            "does not exist",
            "invalid gitfile format",
            "bundle file",
            "requested url returned error: 404",
            "could not be found",
        ],
    ),
    (
        Meaning::Unreachable,
        &[
            "failed to connect",
            "could not connect",
            "couldn't connect",
            "unable to connect",
            "connection refused",
            "connection reset",
            "connection timed out",
            "connection closed",
            "operation timed out",
            "operation too slow",
            "timed out",
            "network is unreachable",
            "no route to host",
            "temporary failure in name resolution",
            "ssl certificate",
            "ssl_",
            "gnutls",
            "tls ",
            "rpc failed",
            "unexpected disconnect",
            "hung up unexpectedly",
            "requested url returned error: 5",
            "requested url returned error: 429",
        ],
    ),
    (
        Meaning::Damaged,
        &[
            "not a git repository",
            "bad object",
            "bad tree",
            "missing blob",
            "missing tree",
            "missing object",
            "missing commit",
            "object file",
            "loose object",
            "packfile",
            "pack file",
            "pack has bad",
            "index file",
            ".pack",
            ".idx",
            "corrupt",
            "inflate",
            "unable to read tree",
            "unable to read sha1",
            "unable to read",
            "unable to parse",
            "could not parse",
            "could not read tree",
            "did not send all necessary objects",
            "invalid object",
            "invalid sha1 pointer",
            "broken ref",
            "bad config",
            "bad ref",
            "bad signature",
            "packed-refs",
            "unknown index entry format",
        ],
    ),
];

/// The words for a git command that failed.
pub(super) fn read(label: &str, ended: &Ended, url: &Url, mirror: &Path) -> Error {
    let text = String::from_utf8_lossy(&ended.stderr);
    // Progress is overwritten with `\r`.
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if ended.status == -1 {
        return Error::MissingProgram { program: "git".to_owned(), said: telling(&lines) };
    }
    if ended.status == 129 {
        let said = lines.first().map_or(String::new(), |line| cut(line));
        return Error::TooOld { program: "git".to_owned(), said };
    }
    let Some((meaning, line)) = meaning(&lines) else {
        return Error::Command { step: label.to_owned(), status: ended.status, said: telling(&lines) };
    };
    let (url, said) = (url.clone(), cut(line));
    match meaning {
        Meaning::DiskFull => Error::DiskFull { said },
        Meaning::NoSuchHost => Error::NoSuchHost { url, said },
        Meaning::Authentication => Error::Authentication { url, said },
        Meaning::NoSuchRepository => Error::NoSuchRepository { url, said },
        Meaning::Unreachable => Error::Unreachable { url, said },
        Meaning::Damaged => Error::Damaged { url, said, mirror: mirror.to_owned() },
    }
}

/// The first meaning of the table that a line has, and that line.
fn meaning<'a>(lines: &[&'a str]) -> Option<(Meaning, &'a str)> {
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    MESSAGES.iter().find_map(|(meaning, parts)| {
        let says = |line: &String| {
            // What the other side says of its own objects is not about ours.
            let theirs = *meaning == Meaning::Damaged && line.starts_with("remote:");
            !theirs && parts.iter().any(|part| line.contains(part))
        };
        lower.iter().position(says).map(|index| (*meaning, lines[index]))
    })
}

/// The line that says why: the first `fatal:` or `error:`, else the last.
fn telling(lines: &[&str]) -> String {
    let why = |line: &&&str| line.starts_with("fatal:") || line.starts_with("error:");
    let line = lines.iter().find(why).or(lines.last()).copied().unwrap_or("it said nothing");
    cut(line)
}

fn cut(line: &str) -> String {
    line.trim_start_matches("fatal: ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Error {
        let ended = Ended { status: 128, stdout: Vec::new(), stderr: stderr.into(), stopped: false };
        read("cache_update", &ended, &"https://host/x".parse().unwrap(), Path::new("/cache/x"))
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
    fn a_long_message_is_cut() {
        let Error::Command { said, .. } = said(&"\u{e9}".repeat(5000)) else { panic!() };
        assert_eq!(said.chars().count(), LONGEST);
    }
}
