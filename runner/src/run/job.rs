//! What is to be built, fully resolved: everything that a run needs to know before it begins.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use jiff::Timestamp;
use pony_contexts::{
    ArchiveSpec, ClientInfo, ContextRequest, EarlierRevisions, GitSpec, HgSpec, InfoValue, Network, PathSpec,
    SourceSpec, Stage, SvnSpec, VirtualenvSpec, WorkingDir,
    cache::outputs::OutputsManifest,
    chain::{DependencyOutputs, EnvironmentUse},
};

use crate::{
    inputs::Ingredients,
    process::{group::MARK, spawn::Environment},
    recipe::{self, Action, Context, DEFAULT_QUIET_TIMEOUT, Recipe, Step, StepKind},
    record::{NeedRecord, Outcome, event::StepHead},
    run::supervisor::Limits,
    slots::Memory,
};

/// When the tempdir is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Keep {
    /// Never.
    Never,
    /// When a step failed or ran out of time.
    #[default]
    Failure,
    /// Always.
    Always,
}

impl Keep {
    /// Whether the tempdir of a run that ended like this is kept.
    pub fn keeps(self, outcome: Outcome) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Failure => matches!(outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Quiet),
        }
    }
}

/// What a build has to do with others.
#[derive(Debug, Clone, Default)]
pub struct Among {
    /// Carried by the results of all of them; none for a build by itself.
    pub chain: Option<String>,
    /// Those that it needs.
    pub needs: Vec<NeedRecord>,
    /// What stands for each of them, by what it is called here.
    pub contents: BTreeMap<String, Option<String>>,
    /// What they hand on, and those that they need: the nearest first.
    pub handed: Vec<DependencyOutputs>,
    /// What is known of the context beforehand, where what it makes shall be found again by those that need it.
    pub kept_for: Option<ClientInfo>,
    /// What makes are told of the jobserver that they share.
    pub makeflags: Option<OsString>,
}

/// One build.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to do.
    pub recipe: Recipe,
    /// The recipe's tags and those of the command line.
    pub tags: Vec<String>,
    /// Unique; also the run folder's name.
    pub run_id: String,
    /// This machine.
    pub facts: recipe::PlatformFacts,
    /// Its name among the builds that were begun together.
    pub name: String,
    /// Its place among them.
    pub among: Among,
    /// The recipe as a recipe again, with what is known only when it begins by name: it is the same one wherever outputs of needs lie.
    pub planned: String,
    /// What is reported of this machine and its environment.
    pub reported: BTreeMap<String, InfoValue>,
    /// What the build is made from, besides the code.
    pub made_from: Ingredients,
    /// What pony-run was started in: what contexts see, which need the person's own settings.
    pub inherited: Environment,
    /// What of it steps see.
    pub environment: Environment,
    /// The folder that the recipe lies in.
    pub recipe_dir: PathBuf,
    /// How to deal with what lies beyond this machine.
    pub network: Network,
    /// The tempdir that the context makes, if it makes one.
    pub tempdir: PathBuf,
    /// Where mirrors are kept.
    pub cache: PathBuf,
    /// What was built before in this slot; see [`Job::recall`].
    pub since: EarlierRevisions,
    /// Seconds that each step took last time.
    pub usual: BTreeMap<String, f64>,
    /// When the tempdir is kept.
    pub keep: Keep,
    /// Servers that shall have the result: a URL without credentials, or `embedded`.
    pub deliver_to: Vec<String>,
}

impl Job {
    /// What the result is filed under.
    pub fn slot(&self) -> pony_wire::Slot {
        pony_wire::Slot {
            package: self.recipe.package.clone(),
            host: self.facts.host.clone(),
            arch: self.facts.arch.clone(),
            tags: self.tags.clone(),
        }
    }

    /// How many steps there are before the recipe's own: those of the context.
    pub fn offset(&self) -> usize {
        self.request().stages().count()
    }

    /// The steps as they are announced, those of the context first.
    pub fn heads(&self) -> Vec<StepHead> {
        let head = |name: &str, kind, command| StepHead {
            name: name.to_owned(),
            kind,
            command,
            usual: self.usual.get(name).copied(),
        };
        let request = self.request();
        let stages = request.stages().map(|stage| {
            let line = match stage {
                Stage::Checkout => request.source.as_ref().map(source_line),
                Stage::Virtualenv => request.virtualenv.as_ref().map(virtualenv_line),
            };
            head(stage.name(), StepKind::Setup, line.unwrap_or_default())
        });
        let steps =
            self.recipe.steps.iter().map(|step| head(&step.name, step.kind, command_line(&step.action)));
        stages.chain(steps).collect()
    }

    /// What every child of this run carries in its environment, as `NAME=value`.
    pub fn mark(&self) -> String {
        format!("{MARK}={}", self.run_id)
    }

    /// What the context is asked for.
    pub fn request(&self) -> ContextRequest {
        ContextRequest {
            home: self.inherited.get(&OsString::from("HOME")).map(PathBuf::from),
            recipe_dir: self.recipe_dir.clone(),
            cache: self.cache.clone(),
            tempdir: self.tempdir.clone(),
            path: match self.recipe.environment.get("PATH") {
                Some(path) => path.into(),
                None => self.environment.get(&OsString::from("PATH")).cloned().unwrap_or_default(),
            },
            source: self.recipe.source.clone(),
            working_dir: match &self.recipe.context {
                Context::Tempdir | Context::Virtualenv(_) => WorkingDir::Tempdir,
                Context::Here => WorkingDir::Here,
                Context::Directory(dir) => WorkingDir::Directory(dir.clone()),
            },
            virtualenv: match &self.recipe.context {
                Context::Virtualenv(wanted) => Some(wanted.clone()),
                Context::Tempdir | Context::Here | Context::Directory(_) => None,
            },
            dependencies: self.among.handed.clone(),
            search: EnvironmentUse::variables()
                .filter_map(|name| {
                    Some((name.to_owned(), self.environment.get(&OsString::from(name))?.clone()))
                })
                .collect(),
            private_dirs: self.recipe.private,
            tools: self.recipe.tools.clone(),
            earlier: self.since.clone(),
            network: self.network.clone(),
        }
    }

    /// How long a step may take.
    pub fn limits(step: &Step) -> Limits {
        Limits { total: step.timeout, quiet: Some(step.quiet_timeout) }
    }

    /// How long a command of a context may take: only the time of the run limits it, and its quiet timeout.
    pub fn context_limits(quiet_timeout: Option<Duration>) -> Limits {
        Limits { total: None, quiet: Some(quiet_timeout.unwrap_or(DEFAULT_QUIET_TIMEOUT)) }
    }

    /// What the commands of a context see. What brings the source needs all that the person has set up for it; what
    /// fills a virtualenv may run code of the source, and sees what steps see.
    pub fn environment_of(&self, stage: Option<Stage>) -> Environment {
        let mut env = match stage {
            Some(Stage::Checkout) => self.inherited.clone(),
            Some(Stage::Virtualenv) | None => {
                let mut env = self.environment.clone();
                let recipe = &self.recipe.environment;
                env.extend(recipe.iter().map(|(name, value)| (name.into(), value.into())));
                env
            }
        };
        env.remove(&OsString::from("OLDPWD"));
        env.insert(MARK.into(), self.run_id.clone().into());
        env
    }

    /// What is to be known of what it hands on: of the code at `tip`, of this `revision`. Nothing if nobody asks for it.
    pub fn manifest(
        &self,
        tip: Option<&str>,
        revision: Option<&str>,
        ended: Timestamp,
    ) -> Option<OutputsManifest> {
        let facts = self.among.kept_for.as_ref()?;
        // Where there is no telling what was built, it serves those that were begun with it, and is never found again.
        let runs = self.among.needs.iter().map(|need| need.run_id.as_str());
        let key = self.content(tip, facts).map_or_else(
            || Ingredients::of_nothing_else(&self.run_id),
            |content| Ingredients::key(&content, runs),
        );
        Some(OutputsManifest {
            key,
            name: self.name.clone(),
            package: self.recipe.package.clone(),
            run_id: self.run_id.clone(),
            revision: revision.map(str::to_owned),
            ended: ended.to_string(),
            outputs: BTreeMap::new(),
            bytes: 0,
        })
    }

    /// What stands for a build of the code at `tip` in a context of these `facts`; nothing if that cannot be told.
    pub fn content(&self, tip: Option<&str>, facts: &ClientInfo) -> Option<String> {
        content(&self.made_from, self.recipe.source.as_ref(), tip, facts)
    }

    /// Takes up what is remembered of earlier runs of the slot.
    pub fn recall(&mut self, memory: &Memory) {
        self.since = memory.since();
        self.usual.clone_from(&memory.durations);
    }

    /// What a step sees: its share of what pony-run was started in, then ours. `overlay` comes on top (`None` removes).
    pub fn environment<'o, I>(&self, cwd: &std::path::Path, overlay: I) -> Environment
    where
        I: IntoIterator<Item = (&'o str, Option<OsString>)>,
    {
        let mut env = self.environment.clone();
        // Stale otherwise: programs trust it to say where they are.
        env.insert("PWD".into(), cwd.into());
        // Into a pipe, Python would keep its output back until it ends; a build is watched live.
        env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
        for (name, value) in overlay {
            match value {
                Some(value) => env.insert(name.into(), value),
                None => env.remove(&OsString::from(name)),
            };
        }
        // Last: without it, what a build leaves running would not be found.
        env.insert(MARK.into(), self.run_id.clone().into());
        env
    }
}

/// What stands for a build that is made from this.
pub fn content(
    made_from: &Ingredients,
    source: Option<&SourceSpec>,
    tip: Option<&str>,
    facts: &ClientInfo,
) -> Option<String> {
    let tip = match source {
        None => None,
        Some(source) => Some(source.pinned().or(tip)?),
    };
    made_from.content(tip, facts)
}

/// Program and arguments of a step; nothing for one that runs no program.
pub fn argv(action: &Action) -> Option<Vec<OsString>> {
    match action {
        Action::Script(script) => Some(["sh", "-e", "-c", script].map(OsString::from).to_vec()),
        Action::Program(argv) => Some(argv.iter().map(OsString::from).collect()),
        Action::Upload(_) | Action::Outputs(_) => None,
    }
}

/// A step's action as one text: what results carry as `command`.
pub fn command_line(action: &Action) -> String {
    match action {
        Action::Script(script) => script.clone(),
        Action::Program(argv) => quoted(argv),
        Action::Upload(upload) => format!("upload {}", upload.glob),
        Action::Outputs(outputs) => {
            let named = outputs.iter().map(|(name, path)| format!("{name}={}", path.display()));
            format!("outputs {}", quoted(&named.collect::<Vec<_>>()))
        }
    }
}

/// Words as one line that a shell would split into them again.
pub fn quoted<S: AsRef<str>>(words: &[S]) -> String {
    let quote = |word: &str| {
        let plain = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+=.,:/@%^".contains(&byte));
        if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A source as one line for people.
pub fn source_line(source: &SourceSpec) -> String {
    let line = |kind: &str, url: &pony_contexts::Url, named: Option<(&str, &str)>| match named {
        None => format!("{kind} {url}"),
        Some((what, name)) => format!("{kind} {url} {what} {name}"),
    };
    match source {
        SourceSpec::Git(GitSpec { url, revision, .. }) => line("git", url, revision.named()),
        SourceSpec::Hg(HgSpec { url, revision, .. }) => line("hg", url, revision.named()),
        SourceSpec::Svn(SvnSpec { url, revision, .. }) => {
            line("svn", url, revision.as_deref().map(|revision| ("revision", revision)))
        }
        SourceSpec::Archive(ArchiveSpec { url, .. }) => line("archive", url, None),
        SourceSpec::Path(PathSpec { dir, .. }) => format!("path {}", dir.display()),
    }
}

fn virtualenv_line(wanted: &VirtualenvSpec) -> String {
    let python = wanted.python.as_deref().unwrap_or("python3");
    let required = wanted.requirements.iter().map(String::as_str);
    let optional = wanted.optional.iter().map(String::as_str);
    let words: Vec<&str> = std::iter::once(python).chain(required).chain(optional).collect();
    format!("virtualenv {}", quoted(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_as_a_shell_would_take_it() {
        assert_eq!(
            quoted(&["make", "-j4", "CFLAGS=-O2 -g", "it's", ""]),
            r"make -j4 'CFLAGS=-O2 -g' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_tempdir_is_kept_where_there_is_something_to_look_at() {
        assert!(Keep::Failure.keeps(Outcome::Quiet) && !Keep::Failure.keeps(Outcome::Passed));
        assert!(!Keep::Failure.keeps(Outcome::Cancelled) && !Keep::Never.keeps(Outcome::Failed));
        assert!(Keep::Always.keeps(Outcome::Passed));
    }
}
