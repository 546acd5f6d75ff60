//! How svn is called: the options and the environment that keep it from asking questions, and what its messages mean.

use std::ffi::OsString;

use super::target::SvnTarget;
use crate::{
    error::Error,
    program::{FailureKind, Program, Tool},
    shell::EnvOverlay,
    url::{Login, Url},
};

/// Svn, called for one source.
pub(super) type Svn<'a, S> = Program<'a, S>;

/// How it is called.
pub(super) static TOOL: Tool =
    Tool { name: "svn", command_line, messages: &MESSAGES, usage: None, oldest: "1.10" };

/// The program beside it that sums up a working copy.
pub(super) static SVNVERSION: Tool = Tool {
    name: "svnversion",
    command_line: |_| (vec!["svnversion".into()], environment()),
    messages: &MESSAGES,
    usage: None,
    oldest: "1.10",
};

/// A person's own configuration stays (proxies, certificates, stored logins, tunnels), but for programs that it names for
/// editing, comparing and merging, and times of files that are those of commits, which no `make` can work with.
const OPTIONS: [&str; 11] = [
    "--non-interactive",
    "--config-option",
    "config:helpers:editor-cmd=",
    "--config-option",
    "config:helpers:diff-cmd=",
    "--config-option",
    "config:helpers:diff3-cmd=",
    "--config-option",
    "config:helpers:merge-tool-cmd=",
    "--config-option",
    "config:miscellany:use-commit-times=no",
];

/// Svn takes a password from an argument, which everybody can read, or from its standard input; this puts it there out of
/// the environment, by a `printf` that is a part of the shell. Svn writes it down only in a configuration that is made for
/// that, see [`StoredLogin`](super::login::StoredLogin).
const LOGIN: &str = r#"case " $* " in *" --config-dir "*) ;; *) set -- --no-auth-cache "$@" ;; esac
printf '%s' "$PONY_SVN_PASSWORD" | {
    unset PONY_SVN_PASSWORD
    exec svn --username "$PONY_SVN_USERNAME" --password-from-stdin "$@"
}"#;

/// Svn with the options that all its commands get, and their environment.
fn command_line(url: &Url) -> (Vec<OsString>, EnvOverlay) {
    let mut env = environment();
    let mut argv: Vec<OsString> = Vec::new();
    match url.login() {
        Some(Login::Pair { user, password }) => {
            argv.extend(["sh", "-c", LOGIN, "svn"].map(OsString::from));
            env.insert("PONY_SVN_USERNAME".to_owned(), Some(user.into()));
            env.insert("PONY_SVN_PASSWORD".to_owned(), Some(password.into()));
        }
        // By ssh the name is in the address.
        Some(Login::Name(user)) if !url.to_string().contains('@') => {
            argv.extend(["svn".into(), "--username".into(), user.into()]);
        }
        _ => argv.push("svn".into()),
    }
    argv.extend(OPTIONS.map(OsString::from));
    (argv, env)
}

/// Messages are in English, and file names need not be ASCII. Ssh is told to ask a program that always refuses, which
/// leaves `SVN_SSH` to the person.
fn environment() -> EnvOverlay {
    let set = [("LC_ALL", "C.UTF-8"), ("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force")];
    let removed = ["LANGUAGE", "SVN_EDITOR", "SVN_MERGE"];
    let set = set.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into())));
    set.chain(removed.into_iter().map(|name| (name.to_owned(), None))).collect()
}

/// Svn prints first what it could not do, in a line of its own, and then why. Its error numbers are stable; before them is an
/// `E`, or, where it goes on with the next external, a `W`.
const MESSAGES: [(FailureKind, &[&str]); 6] = [
    (FailureKind::DiskFull, &["database or disk is full", "sqlite[s13]"]),
    (FailureKind::NoSuchHost, &["unknown hostname"]),
    (
        FailureKind::Authentication,
        &["170001: ", "215004: ", "220001: ", "175013: ", "170011: no authentication"],
    ),
    (
        FailureKind::NoSuchRepository,
        &[
            "160006: ",
            "160013: ",
            "160005: ",
            "170000: ",
            "180001: ",
            "195012: ",
            "200007: ",
            "205000: ",
            "210005: ",
            "175003: ",
            "could not find the requested svn filesystem",
        ],
    ),
    (
        FailureKind::Unreachable,
        &[
            "000032: ",
            "000101: ",
            "000104: ",
            "000110: ",
            "000111: ",
            "000113: ",
            "svn: e1200",
            "warning: w1200",
            "svn: e1201",
            "warning: w1201",
            "130003: ",
            "175012: ",
            "185000: ",
            "185004: ",
            "210002: ",
            "210004: ",
            "230001: ",
            "svn: e67000",
            "warning: w67000",
            "http status 5",
            "http status 429",
            "unexpected server error 5",
            "170013: ",
        ],
    ),
    // E155…: all that working copies have to do with. E170009: of another repository.
    (
        FailureKind::Damaged,
        &[
            "svn: e155",
            "warning: w155",
            "sqlite[",
            "svn: e20003",
            "warning: w20003",
            "200014: ",
            "170009: ",
            "/.svn/",
        ],
    ),
];

/// The failure in terms of `target`: svn has many messages for a thing that does not exist.
pub(super) fn explain(error: Error, target: &SvnTarget) -> Error {
    let Error::NoSuchRepository { program, url, detail } = error else { return error };
    let has = |code: &str| detail.contains(code);
    let revision = target.revision().to_string();
    if has("205000: ") {
        Error::NotAnSvnRevision(revision)
    } else if has("160006: ") {
        Error::NoSuchName { program, kind: "revision", name: revision, url, similar: Vec::new() }
    } else if ["170000: ", "160013: ", "160005: ", "195012: "].into_iter().any(has) {
        Error::NoSuchFolder { url, revision, detail }
    } else {
        Error::NoSuchRepository { program, url, detail }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn built(url: &str) -> (String, EnvOverlay) {
        let (argv, env) = command_line(&url.parse().unwrap());
        let words: Vec<_> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
        (words.join(" "), env)
    }

    #[test]
    fn passwords_are_in_the_environment_alone() {
        let (argv, env) = built("https://ann:p%40ss@host/x");
        assert!(!argv.contains("p@ss") && !argv.contains("p%40ss") && !argv.contains("ann"), "{argv}");
        assert_eq!(env["PONY_SVN_PASSWORD"].as_deref(), Some(OsStr::new("p@ss")));
        assert_eq!(env["PONY_SVN_USERNAME"].as_deref(), Some(OsStr::new("ann")));
    }

    #[test]
    fn a_plain_user_name_leaves_stored_logins_in_place() {
        let (argv, env) = built("https://ann@host/x");
        assert!(argv.starts_with("svn --username ann --non-interactive"), "{argv}");
        assert!(!env.contains_key("PONY_SVN_PASSWORD"));
        let (argv, _) = built("svn+ssh://ann@host/x");
        assert!(argv.starts_with("svn --non-interactive"), "{argv}");
    }
}
