//! How hg is called: the environment and options that make it hermetic and keep it from asking questions.
//!
//! A person's own configuration stays in force: it knows of proxies, certificates, logins and extensions that repositories
//! need. Its hooks do not, nor does that of any repository. Options can only blank hooks whose names are known, so
//! our extension turns all of them off. It also passes the login of the URL, from the environment: no option and no file
//! holds it. Loading it costs 3 ms.
#![expect(clippy::disallowed_methods, reason = "what Mercurial needs is written here")]

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    disk::{open_lock, write_whole},
    error::Error,
    program::{FailureKind, Network, Program, Tool},
    shell::{EnvOverlay, Shell},
    url::{Login, Url},
};

/// Mercurial, called for one source.
pub(super) type Hg<'a, S> = Program<'a, S>;

/// How it is called.
pub(super) static TOOL: Tool =
    Tool { name: "hg", command_line, messages: &MESSAGES, usage: None, oldest: "5.3" };

const EXTENSION: &str = include_str!("hermetic.py");

/// Set for every command: nothing may ask a person, messages are in English, and no configuration of a repository is read,
/// which could name hooks and extensions. Progress is printed all the same: a command without output is stopped after a while.
const SETTINGS: [(&str, &str); 9] = [
    ("HGENCODING", "utf-8"),
    ("HGPLAIN", "1"),
    ("HGPLAINEXCEPT", "progress"),
    ("HGRCSKIPREPO", "1"),
    ("LANGUAGE", "C"),
    ("LC_ALL", "C.UTF-8"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "force"),
];

/// Set where pony-run is started from a hook.
const REDIRECTS: [&str; 6] =
    ["HG_PENDING", "HG_SHAREDPENDING", "HGMERGE", "PONY_HG_PASSWORD", "PONY_HG_SCOPE", "PONY_HG_USERNAME"];

/// Subrepositories are addresses that a repository from elsewhere chooses, paths of this machine among them.
const OPTIONS: [&str; 7] = [
    "--noninteractive",
    "--config=subrepos.allowed=false",
    "--config=ui.merge=:fail",
    "--config=ui.relative-paths=no",
    "--config=ui.timeout=30",
    "--config=progress.assume-tty=true",
    "--config=progress.refresh=2",
];

const MESSAGES: [(FailureKind, &[&str]); 6] = [
    (FailureKind::DiskFull, &[]),
    (FailureKind::NoSuchHost, &["no address associated with hostname", "idna"]),
    (
        FailureKind::Authentication,
        &["authorization failed", "http authorization required", "http error 401", "http error 403"],
    ),
    (
        FailureKind::Unreachable,
        &[
            "connection ended unexpectedly",
            "closed connection",
            "broken pipe",
            "timed out",
            "http error 5",
            "http error 429",
            "http request error",
            "incomplete response",
            "bad http status line",
            "badstatusline",
            "incompleteread",
            "stream ended unexpectedly",
            "premature eof",
            "intermittent network failure",
            "certificate",
            "ssl",
            "tls ",
        ],
    ),
    (
        FailureKind::NoSuchRepository,
        &[
            "http error 404",
            "http error 410",
            "does not appear to be an hg repository",
            "no suitable response",
            "there is no mercurial repository",
            " not found",
        ],
    ),
    (
        FailureKind::Damaged,
        &[
            "abandoned transaction",
            "integrity check failed",
            "corrupt",
            "unknown format",
            "unknown flags",
            "unsupported or unknown",
            "unknown to this mercurial",
            "no match found",
            "no node",
            "partial read of revlog",
            "does not appear to be in",
            "decompress",
            "zlib",
            "zstd",
            "revlog",
            "index 00",
            "00changelog",
            "00manifest",
            "dirstate",
            "input/output error",
            "index out of range",
            "struct.error",
        ],
    ),
];

/// Mercurial for the repository at `url`, with our extension installed beside the cache entry `entry_dir`.
pub(super) fn hg<'a, S: Shell>(
    url: &'a Url,
    entry_dir: PathBuf,
    network: &'a Network,
    shell: &'a mut S,
) -> Result<Hg<'a, S>, Error> {
    let extension = install(entry_dir.parent().unwrap_or(&entry_dir))?;
    let mut load = OsString::from("--config=extensions.pony=");
    load.push(extension);
    let options = [load, "--config=extensions.pony:required=yes".into()];
    Ok(Program::new(&TOOL, url, entry_dir, network, shell).with(options))
}

/// Writes the extension to the folder `dir`.
fn install(dir: &Path) -> Result<PathBuf, Error> {
    let path = dir.join("hermetic.py");
    if fs::read(&path).is_ok_and(|text| text == EXTENSION.as_bytes()) {
        return Ok(path);
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        // One at a time, so that its partial file can have one name, which a kill leaves no more than once.
        let lock = open_lock(&dir.join("hermetic.lock"))?;
        lock.lock()?;
        write_whole(&path, &dir.join("hermetic.new"), EXTENSION.as_bytes(), |_| Ok(())).map(drop)
    };
    write().map_err(Error::io("write", &path))?;
    Ok(path)
}

/// `similar` names are offered in place of `name`.
pub(super) fn no_such(kind: &'static str, name: &str, url: &Url, similar: Vec<String>) -> Error {
    Error::NoSuchName { program: TOOL.name, kind, name: name.to_owned(), url: url.clone(), similar }
}

/// Whether hg says with this message that a name does not exist.
pub(super) fn is_unknown(message: &str) -> bool {
    message.starts_with("unknown revision")
        || message.ends_with("does not exist")
        || message.contains("filtered revision")
}

/// Mercurial with the options that all its commands get, and their environment.
fn command_line(url: &Url) -> (Vec<OsString>, EnvOverlay) {
    let argv = [OsString::from("hg")].into_iter().chain(OPTIONS.map(OsString::from)).collect();
    let mut env: EnvOverlay = REDIRECTS.into_iter().map(|name| (name.to_owned(), None)).collect();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), Some(value.into()));
    for (name, value) in SETTINGS {
        set(name, value);
    }
    if let (Some(scope), Some(login)) = (url.login_scope(), url.login()) {
        set("PONY_HG_SCOPE", scope);
        match login {
            Login::Pair { user, password } => {
                set("PONY_HG_USERNAME", &user);
                set("PONY_HG_PASSWORD", &password);
            }
            Login::Name(user) => {
                set("PONY_HG_USERNAME", &user);
            }
        }
    }
    (argv, env)
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
        assert!(!argv.contains("p%40ss") && !argv.contains("p@ss") && !argv.contains("ann"), "{argv}");
        assert_eq!(env["PONY_HG_PASSWORD"].as_deref(), Some(OsStr::new("p@ss")));
        assert_eq!(env["PONY_HG_SCOPE"].as_deref(), Some(OsStr::new("https://host")));
    }

    #[test]
    fn a_plain_user_name_brings_no_password() {
        let (_, env) = built("https://ann@host/x");
        assert_eq!(env["PONY_HG_USERNAME"].as_deref(), Some(OsStr::new("ann")));
        assert_eq!(env["PONY_HG_PASSWORD"], None);
        assert_eq!(built("ssh://ann@host/x").1["PONY_HG_USERNAME"], None);
    }
}
