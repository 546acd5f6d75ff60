//! What a person can do about each error: the way out, to be shown behind the message.

use std::io;

use super::Error;

impl Error {
    /// What the person can do about it, if there is something to say.
    pub fn hint(&self) -> Option<String> {
        self.of_finding().or_else(|| self.of_this_machine()).or_else(|| self.of_the_content())
    }

    /// Where something was looked for, or who was asked.
    fn of_finding(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchHost { .. } => {
                "check the spelling of the host and that this machine is online".to_owned()
            }
            Self::Unreachable { .. } => {
                "check that this machine is online, and the proxy settings; or try again later".to_owned()
            }
            Self::Offline(_) => {
                "the cache does not hold what is asked for; run once without `--offline` to fill it"
                    .to_owned()
            }
            Self::NoSuchRepository { url, program, .. } if url.is_local() => {
                format!(
                    "the path must name a repository of `{program}`; relative paths start at the recipe's folder"
                )
            }
            Self::NoSuchRepository { program, .. } => format!(
                "check the path part of the address, that you may see the repository, and that it is one of `{program}`"
            ),
            Self::Authentication { program, .. } => login(*program).to_owned(),
            Self::NoSuchName { program: "svn", .. } => {
                "a revision is a number up to that of the newest, which `svn info` of the address tells"
                    .to_owned()
            }
            Self::NoSuchName { near, .. } => match near.as_slice() {
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
            Self::NoSuchFolder { .. } => "if it was moved or renamed, `svn:` must name its new place; \
                 what it was before is still there under its old address with a revision: `…/trunk@1234`"
                .to_owned(),
            Self::Ambiguous { .. } => "give more digits of the commit's id".to_owned(),
            Self::NoDefaultBranch(_) => {
                "if it has commits, name one of its branches with `branch:`".to_owned()
            }
            Self::NoSuchFile { .. } => {
                "check the spelling; relative paths start at the recipe's folder".to_owned()
            }
            Self::Refused { .. } => "open the address in a browser to see what its server wants".to_owned(),
            _ => return None,
        })
    }

    /// What this machine, or who set it up, is lacking.
    fn of_this_machine(&self) -> Option<String> {
        Some(match self {
            Self::DiskFull { .. } => {
                "make room, or move the cache (`PONY_HOME`) or the place for temporary files".to_owned()
            }
            Self::MissingProgram { program, .. } => format!("install `{program}` and see that it is on `PATH`"),
            Self::TooOld { program, oldest, .. } => format!("install a newer `{program}` ({oldest} or later)"),
            Self::NoPython { there, .. } => match there.as_slice() {
                [] => "install Python, or see that it is on `PATH`".to_owned(),
                there => format!(
                    "there is {}; `python` of `virtualenv` is a name (`python3.12`), a path with a `/`, or a version (`3.12`)",
                    there.join(", ")
                ),
            },
            Self::Environment { said, .. } => environment(said)?.to_owned(),
            Self::Io { doing: "lock", source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the cache must be yours to write; `PONY_HOME` moves it".to_owned()
                }
                _ => "the file system of the cache must support file locks; `PONY_HOME` moves the cache".to_owned(),
            },
            Self::Command { said, .. } if said.contains("dubious ownership") => {
                "the repository belongs to another user; `git config --global --add safe.directory PATH` trusts it"
                    .to_owned()
            }
            Self::Damaged { cache, .. } => format!(
                "making it anew did not help, so the repository itself or the disk may be at fault; \
                 what the cache holds of it is in `{}`",
                cache.display()
            ),
            _ => return None,
        })
    }

    /// What was asked for is here, but will not do.
    fn of_the_content(&self) -> Option<String> {
        let hint = match self {
            Self::LocalExternal { .. } => {
                "`svn:externals` of a repository on another machine may not name paths of this one: \
                 have the property changed, or build from a copy on this machine"
            }
            Self::Requirement { .. } => {
                "an entry is what pip installs (a name with a version, a path, a URL, `-r FILE`, `-e PATH`), or one of `-c`, \
                 `--index-url`, `--extra-index-url`, `--find-links`, `--no-binary`, `--only-binary`, `--trusted-host`, \
                 `--pre`, `--no-index`, `--no-deps`, `--no-build-isolation`, `--require-hashes`"
            }
            Self::Install { network: true, .. } => {
                "check that this machine is online, and the index and proxy settings; or try again later"
            }
            Self::Install { .. } => {
                "check names and versions in `requirements`; what a build can do without belongs into `optional`"
            }
            Self::NoWheels { .. } => {
                "its output `wheels` is a folder with `*.whl` files right in it; `without: [wheels]` lets them be"
            }
            Self::NoSubdir(_) => "`subdir` is the path of a folder from the top of the repository",
            Self::SubdirOutside(_) => "`subdir` must stay inside the repository",
            Self::NotADirectory(_) => "`path` names a folder; relative ones start at the recipe's folder",
            Self::HereNeedsPath(_) => {
                "use `context: tempdir`, which clones into a fresh directory; or drop `source` to build the recipe's folder"
            }
            Self::Command { said, .. } if said.contains("subrepos not enabled") => {
                "repositories inside a Mercurial repository are not brought; clone them in a step"
            }
            Self::WrongDigest { .. } => {
                "either the file was changed where it is, or `sha256` in the recipe is that of another version"
            }
            Self::NotUnpacked { .. } => {
                "it must be a whole tar archive, perhaps packed with gzip, xz, zstd or bzip2, or a zip archive"
            }
            Self::Entry { .. } => {
                "archives that reach out of the folder that they are unpacked in are refused as a whole"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// How a login is given to each program.
fn login(program: Option<&str>) -> &'static str {
    match program {
        Some("git") => {
            "set up an ssh key or a git credential helper that answers without asking; \
             hosts also ask for a login where the repository does not exist"
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

/// What the words of a program that made no virtual environment point to.
fn environment(said: &str) -> Option<&'static str> {
    let old = ["too old", "older than", "not supported", "3.6 or newer", "no longer", "No module named venv"];
    if said.contains("ensurepip") {
        Some("install `uv`, or what the interpreter lacks: on Debian `apt install python3-venv`")
    } else if old.iter().any(|part| said.contains(part)) {
        Some(
            "Python 3.6 and 2.7 are too old for new versions of uv and virtualenv: `virtualenv==20.21.1` still makes \
             environments of them",
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
            Error::Authentication { program, url, said: String::new() }.hint().unwrap()
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
        let hint = |program, near: &[&str]| {
            let near = near.iter().map(|&name| name.to_owned()).collect();
            let url = "https://host/x".parse().unwrap();
            Error::NoSuchName { program, kind: "revision", name: "9".to_owned(), url, near }.hint()
        };
        assert_eq!(hint("git", &[]), None);
        assert_eq!(hint("hg", &["branch: x"]).unwrap(), "did you mean `branch: x`?");
        assert!(hint("svn", &[]).unwrap().contains("svn info"));
    }

    #[test]
    fn a_cache_that_cannot_be_locked() {
        let hint = |kind: io::ErrorKind| Error::io("lock", "/cache/git/x.lock")(kind.into()).hint().unwrap();
        assert!(hint(io::ErrorKind::ReadOnlyFilesystem).contains("yours to write"));
        assert!(hint(io::ErrorKind::PermissionDenied).contains("yours to write"));
        assert!(hint(io::ErrorKind::Unsupported).contains("support file locks"));
    }
}
