//! Reads values of the common kinds, with templates filled in.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use indexmap::IndexMap;

use super::{
    check::Checker,
    diagnostic::{Diagnostic, quoted},
    tree::{Node, Value},
    variables::Scope,
};

#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) checker: Checker<'t>,
    pub(super) scope: Scope<'t>,
}

impl<'t> Reader<'t> {
    /// A map of environment variables.
    pub(super) fn environment(&mut self, node: &'t Node, what: &str) -> IndexMap<String, String> {
        let mut environment = IndexMap::new();
        for (name, key, node) in self.checker.entries(node, what, "{LC_ALL: C.UTF-8}") {
            if !is_environment_name(name) {
                self.checker.wrong(key, |at| not_an_environment_name(at, name));
            } else if let Some(value) = self.scope.fill_deferred(&mut self.checker, node, &quoted(name)) {
                environment.insert(name.to_owned(), value);
            }
        }
        environment
    }

    /// A recipe may not contain the value of a secret.
    pub(super) fn no_secret_in(&mut self, environment: &'t Node, secrets: &[String]) {
        let Value::Map(map) = &environment.value else { return };
        let secrets: HashSet<&str> = secrets.iter().map(String::as_str).collect();
        for (key, _) in map {
            if let Some(name) = key.scalar(self.checker.text).filter(|name| secrets.contains(name)) {
                self.checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("the secret {} has a value in the recipe", quoted(name)))
                        .label("anybody who sees the recipe can read it")
                        .hint("remove it; the value comes from the environment that pony-run is started in")
                });
            }
        }
    }

    /// One line of text without templates.
    pub(super) fn plain(&mut self, node: &'t Node, what: &str) -> Option<&'t str> {
        let text = self.checker.scalar(node, what)?;
        if text.contains("{{") {
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("{what} cannot contain a template"))
                    .label("expected plain text")
                    .hint("it must be the same on every machine")
            });
            return None;
        }
        self.is_line(node, text, what).then_some(text)
    }

    /// One line of text, templates filled in.
    pub(super) fn line(&mut self, node: &'t Node, what: &str) -> Option<String> {
        let text = self.scope.fill(&mut self.checker, node, what)?;
        self.is_line(node, &text, what).then_some(text)
    }

    /// One line of text, in which deferred values are allowed.
    pub(super) fn deferred_line(&mut self, node: &'t Node, what: &str) -> Option<String> {
        let text = self.scope.fill_deferred(&mut self.checker, node, what)?;
        self.is_line(node, &text, what).then_some(text)
    }

    fn is_line(&mut self, node: &'t Node, text: &str, what: &str) -> bool {
        let wrong = if text.trim().is_empty() {
            "is empty"
        } else if text.contains(['\n', '\r']) {
            "must be one line"
        } else if text.contains(char::is_control) {
            "contains a control character"
        } else {
            return true;
        };
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{what} {wrong}")).label("expected one line of text")
        });
        false
    }

    /// A line that becomes an argument of a program, so it cannot begin with `-`.
    pub(super) fn argument(&mut self, node: &'t Node, what: &str) -> Option<String> {
        let text = self.line(node, what)?;
        if text.starts_with('-') {
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("{what} cannot begin with `-`"))
                    .label("a program would take it for an option")
            });
            return None;
        }
        Some(text)
    }

    /// A path inside the tree; `None` for the tree's root, and for a wrong path, which is reported.
    pub(super) fn inner_path(&mut self, node: &'t Node, what: &str) -> Option<PathBuf> {
        let text = self.line(node, what)?;
        let mut inner = PathBuf::new();
        for component in Path::new(&text).components() {
            let wrong = match component {
                Component::CurDir => continue,
                Component::Normal(name) => {
                    inner.push(name);
                    continue;
                }
                Component::ParentDir => "must stay inside the tree",
                Component::RootDir | Component::Prefix(_) => "must be relative",
            };
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("{what} {wrong}"))
                    .label("expected a path in the source tree, without `..`")
                    .hint("paths are relative to the root of the sources")
            });
            return None;
        }
        (!inner.as_os_str().is_empty()).then_some(inner)
    }

    /// Refuses `~`: only shells expand it, and a recipe means the same for everybody.
    pub(super) fn no_home(&mut self, node: &'t Node, path: &str) -> Option<()> {
        if path != "~" && !path.starts_with("~/") {
            return Some(());
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, "`~` is not expanded in recipes")
                .label("not a home folder")
                .hint("write an absolute path, or one relative to the recipe's folder")
        });
        None
    }
}

/// The path without `.` components.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Whether every shell and program takes `text` as the name of an environment variable.
pub(super) fn is_environment_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn not_an_environment_name(at: std::ops::Range<usize>, name: &str) -> Diagnostic {
    Diagnostic::at(at, format!("{} cannot be the name of an environment variable", quoted(name)))
        .label("expected letters, digits and `_`, not beginning with a digit")
}
