//! How hg is called: the environment and options that make it hermetic and keep it from asking questions.
//!
//! A person's own configuration stays in force: it knows of proxies, certificates, logins and extensions that repositories
//! need. Its hooks do not, nor does that of any repository. Options can only blank hooks whose names are known, so
//! an extension of ours turns all of them off. It also hands over the login of the URL, from the environment: no
//! option and no file holds it. Loading it costs 3 ms.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    program::{Meaning, Overlay, Tool},
    url::{Login, Url},
};

/// Mercurial, as a [`Program`](crate::program::Program).
pub(crate) static TOOL: Tool = Tool { name: "hg", frame, messages: &MESSAGES, usage: None, oldest: "5.3" };

const EXTENSION: &str = include_str!("hermetic.py");

/// Set for every command: nothing may ask a person, messages are to be understood, and no configuration of a repository is
/// read, which could name hooks and extensions. Progress is told all the same: what says nothing is taken for dead.
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
const REDIRECTING: [&str; 6] =
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

const MESSAGES: [(Meaning, &[&str]); 6] = [
    (Meaning::DiskFull, &[]),
    (Meaning::NoSuchHost, &["no address associated with hostname", "idna"]),
    (
        Meaning::Authentication,
        &["authorization failed", "http authorization required", "http error 401", "http error 403"],
    ),
    (
        Meaning::Unreachable,
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
        Meaning::NoSuchRepository,
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
        Meaning::Damaged,
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

/// Puts the extension into `room`, a folder, for [`words`] to name.
pub(super) fn install(room: &Path) -> Result<PathBuf, Error> {
    let path = room.join("hermetic.py");
    if fs::read(&path).is_ok_and(|text| text == EXTENSION.as_bytes()) {
        return Ok(path);
    }
    let write = || -> io::Result<()> {
        fs::create_dir_all(room)?;
        // One at a time, so that its partial file can have one name, which a kill leaves no more than once.
        let lock = fs::File::create(room.join("hermetic.lock"))?;
        lock.lock()?;
        let partial = room.join("hermetic.new");
        fs::write(&partial, EXTENSION)?;
        fs::rename(partial, &path)
    };
    write().map_err(Error::io("write", &path))?;
    Ok(path)
}

/// What tells hg of it.
pub(super) fn words(extension: &Path) -> [OsString; 2] {
    let mut load = OsString::from("--config=extensions.pony=");
    load.push(extension);
    [load, "--config=extensions.pony:required=yes".into()]
}

/// Mercurial with the options that all its commands get, and their environment.
fn frame(url: &Url) -> (Vec<OsString>, Overlay) {
    let argv = [OsString::from("hg")].into_iter().chain(OPTIONS.map(OsString::from)).collect();
    let mut env: Overlay = REDIRECTING.into_iter().map(|name| (name.to_owned(), None)).collect();
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

    fn framed(url: &str) -> (String, Overlay) {
        let (argv, env) = frame(&url.parse().unwrap());
        let words: Vec<_> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
        (words.join(" "), env)
    }

    #[test]
    fn passwords_are_in_the_environment_alone() {
        let (argv, env) = framed("https://ann:p%40ss@host/x");
        assert!(!argv.contains("p%40ss") && !argv.contains("p@ss") && !argv.contains("ann"), "{argv}");
        assert_eq!(env["PONY_HG_PASSWORD"].as_deref(), Some(OsStr::new("p@ss")));
        assert_eq!(env["PONY_HG_SCOPE"].as_deref(), Some(OsStr::new("https://host")));
    }

    #[test]
    fn a_plain_user_name_brings_no_password() {
        let (_, env) = framed("https://ann@host/x");
        assert_eq!(env["PONY_HG_USERNAME"].as_deref(), Some(OsStr::new("ann")));
        assert_eq!(env["PONY_HG_PASSWORD"], None);
        assert_eq!(framed("ssh://ann@host/x").1["PONY_HG_USERNAME"], None);
    }
}
