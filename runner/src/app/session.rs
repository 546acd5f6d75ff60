//! What all work of one `pony-run` shares: where things are kept, the clock, the screen. Reads the environment.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
};

use super::Failure;
use crate::{
    cli::{MessageFormat, ShowOptions},
    clock::Clock,
    config::Config,
    event::Event,
    exit::Exit,
    folder::{Active, RunFolder},
    home::Home,
    record::RunRecord,
    recover::{self, Recovered},
    report::{
        Display, Json, Look, Terminal,
        look::{ColourChoice, Surroundings},
    },
    run::os::Signals,
    submit::{self, Target, post::Endpoint},
};

/// The surroundings of the work.
pub(super) struct Session {
    pub(super) home: Home,
    pub(super) clock: Clock,
    pub(super) display: Display,
    pub(super) signals: Signals,
}

impl Session {
    /// Finds out where things are kept; makes nothing.
    pub(super) fn new(show: &ShowOptions, clock: Clock) -> Result<Self, Failure> {
        let home = home()?;
        let display = match show.message_format {
            MessageFormat::Json => Display::Json(Json::default()),
            MessageFormat::Human => {
                Display::Terminal(Box::new(Terminal::new(look(show.color, show.no_progress), show.verbose)))
            }
        };
        let signals = Signals::listen();
        let signals = signals.map_err(|error| cannot_record(format!("cannot listen to signals: {error}")))?;
        Ok(Self { home, clock, display, signals })
    }

    /// The server that `--server` names, or the embedded one.
    pub(super) fn target(&self, server: Option<&str>) -> Result<Target, Failure> {
        match server.filter(|server| !server.is_empty()) {
            None => Ok(Target::Embedded(self.home.results())),
            Some(server) => match Endpoint::new(server) {
                Ok(endpoint) => Ok(Target::Server(endpoint)),
                Err(error) => Err(Failure::new(Exit::Usage, format!("pony-run: {error}"))),
            },
        }
    }

    /// Shows an event that belongs to no run.
    pub(super) fn show(&mut self, event: Event) {
        self.display.show(&self.clock, event);
    }

    /// Tells the person something.
    pub(super) fn note(&mut self, text: String) {
        self.show(Event::Note { text });
    }

    /// Looks after earlier runs that were cut short, and tells of them.
    pub(super) fn recover(&mut self) -> Vec<Recovered> {
        let recovered = match recover::recover(&self.home) {
            Ok(recovered) => recovered,
            Err(error) => {
                self.note(format!("earlier runs that were cut short cannot be looked after: {error}"));
                return Vec::new();
            }
        };
        let mut crashed = Vec::new();
        for run in recovered {
            match run {
                Ok(run) => crashed.push(run),
                Err((folder, error)) => {
                    self.note(format!("the crashed run in {} cannot be recorded: {error}", folder.display()));
                }
            }
        }
        for crash in &crashed {
            let RunRecord { package, started, reason, .. } = &crash.record;
            let when = started.strftime("%Y-%m-%d %H:%M UTC");
            let why = reason.as_deref().unwrap_or_default();
            let killed = match crash.killed.as_slice() {
                [] => String::new(),
                killed => format!(", and what it left running is killed: {}", killed.join(", ")),
            };
            self.note(format!(
                "the run of {package} of {when} had crashed ({why}); it is recorded now{killed}"
            ));
        }
        crashed
    }

    /// Delivers a run to `target` and shows how that went: delivered, not delivered, or interrupted by a signal.
    pub(super) async fn deliver(&mut self, folder: &RunFolder, record: &RunRecord, target: &Target) -> Exit {
        let server = target.name();
        let delivered = tokio::select! {
            delivered = submit::deliver(folder, record, target, self.clock.wall()) => delivered,
            signal = self.signals.next() => {
                self.show(Event::NotDelivered { server, reason: "stopped".to_owned() });
                return Exit::Signal(signal);
            }
        };
        match delivered {
            Ok(receipt) => {
                let page = receipt.result_key.as_ref().and_then(|key| target.page(&record.package, key));
                self.show(Event::Delivered { server, result_key: receipt.result_key, page });
                Exit::Ok
            }
            Err(error) => {
                self.show(Event::NotDelivered { server, reason: error.to_string() });
                Exit::NotDelivered
            }
        }
    }

    /// The run needs no more looking after.
    pub(super) fn close(&mut self, active: Active) {
        if let Err(error) = active.close() {
            self.note(format!("cannot close the run: {error}"));
        }
    }
}

/// Where things are kept.
pub(super) fn home() -> Result<Home, Failure> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    Home::find(variable("PONY_HOME").as_deref(), variable("HOME").as_deref()).map_err(cannot_record)
}

/// What holds for all recipes on this machine.
pub(super) fn config(home: &Home) -> Result<Config, Failure> {
    Config::load(home).map_err(|error| Failure::new(Exit::Usage, format!("pony-run: {error}")))
}

/// An error that keeps runs from being recorded.
pub(super) fn cannot_record(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::CannotRecord, format!("pony-run: {error}"))
}

/// How things are shown here.
pub(super) fn look(choice: ColourChoice, no_progress: bool) -> Look {
    let is_set = |value: &OsString| !value.is_empty();
    let set = |name: &str| std::env::var_os(name).as_ref().is_some_and(is_set);
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
