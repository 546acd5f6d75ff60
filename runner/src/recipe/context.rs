//! `context` and `private`: where steps run, and which folders each run has for itself.

use std::path::Path;

use pony_contexts::{PrivateDirs, SourceSpec, VirtualenvSpec, virtualenv};

use super::{
    Context,
    check::Fields,
    diagnostic::Diagnostic,
    keys::{CONTEXT, CONTEXTS, INSTALLERS, PRIVATE, VIRTUALENV},
    reader::{Reader, plain},
    tree::{Node, Value},
};

/// Outputs stay in a folder of the cache, not in one that the next run changes.
pub(super) fn check_outputs<'t>(reader: &mut Reader<'t>, fields: &Fields<'t>, context: &Context) {
    let (Some(outputs), Some(node)) = (fields.place("outputs"), fields.get("context")) else { return };
    if matches!(context, Context::Here | Context::Directory(_)) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "`outputs` cannot be combined with a folder that persists")
                .label("the next run would change the outputs")
                .also(outputs, "outputs declared here")
                .hint("remove `context`: outputs stay in a folder of the cache")
        });
    }
}

/// Reads `context` of a recipe in `folder`.
pub(super) fn context<'t>(
    reader: &mut Reader<'t>,
    fields: &Fields<'t>,
    source: Option<&SourceSpec>,
    folder: &Path,
) -> Context {
    let Some(node) = fields.get("context") else { return Context::default() };
    let is_path = matches!(source, Some(SourceSpec::Path(_)));
    if matches!(node.value, Value::Map(_)) {
        let Some(fields) = reader.checker.fields(node, &CONTEXT, "{virtualenv: {requirements: [pytest]}}")
        else {
            return Context::default();
        };
        return match (fields.get("directory"), fields.get("virtualenv")) {
            (Some(node), _) => directory(reader, node, is_path, folder),
            (None, Some(node)) => Context::Virtualenv(virtualenv(reader, node)),
            (None, None) => Context::default(),
        };
    }
    match reader.checker.choice(node, "`context`", CONTEXTS) {
        Some("here") if source.is_some() && !is_path => {
            reader.checker.wrong(node, |at| {
                Diagnostic::at(at, "`context: here` needs a path source")
                    .label("a checkout has its own folder")
                    .hint(
                        "remove `context`, build in a folder that persists with `context: {directory: …}`, or build an \
                         existing checkout with `source: {path: …}`",
                    )
            });
            Context::Here
        }
        Some("here") => Context::Here,
        _ => Context::Tempdir,
    }
}

fn directory<'t>(reader: &mut Reader<'t>, node: &'t Node, is_path: bool, folder: &Path) -> Context {
    if is_path {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "`directory` cannot be combined with a path source")
                .label("the path itself persists")
                .hint("use `context: here` to build in place")
        });
    }
    let path = reader.line(node, "`directory`");
    let path = path.filter(|path| reader.no_home(node, path).is_some());
    path.map_or_else(Context::default, |path| Context::Directory(plain(&folder.join(path))))
}

fn virtualenv<'t>(reader: &mut Reader<'t>, node: &'t Node) -> VirtualenvSpec {
    let mut wanted = VirtualenvSpec::default();
    // `virtualenv:` without a value is an empty virtualenv.
    if matches!(node.value, Value::Null) {
        return wanted;
    }
    let Some(fields) = reader.checker.fields(node, &VIRTUALENV, "{requirements: [pytest]}") else {
        return wanted;
    };
    wanted.python = fields.get("python").and_then(|node| reader.argument(node, "`python`"));
    wanted.requirements = requirements(reader, fields.get("requirements"), "`requirements`");
    wanted.optional = requirements(reader, fields.get("optional"), "`optional`");
    let site = fields.get("system-site-packages");
    let site = site.and_then(|node| reader.checker.flag(node, "`system-site-packages`"));
    wanted.system_site_packages = site.unwrap_or(false);
    wanted.installer = fields.get("installer").and_then(|node| {
        let word = reader.checker.choice(node, "`installer`", INSTALLERS)?;
        virtualenv::Installer::named(word)
    });
    wanted
}

fn requirements<'t>(reader: &mut Reader<'t>, node: Option<&'t Node>, what: &str) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    let mut requirements = Vec::new();
    for node in reader.checker.list(node, what, "[pytest]") {
        let Some(text) = reader.deferred_line(node, "a requirement") else { continue };
        match virtualenv::check_requirement(&text) {
            Ok(()) => requirements.push(text),
            Err(why) => reader.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("a requirement cannot be installed: {why}"))
                    .label("expected a name, a path, a URL, `-r FILE` or `-e PATH`")
            }),
        }
    }
    requirements
}

/// Reads `private`.
pub(super) fn private<'t>(reader: &mut Reader<'t>, node: &'t Node) -> PrivateDirs {
    let mut private = PrivateDirs::default();
    for node in reader.checker.list(node, "`private`", "[home, tmp]") {
        match reader.checker.choice(node, "an entry of `private`", PRIVATE) {
            Some("home") => private.home = true,
            Some("tmp") => private.tmp = true,
            _ => {}
        }
    }
    private
}
