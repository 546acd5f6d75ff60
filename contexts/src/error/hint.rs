//! What a person can do about each error.

use std::io;

use super::Error;

impl Error {
    /// What the person can do about it, if anything.
    pub fn hint(&self) -> Option<String> {
        self.hint_on_address().or_else(|| self.hint_on_machine()).or_else(|| self.hint_on_content())
    }

    /// For errors of addresses and names.
    fn hint_on_address(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchHost { .. } => {
                "check the spelling of the host and that this machine is online".to_owned()
            }
            Self::Unreachable { .. } => {
                "check the network connection and the proxy settings, or try again later".to_owned()
            }
            Self::Offline(_) => {
                "the cache does not have it; run once without `--offline` to fill it".to_owned()
            }
            Self::NoSuchRepository { url, program, .. } if url.is_local() => {
                format!(
                    "the path must name a `{program}` repository; relative paths start at the recipe's folder"
                )
            }
            Self::NoSuchRepository { program, .. } => format!(
                "check the path in the address, your access to the repository, and that it is a `{program}` repository"
            ),
            Self::Authentication { program, .. } => login(*program).to_owned(),
            Self::NoSuchName { program: "svn", .. } => {
                "a revision is a number up to that of the newest, which `svn info` shows".to_owned()
            }
            Self::NoSuchName { similar, .. } => match similar.as_slice() {
                [] => return None,
                [one] => format!("did you mean `{one}`?"),
                several => format!("did you mean one of `{}`?", several.join("`, `")),
            },
            Self::NotARevision(_) => {
                "a revision is a commit's id, 4 to 64 hexadecimal digits; for a name use `branch:` or `tag:`"
                    .to_owned()
            }
            Self::NotAnSvnRevision(_) => {
                "a revision is a number, `HEAD`, or a date in braces such as `{2026-01-31}`".to_owned()
            }
            Self::NotAnSvnAddress(_) => {
                "svn takes `https://`, `http://`, `svn://`, `svn+ssh://` and `file://` addresses, and paths"
                    .to_owned()
            }
            Self::NoSuchFolder { .. } => "if it was moved or renamed, change `svn:` to its new address; \
                 older revisions are still found at the old one: `…/trunk@1234`"
                .to_owned(),
            Self::Ambiguous { .. } => "give more digits of the commit's id".to_owned(),
            Self::NoDefaultBranch(_) => {
                "if it has commits, name one of its branches with `branch:`".to_owned()
            }
            Self::NoSuchFile { .. } => {
                "check the spelling; relative paths start at the recipe's folder".to_owned()
            }
            Self::Refused { .. } => "open the address in a browser to see why".to_owned(),
            _ => return None,
        })
    }

    /// For errors of this machine and its setup.
    fn hint_on_machine(&self) -> Option<String> {
        Some(match self {
            Self::DiskFull { .. } => {
                "free some space, or move the cache (`PONY_HOME`) or the temporary directory (`TMPDIR`)".to_owned()
            }
            Self::MissingProgram { program, .. } => format!("install `{program}` and make sure that it is on `PATH`"),
            Self::TooOld { program, oldest, .. } => format!("install a newer `{program}` ({oldest} or later)"),
            Self::NoPython { available, .. } => match available.as_slice() {
                [] => "install Python, and make sure that it is on `PATH`".to_owned(),
                available => format!(
                    "installed: {}; `python` of `virtualenv` is a name (`python3.12`), a path with a `/`, or a version (`3.12`)",
                    available.join(", ")
                ),
            },
            Self::Environment { detail, .. } => environment(detail)?.to_owned(),
            Self::Io { action: "lock", source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the cache must be writable; `PONY_HOME` moves it".to_owned()
                }
                _ => "the file system of the cache must support file locks; `PONY_HOME` moves the cache".to_owned(),
            },
            Self::Command { detail, .. } if detail.contains("dubious ownership") => {
                "the repository belongs to another user; trust it with `git config --global --add safe.directory PATH`"
                    .to_owned()
            }
            Self::Damaged { cache, .. } => format!(
                "rebuilding it did not help, so the repository itself or the disk may be damaged; \
                 the cached copy is `{}`",
                cache.display()
            ),
            _ => return None,
        })
    }

    /// For errors of the recipe and of what was fetched.
    fn hint_on_content(&self) -> Option<String> {
        let hint = match self {
            Self::LocalExternal { .. } => {
                "`svn:externals` of a repository on another machine may not name paths of this one: \
                 change the property, or build from a copy on this machine"
            }
            Self::Requirement { .. } => {
                "an entry is what pip installs (a name with a version, a path, a URL, `-r FILE`, `-e PATH`), or one of `-c`, \
                 `--index-url`, `--extra-index-url`, `--find-links`, `--no-binary`, `--only-binary`, `--trusted-host`, \
                 `--pre`, `--no-index`, `--no-deps`, `--no-build-isolation`, `--require-hashes`"
            }
            Self::Install { network: true, .. } => {
                "check the network connection, the package index and the proxy settings, or try again later"
            }
            Self::Install { .. } => {
                "check names and versions in `requirements`; packages that the build can do without belong in `optional`"
            }
            Self::NoWheels { .. } => {
                "the output must be a folder with `*.whl` files directly in it; `without: [wheels]` ignores it"
            }
            Self::NoSubdir(_) => "`subdir` is the path of a folder, relative to the top of the repository",
            Self::SubdirOutside(_) => "`subdir` must stay inside the repository",
            Self::NotADirectory(_) => "`path` names a folder; relative ones start at the recipe's folder",
            Self::HereNeedsPath(_) => {
                "use `context: tempdir`, which clones into a fresh directory, or remove `source` to build the recipe's folder"
            }
            Self::Command { detail, .. } if detail.contains("subrepos not enabled") => {
                "subrepositories of Mercurial are not supported; clone them in a step"
            }
            Self::WrongDigest { .. } => {
                "either the file has changed, or `sha256` in the recipe is that of another version"
            }
            Self::NotUnpacked { .. } => {
                "it must be a complete zip or tar archive (compressed with gzip, xz, zstd, bzip2 or not at all)"
            }
            Self::ArchiveEntry { .. } => "archives with entries outside their own folder are refused",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// How to give each program a login.
fn login(program: Option<&str>) -> &'static str {
    match program {
        Some("git") => {
            "set up an ssh key or a git credential helper that answers without asking; \
             hosts also ask for a login if the repository does not exist"
        }
        Some("hg") => {
            "put the login into the address (`https://USER:PASSWORD@host/…`), into `[auth]` of your `~/.hgrc`, or set up an ssh key"
        }
        Some(_) => {
            "put the login into the address (`https://USER:PASSWORD@host/…`), or let `svn` store it by running \
             `svn info` by hand once; externals on other servers need one that is stored"
        }
        None => "put the login into the address (`https://USER:PASSWORD@host/…`)",
    }
}

/// For the message of a program that could not make a virtual environment.
fn environment(detail: &str) -> Option<&'static str> {
    let old = ["too old", "older than", "not supported", "3.6 or newer", "no longer", "No module named venv"];
    if detail.contains("ensurepip") {
        Some("install `uv`, or the missing part of the interpreter (Debian: `apt install python3-venv`)")
    } else if old.iter().any(|part| detail.contains(part)) {
        Some(
            "Python 3.6 and 2.7 are too old for new versions of uv and virtualenv: `virtualenv==20.21.1` still supports them",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_asked_for_in_the_words_of_its_program() {
        let hint = |program| {
            let url = "https://host/x".parse().unwrap();
            Error::Authentication { program, url, detail: String::new() }.hint().unwrap()
        };
        for (program, part) in [
            (Some("git"), "credential helper"),
            (Some("hg"), "hgrc"),
            (Some("svn"), "svn info"),
            (None, "into the address"),
        ] {
            assert!(hint(program).contains(part), "{program:?}");
            assert_eq!(hint(program).contains("git "), program == Some("git"));
        }
    }

    #[test]
    fn a_name_that_is_not_there() {
        let hint = |program, similar: &[&str]| {
            let similar = similar.iter().map(|&name| name.to_owned()).collect();
            let url = "https://host/x".parse().unwrap();
            Error::NoSuchName { program, kind: "revision", name: "9".to_owned(), url, similar }.hint()
        };
        assert_eq!(hint("git", &[]), None);
        assert_eq!(hint("hg", &["branch: x"]).unwrap(), "did you mean `branch: x`?");
        assert!(hint("svn", &[]).unwrap().contains("svn info"));
    }

    #[test]
    fn a_cache_that_cannot_be_locked() {
        let hint = |kind: io::ErrorKind| Error::io("lock", "/cache/git/x.lock")(kind.into()).hint().unwrap();
        assert!(hint(io::ErrorKind::ReadOnlyFilesystem).contains("writable"));
        assert!(hint(io::ErrorKind::PermissionDenied).contains("writable"));
        assert!(hint(io::ErrorKind::Unsupported).contains("support file locks"));
    }
}
