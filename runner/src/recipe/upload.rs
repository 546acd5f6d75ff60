//! The files that an upload step collects, and their names on servers.

use std::path::{Component, Path};

use serde::Serialize;

use super::{
    check::Fields,
    diagnostic::{Diagnostic, quoted},
    reader::Reader,
    tree::Node,
};

/// Files that are sent with a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upload {
    /// A valid glob, relative to the step's folder, without `..`.
    pub glob: String,
    #[serde(rename = "as")]
    /// The key `as`.
    pub name: PublicName,
    /// Whether servers list them.
    pub visible: bool,
    /// Shown next to them.
    pub description: Option<String>,
}

/// Names of uploaded files on servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicName {
    /// Their paths in the step's folder.
    #[default]
    Path,
    /// This name, for a single file: a relative path without `.` and `..`.
    File(String),
    /// This folder, ending with `/`, which replaces the folders that the glob names literally.
    Folder(String),
}

impl PublicName {
    fn new(text: String) -> Self {
        if text.ends_with('/') { Self::Folder(text) } else { Self::File(text) }
    }

    /// The value of the key `as`, if it is needed.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Path => None,
            Self::File(name) | Self::Folder(name) => Some(name),
        }
    }
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, fields: &Fields<'t>, upload: &'t Node) -> Option<Upload> {
    let glob = glob(reader, upload);
    let name = fields.get("as").map_or(Some(PublicName::Path), |node| public_name(reader, node));
    let visible = fields.get("visible").map_or(Some(true), |node| reader.checker.flag(node, "`visible`"));
    let description = fields.get("description").and_then(|node| reader.deferred_line(node, "`description`"));
    Some(Upload { glob: glob?, name: name?, visible: visible?, description })
}

fn public_name<'t>(reader: &mut Reader<'t>, node: &'t Node) -> Option<PublicName> {
    let name = reader.line(node, "`as`")?;
    let mut parts = name.strip_suffix('/').unwrap_or(&name).split('/');
    if parts.any(|part| matches!(part, "" | "." | "..")) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("a file cannot be called {}", quoted(&name)))
                .label("expected a relative path, without `.` and `..`")
                .hint("write a name such as `demo.whl` for one file, or a folder such as `docs/` for several")
        });
        return None;
    }
    Some(PublicName::new(name))
}

fn glob<'t>(reader: &mut Reader<'t>, node: &'t Node) -> Option<String> {
    let glob = reader.line(node, "`upload`")?;
    let path = Path::new(&glob);
    if path.is_absolute() || path.components().any(|component| component == Component::ParentDir) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "`upload` must stay inside the tree")
                .label("expected a relative glob, without `..`")
                .hint("paths are relative to the step's folder")
        });
        return None;
    }
    if let Err(error) = globset::Glob::new(&glob) {
        let why = error.kind().to_string();
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} is not a glob: {why}", quoted(&glob)))
                .label("expected a glob such as `dist/*.whl`")
        });
        return None;
    }
    Some(glob)
}
