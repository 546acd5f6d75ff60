//! How git is called: the environment and options that make it hermetic and keep it from asking questions.

use std::ffi::OsString;

use crate::{
    error::Error,
    program::{FailureKind, Program, Tool},
    shell::EnvOverlay,
    url::{Login, Url},
};

/// Git, called for one source.
pub(crate) type Git<'a, S> = Program<'a, S>;

/// How it is called.
pub(crate) static TOOL: Tool =
    Tool { name: "git", command_line, messages: &MESSAGES, usage: Some(129), oldest: "2.30" };

/// Variables that would point git at another repository than the one it is meant to work on, as they are set where
/// pony-run is started from a git hook. Configuration that a person sets (`GIT_CONFIG_GLOBAL`, `GIT_CONFIG_COUNT`) stays.
pub(crate) const REDIRECTS: [&str; 17] = [
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

/// Set wherever git may run: nothing may ask a person. Ssh is told to ask a program that always refuses, which leaves
/// `GIT_SSH_COMMAND` and `core.sshCommand` to the person.
pub(crate) const NON_INTERACTIVE: [(&str, &str); 5] = [
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", ""),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
];

/// Git also says "no repository" when the connection breaks.
const MESSAGES: [(FailureKind, &[&str]); 6] = [
    (FailureKind::DiskFull, &[]),
    (FailureKind::NoSuchHost, &["unable to look up"]),
    (
        FailureKind::Authentication,
        &[
            "could not read username",
            "could not read password",
            "authentication failed",
            "terminal prompts disabled",
            "invalid username or ",
            "requested url returned error: 401",
            "requested url returned error: 403",
            "basic: access denied",
        ],
    ),
    (
        FailureKind::NoSuchRepository,
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
        FailureKind::Unreachable,
        &[
            "failed to connect",
            "could not connect",
            "couldn't connect",
            "unable to connect",
            "operation too slow",
            "timed out",
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
        FailureKind::Damaged,
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

/// No program runs that somebody's configuration or repository names for these moments; and what looks like a repository in
/// a tree is none.
const CONFIG: [&str; 10] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "submodule.recurse=false",
    "-c",
    "safe.bareRepository=explicit",
];

/// Answers git's question for a login from the environment, so that no credential is in an argument, a
/// message or a file.
const HELPER: &str =
    r#"!f() { printf 'username=%s\npassword=%s\n' "$PONY_GIT_USERNAME" "$PONY_GIT_PASSWORD"; }; f"#;

/// Git with the options that all its commands get, and their environment.
fn command_line(url: &Url) -> (Vec<OsString>, EnvOverlay) {
    let mut argv: Vec<OsString> = vec!["git".into()];
    argv.extend(CONFIG.map(OsString::from));
    let mut env = unset_redirects();
    // Messages are to be understood.
    let settings = NON_INTERACTIVE.into_iter().chain([("LC_ALL", "C")]);
    env.extend(settings.map(|(name, value)| (name.to_owned(), Some(value.into()))));
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

/// `similar` names are offered in place of `name`.
pub(super) fn no_such(kind: &'static str, name: &str, url: &Url, similar: Vec<String>) -> Error {
    Error::NoSuchName { program: TOOL.name, kind, name: name.to_owned(), url: url.clone(), similar }
}

/// An environment in which git finds its repository by the working directory alone.
pub(crate) fn unset_redirects() -> EnvOverlay {
    REDIRECTS.into_iter().map(|name| (name.to_owned(), None)).collect()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, path::Path};

    use super::*;
    use crate::{program::read_failure, shell::CommandOutput};

    fn built(url: &str) -> (String, EnvOverlay) {
        let (argv, env) = command_line(&url.parse().unwrap());
        let words: Vec<_> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
        (words.join(" "), env)
    }

    #[test]
    fn passwords_are_in_the_environment_alone() {
        let (argv, env) = built("https://ann:p%40ss@host/x");
        assert!(!argv.contains("p%40ss") && !argv.contains("p@ss") && !argv.contains("ann"), "{argv}");
        assert!(
            argv.contains("-c credential.https://host.helper= -c credential.https://host.helper=!f()"),
            "{argv}"
        );
        assert_eq!(env["PONY_GIT_PASSWORD"].as_deref(), Some(OsStr::new("p@ss")));
        assert_eq!(env["PONY_GIT_USERNAME"].as_deref(), Some(OsStr::new("ann")));

        let (argv, env) = built("https://ghp_0123456789abcdef@host/x");
        assert!(!argv.contains("ghp_"), "{argv}");
        assert_eq!(env["PONY_GIT_PASSWORD"].as_deref(), Some(OsStr::new("")));
    }

    #[test]
    fn a_plain_user_name_leaves_the_helpers_in_place() {
        let (argv, env) = built("https://ann@host/x");
        assert!(argv.ends_with("-c credential.https://host.username=ann"), "{argv}");
        assert!(!env.contains_key("PONY_GIT_PASSWORD"));
    }

    #[test]
    fn nothing_redirects_and_nothing_asks() {
        let (_, env) = built("/srv/x");
        assert_eq!(env["GIT_DIR"], None);
        assert_eq!(env["GIT_TERMINAL_PROMPT"].as_deref(), Some(OsStr::new("0")));
        assert!(!env.contains_key("GIT_SSH_COMMAND") && !env.contains_key("GIT_CONFIG_COUNT"));
    }

    fn failure(stderr: &str) -> Error {
        let output = CommandOutput { status: 128, stderr: stderr.into(), ..CommandOutput::default() };
        let url = "https://host/x".parse().unwrap();
        read_failure(&TOOL, "cache_update", &output, &url, Path::new("/cache/x"))
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
                "login required for `https://host/x` (git@host: Permission denied (publickey).)",
            ),
            (
                "fatal: could not read Username for 'https://host': terminal prompts disabled",
                "login required for `https://host/x` (could not read Username for 'https://host': terminal prompts disabled)",
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://host/x/' not found",
                "no repository at `https://host/x` (remote: Repository not found.)",
            ),
            (
                "error: RPC failed; curl 56 GnuTLS recv error\nfatal: early EOF",
                "cannot reach `https://host/x` (error: RPC failed; curl 56 GnuTLS recv error)",
            ),
            (
                "error: copy-fd: write returned: No space left on device\nfatal: cannot copy packfile",
                "the disk is full (error: copy-fd: write returned: No space left on device)",
            ),
            (
                "Receiving objects: 10%\rfatal: packfile x.pack cannot be accessed",
                "the cached copy of `https://host/x` is damaged (packfile x.pack cannot be accessed)",
            ),
            (
                "remote: fatal: bad object 123\nfatal: something else",
                "`cache_update` failed with exit status 128 (something else)",
            ),
            ("", "`cache_update` failed with exit status 128 (no output)"),
        ] {
            assert_eq!(failure(stderr).to_string(), message);
        }
    }

    #[test]
    fn a_program_that_spoke_to_nobody_blames_the_network() {
        let output = CommandOutput { status: -13, ..CommandOutput::default() };
        let url = "git://host/x".parse().unwrap();
        let error = read_failure(&TOOL, "remote_head", &output, &url, Path::new("/cache/x"));
        assert_eq!(error.to_string(), "cannot reach `git://host/x` (the connection was closed)");
        assert!(error.is_network_error());
    }

    #[test]
    fn a_long_message_is_cut() {
        let Error::Command { detail, .. } = failure(&"\u{e9}".repeat(5000)) else { panic!() };
        assert_eq!(detail.chars().count(), 300);
    }
}
