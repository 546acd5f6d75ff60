//! What verbs find out at the door: where things are kept, how they are shown, which servers there are. The only room that reads the
//! environment of pony-run.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
};

use super::Failure;
use crate::{
    cli::{MessageFormat, RunOptions, ServerOptions, ShowOptions},
    clock::Clock,
    config::Config,
    display::{
        Console, Display, Json, Look, Screen, Terminal,
        look::{self, ColourChoice},
    },
    error::WithExit as _,
    exit::Exit,
    home::Home,
    plan::PlanContext,
    platform::Machine,
    process::signals::Signals,
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
            look(options.color, options.no_progress),
            options.verbose,
        ))),
    };
    let screen = Screen::start(display, clock);
    let screen = screen.map_err(|error| cannot_record(format!("cannot start a thread: {error}")))?;
    Ok(Console { screen, clock })
}

/// What plans are made in.
pub(super) fn context<'o>(
    home: &Home,
    config: &Config,
    servers: Vec<Server>,
    options: &'o RunOptions,
    machine: Machine,
) -> PlanContext<'o> {
    let temp_root = std::env::temp_dir();
    PlanContext {
        home: home.clone(),
        config: config.clone(),
        servers,
        environment: std::env::vars_os().collect(),
        temp_root: std::path::absolute(&temp_root).unwrap_or(temp_root),
        options,
        machine,
    }
}

/// Signals are no longer the end of this process from here on.
pub(super) fn signals() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| cannot_record(format!("cannot listen to signals: {error}")))
}

/// How things are shown here.
pub(super) fn look(choice: ColourChoice, no_progress: bool) -> Look {
    let is_set = |value: &OsString| !value.is_empty();
    let set = |name: &str| std::env::var_os(name).as_ref().is_some_and(is_set);
    let surroundings = look::Surroundings {
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
