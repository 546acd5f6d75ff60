//! The commit that is checked out, and those since an earlier run, from `git log`.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use super::{names, tool::Git};
use crate::{
    checkout::{Changes, Commit, EarlierRevisions, MAX_COMMITS},
    error::Error,
    program::args,
    shell::{Shell, is_complete, nul_separated},
};

/// Fields of a commit, separated by a character that no name holds.
const FORMAT: &str = "--format=%H%x1f%an%x1f%cI%x1f%s";

/// The commit of a tree, and which earlier revisions its repository has.
pub(super) struct Head {
    commit: Commit,
    known: Vec<String>,
}

impl Head {
    /// Reads the commit that `tree` has checked out.
    pub(super) async fn read(
        tree: &Path,
        earlier: &EarlierRevisions,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Self, Error> {
        // Ids that do not exist are skipped, so that one command does for all.
        let mut args = log(&["--no-walk=unsorted", "--ignore-missing", "HEAD"]);
        args.extend(earlier.revisions().filter(|id| names::is_id(id)));
        let mut commits = parse(&git.run("version", tree, &args).await?).into_iter();
        let Some(commit) = commits.next() else {
            return Err(Error::Command {
                step: "version".to_owned(),
                status: 0,
                detail: "no commit".to_owned(),
            });
        };
        Ok(Self { commit, known: commits.map(|commit| commit.id).collect() })
    }

    /// As `git log -1 --pretty=oneline` shows it.
    pub(super) fn version_info(&self) -> String {
        format!("{} {}", self.commit.id, self.commit.subject)
    }

    /// The commit itself.
    pub(super) fn commit(&self) -> &Commit {
        &self.commit
    }

    /// Commits since `earlier`, if the repository has that.
    pub(super) async fn since(
        &self,
        earlier: Option<&str>,
        tree: &Path,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Option<Changes>, Error> {
        let Some(earlier) = earlier else { return Ok(None) };
        if earlier == self.commit.id {
            return Ok(Some(Changes::default()));
        }
        if !self.known.iter().any(|id| id == earlier) {
            return Ok(None);
        }
        let (count, without) = (format!("--max-count={}", MAX_COMMITS + 1), format!("^{earlier}"));
        let commits = parse(&git.run("changes", tree, &log(&[&count, "HEAD", &without])).await?);
        let files = files(&[], tree, earlier, "HEAD", git).await?;
        Ok(Some(Changes::new(commits, files)))
    }
}

/// Paths of the files that differ between two commits of the repository that `cwd` is in, or that the option
/// `repository` names, from its top; `None` if there are too many.
pub(super) async fn files(
    repository: &[OsString],
    cwd: &Path,
    from: &str,
    to: &str,
    git: &mut Git<'_, impl Shell>,
) -> Result<Option<Vec<String>>, Error> {
    let mut args = repository.to_vec();
    args.extend(
        args!["diff-tree", "-r", "-z", "--no-renames", "--name-only", from, to, "--"].map(OsStr::to_owned),
    );
    let listed = git.run("changed_files", cwd, &args).await?;
    Ok(is_complete(&listed).then(|| nul_separated(&listed)))
}

/// A `git log` that nobody's configuration changes.
fn log<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["-c", "i18n.logOutputEncoding=UTF-8", "log", "--no-show-signature", "--no-color", FORMAT];
    fixed.iter().chain(args).copied().collect()
}

/// Reads [`FORMAT`]. Lines that are no commit (the gap in a shortened output) are skipped.
fn parse(output: &[u8]) -> Vec<Commit> {
    let text = String::from_utf8_lossy(output);
    let commit = |line: &str| {
        let mut fields = line.splitn(4, '\u{1f}').map(str::to_owned);
        let (id, author, date, subject) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        names::is_id(&id).then_some(Commit { id, author, date, subject })
    };
    text.lines().filter_map(commit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_and_rubble_is_not() {
        let id = "a".repeat(40);
        let text = format!(
            "{id}\u{1f}Zo\u{eb}\u{1f}2026-01-01T00:00:00+00:00\u{1f}a\u{1f}b\n[… 9 bytes left out …]\n{id}\u{1f}x\n"
        );
        let commits = parse(text.as_bytes());
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].author, "Zo\u{eb}");
        assert_eq!(commits[0].subject, "a\u{1f}b");
    }
}
