//! The outermost layer: from the command line and the environment to an exit code. Reads the environment, once.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{CommandFactory, Parser};
use pony_contexts::remove_tree;

use crate::{
    cli::{Cli, MessageFormat, RunOptions, ShowOptions, Verb},
    clock::Clock,
    event::Event,
    exit::Exit,
    facts,
    folder::{self, Active, RunFolder, open_runs},
    home::Home,
    mask::{self, Mask},
    recipe::{self, Recipe},
    record::RunRecord,
    recover::{self, Recovered},
    report::{
        Display, Json, Look, Reporter, Spool, Terminal,
        terminal::{ColourChoice, Surroundings},
    },
    run::{self, Job, Keep, os::Signals, unit::Environment},
    slots::Memory,
    submit::{self, EMBEDDED, Target, post::Endpoint},
};

/// Runs `pony-run` as the process was called.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    match cli.verb {
        None => with_runtime(run_all(&cli.run)),
        Some(Verb::Check { recipes, set, color }) => check(&recipes, &set, color),
        Some(Verb::Submit { runs, server }) => with_runtime(submit_waiting(&runs, server.as_deref())),
        Some(Verb::Schema) => print(&format!("{:#}", recipe::schema())),
        Some(Verb::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pony-run", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Some(Verb::Man) => {
            let mut text = Vec::new();
            match clap_mangen::Man::new(Cli::command()).render(&mut text) {
                Ok(()) => print(&String::from_utf8_lossy(&text)),
                Err(error) => fail(Exit::CannotRecord, &error.to_string()),
            }
        }
    }
}

fn with_runtime(work: impl Future<Output = Exit>) -> Exit {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            // What still runs on blocking threads (a resolver) must not hold the exit.
            runtime.shutdown_background();
            exit
        }
        Err(error) => fail(Exit::CannotRecord, &format!("cannot start: {error}")),
    }
}

// -- run

/// One recipe with all that its run needs.
struct Build {
    job: Job,
    mask: Mask,
}

async fn run_all(options: &RunOptions) -> Exit {
    if options.show.debug {
        let ansi = io::stderr().is_terminal();
        let _ = tracing_subscriber::fmt()
            .with_env_filter("pony_runner=debug,pony_server_lite=debug,info")
            .with_ansi(ansi)
            .with_writer(io::stderr)
            .try_init();
    }
    let clock = Clock::start();
    let recipes = match load_all(&options.recipes, &options.set, options.show.color) {
        Ok(recipes) => recipes,
        Err(exit) => return exit,
    };
    let home = match find_home() {
        Ok(home) => home,
        Err(exit) => return exit,
    };
    let target =
        match options.server.as_deref().filter(|server| !server.is_empty()).map(Endpoint::new).transpose() {
            Ok(endpoint) => endpoint.map_or_else(|| Target::Embedded(home.results()), Target::Server),
            Err(error) => return fail(Exit::Usage, &error.to_string()),
        };
    let mut builds = Vec::new();
    for recipe in recipes {
        match plan(recipe, options, &home, &target, clock) {
            Ok(build) => builds.push(build),
            Err((exit, message)) => return fail(exit, &message),
        }
    }
    if options.dry_run {
        return dry_run(&builds, &target, options.no_report);
    }
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(Exit::CannotRecord, &format!("cannot listen to signals: {error}")),
    };
    if let Err(error) = home.make() {
        return fail(Exit::CannotRecord, &error.to_string());
    }
    let mut display = display(&options.show);
    let crashed = recovered(&home, &mut display, clock);
    let mut exit = Exit::Ok;
    for build in builds {
        if options.if_needed
            && !options.force
            && !is_needed(&build, &target, options, &mut display, clock).await
        {
            continue;
        }
        let ended = run_one(build, &home, &target, &mut display, clock, &mut signals).await;
        exit = exit.worst(ended);
        if matches!(ended, Exit::Signal(_) | Exit::CannotRecord) {
            break;
        }
    }
    for crash in crashed {
        deliver(&crash.open.folder, crash.open.active, &crash.record, &target, &mut display, clock).await;
    }
    exit
}

fn load_all(paths: &[PathBuf], set: &[(String, String)], colour: ColourChoice) -> Result<Vec<Recipe>, Exit> {
    let facts = facts::of_this_machine();
    let colour = look(colour, true).colour;
    let mut recipes = Vec::new();
    let mut bad = false;
    for path in paths {
        let bytes = match recipe::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                fail(Exit::RecipeInvalid, &error.to_string());
                bad = true;
                continue;
            }
        };
        match recipe::load(path, &bytes, set, &facts) {
            Ok(recipe) => recipes.push(recipe),
            Err(diagnostics) => {
                say(&diagnostics.render(colour));
                bad = true;
            }
        }
    }
    if bad { Err(Exit::RecipeInvalid) } else { Ok(recipes) }
}

fn plan(
    recipe: Recipe,
    options: &RunOptions,
    home: &Home,
    target: &Target,
    clock: Clock,
) -> Result<Build, (Exit, String)> {
    let usage = |message: String| (Exit::Usage, message);
    let path = recipe.path.display().to_string();
    let source = recipe
        .source
        .as_ref()
        .map(context_source)
        .transpose()
        .map_err(|error| (Exit::RecipeInvalid, format!("{path}: {error}")))?;
    let mut secrets = Vec::new();
    for name in &recipe.secrets {
        let value = std::env::var_os(name).ok_or_else(|| {
            usage(format!(
                "{path}: the secret `{name}` is not in the environment; set it, if only to nothing: {name}="
            ))
        })?;
        let value = value
            .into_string()
            .map_err(|_| usage(format!("{path}: the secret `{name}` is not UTF-8 text")))?;
        if (1..mask::SHORTEST).contains(&value.trim().len()) {
            let least = mask::SHORTEST;
            return Err(usage(format!(
                "{path}: the secret `{name}` is shorter than {least} characters: masking it would garble every log"
            )));
        }
        secrets.push(value);
    }
    if let Some(pony_contexts::Source::Git(wanted)) = &source {
        secrets.extend(wanted.url.secrets());
    }
    if let Some(server) = &options.server {
        secrets.extend(pony_contexts::Url::from_str(server).into_iter().flat_map(|url| url.secrets()));
    }
    let mut tags = recipe.tags.clone();
    for tag in &options.tags {
        let tag = tag.trim();
        if tag.is_empty() || tag.starts_with("__") || tag.contains(char::is_control) {
            return Err(usage(format!(
                "`{tag}` cannot be a tag: it is empty, begins with `__` or has a control character"
            )));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    let facts = facts::of_this_machine();
    let memory = Memory::load(home, &recipe.package, &facts.host, &facts.arch, &tags);
    let run_id = folder::new_run_id(clock.wall(), random());
    let tempdir = std::env::temp_dir().join(format!("pony-{}-{run_id}", folder::slug(&recipe.package)));
    let recipe_dir = std::path::absolute(&recipe.path)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| PathBuf::from("."));
    let inherited: Environment = std::env::vars_os().collect();
    let job = Job {
        tags,
        run_id,
        facts,
        inherited,
        tempdir,
        recipe_dir,
        source,
        cache: home.cache(),
        since: memory.since(),
        usual: memory.durations,
        keep: if options.no_clean_temp { Keep::Always } else { options.keep },
        deliver_to: if options.no_report { Vec::new() } else { vec![target.name()] },
        recipe,
    };
    Ok(Build { job, mask: Mask::new(secrets) })
}

fn context_source(source: &recipe::Source) -> Result<pony_contexts::Source, pony_contexts::UrlError> {
    use pony_contexts::{Source, git};
    Ok(match source {
        recipe::Source::Path { dir } => Source::Path { dir: dir.clone() },
        recipe::Source::Git { url, want, submodules, subdir } => Source::Git(git::Wanted {
            url: url.parse()?,
            want: match want.clone() {
                recipe::Want::Default => git::Want::Default,
                recipe::Want::Branch(name) => git::Want::Branch(name),
                recipe::Want::Tag(name) => git::Want::Tag(name),
                recipe::Want::Revision(id) => git::Want::Revision(id),
            },
            submodules: *submodules,
            subdir: subdir.clone(),
        }),
    })
}

/// 32 bits that differ between runs started in the same second.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    let hash = RandomState::new().hash_one(std::process::id());
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default()
}

fn recovered(home: &Home, display: &mut Display, clock: Clock) -> Vec<Recovered> {
    let recovered = match recover::recover(home) {
        Ok(recovered) => recovered,
        Err(error) => {
            let text = format!("earlier runs that were cut short cannot be looked after: {error}");
            display.show(&clock, Event::Note { text });
            return Vec::new();
        }
    };
    for crash in &recovered {
        let RunRecord { package, started, reason, .. } = &crash.record;
        let when = started.strftime("%Y-%m-%d %H:%M UTC");
        let why = reason.as_deref().unwrap_or_default();
        let mut text = format!("the run of {package} of {when} had crashed ({why}); it is recorded now");
        if !crash.killed.is_empty() {
            text.push_str(&format!(", and what it left running is killed: {}", crash.killed.join(", ")));
        }
        display.show(&clock, Event::Note { text });
    }
    recovered
}

async fn is_needed(
    build: &Build,
    target: &Target,
    options: &RunOptions,
    display: &mut Display,
    clock: Clock,
) -> bool {
    if options.no_report {
        return true;
    }
    let slot = pony_wire::Slot {
        package: build.job.recipe.package.clone(),
        host: build.job.facts.host.clone(),
        arch: build.job.facts.arch.clone(),
        tags: build.job.tags.clone(),
    };
    let package = &build.job.recipe.package;
    let (needed, text) = match submit::check_should_build(target, slot).await {
        Ok(submit::Needed { build: true, reason }) => {
            (true, format!("{package}: {} says: {reason}", target.name()))
        }
        Ok(submit::Needed { build: false, reason }) => {
            (false, format!("{package}: nothing to do, {} says: {reason}", target.name()))
        }
        Err(error) => (true, format!("{package}: {} was not asked whether to build: {error}", target.name())),
    };
    display.show(&clock, Event::Note { text });
    needed
}

async fn run_one(
    build: Build,
    home: &Home,
    target: &Target,
    display: &mut Display,
    clock: Clock,
    signals: &mut Signals,
) -> Exit {
    let Build { job, mask } = build;
    let (folder, active) = match RunFolder::create(home, &job.recipe.package, &job.run_id) {
        Ok(created) => created,
        Err(error) => {
            return fail(
                Exit::CannotRecord,
                &format!("cannot make a run folder below {}: {error}", home.runs().display()),
            );
        }
    };
    let recorded = fs::write(folder.recipe(), mask.text(&job.recipe.resolved_yaml()).as_bytes())
        .and_then(|()| Spool::create(folder.clone()));
    let spool = match recorded {
        Ok(spool) => spool,
        Err(error) => {
            return fail(
                Exit::CannotRecord,
                &format!("cannot record into {}: {error}", folder.path().display()),
            );
        }
    };
    let mut reporter = Reporter::new(clock, mask.clone(), spool, display);
    let finished = run::run(&job, &folder, clock, &mask, &mut reporter, signals).await;
    let record = finished.record;
    if let Some(tempdir) = record.tempdir.as_ref().filter(|_| !record.kept)
        && let Err(error) = remove_tree(Path::new(tempdir))
    {
        display.show(&clock, Event::Note { text: format!("cannot remove {tempdir}: {error}") });
    }
    if let Some(error) = finished.not_recorded {
        return fail(Exit::CannotRecord, &format!("cannot record into {}: {error}", folder.path().display()));
    }
    if let Err(error) = remember(home, &record) {
        let text = format!("cannot remember this run for the next one: {error}");
        display.show(&clock, Event::Note { text });
    }
    let exit = Exit::of(record.outcome, record.signal);
    match deliver(&folder, active, &record, target, display, clock).await {
        true => exit,
        false => exit.worst(Exit::NotDelivered),
    }
}

fn remember(home: &Home, record: &RunRecord) -> io::Result<()> {
    let RunRecord { package, host, arch, tags, .. } = record;
    Memory::load(home, package, host, arch, tags).after(record).save(home, record)
}

/// Delivers to `target` if the run asked for it. False where it should be there and is not.
async fn deliver(
    folder: &RunFolder,
    active: Active,
    record: &RunRecord,
    target: &Target,
    display: &mut Display,
    clock: Clock,
) -> bool {
    let server = target.name();
    let close = |active: Active, display: &mut Display| {
        if let Err(error) = active.close() {
            let text = format!("cannot close the run: {error}");
            display.show(&clock, Event::Note { text });
        }
    };
    if !record.deliver_to.contains(&server) || !submit::is_wanted(record.outcome, target) {
        // Wanted elsewhere, it waits; wanted nowhere, it is done.
        if record.deliver_to.is_empty() || !submit::is_wanted(record.outcome, target) {
            close(active, display);
        }
        return true;
    }
    match submit::deliver(folder, record, target, clock.wall()).await {
        Ok(receipt) => {
            let page = receipt.result_key.as_ref().and_then(|key| target.page(&record.package, key));
            display.show(&clock, Event::Delivered { server, result_key: receipt.result_key, page });
            close(active, display);
            true
        }
        Err(error) => {
            display.show(&clock, Event::NotDelivered { server, reason: error.to_string() });
            false
        }
    }
}

fn dry_run(builds: &[Build], target: &Target, no_report: bool) -> Exit {
    let mut text = String::new();
    for Build { job, mask } in builds {
        text.push_str(&format!("{} on {} ({})", job.recipe.package, job.facts.host, job.facts.arch));
        if !job.tags.is_empty() {
            text.push_str(&format!(" [{}]", job.tags.join(", ")));
        }
        text.push('\n');
        for (index, head) in job.heads().iter().enumerate() {
            text.push_str(&format!("  {}. {} ({})\n", index + 1, head.name, head.kind));
            for line in mask.text(&head.command).trim_end().lines() {
                text.push_str(&format!("       {line}\n"));
            }
        }
    }
    let server = if no_report { "nobody".to_owned() } else { target.name() };
    text.push_str(&format!("would be submitted to {server}\n"));
    print(&text)
}

// -- the other verbs

fn check(paths: &[PathBuf], set: &[(String, String)], colour: ColourChoice) -> Exit {
    match load_all(paths, set, colour) {
        Ok(recipes) => {
            let lines = recipes.iter().map(|recipe| {
                let steps = recipe.steps.len();
                let count = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
                format!("{}: ok ({}, {count})\n", recipe.path.display(), recipe.package)
            });
            print(&lines.collect::<String>())
        }
        Err(exit) => exit,
    }
}

async fn submit_waiting(runs: &[PathBuf], server: Option<&str>) -> Exit {
    let clock = Clock::start();
    let home = match find_home() {
        Ok(home) => home,
        Err(exit) => return exit,
    };
    if let Err(error) = home.make() {
        return fail(Exit::CannotRecord, &error.to_string());
    }
    let mut display = display(&ShowOptions {
        color: ColourChoice::Auto,
        no_progress: true,
        message_format: MessageFormat::Human,
        verbose: false,
        debug: false,
    });
    let server = match server.filter(|server| !server.is_empty()).map(Endpoint::new).transpose() {
        Ok(server) => server,
        Err(error) => return fail(Exit::Usage, &error.to_string()),
    };
    // Crashed runs first become results.
    drop(recovered(&home, &mut display, clock));
    let waiting = match open_runs(&home) {
        Ok(waiting) => waiting,
        Err(error) => return fail(Exit::CannotRecord, &format!("cannot look for waiting results: {error}")),
    };
    let mut wanted: Vec<(RunFolder, Option<Active>)> = Vec::new();
    if runs.is_empty() {
        wanted.extend(waiting.into_iter().map(|open| (open.folder, Some(open.active))));
    } else {
        let mut waiting: Vec<_> = waiting.into_iter().map(|open| (open.folder, Some(open.active))).collect();
        for run in runs {
            let path = std::path::absolute(run).unwrap_or_else(|_| run.clone());
            let folder = RunFolder::at(&path);
            match waiting.iter().position(|(open, _)| *open == folder) {
                Some(index) => wanted.push(waiting.swap_remove(index)),
                None => wanted.push((folder, None)),
            }
        }
    }
    let mut exit = Exit::Ok;
    let mut count = 0;
    for (folder, active) in wanted {
        let record = match folder.read_result() {
            Ok(record) => record,
            Err(error) => {
                exit = exit.worst(fail(Exit::Usage, &error.to_string()));
                continue;
            }
        };
        count += 1;
        let ended = submit_one(&folder, active, &record, server.as_ref(), &home, &mut display, clock).await;
        exit = exit.worst(ended);
    }
    if count == 0 && exit == Exit::Ok {
        say("nothing waits");
    }
    exit
}

async fn submit_one(
    folder: &RunFolder,
    active: Option<Active>,
    record: &RunRecord,
    server: Option<&Endpoint>,
    home: &Home,
    display: &mut Display,
    clock: Clock,
) -> Exit {
    let targets: Vec<Result<Target, _>> = match server {
        Some(server) => vec![Ok(Target::Server(server.clone()))],
        None => record
            .deliver_to
            .iter()
            .filter(|name| !folder.is_delivered_to(name))
            .map(|name| match name.as_str() {
                EMBEDDED => Ok(Target::Embedded(home.results())),
                url => Endpoint::new(url).map(Target::Server),
            })
            .collect(),
    };
    let mut exit = Exit::Ok;
    for target in targets {
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                exit = exit.worst(fail(Exit::NotDelivered, &error.to_string()));
                continue;
            }
        };
        let server = target.name();
        if folder.is_delivered_to(&server) {
            let text = format!("{} is on {server} already", folder.path().display());
            display.show(&clock, Event::Note { text });
            continue;
        }
        match submit::deliver(folder, record, &target, clock.wall()).await {
            Ok(receipt) => {
                let page = receipt.result_key.as_ref().and_then(|key| target.page(&record.package, key));
                display.show(&clock, Event::Delivered { server, result_key: receipt.result_key, page });
            }
            Err(error) => {
                display.show(&clock, Event::NotDelivered { server, reason: error.to_string() });
                exit = exit.worst(Exit::NotDelivered);
            }
        }
    }
    if exit == Exit::Ok
        && let Some(active) = active
        && let Err(error) = active.close()
    {
        return fail(Exit::CannotRecord, &format!("cannot close {}: {error}", folder.path().display()));
    }
    exit
}

// -- the surroundings

fn find_home() -> Result<Home, Exit> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    Home::find(variable("PONY_HOME").as_deref(), variable("HOME").as_deref())
        .map_err(|error| fail(Exit::CannotRecord, &error.to_string()))
}

fn display(options: &ShowOptions) -> Display {
    match options.message_format {
        MessageFormat::Json => Display::Json(Json::default()),
        MessageFormat::Human => Display::Terminal(Box::new(Terminal::new(
            look(options.color, options.no_progress),
            options.verbose,
        ))),
    }
}

fn look(choice: ColourChoice, no_progress: bool) -> Look {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let surroundings = Surroundings {
        out_terminal: io::stdout().is_terminal(),
        err_terminal: io::stderr().is_terminal(),
        dumb: std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb"),
        ci: set("CI"),
        no_color: set("NO_COLOR"),
        clicolor_force: std::env::var_os("CLICOLOR_FORCE")
            .is_some_and(|value| !value.is_empty() && value != "0"),
    };
    Look::resolve(surroundings, choice, no_progress)
}

fn print(text: &str) -> Exit {
    let mut text = text.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // `pony-run schema | head` is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Exit::Ok
}

fn say(text: &str) {
    let text = text.trim_end_matches('\n');
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

fn fail(exit: Exit, message: &str) -> Exit {
    say(&format!("pony-run: {message}"));
    exit
}
