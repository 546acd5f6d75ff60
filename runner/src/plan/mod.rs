//! From the graph and the command line to builds that can run: each is planned once, before anything runs. Pure but for the random
//! part of run ids.

pub mod decision;
pub mod if_needed;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use pony_contexts::{EarlierRevisions, Network, SourceSpec, Url, cache::outputs};
use pony_wire::Slot;

use crate::{
    environment::{self, of_steps},
    exit::Exit,
    graph::{Graph, GraphNode},
    inputs::Ingredients,
    platform::Machine,
    process::spawn::Environment,
    random,
    recipe::{self, Context, DeferredValues, Diagnostics, EnvironmentFrom, Recipe},
    record::folder,
    redactor::{self, Redactor},
    run::{Among, Job, Keep},
};

/// What all builds of one pony-run are planned in.
#[derive(Debug)]
pub struct PlanContext {
    /// The cache of sources and outputs.
    pub cache: PathBuf,
    /// Where tempdirs are made.
    pub temp_root: PathBuf,
    /// Our own environment.
    pub environment: Environment,
    /// Where all this happens.
    pub machine: Machine,
    /// How to deal with what lies beyond this machine.
    pub network: Network,
    /// `--python`, for requested builds.
    pub python: Option<String>,
    /// `--tag`, for requested builds.
    pub tags: Vec<String>,
    /// When tempdirs are kept.
    pub keep: Keep,
    /// Names of the servers that get the results.
    pub deliver_to: Vec<String>,
    /// Passwords of servers.
    pub secrets: Vec<String>,
}

/// All builds of one pony-run.
#[derive(Debug)]
pub struct Plan {
    /// What they are planned in.
    pub context: PlanContext,
    /// What needs what. Names hold no secrets.
    pub graph: Graph,
    /// One a build of the graph.
    builds: Vec<PlannedBuild>,
}

/// What is known of a build before anything runs.
#[derive(Debug)]
struct PlannedBuild {
    tags: Vec<String>,
    /// The recipe as a recipe again, with deferred values by name: where needs lie and how many jobs there are makes no other build.
    resolved: String,
    /// What of the inputs is known already: all but the needs.
    inputs: Ingredients,
    /// What its steps see of our environment.
    environment: Arc<Environment>,
    redactor: Redactor,
}

/// A build that can begin.
#[derive(Debug)]
pub struct ReadyBuild {
    /// What to do.
    pub job: Job,
    /// What must never be shown.
    pub redactor: Redactor,
}

/// Why a recipe that is valid cannot be run as requested.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A secret is not set.
    #[error("{}: the secret `{name}` is not in the environment; set it, if only to nothing: `{name}=`", recipe.display())]
    NoSecret {
        /// Which recipe.
        recipe: PathBuf,
        /// Which variable.
        name: String,
    },
    /// A secret cannot be redacted.
    #[error("{}: the secret `{name}` {why}", recipe.display())]
    BadSecret {
        /// Which recipe.
        recipe: PathBuf,
        /// Which variable.
        name: String,
        /// What is wrong with its value.
        why: String,
    },
    /// The secrets are too large to be looked for.
    #[error("the secrets cannot be redacted: {0}")]
    Redactor(#[from] aho_corasick::BuildError),
    /// `--python` for a recipe without a virtualenv.
    #[error("{}: --python chooses the interpreter of a virtualenv, and this recipe has none", recipe.display())]
    NoVirtualenv {
        /// Which recipe.
        recipe: PathBuf,
    },
    /// A tag of the command line cannot be one.
    #[error("`{0}` cannot be a tag: it is empty, begins with `__` or holds a control character")]
    BadTag(String),
}

impl PlanError {
    /// What `pony-run` ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSecret { .. }
            | Self::BadSecret { .. }
            | Self::Redactor(_)
            | Self::NoVirtualenv { .. }
            | Self::BadTag(_) => Exit::Usage,
        }
    }
}

impl Plan {
    /// Plans every build of the graph.
    ///
    /// # Errors
    /// The first build that cannot run as requested.
    pub fn new(mut graph: Graph, context: PlanContext) -> Result<Self, PlanError> {
        let mut environments = Environments { inherited: &context.environment, known: Vec::new() };
        let mut builds = Vec::with_capacity(graph.builds.len());
        for node in &mut graph.builds {
            let build = PlannedBuild::new(node, &context, &mut environments)?;
            // Settings are part of names, and may be secrets.
            node.name = build.redactor.text(&node.name).into_owned();
            builds.push(build);
        }
        Ok(Self { context, graph, builds })
    }

    /// What the results of a build are filed under.
    pub fn slot(&self, index: usize) -> Slot {
        let recipe::PlatformFacts { host, arch, .. } = &self.context.machine.facts;
        Slot {
            package: self.graph.builds[index].recipe.package.clone(),
            host: host.clone(),
            arch: arch.clone(),
            tags: self.builds[index].tags.clone(),
        }
    }

    /// A build as far as it is known before its needs are built.
    pub fn job(&self, index: usize, now: Timestamp) -> ReadyBuild {
        self.ready(index, self.graph.builds[index].recipe.clone(), Among::default(), now)
    }

    /// A build that begins now, with values for what is deferred until then.
    ///
    /// # Errors
    /// A recipe that these values do not fit.
    pub fn begin(
        &self,
        index: usize,
        deferred: &DeferredValues,
        among: Among,
        now: Timestamp,
    ) -> Result<ReadyBuild, Diagnostics> {
        let node = &self.graph.builds[index];
        let mut recipe = if node.recipe.uses_jobs || node.recipe.uses_needs {
            node.with_deferred(&self.context.machine.facts, deferred)?
        } else {
            node.recipe.clone()
        };
        // The recipe may have been read a second time; whether it has a virtualenv is known by now.
        let _ = choose_python(&mut recipe, self.context.python_for(node));
        Ok(self.ready(index, recipe, among, now))
    }

    fn ready(&self, index: usize, recipe: Recipe, mut among: Among, now: Timestamp) -> ReadyBuild {
        let Self { context, graph, builds } = self;
        let (node, build) = (&graph.builds[index], &builds[index]);
        let run_id = folder::new_run_id(now, random::number());
        let tempdir = if recipe.outputs.is_empty() {
            context.temp_root.join(format!("pony-{}-{run_id}", folder::slug(&node.name)))
        } else {
            // Outputs stay where they were built.
            outputs::workspace(&context.cache, &node.name, &run_id)
        };
        let recipe_dir = std::path::absolute(&recipe.path)
            .ok()
            .and_then(|path| path.parent().map(Path::to_path_buf))
            .unwrap_or_else(|| PathBuf::from("."));
        let mut reported = context.machine.reported.clone();
        let (names, values) = environment::report(&build.environment);
        reported.insert("environment".to_owned(), names.into());
        reported.insert("environment_values".to_owned(), values.into());
        let needs = std::mem::take(&mut among.contents);
        let job = Job {
            name: node.name.clone(),
            among,
            tags: build.tags.clone(),
            run_id,
            planned: build.resolved.clone(),
            made_from: Ingredients { needs, ..build.inputs.clone() },
            facts: context.machine.facts.clone(),
            reported,
            inherited: context.environment.clone(),
            environment: Environment::clone(&build.environment),
            network: context.network.clone(),
            tempdir,
            recipe_dir,
            cache: context.cache.clone(),
            since: EarlierRevisions::default(),
            usual: BTreeMap::new(),
            keep: context.keep,
            deliver_to: context.deliver_to.clone(),
            recipe,
        };
        ReadyBuild { job, redactor: build.redactor.clone() }
    }
}

impl PlanContext {
    fn python_for(&self, node: &GraphNode) -> Option<&str> {
        self.python.as_deref().filter(|_| node.requested)
    }
}

impl PlannedBuild {
    fn new(
        node: &mut GraphNode,
        context: &PlanContext,
        environments: &mut Environments<'_>,
    ) -> Result<Self, PlanError> {
        let mut secrets = secrets(&node.recipe, &context.environment)?;
        secrets.extend(node.recipe.source.iter().filter_map(SourceSpec::url).flat_map(Url::secrets));
        let python = context.python_for(node);
        choose_python(&mut node.recipe, python)?;
        let recipe = &node.recipe;
        if let Context::Virtualenv(wanted) = &recipe.context {
            secrets.extend(wanted.secrets());
        }
        secrets.extend(context.secrets.iter().cloned());
        let resolved = recipe.resolved_yaml();
        Ok(Self {
            tags: tags(recipe, if node.requested { &context.tags } else { &[] })?,
            inputs: Ingredients::new(&resolved, context.machine.platform()),
            resolved,
            environment: environments.of(recipe),
            redactor: Redactor::new(secrets)?,
        })
    }
}

/// What steps see of our environment: the same for most recipes, and worked out once for all of those.
struct Environments<'e> {
    inherited: &'e Environment,
    known: Vec<(EnvironmentFrom, Vec<String>, Arc<Environment>)>,
}

impl Environments<'_> {
    fn of(&mut self, recipe: &Recipe) -> Arc<Environment> {
        let Recipe { environment_from: from, secrets, .. } = recipe;
        if let Some((.., known)) = self.known.iter().find(|known| (&known.0, &known.1) == (from, secrets)) {
            return Arc::clone(known);
        }
        let environment = Arc::new(of_steps(self.inherited, *from, secrets));
        self.known.push((*from, secrets.clone(), Arc::clone(&environment)));
        environment
    }
}

fn choose_python(recipe: &mut Recipe, python: Option<&str>) -> Result<(), PlanError> {
    let Some(python) = python else { return Ok(()) };
    let Context::Virtualenv(wanted) = &mut recipe.context else {
        return Err(PlanError::NoVirtualenv { recipe: recipe.path.clone() });
    };
    wanted.python = Some(python.to_owned());
    Ok(())
}

fn secrets(recipe: &Recipe, environment: &Environment) -> Result<Vec<String>, PlanError> {
    let value = |name: &String| {
        let bad = |why: String| PlanError::BadSecret { recipe: recipe.path.clone(), name: name.clone(), why };
        let value = environment.get(&OsString::from(name));
        let value =
            value.ok_or_else(|| PlanError::NoSecret { recipe: recipe.path.clone(), name: name.clone() })?;
        let value = value.to_str().ok_or_else(|| bad("is not UTF-8 text".to_owned()))?;
        if (1..redactor::SHORTEST).contains(&value.trim().len()) {
            let least = redactor::SHORTEST;
            return Err(bad(format!("is shorter than {least} bytes: redacting it would garble every log")));
        }
        Ok(value.to_owned())
    };
    recipe.secrets.iter().map(value).collect()
}

/// The recipe's tags and those of the command line.
pub(crate) fn tags(recipe: &Recipe, more: &[String]) -> Result<Vec<String>, PlanError> {
    let mut tags = recipe.tags.clone();
    for tag in more {
        let tag = tag.trim();
        // Entries that begin with `__` are the protocol's own.
        if tag.is_empty() || tag.starts_with("__") || tag.contains(char::is_control) {
            return Err(PlanError::BadTag(tag.to_owned()));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::graph;

    fn context() -> PlanContext {
        let environment = [("PATH", "/bin"), ("TOKEN", "sesame"), ("PIN", "12"), ("MAKEFLAGS", "-k")];
        PlanContext {
            cache: "/home/cache".into(),
            temp_root: "/tmp".into(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
            machine: Machine::look(),
            network: Network::default(),
            python: None,
            tags: Vec::new(),
            keep: Keep::default(),
            deliver_to: vec!["embedded".to_owned()],
            secrets: Vec::new(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn options_are_for_requested_builds_alone() {
        let recipes = [("zlib", "tags: [a]"), ("app", "needs: [zlib]\ntags: [a]")];
        let plan =
            Plan::new(graph(&recipes), PlanContext { tags: vec!["b".into(), "a".into()], ..context() });
        let plan = plan.unwrap();
        assert_eq!(
            (plan.slot(0).tags, plan.slot(1).tags),
            (vec!["a".into()], vec!["a".into(), "b".to_owned()])
        );
    }

    #[test]
    fn what_cannot_be_run_as_requested() {
        let with = |tag: &str, python: Option<&str>| PlanContext {
            tags: vec![tag.to_owned()],
            python: python.map(str::to_owned),
            ..context()
        };
        for (more, context, expected) in [
            ("", with("__host=x", None), "`__host=x` cannot be a tag"),
            ("", with(" ", None), "`` cannot be a tag"),
            ("", with("a", Some("3.13")), "--python chooses the interpreter of a virtualenv"),
            ("secrets: [NONE]", with("a", None), "the secret `NONE` is not in the environment"),
            ("secrets: [PIN]", with("a", None), "the secret `PIN` is shorter than 4 bytes"),
        ] {
            let error = Plan::new(graph(&[("app", more)]), context).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
    }

    #[test]
    fn a_build_is_the_same_wherever_its_needs_lie() {
        let recipes = [("zlib", ""), ("app", "needs: [zlib]\nenvironment: {Z: '{{needs.zlib.prefix}}'}")];
        let plan = Plan::new(graph(&recipes), context()).unwrap();
        let begin = |prefix: &str| {
            let outputs = [("prefix".to_owned(), prefix.to_owned())].into();
            let deferred = DeferredValues { jobs: 1, needs: [("zlib".to_owned(), outputs)].into() };
            plan.begin(1, &deferred, Among::default(), now()).unwrap().job
        };
        let (one, other) = (begin("/1"), begin("/2"));
        assert_eq!(
            (one.recipe.environment["Z"].as_str(), other.recipe.environment["Z"].as_str()),
            ("/1", "/2")
        );
        assert_eq!((&one.made_from, &one.planned), (&other.made_from, &other.planned));
        assert_ne!(one.run_id, other.run_id);
        let before = plan.job(1, now()).job;
        assert_eq!((&before.made_from, before.recipe.uses_needs), (&one.made_from, true));
    }

    #[test]
    fn secrets_stand_in_no_name_and_reach_steps() {
        let recipes = [
            ("zlib", "variables: {v: plain}"),
            ("app", "needs: [{recipe: zlib, with: {v: sesame}}]\nsecrets: [TOKEN]"),
        ];
        let plan = Plan::new(graph(&recipes), PlanContext { secrets: vec!["sesame".into()], ..context() });
        let plan = plan.unwrap();
        assert_eq!(plan.graph.builds[0].name, "zlib(v=***)");
        let ReadyBuild { job, redactor } = plan.job(1, now());
        let names: Vec<_> = job.environment.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["PATH", "PIN", "TOKEN"]);
        assert_eq!(redactor.text("say sesame"), "say ***");
    }

    #[test]
    fn builds_with_outputs_stay_in_the_cache() {
        let plan = Plan::new(graph(&[("zlib", ""), ("app", "needs: [zlib]")]), context()).unwrap();
        assert!(plan.job(0, now()).job.tempdir.starts_with("/home/cache"));
    }
}
