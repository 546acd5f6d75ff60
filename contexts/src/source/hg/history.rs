//! The changeset that is checked out, and those since an earlier run, from `hg log`.

use std::path::Path;

use super::{names, tool::Hg};
use crate::{
    checkout::{Changes, Commit, EarlierRevisions, MAX_COMMITS},
    error::Error,
    program::args,
    shell::{Shell, is_complete, nul_separated},
};

/// Fields of a changeset, separated by a character that no name holds.
const FORMAT: &str =
    r"--template={node}\x1f{rev}\x1f{branch}\x1f{author|person}\x1f{date|rfc3339date}\x1f{desc|firstline}\n";

/// A changeset as its repository numbers it.
struct Changeset {
    commit: Commit,
    /// Its number there.
    number: String,
    branch: String,
}

/// The changeset of a tree, and which earlier revisions its repository has.
pub(super) struct Head {
    changeset: Changeset,
    known: Vec<String>,
}

impl Head {
    /// Reads the changeset that `tree` has checked out.
    pub(super) async fn read(
        tree: &Path,
        earlier: &EarlierRevisions,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Self, Error> {
        // Ids that do not exist are skipped, so that one command does for all.
        let ids = earlier.revisions().filter(|id| names::is_id(id));
        let known: Vec<_> = ids.map(|id| format!(" + present({id})")).collect();
        let revisions = format!("--rev=.{}", known.concat());
        let args = args!["--repository", tree, "log", &revisions, FORMAT];
        let mut changesets = parse(&hg.run("version", tree, &args).await?).into_iter();
        let Some(changeset) = changesets.next() else {
            return Err(Error::Command {
                step: "version".to_owned(),
                status: 0,
                detail: "no changeset".to_owned(),
            });
        };
        let mut known: Vec<String> = changesets.map(|changeset| changeset.commit.id).collect();
        known.push(changeset.commit.id.clone());
        Ok(Self { changeset, known })
    }

    /// As `hg id -nib` shows it.
    pub(super) fn version_info(&self) -> String {
        let Changeset { commit, number, branch } = &self.changeset;
        format!("{} {number} {branch}", commit.id.get(..12).unwrap_or(&commit.id))
    }

    /// The changeset itself.
    pub(super) fn commit(&self) -> &Commit {
        &self.changeset.commit
    }

    /// Changesets since `earlier`, if the repository has that.
    pub(super) async fn since(
        &self,
        earlier: Option<&str>,
        tree: &Path,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Option<Changes>, Error> {
        let id = &self.commit().id;
        let Some(earlier) = earlier.filter(|earlier| self.known.iter().any(|id| id == earlier)) else {
            return Ok(None);
        };
        if earlier == id {
            return Ok(Some(Changes::default()));
        }
        let limit = format!("--limit={}", MAX_COMMITS + 1);
        let revisions = format!("--rev=reverse(only({id}, {earlier}))");
        let args = args!["--repository", tree, "log", &limit, &revisions, FORMAT];
        let changesets = parse(&hg.run("changes", tree, &args).await?);
        let commits = changesets.into_iter().map(|changeset| changeset.commit).collect();
        let files = files(tree, earlier, id, hg).await?;
        Ok(Some(Changes::new(commits, files)))
    }
}

/// Paths of the files that differ between two changesets of the repository `dir`, sorted; `None` if there are too many.
pub(super) async fn files(
    dir: &Path,
    from: &str,
    to: &str,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<Option<Vec<String>>, Error> {
    let (from, to) = (format!("--rev={from}"), format!("--rev={to}"));
    let kinds = args!["--modified", "--added", "--removed", "--no-status", "--print0"];
    let args = [&args!["--repository", dir, "status", &from, &to][..], &kinds].concat();
    let listed = hg.run("changed_files", dir, &args).await?;
    Ok(is_complete(&listed).then(|| {
        let mut paths = nul_separated(&listed);
        paths.sort();
        paths
    }))
}

/// Reads [`FORMAT`]. Lines that are no changeset (the gap in a shortened output) are skipped.
fn parse(output: &[u8]) -> Vec<Changeset> {
    let text = String::from_utf8_lossy(output);
    let changeset = |line: &str| {
        let mut fields = line.splitn(6, '\u{1f}').map(str::to_owned);
        let id = fields.next().filter(|id| names::is_id(id))?;
        let (number, branch) = (fields.next()?, fields.next()?);
        let (author, date, subject) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Changeset { commit: Commit { id, author, date, subject }, number, branch })
    };
    text.split('\n').filter_map(changeset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changesets_are_read_and_rubble_is_not() {
        let id = "a".repeat(40);
        let text = format!(
            "{id}\u{1f}7\u{1f}default\u{1f}Zo\u{eb}\u{1f}2026-01-01T00:00:00+00:00\u{1f}a\u{1f}b\n[… 9 bytes left out …]\n{id}\u{1f}x\n"
        );
        let changesets = parse(text.as_bytes());
        assert_eq!(changesets.len(), 1);
        assert_eq!(changesets[0].commit.author, "Zo\u{eb}");
        assert_eq!(changesets[0].commit.subject, "a\u{1f}b");
        assert_eq!(changesets[0].number, "7");
    }
}
