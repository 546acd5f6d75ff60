//! What verbs find out at the door: where things are kept, how they are shown, which servers there are. The only room that reads the
//! environment of pony-run.
#![expect(clippy::disallowed_methods, reason = "the environment is read here, and handed on")]

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
    str::FromStr,
};

use pony_contexts::Url;

use super::Failure;
use crate::{
    cli::{MessageFormat, RunOptions, ServerOptions, ShowOptions},
    clock::Clock,
    config::Config,
    display::{
        Console, Display, DisplaySettings, Json, Screen, Terminal, are_one,
        settings::{ColourChoice, Environment},
    },
    error::WithExit as _,
    exit::Exit,
    graph::Graph,
    home::Home,
    inspect::InspectOptions,
    plan::{PlanContext, PlanError, decision::rebuilt},
    platform::Machine,
    process::signals::Signals,
    run::Keep,
    server::{Server, address::AddressError, login::Sources, registry::Servers},
};

/// Where things are kept.
pub(super) fn home() -> Result<Home, Failure> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    Home::find(variable("PONY_HOME").as_deref(), variable("HOME").as_deref()).map_err(cannot_record)
}

/// What holds for all recipes on this machine.
pub(super) fn config(home: &Home) -> Result<Config, Failure> {
    Config::load(home).map_err(|error| error.with_exit(Exit::Usage))
}

/// The servers that can be named, and how those of the command line are spoken to.
pub(super) fn servers(home: &Home, config: &Config, options: &ServerOptions) -> Servers {
    Servers {
        results: home.results(),
        entries: config.servers.iter().map(|(name, server)| (name.clone(), server.0.clone())).collect(),
        sources: Sources::of(std::env::vars_os().collect()),
        dialect: options.dialect,
        cacert: options.cacert.clone(),
        ..Servers::default()
    }
}

/// Does `work` with a screen and with signals that are no longer the end of this process; then shows the rest of what is to
/// be shown there.
pub(super) async fn with_console(
    options: &ShowOptions,
    clock: Clock,
    work: impl AsyncFnOnce(Console, Signals) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let console = console(options, clock)?;
    let signals = signals()?;
    let ended = work(console.clone(), signals.clone()).await;
    let exit = ended.as_ref().map_or_else(|failure| failure.exit, |exit| *exit);
    console.screen.finish(&signals, matches!(exit, Exit::Signal(_))).await;
    ended
}

fn console(options: &ShowOptions, clock: Clock) -> Result<Console, Failure> {
    let display = match options.message_format {
        MessageFormat::Json => Display::Json(Json::default()),
        MessageFormat::Human => Display::Terminal(Box::new(Terminal::new(
            display_settings(options.color, options.no_progress),
            options.verbose,
        ))),
    };
    let screen = Screen::start(display, clock);
    let screen = screen.map_err(|error| cannot_record(format!("cannot start a thread: {error}")))?;
    Ok(Console { screen, clock })
}

/// What builds are planned in.
pub(super) fn context(
    home: &Home,
    config: &Config,
    servers: &[Server],
    options: &RunOptions,
    machine: Machine,
) -> PlanContext {
    let temp_root = std::env::temp_dir();
    PlanContext {
        cache: home.cache(),
        temp_root: std::path::absolute(&temp_root).unwrap_or(temp_root),
        environment: std::env::vars_os().collect(),
        machine,
        network: config.network.network(options.offline),
        python: options.python.clone(),
        tags: options.tags.clone(),
        keep: if options.no_clean_temp { Keep::Always } else { options.keep },
        deliver_to: if options.no_report { Vec::new() } else { servers.iter().map(Server::name).collect() },
        secrets: options.to.servers.iter().flat_map(|server| passwords(server, config)).collect(),
    }
}

/// What stands in the address of a server, or in its entry of `config.yaml`, and must never be shown.
fn passwords(server: &str, config: &Config) -> Vec<String> {
    let entry = config.servers.get(server).map(|entry| &entry.0);
    let address = entry.map_or(server, |entry| entry.url.as_str());
    let mut secrets: Vec<String> = Url::from_str(address).into_iter().flat_map(|url| url.secrets()).collect();
    secrets.extend(entry.and_then(|entry| Some(entry.login.password.as_ref()?.0.clone())));
    secrets
}

/// What is looked at before anything runs.
pub(super) fn inspect_options(
    options: &RunOptions,
    config: &Config,
    graph: &Graph,
) -> Result<InspectOptions, Failure> {
    let rebuild = rebuilt(graph, &options.rebuild).map_err(|error| Failure::of(Exit::Usage, &error))?;
    Ok(InspectOptions {
        if_needed: options.if_needed,
        force: options.force,
        explain: options.explain,
        reports: !options.no_report,
        rebuild,
        retry_after: config.retry_after.0,
    })
}

/// A recipe that is valid and cannot be run as requested.
pub(super) fn cannot_plan(error: &PlanError) -> Failure {
    Failure::of(error.exit(), error)
}

/// Signals are no longer the end of this process from here on.
pub(super) fn signals() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| cannot_record(format!("cannot listen to signals: {error}")))
}

/// How things are shown here.
pub(super) fn display_settings(choice: ColourChoice, no_progress: bool) -> DisplaySettings {
    let is_set = |value: &OsString| !value.is_empty();
    let set = |name: &str| std::env::var_os(name).as_ref().is_some_and(is_set);
    let environment = Environment {
        out_terminal: io::stdout().is_terminal(),
        err_terminal: io::stderr().is_terminal(),
        same_file: are_one(),
        dumb: std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb"),
        ci: set("CI"),
        no_color: set("NO_COLOR"),
        clicolor_force: std::env::var_os("CLICOLOR_FORCE")
            .is_some_and(|value| !value.is_empty() && value != "0"),
    };
    DisplaySettings::resolve(environment, choice, no_progress)
}

/// A text that is no server.
pub(super) fn wrong_server(error: &AddressError) -> Failure {
    Failure::of(Exit::Usage, error)
}

/// An error that keeps runs from being recorded.
pub(super) fn cannot_record(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::CannotRecord, error.to_string())
}

/// What comes of `work`, unless a signal ends it.
pub(super) async fn unless_stopped<T>(
    signals: &mut Signals,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => Ok(done),
        signal = signals.next() => Err(Failure::silent(Exit::Signal(signal))),
    }
}
