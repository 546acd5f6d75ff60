//! `source`: which source tree is built.

use std::path::Path;

use pony_contexts::{ArchiveSpec, GitSpec, HgSpec, PathSpec, RevisionSpec, SourceSpec, SvnSpec, Url};

use super::{
    check::Fields,
    diagnostic::{Diagnostic, quoted},
    keys::SOURCE,
    reader::{Reader, plain},
    tree::Node,
};

/// Reads `source` of a recipe in `folder`.
pub(super) fn read<'t>(reader: &mut Reader<'t>, node: &'t Node, folder: &Path) -> Option<SourceSpec> {
    let fields = reader.checker.fields(node, &SOURCE, "{git: https://…}")?;
    if let Some(node) = fields.get("path") {
        let dir = reader.line(node, "`path`");
        let gitignore = fields.get("gitignore").and_then(|node| reader.checker.flag(node, "`gitignore`"));
        let dir = dir.filter(|dir| reader.no_home(node, dir).is_some())?;
        return Some(SourceSpec::Path(PathSpec {
            dir: folder.join(dir),
            gitignore: gitignore.unwrap_or(false),
        }));
    }
    let subdir = fields.get("subdir").and_then(|node| reader.inner_path(node, "`subdir`"));
    let dir = fields.get("dir").and_then(|node| reader.folder_name(node));
    if let Some(node) = fields.get("svn") {
        let url = reader.url(node, "`svn`", folder);
        let revision = fields.get("revision").and_then(|node| reader.svn_revision(node));
        return Some(SourceSpec::Svn(SvnSpec { url: url?, revision, subdir, dir }));
    }
    if let Some(node) = fields.get("archive") {
        let url = reader.url(node, "`archive`", folder);
        let sha256 = fields.get("sha256").and_then(|node| reader.sha256(node));
        return Some(SourceSpec::Archive(ArchiveSpec { url: url?, sha256, subdir, dir }));
    }
    let revision = reader.revision(&fields);
    if let Some(node) = fields.get("hg") {
        let url = reader.url(node, "`hg`", folder);
        return Some(SourceSpec::Hg(HgSpec { url: url?, revision, subdir, dir }));
    }
    let url = fields.get("git").and_then(|node| reader.url(node, "`git`", folder));
    let submodules = fields.get("submodules").and_then(|node| reader.checker.flag(node, "`submodules`"));
    Some(SourceSpec::Git(GitSpec {
        url: url?,
        revision,
        submodules: submodules.unwrap_or(false),
        subdir,
        dir,
    }))
}

impl<'t> Reader<'t> {
    fn revision(&mut self, fields: &Fields<'t>) -> RevisionSpec {
        let branch =
            fields.get("branch").and_then(|node| self.argument(node, "`branch`")).map(RevisionSpec::Branch);
        let tag = fields.get("tag").and_then(|node| self.argument(node, "`tag`")).map(RevisionSpec::Tag);
        let revision = fields.get("revision").and_then(|node| self.commit(node)).map(RevisionSpec::Revision);
        branch.or(tag).or(revision).unwrap_or(RevisionSpec::Default)
    }

    /// Relative paths are relative to the recipe's folder, not to where a program happens to run.
    fn url(&mut self, node: &'t Node, what: &str, folder: &Path) -> Option<Url> {
        let text = self.argument(node, what)?;
        // Git's own rule for paths: no scheme, and no colon before the first slash.
        let is_path = !text.contains("://") && !text.split('/').next().unwrap_or_default().contains(':');
        let text = if is_path {
            self.no_home(node, &text)?;
            plain(&folder.join(text)).display().to_string()
        } else {
            text
        };
        text.parse()
            .map_err(|error| {
                self.checker.wrong(node, |at| {
                    Diagnostic::at(at, format!("{error}")).label("expected a URL or a path")
                });
            })
            .ok()
    }

    fn commit(&mut self, node: &'t Node) -> Option<String> {
        let revision = self.argument(node, "`revision`")?;
        if (7..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(revision);
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} is not a commit hash", quoted(&revision)))
                .label("expected 7 to 64 hexadecimal digits")
                .hint("use `branch` or `tag` for names")
        });
        None
    }

    fn svn_revision(&mut self, node: &'t Node) -> Option<String> {
        let revision = self.argument(node, "`revision`")?;
        let number = revision.strip_prefix('r').unwrap_or(&revision);
        if (1..=10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(number.to_owned());
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} is not a Subversion revision", quoted(&revision)))
                .label("expected a number")
                .hint("remove it to build the newest revision; a branch is part of the URL")
        });
        None
    }

    fn sha256(&mut self, node: &'t Node) -> Option<String> {
        let digest = self.line(node, "`sha256`")?.to_lowercase();
        if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(digest);
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, "`sha256` is not a SHA-256")
                .label("expected 64 hexadecimal digits")
                .hint("run `sha256sum FILE` to get it")
        });
        None
    }

    /// One name of a folder.
    fn folder_name(&mut self, node: &'t Node) -> Option<String> {
        let path = self.inner_path(node, "`dir`")?;
        let name = path.to_str().filter(|name| !name.contains('/') && !name.starts_with('.'));
        if name.is_none() {
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, "`dir` must be a single folder name")
                    .label("expected no `/`, and no `.` at the beginning")
            });
        }
        name.map(str::to_owned)
    }
}
