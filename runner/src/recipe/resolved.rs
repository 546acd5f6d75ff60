//! Writes a resolved recipe as YAML, for the run folder.
//!
//! A cell becomes a matrix with this one cell: written as variables, its values would no longer be axes.

use std::num::NonZeroUsize;

use indexmap::IndexMap;
use serde::Serialize;

use pony_contexts::{
    ArchiveSpec, GitSpec, HgSpec, PathSpec, RevisionSpec, SourceSpec, VirtualenvSpec, virtualenv::Installer,
};

use super::{
    Action, Context, EnvironmentFrom, Need, Recipe, StepKind, Upload, Watch, Weight,
    credentials::without_credentials,
    deferred::{DeferredUses, deferred_name},
    duration, needs,
    template::{escape, escape_except},
};

/// YAML that loads to the same recipe.
pub(super) fn yaml(recipe: &Recipe) -> String {
    // Serializing text and maps of text to a string cannot fail.
    serde_saphyr::to_string(&Resolved::from(recipe)).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Resolved<'r> {
    version: u8,
    package: &'r str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<ResolvedSource>,
    context: ResolvedContext,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<ResolvedNeed<'r>>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    outputs: IndexMap<&'r str, String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    matrix: IndexMap<&'r str, [&'r str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<ResolvedWeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobserver: Option<bool>,
    environment_from: EnvironmentFrom,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    private: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
    #[serde(skip_serializing_if = "Watch::is_all")]
    watch: Watch,
    #[serde(skip_serializing_if = "Option::is_none")]
    force_every: Option<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    variables: IndexMap<&'r str, String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    environment: IndexMap<&'r str, String>,
    timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    secrets: &'r [String],
    steps: Vec<ResolvedStep<'r>>,
}

#[derive(Serialize)]
struct ResolvedNeed<'r> {
    recipe: String,
    r#as: &'r str,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    with: IndexMap<&'r str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResolvedWeight {
    Slots(usize),
    Word(&'static str),
}

#[derive(Serialize, Default)]
struct ResolvedSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    svn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submodules: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gitignore: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResolvedContext {
    Word(&'static str),
    Directory { directory: String },
    Virtualenv { virtualenv: ResolvedVirtualenv },
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ResolvedVirtualenv {
    #[serde(skip_serializing_if = "Option::is_none")]
    python: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requirements: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    optional: Vec<String>,
    system_site_packages: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    installer: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ResolvedStep<'r> {
    name: &'r str,
    r#type: StepKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    #[serde(flatten)]
    upload: Option<ResolvedUpload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    env: IndexMap<&'r str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_timeout: Option<String>,
    allow_failure: bool,
    always: bool,
}

#[derive(Serialize)]
struct ResolvedUpload {
    upload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Run {
    Script(String),
    Program(Vec<String>),
}

impl<'r> From<&'r Recipe> for Resolved<'r> {
    fn from(recipe: &'r Recipe) -> Self {
        let uses = DeferredUses { jobs: recipe.uses_jobs, needs: recipe.uses_needs };
        Self {
            version: 1,
            package: &recipe.package,
            tags: escaped_list(&recipe.tags),
            source: recipe.source.as_ref().map(source),
            context: context(&recipe.context, uses),
            needs: recipe.needs.iter().map(need).collect(),
            outputs: recipe
                .outputs
                .iter()
                .map(|(name, path)| (name.as_str(), escape(&path.display().to_string())))
                .collect(),
            matrix: recipe.cell.iter().map(|(axis, value)| (axis.as_str(), [value.as_str()])).collect(),
            weight: match recipe.weight {
                Weight::Slots(NonZeroUsize::MIN) => None,
                Weight::Slots(slots) => Some(ResolvedWeight::Slots(slots.get())),
                Weight::All => Some(ResolvedWeight::Word("all")),
            },
            memory: recipe.memory.map(|bytes| format!("{bytes}B")),
            locks: escaped_list(&recipe.locks),
            jobserver: recipe.jobserver,
            environment_from: recipe.environment_from,
            private: private(recipe),
            tools: escaped_list(&recipe.tools),
            watch: Watch {
                include: escaped_list(&recipe.watch.include),
                exclude: escaped_list(&recipe.watch.exclude),
            },
            force_every: recipe.force_every.map(duration::print),
            variables: escaped(&recipe.variables, uses),
            environment: escaped(&recipe.environment, uses),
            timeout: duration::print(recipe.timeout),
            expect: recipe.expect.map(duration::print),
            secrets: &recipe.secrets,
            steps: recipe.steps.iter().filter_map(|of| step(of, uses)).collect(),
        }
    }
}

fn source(source: &SourceSpec) -> ResolvedSource {
    let url = |url: &pony_contexts::Url| Some(escape(&url.to_string()));
    let folder =
        |dir: &Option<std::path::PathBuf>| dir.as_ref().map(|dir| escape(&dir.display().to_string()));
    let name = |dir: &Option<String>| dir.as_ref().map(|dir| escape(dir));
    match source {
        SourceSpec::Path(PathSpec { dir, gitignore }) => ResolvedSource {
            path: Some(escape(&dir.display().to_string())),
            gitignore: Some(*gitignore),
            ..Default::default()
        },
        SourceSpec::Svn(wanted) => ResolvedSource {
            svn: url(&wanted.url),
            revision: wanted.revision.clone(),
            subdir: folder(&wanted.subdir),
            dir: name(&wanted.dir),
            ..Default::default()
        },
        SourceSpec::Archive(ArchiveSpec { url: from, sha256, subdir, dir }) => ResolvedSource {
            archive: url(from),
            sha256: sha256.clone(),
            subdir: folder(subdir),
            dir: name(dir),
            ..Default::default()
        },
        SourceSpec::Hg(HgSpec { url: from, revision, subdir, dir }) => {
            ResolvedSource { hg: url(from), subdir: folder(subdir), dir: name(dir), ..wanted(revision) }
        }
        SourceSpec::Git(GitSpec { url: from, revision, submodules, subdir, dir }) => ResolvedSource {
            git: url(from),
            submodules: Some(*submodules),
            subdir: folder(subdir),
            dir: name(dir),
            ..wanted(revision)
        },
    }
}

fn wanted(want: &RevisionSpec) -> ResolvedSource {
    let mut resolved = ResolvedSource::default();
    match want {
        RevisionSpec::Default => {}
        RevisionSpec::Branch(name) => resolved.branch = Some(escape(name)),
        RevisionSpec::Tag(name) => resolved.tag = Some(escape(name)),
        RevisionSpec::Revision(id) => resolved.revision = Some(id.clone()),
    }
    resolved
}

fn need(need: &Need) -> ResolvedNeed<'_> {
    ResolvedNeed {
        recipe: escape(&need.recipe.display().to_string()),
        r#as: &need.name,
        with: need.with.iter().map(|(name, value)| (name.as_str(), escape(value))).collect(),
        without: needs::words(&need.except),
    }
}

fn context(context: &Context, uses: DeferredUses) -> ResolvedContext {
    match context {
        Context::Tempdir => ResolvedContext::Word("tempdir"),
        Context::Here => ResolvedContext::Word("here"),
        Context::Directory(dir) => {
            ResolvedContext::Directory { directory: escape(&dir.display().to_string()) }
        }
        Context::Virtualenv(VirtualenvSpec {
            python,
            requirements,
            optional,
            system_site_packages,
            installer,
        }) => {
            let bare = |list: &[String]| {
                list.iter().map(|text| escape_text(&without_credentials(text), uses)).collect::<Vec<_>>()
            };
            ResolvedContext::Virtualenv {
                virtualenv: ResolvedVirtualenv {
                    python: python.as_deref().map(escape),
                    requirements: bare(requirements),
                    optional: bare(optional),
                    system_site_packages: *system_site_packages,
                    installer: installer.map(Installer::name),
                },
            }
        }
    }
}

fn private(recipe: &Recipe) -> Vec<&'static str> {
    let named = [("home", recipe.private.home), ("tmp", recipe.private.tmp)];
    named.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
}

fn escaped_list(list: &[String]) -> Vec<String> {
    list.iter().map(|text| escape(text)).collect()
}

/// `None` for the step that checks outputs: loading adds it again.
fn step(step: &super::Step, uses: DeferredUses) -> Option<ResolvedStep<'_>> {
    let (run, upload) = match &step.action {
        Action::Script(script) => (Some(Run::Script(escape_text(script, uses))), None),
        Action::Program(program) => {
            let program = program.iter().map(|argument| escape_text(argument, uses));
            (Some(Run::Program(program.collect())), None)
        }
        Action::Upload(Upload { glob, name, visible, description }) => {
            let upload = ResolvedUpload {
                upload: escape(glob),
                r#as: name.text().map(escape),
                visible: (!visible).then_some(false),
                description: description.as_ref().map(|text| escape_text(text, uses)),
            };
            (None, Some(upload))
        }
        Action::Outputs(_) => return None,
    };
    // An upload step has no time limits of its own.
    let quiet_timeout = run.is_some().then(|| duration::print(step.quiet_timeout));
    Some(ResolvedStep {
        name: &step.name,
        r#type: step.kind,
        run,
        upload,
        cwd: step.cwd.as_ref().map(|cwd| escape(&cwd.display().to_string())),
        env: escaped(&step.environment, uses),
        timeout: step.timeout.map(duration::print),
        quiet_timeout,
        allow_failure: step.allow_failure,
        always: step.always,
    })
}

fn escaped(map: &IndexMap<String, String>, uses: DeferredUses) -> IndexMap<&str, String> {
    map.iter().map(|(name, value)| (name.as_str(), escape_text(value, uses))).collect()
}

fn escape_text(text: &str, uses: DeferredUses) -> String {
    escape_except(text, |text| deferred_name(text, uses))
}
