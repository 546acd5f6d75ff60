//! From recipes and options to builds that can run: nothing is left to be found out. Pure but for the run's random id.

pub mod if_needed;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
};

use jiff::Timestamp;
use pony_contexts::{EarlierRevisions, SourceSpec, Url, cache::outputs};

use crate::{
    cli::RunOptions,
    config::Config,
    environment::{self, of_steps},
    error::Failure,
    exit::Exit,
    graph::{Graph, GraphNode},
    home::Home,
    inputs::Ingredients,
    platform::Machine,
    process::spawn::Environment,
    random,
    recipe::{Context, Recipe},
    record::folder,
    redactor::{self, Mask},
    run::{Among, Job, Keep},
    server::Server,
};

/// One recipe with all that its run needs.
#[derive(Debug)]
pub struct Build {
    /// What to do.
    pub job: Job,
    /// What must never be shown.
    pub mask: Mask,
}

/// What plans are made in.
#[derive(Debug)]
pub struct PlanContext<'s> {
    /// Where things are kept.
    pub home: Home,
    /// What holds for all recipes on this machine.
    pub config: Config,
    /// Where results go; at least one.
    pub(crate) servers: Vec<Server>,
    /// Our own environment.
    pub environment: Environment,
    /// Where tempdirs are made.
    pub temp_root: PathBuf,
    /// What is asked for.
    pub options: &'s RunOptions,
    /// Where all this happens.
    pub machine: Machine,
}

/// Why a recipe that is valid cannot be run as asked.
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
    /// A secret cannot be masked.
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
    #[error("the secrets cannot be masked: {0}")]
    Mask(#[from] aho_corasick::BuildError),
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
            | Self::Mask(_)
            | Self::NoVirtualenv { .. }
            | Self::BadTag(_) => Exit::Usage,
        }
    }
}

/// Plans the run of one recipe, which is called `name` among those that are begun together. `asked`: on the command line,
/// whose options are for it.
pub fn plan(
    mut recipe: Recipe,
    name: &str,
    asked: Option<&RunOptions>,
    mut among: Among,
    context: &PlanContext<'_>,
    now: Timestamp,
) -> Result<Build, PlanError> {
    let mut secrets = secrets(&recipe, &context.environment)?;
    secrets.extend(recipe.source.iter().filter_map(SourceSpec::url).flat_map(Url::secrets));
    // Where needs lie and how many jobs there are does not make another build.
    let mut planned = among.planned.take().map(|planned| *planned);
    if let Some(python) = asked.and_then(|options| options.python.as_ref()) {
        for recipe in std::iter::once(&mut recipe).chain(&mut planned) {
            let Context::Virtualenv(wanted) = &mut recipe.context else {
                return Err(PlanError::NoVirtualenv { recipe: recipe.path.clone() });
            };
            wanted.python = Some(python.clone());
        }
    }
    let planned = planned.as_ref().unwrap_or(&recipe).resolved_yaml();
    if let Context::Virtualenv(wanted) = &recipe.context {
        secrets.extend(wanted.secrets());
    }
    let PlanContext { options, machine, .. } = context;
    for server in &options.to.servers {
        let entry = context.config.servers.get(server);
        let address = entry.map_or(server.as_str(), |entry| entry.0.url.as_str());
        secrets.extend(Url::from_str(address).into_iter().flat_map(|url| url.secrets()));
        secrets
            .extend(entry.into_iter().filter_map(|entry| Some(entry.0.login.password.as_ref()?.0.clone())));
    }
    let tags = tags(&recipe, asked.map_or(&[], |options| &options.tags))?;
    let run_id = folder::new_run_id(now, random::number());
    let cache = context.home.cache();
    let tempdir = if recipe.outputs.is_empty() {
        context.temp_root.join(format!("pony-{}-{run_id}", folder::slug(name)))
    } else {
        // What is handed on stays where it was built.
        outputs::workspace(&cache, name, &run_id)
    };
    let recipe_dir = std::path::absolute(&recipe.path)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| PathBuf::from("."));
    let environment = of_steps(&context.environment, recipe.environment_from, &recipe.secrets);
    let mut reported = machine.reported.clone();
    let (names, values) = environment::report(&environment);
    reported.insert("environment".to_owned(), names.into());
    reported.insert("environment_values".to_owned(), values.into());
    let mut made_from = Ingredients::new(&planned, machine.platform());
    made_from.needs = std::mem::take(&mut among.contents);
    let job = Job {
        name: name.to_owned(),
        among,
        tags,
        run_id,
        planned,
        made_from,
        facts: machine.facts.clone(),
        reported,
        inherited: context.environment.clone(),
        environment,
        network: context.config.network.network(options.offline),
        tempdir,
        recipe_dir,
        cache,
        since: EarlierRevisions::default(),
        usual: BTreeMap::new(),
        keep: if options.no_clean_temp { Keep::Always } else { options.keep },
        deliver_to: if options.no_report {
            Vec::new()
        } else {
            context.servers.iter().map(Server::name).collect()
        },
        recipe,
    };
    Ok(Build { job, mask: Mask::new(secrets)? })
}

/// A build of the graph, planned.
pub(crate) fn plan_node(
    node: &GraphNode,
    among: Among,
    context: &PlanContext<'_>,
    now: jiff::Timestamp,
) -> Result<Build, PlanError> {
    let asked = node.requested.then_some(context.options);
    plan(node.recipe.clone(), &node.name, asked, among, context, now)
}

/// Plans every build, for all that can be wrong with that. Where a setting is a secret, names of builds are without it from
/// here on.
pub(crate) fn plan_all(
    graph: &mut Graph,
    context: &PlanContext<'_>,
    now: jiff::Timestamp,
) -> Result<(), Failure> {
    for node in &mut graph.builds {
        // One by one: a great many plans would take a great deal of room.
        let build = plan_node(node, Among::default(), context, now).map_err(|error| planned(&error))?;
        node.name = build.mask.text(&node.name).into_owned();
    }
    Ok(())
}

/// A recipe that is valid and cannot be run as asked.
pub(crate) fn planned(error: &PlanError) -> Failure {
    Failure::of(error.exit(), error)
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
            return Err(bad(format!("is shorter than {least} bytes: masking it would garble every log")));
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
