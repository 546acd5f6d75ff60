//! A resolved recipe written as a recipe again, for the run folder.

use indexmap::IndexMap;
use serde::Serialize;

use super::{
    Action, Context, Recipe, Source, StepKind, Want, credentials::without_credentials, duration,
    template::escape,
};

/// YAML that loads to the same recipe.
pub(super) fn yaml(recipe: &Recipe) -> String {
    // Writing text and maps of text to a string has no way to fail.
    serde_saphyr::to_string(&Resolved::from(recipe)).unwrap_or_default()
}

#[derive(Serialize)]
struct Resolved<'r> {
    version: u8,
    package: &'r str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<ResolvedSource>,
    context: Context,
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

#[derive(Serialize, Default)]
struct ResolvedSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
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
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ResolvedStep<'r> {
    name: &'r str,
    r#type: StepKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
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
#[serde(untagged)]
enum Run {
    Script(String),
    Program(Vec<String>),
}

impl<'r> From<&'r Recipe> for Resolved<'r> {
    fn from(recipe: &'r Recipe) -> Self {
        Self {
            version: 1,
            package: &recipe.package,
            tags: recipe.tags.iter().map(|tag| escape(tag)).collect(),
            source: recipe.source.as_ref().map(source),
            context: recipe.context,
            variables: escaped(&recipe.variables),
            environment: escaped(&recipe.environment),
            timeout: duration::print(recipe.timeout),
            expect: recipe.expect.map(duration::print),
            secrets: &recipe.secrets,
            steps: recipe.steps.iter().map(step).collect(),
        }
    }
}

fn source(source: &Source) -> ResolvedSource {
    match source {
        Source::Path { dir } => {
            ResolvedSource { path: Some(escape(&dir.display().to_string())), ..Default::default() }
        }
        Source::Git { url, want, submodules, subdir } => {
            let mut resolved = ResolvedSource {
                git: Some(escape(&without_credentials(url))),
                submodules: Some(*submodules),
                subdir: subdir.as_ref().map(|subdir| escape(&subdir.display().to_string())),
                ..Default::default()
            };
            match want {
                Want::Default => {}
                Want::Branch(name) => resolved.branch = Some(escape(name)),
                Want::Tag(name) => resolved.tag = Some(escape(name)),
                Want::Revision(hash) => resolved.revision = Some(hash.clone()),
            }
            resolved
        }
    }
}

fn step(step: &super::Step) -> ResolvedStep<'_> {
    let (run, upload, description) = match &step.action {
        Action::Script(script) => (Some(Run::Script(escape(script))), None, None),
        Action::Program(program) => {
            (Some(Run::Program(program.iter().map(|argument| escape(argument)).collect())), None, None)
        }
        Action::Upload { glob, description } => {
            (None, Some(escape(glob)), description.as_ref().map(|description| escape(description)))
        }
    };
    // An upload takes no time limits of its own, so none are written for it.
    let quiet_timeout = run.is_some().then(|| duration::print(step.quiet_timeout));
    ResolvedStep {
        name: &step.name,
        r#type: step.kind,
        run,
        upload,
        description,
        cwd: step.cwd.as_ref().map(|cwd| escape(&cwd.display().to_string())),
        env: escaped(&step.environment),
        timeout: step.timeout.map(duration::print),
        quiet_timeout,
        allow_failure: step.allow_failure,
        always: step.always,
    }
}

fn escaped(map: &IndexMap<String, String>) -> IndexMap<&str, String> {
    map.iter().map(|(name, value)| (name.as_str(), escape(value))).collect()
}
