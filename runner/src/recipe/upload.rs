//! What an upload step sends along, and what that is called for others.

use std::path::{Component, Path};

use serde::Serialize;

use super::{
    check::Fields,
    diagnostic::{Diagnostic, quoted},
    reader::Reader,
    tree::Node,
};

/// Files that are sent along with a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upload {
    /// Which: relative to the step's folder, without `..`; a valid glob.
    pub glob: String,
    /// What they are called for others.
    #[serde(rename = "as")]
    pub name: PublicName,
    /// Whether servers list them.
    pub visible: bool,
    /// Shown beside them.
    pub description: Option<String>,
}

/// What files are called for others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicName {
    /// As in the step's folder.
    #[default]
    Path,
    /// So, which goes for one file only. A relative path without `.` and `..`.
    File(String),
    /// So, which ends with `/`, and then as below the folders that the glob spells out.
    Folder(String),
}

impl PublicName {
    fn new(text: String) -> Self {
        if text.ends_with('/') { Self::Folder(text) } else { Self::File(text) }
    }

    /// As a recipe has it; nothing if it need not say it.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Path => None,
            Self::File(name) | Self::Folder(name) => Some(name),
        }
    }
}

/// What a step with this `upload` sends along; what is wrong with it is reported.
pub(super) fn read<'t>(reader: &mut Reader<'t>, fields: &Fields<'t>, upload: &'t Node) -> Option<Upload> {
    let glob = glob(reader, upload);
    let name = fields.get("as").map_or(Some(PublicName::Path), |node| public_name(reader, node));
    let visible = fields.get("visible").map_or(Some(true), |node| reader.checker.flag(node, "`visible`"));
    let description = fields.get("description").and_then(|node| reader.late_line(node, "`description`"));
    Some(Upload { glob: glob?, name: name?, visible: visible?, description })
}

fn public_name<'t>(reader: &mut Reader<'t>, node: &'t Node) -> Option<PublicName> {
    let name = reader.line(node, "`as`")?;
    let mut parts = name.strip_suffix('/').unwrap_or(&name).split('/');
    if parts.any(|part| matches!(part, "" | "." | "..")) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("nothing can be called {}", quoted(&name)))
                .label("expected a relative path, without `.` and `..`")
                .help("a name such as `demo.whl` for one file, a folder such as `docs/` for several")
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
                .help("paths begin at the step's folder")
        });
        return None;
    }
    if let Err(error) = globset::Glob::new(&glob) {
        let why = error.kind().to_string();
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} is not a glob: {why}", quoted(&glob)))
                .label("expected such as `dist/*.whl`")
        });
        return None;
    }
    Some(glob)
}
