//! How git is called: the environment and options that make it hermetic and keep it from asking questions.

use std::ffi::OsString;

use crate::{
    program::{Meaning, Overlay, Tool},
    url::{Login, Url},
};

/// Git, as a [`Program`](crate::program::Program).
pub(crate) static TOOL: Tool =
    Tool { name: "git", frame, messages: &MESSAGES, usage: Some(129), oldest: "2.30" };

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

/// Set wherever git may run: nothing may ask a person. Ssh is told to ask a program that always refuses, which leaves
/// `GIT_SSH_COMMAND` and `core.sshCommand` to the person.
pub(crate) const UNASKING: [(&str, &str); 5] = [
    ("GCM_INTERACTIVE", "never"),
    ("GIT_ASKPASS", ""),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
];

/// A broken connection is also said to be "no repository".
const MESSAGES: [(Meaning, &[&str]); 6] = [
    (Meaning::DiskFull, &[]),
    (Meaning::NoSuchHost, &["unable to look up"]),
    (
        Meaning::Authentication,
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
fn frame(url: &Url) -> (Vec<OsString>, Overlay) {
    let mut argv: Vec<OsString> = vec!["git".into()];
    argv.extend(CONFIG.map(OsString::from));
    let mut env = unredirected();
    // Messages are to be understood.
    let settings = UNASKING.into_iter().chain([("LC_ALL", "C")]);
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

/// An environment in which git finds its repository by the working directory alone.
pub(crate) fn unredirected() -> Overlay {
    REDIRECTING.into_iter().map(|name| (name.to_owned(), None)).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn framed(url: &str) -> (String, Overlay) {
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
