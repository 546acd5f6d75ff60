//! `pony-run replay`: takes a result's recipe, revision and variables, and runs that again here.
#![expect(clippy::disallowed_methods, reason = "a recipe to run is written here")]

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    Failure,
    querier::Querier,
    run, say,
    setup::{self, cannot_record},
};
use crate::{
    cli::{AskOptions, ReplayOptions, RunOptions, ServerOptions, WhichOptions},
    exit::Exit,
    home::Home,
    platform::Machine,
    record::folder::{RunFolder, slug},
    replay::{Carried, Replay, ReplayError, plan},
    words::plain,
};

/// A result that is to be run again.
struct Found {
    carried: Carried,
    /// For people: `run … of demo on builder1`.
    words: String,
    /// As a folder of its own is called.
    name: String,
}

/// Runs it again.
pub(super) async fn replay(options: &ReplayOptions) -> Result<Exit, Failure> {
    let home = setup::home()?;
    let Found { carried, words, name } = match &options.key {
        Some(key) => on_server(options, key).await?,
        None => here(&home, &options.from)?,
    };
    let cannot = |error: &ReplayError| {
        let exit = match error {
            ReplayError::NoRecipe(_) => Exit::No,
            ReplayError::Recipe(_) => Exit::RecipeInvalid,
            ReplayError::NoFolder(_) => Exit::ContextFailed,
        };
        Failure::new(exit, format!("cannot re-run {words}")).caused_by(error)
    };
    let Replay { yaml, tags, notes, needed } =
        plan(&carried, &Machine::look().facts).map_err(|error| cannot(&error))?;
    if let Some(missing) = needed.iter().find(|path| !is_there(path)) {
        let why = format!(
            "cannot re-run {words} here: it was built from `{}`, which is not on this machine",
            missing.display(),
        );
        return Err(Failure::new(Exit::ContextFailed, why).hint(format!("re-run it on {}", carried.host)));
    }
    let recipe = write(&home.replays().join(name), &carried.file_name(), &yaml)
        .map_err(|error| cannot_record(format!("the recipe cannot be written: {error}")))?;
    say(&plain(&format!("Re-running {words} from {}", recipe.display())));
    for note in notes {
        say(&plain(&format!("note: {note}")));
    }
    Box::pin(run::run(&as_a_run(options, recipe, tags))).await
}

/// A result of this machine, by its file, its folder or its id.
fn here(home: &Home, text: &str) -> Result<Found, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    let path = Path::new(text);
    let folder = if path.is_dir() {
        Some(RunFolder::at(path))
    } else if path.is_file() {
        path.parent()
            .map(|parent| RunFolder::at(if parent == Path::new("") { Path::new(".") } else { parent }))
    } else {
        RunFolder::by_id(home, text)
    };
    let folder = folder.ok_or_else(|| {
        usage(format!(
            "there is no result `{text}`; give a run's result.json, its folder or its id, or a server and the result's key there"
        ))
    })?;
    let record = folder.read_result().map_err(|error| usage(error.to_string()))?;
    let path = folder.recipe();
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::new(Exit::No, format!("cannot read `{}`", path.display())).caused_by(&error)
    })?;
    Ok(Found {
        carried: Carried::of_record(&record, text),
        words: format!("run {} of {}", record.run_id, record.package),
        name: slug(&record.run_id),
    })
}

async fn on_server(options: &ReplayOptions, key: &str) -> Result<Found, Failure> {
    let ask = AskOptions {
        server: Some(options.from.clone()),
        dialect: options.dialect,
        cacert: options.cacert.clone(),
        ..AskOptions::default()
    };
    let mut querier = Querier::new(&ask)?;
    let server = querier.named(&ask)?;
    let found = match querier.reach(&server).await {
        Ok(api) => querier.unless_stopped(api.result(key)).await,
        Err(failure) => Err(failure),
    };
    server.close().await;
    let full = found??;
    let words = format!("result {key} of {} on {}", full.summary.slot.package, server.name());
    let carried = Carried::of_result(&full)
        .map_err(|error| Failure::new(Exit::No, format!("cannot re-run {words}")).caused_by(&error))?;
    let run_id = full.client_info.get("run_id").and_then(serde_json::Value::as_str).map(str::to_owned);
    let name = run_id.unwrap_or_else(|| format!("{} {key}", server.name()));
    Ok(Found { carried, words, name: slug(&name) })
}

/// Whether there is such a file; of a recipe the ending may be left out.
fn is_there(path: &Path) -> bool {
    let with = |ending: &str| {
        let mut path = path.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    path.exists() || with(".yaml").exists() || with(".yml").exists()
}

fn write(folder: &Path, name: &str, yaml: &str) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(name);
    fs::write(&path, yaml)?;
    Ok(path)
}

/// As a run of this recipe, which reports to nobody unless somebody is named.
fn as_a_run(options: &ReplayOptions, recipe: PathBuf, mut tags: Vec<String>) -> RunOptions {
    let which = WhichOptions { recipes: vec![recipe], set: Vec::new(), matrix: Vec::new() };
    let to =
        ServerOptions { servers: options.servers.clone(), dialect: None, cacert: options.cacert.clone() };
    tags.extend(options.tags.iter().cloned());
    RunOptions {
        no_report: options.servers.is_empty(),
        tags,
        offline: options.offline,
        jobs: options.jobs,
        keep: options.keep,
        dry_run: options.dry_run,
        ..RunOptions::new(which, to, options.show.clone())
    }
}
