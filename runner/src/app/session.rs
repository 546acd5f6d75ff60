//! What all work of one `pony-run` shares: where things are kept, the clock, the screen. Reads the environment.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
};

use super::Failure;
use crate::{
    cli::{MessageFormat, RunOptions, ShowOptions},
    clock::Clock,
    config::Config,
    event::{Event, Stamped},
    exit::Exit,
    facts::Machine,
    folder::{Active, RunFolder},
    home::Home,
    plan::Surroundings,
    record::RunRecord,
    recover::{self, Recovered},
    report::{
        Display, Json, Look, Screen, Terminal,
        look::{self, ColourChoice},
    },
    run::os::Signals,
    submit::{self, Target, post::Endpoint},
};

/// The surroundings of the work. What is done side by side has a clone each.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) home: Home,
    pub(super) clock: Clock,
    pub(super) screen: Screen,
    pub(super) signals: Signals,
    /// Servers that did not answer: what else is for them waits, or each result would wait for them as long.
    pub(super) silent: BTreeSet<String>,
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
        Ok(Self { home, clock, screen: Screen::new(display), signals, silent: BTreeSet::new() })
    }

    /// What plans are made in.
    pub(super) fn surroundings<'o>(
        &self,
        options: &'o RunOptions,
        machine: Machine,
    ) -> Result<Surroundings<'o>, Failure> {
        let temp_root = std::env::temp_dir();
        Ok(Surroundings {
            home: self.home.clone(),
            config: config(&self.home)?,
            target: self.target(options.server.as_deref())?,
            environment: std::env::vars_os().collect(),
            temp_root: std::path::absolute(&temp_root).unwrap_or(temp_root),
            options,
            machine,
        })
    }

    /// The server that `--server` names, or the embedded one.
    pub(super) fn target(&self, server: Option<&str>) -> Result<Target, Failure> {
        match server.filter(|server| !server.is_empty()) {
            None => Ok(Target::embedded(self.home.results())),
            Some(server) => match Endpoint::new(server) {
                Ok(endpoint) => Ok(Target::Server(endpoint)),
                Err(error) => Err(Failure::new(Exit::Usage, format!("pony-run: {error}"))),
            },
        }
    }

    /// Shows an event that belongs to no run.
    pub(super) fn show(&self, event: Event) {
        self.screen.on(None, &Stamped::new(event, self.clock.wall(), self.clock.now()));
    }

    /// Shows an event of the build of this name, of which there is no run.
    pub(super) fn show_of(&self, build: &str, event: Event) {
        self.screen.on(Some(build), &Stamped::new(event, self.clock.wall(), self.clock.now()));
    }

    /// Tells the person something.
    pub(super) fn note(&self, text: String) {
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

    /// Delivers a run, of the build of that name if it is one of those that are shown, to `target` and shows how that went:
    /// delivered, not delivered, or interrupted by a signal.
    pub(super) async fn deliver(
        &mut self,
        build: Option<&str>,
        folder: &RunFolder,
        record: &RunRecord,
        target: &Target,
    ) -> Exit {
        let server = target.name();
        if self.silent.contains(&server) {
            self.not_delivered(build, record, "it did not answer a moment ago");
            return Exit::NotDelivered;
        }
        let show = |session: &Self, event| match build {
            Some(build) => session.show_of(build, event),
            None => session.show(event),
        };
        let delivered = tokio::select! {
            delivered = submit::deliver(folder, record, target, self.clock.wall()) => delivered,
            signal = self.signals.next() => {
                show(self, Event::NotDelivered { server, reason: "stopped".to_owned() });
                return Exit::Signal(signal);
            }
        };
        match delivered {
            Ok(receipt) => {
                let page = receipt.result_key.as_ref().and_then(|key| target.page(&record.package, key));
                show(self, Event::Delivered { server, result_key: receipt.result_key, page });
                Exit::Ok
            }
            Err(error) => {
                if error.is_silence() {
                    self.silent.insert(server.clone());
                }
                show(self, Event::NotDelivered { server, reason: error.to_string() });
                Exit::NotDelivered
            }
        }
    }

    /// Tells that a result waits for its servers.
    pub(super) fn not_delivered(&self, build: Option<&str>, record: &RunRecord, reason: &str) {
        for server in record.deliver_to.clone() {
            let event = Event::NotDelivered { server, reason: reason.to_owned() };
            match build {
                Some(build) => self.show_of(build, event),
                None => self.show(event),
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
