//! What is to be built, fully resolved: everything that a run needs to know before it begins.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use pony_contexts::{Place, Request, Since, Source, git::Want};

use crate::{
    event::StepHead,
    recipe::{Action, Context, Facts, Recipe, Step, StepKind},
    record::Outcome,
    run::{unit::Environment, watch::Limits},
};

/// The environment variable that marks a run's processes: what is left of them is found by it.
pub const MARK: &str = "PONY_RUN_ID";
/// Name of the step that a source makes.
pub const CHECKOUT: &str = "checkout";

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
    pub facts: Facts,
    /// What the children inherit.
    pub inherited: Environment,
    /// The folder that the recipe lies in.
    pub recipe_dir: PathBuf,
    /// Where the source comes from.
    pub source: Option<Source>,
    /// The tempdir that the context makes, if it makes one.
    pub tempdir: PathBuf,
    /// Where mirrors are kept.
    pub cache: PathBuf,
    /// What was built before in this slot.
    pub since: Since,
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

    /// How many steps there are before the recipe's own: 1 with a source, else 0.
    pub fn offset(&self) -> usize {
        usize::from(self.source.is_some())
    }

    /// The steps as they are announced, the checkout first.
    pub fn heads(&self) -> Vec<StepHead> {
        let head = |name: &str, kind, command| StepHead {
            name: name.to_owned(),
            kind,
            command,
            usual: self.usual.get(name).copied(),
        };
        let checkout = self.source.iter().map(|source| head(CHECKOUT, StepKind::Setup, source_line(source)));
        let steps =
            self.recipe.steps.iter().map(|step| head(&step.name, step.kind, command_line(&step.action)));
        checkout.chain(steps).collect()
    }

    /// What every child of this run carries in its environment, as `NAME=value`.
    pub fn mark(&self) -> String {
        format!("{MARK}={}", self.run_id)
    }

    /// What the context is asked for.
    pub fn request(&self) -> Request {
        Request {
            home: self.inherited.get(&OsString::from("HOME")).map(PathBuf::from),
            recipe_dir: self.recipe_dir.clone(),
            cache: self.cache.clone(),
            tempdir: self.tempdir.clone(),
            source: self.source.clone(),
            place: match self.recipe.context {
                Context::Tempdir => Place::Tempdir,
                Context::Here => Place::Here,
            },
            since: self.since.clone(),
        }
    }

    /// How long a step may take.
    pub fn limits(step: &Step) -> Limits {
        Limits { total: step.timeout, quiet: Some(step.quiet_timeout) }
    }

    /// How long a command of a context may take: only the run's time bounds it, and silence.
    pub fn context_limits() -> Limits {
        Limits { total: None, quiet: Some(Duration::from_mins(20)) }
    }

    /// What every child of this run sees: the inherited environment, then ours. `overlay` comes on top (`None` removes).
    pub fn environment<'o, I>(&self, cwd: &std::path::Path, overlay: I) -> Environment
    where
        I: IntoIterator<Item = (&'o str, Option<OsString>)>,
    {
        let mut env = self.inherited.clone();
        // Stale otherwise: programs trust it to say where they are.
        env.insert("PWD".into(), cwd.into());
        env.remove(&OsString::from("OLDPWD"));
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

/// Program and arguments of a step; nothing for one that runs no program.
pub fn argv(action: &Action) -> Option<Vec<OsString>> {
    match action {
        Action::Script(script) => Some(["sh", "-e", "-c", script].map(OsString::from).to_vec()),
        Action::Program(argv) => Some(argv.iter().map(OsString::from).collect()),
        Action::Upload { .. } => None,
    }
}

/// A step's action as one text: what results carry as `command`.
pub fn command_line(action: &Action) -> String {
    match action {
        Action::Script(script) => script.clone(),
        Action::Program(argv) => quoted(argv),
        Action::Upload { glob, .. } => format!("upload {glob}"),
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

fn source_line(source: &Source) -> String {
    match source {
        Source::Git(wanted) => match &wanted.want {
            Want::Default => format!("git {}", wanted.url),
            Want::Branch(name) => format!("git {} branch {name}", wanted.url),
            Want::Tag(name) => format!("git {} tag {name}", wanted.url),
            Want::Revision(id) => format!("git {} revision {id}", wanted.url),
        },
        Source::Path { dir } => format!("path {}", dir.display()),
    }
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
