//! What all work of one `pony-run` shares: where things are kept, the clock, the screen. Reads the environment.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;

use super::Failure;
use crate::{
    cli::{MessageFormat, RunOptions, ServerOptions, ShowOptions},
    clock::Clock,
    config::Config,
    delivery::{self, Delivered, Delivery, receipt::Receipt},
    display::{
        Display, Json, Look, Screen, Terminal,
        look::{self, ColourChoice},
    },
    exit::Exit,
    home::Home,
    plan::Surroundings,
    platform::Machine,
    process::os::Signals,
    record::{
        RunRecord,
        event::{Event, Stamped},
        folder::{Active, RunFolder},
        recovery::{self, Recovered},
    },
    server::{Server, address::AddressError, known::Known, login::Sources, registry::Servers},
};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing is left to do: it is there, or is not to be.
    Done,
    /// It is there, and files of it wait.
    Uploads,
    /// It waits.
    Waits,
    /// A signal ended it.
    Stopped(u8),
}

impl Ended {
    /// What `pony-run` ends with for it.
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Done | Self::Uploads => Exit::Ok,
            Self::Waits => Exit::NotDelivered,
            Self::Stopped(signal) => Exit::Signal(signal),
        }
    }
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Tried {
    /// It is there now.
    Delivered(Receipt),
    /// It is not to be there.
    Unwanted,
    /// It is not there: why.
    Failed(String),
    /// A signal ended it.
    Stopped(u8),
}

/// To which server, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'w> {
    pub(super) server: &'w Server,
    /// The longest that it may take, without files.
    pub(super) limit: Duration,
    /// Somebody asked for this very one.
    pub(super) by_name: bool,
    /// Somebody does not want to wait, whatever the server has asked for.
    pub(super) hurry: bool,
}

impl<'w> Way<'w> {
    /// As a result goes that was just made.
    pub(super) fn new(server: &'w Server, limit: Duration) -> Self {
        Self { server, limit, by_name: false, hurry: false }
    }
}

/// The surroundings of the work. What is done side by side has a clone each.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) home: Home,
    pub(super) config: Config,
    pub(super) servers: Servers,
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
        let config = config(&home)?;
        let servers = Servers {
            results: home.results(),
            entries: config.servers.iter().map(|(name, server)| (name.clone(), server.0.clone())).collect(),
            sources: Sources::of(std::env::vars_os().collect()),
            ..Servers::default()
        };
        let display = match show.message_format {
            MessageFormat::Json => Display::Json(Json::default()),
            MessageFormat::Human => {
                Display::Terminal(Box::new(Terminal::new(look(show.color, show.no_progress), show.verbose)))
            }
        };
        let signals = Signals::listen();
        let signals = signals.map_err(|error| cannot_record(format!("cannot listen to signals: {error}")))?;
        Ok(Self {
            home,
            config,
            servers,
            clock,
            screen: Screen::new(display),
            signals,
            silent: BTreeSet::new(),
        })
    }

    /// How the servers that the command line names are to be spoken to.
    pub(super) fn name_servers(&mut self, options: &ServerOptions) {
        self.servers.dialect = options.dialect;
        self.servers.cacert.clone_from(&options.cacert);
    }

    /// The servers that the command line names, or the embedded one.
    pub(super) fn given(&mut self, options: &ServerOptions) -> Result<Vec<Server>, Failure> {
        self.servers.give(&options.servers).map_err(|error| wrong_server(&error))
    }

    /// What plans are made in.
    pub(super) fn surroundings<'o>(
        &mut self,
        options: &'o RunOptions,
        machine: Machine,
    ) -> Result<Surroundings<'o>, Failure> {
        let temp_root = std::env::temp_dir();
        Ok(Surroundings {
            home: self.home.clone(),
            config: self.config.clone(),
            servers: self.given(&options.to)?,
            environment: std::env::vars_os().collect(),
            temp_root: std::path::absolute(&temp_root).unwrap_or(temp_root),
            options,
            machine,
        })
    }

    /// Shows an event that belongs to no run.
    pub(super) fn show(&self, event: Event) {
        self.screen.on(None, &Stamped::new(event, self.clock.wall(), self.clock.now()));
    }

    /// Shows an event of the build of this name, of which there is no run.
    pub(super) fn show_of(&self, build: &str, event: Event) {
        self.screen.on(Some(build), &Stamped::new(event, self.clock.wall(), self.clock.now()));
    }

    /// Shows an event of the build of this name, if it has one.
    pub(super) fn show_perhaps_of(&self, build: Option<&str>, event: Event) {
        match build {
            Some(build) => self.show_of(build, event),
            None => self.show(event),
        }
    }

    /// Tells the person something.
    pub(super) fn note(&self, text: String) {
        self.show(Event::Note { text });
    }

    /// Looks after earlier runs that were cut short, and tells of them.
    pub(super) fn recover(&mut self) -> Vec<Recovered> {
        let recovered = match recovery::recover(&self.home) {
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

    /// Delivers a run, of the build of that name if it is one of those that are shown, and its files, and shows how that went.
    pub(super) async fn deliver(
        &mut self,
        build: Option<&str>,
        folder: &RunFolder,
        record: &RunRecord,
        way: Way<'_>,
    ) -> Ended {
        let server = way.server.name();
        let (event, ended) = match self.try_delivery(folder, record, way).await {
            Tried::Unwanted => return Ended::Done,
            Tried::Delivered(receipt) => {
                let page = receipt.result_key.as_ref().and_then(|key| way.server.page(&record.package, key));
                let event = Event::Delivered { server, result_key: receipt.result_key.clone(), page };
                self.show_perhaps_of(build, event);
                let limit = self.config.delivery.uploads;
                return self.upload(build, folder, receipt, way.server, limit).await;
            }
            Tried::Failed(reason) => (Event::NotDelivered { server, reason }, Ended::Waits),
            Tried::Stopped(signal) => {
                (Event::NotDelivered { server, reason: "stopped".to_owned() }, Ended::Stopped(signal))
            }
        };
        self.show_perhaps_of(build, event);
        ended
    }

    /// Tries to deliver a run, without its files and without a word but of what is odd.
    pub(super) async fn try_delivery(
        &mut self,
        folder: &RunFolder,
        record: &RunRecord,
        way: Way<'_>,
    ) -> Tried {
        let Way { server, limit, by_name, hurry } = way;
        let name = server.name();
        if self.silent.contains(&name) {
            return Tried::Failed("it did not answer a moment ago".to_owned());
        }
        // A server that asked to be left alone is; whatever else is wrong with it may have passed.
        if !hurry && let Some(until) = self.left_alone_until(&name) {
            return Tried::Failed(format!(
                "it asks for time until {}",
                until.strftime("%Y-%m-%d %H:%M:%S UTC")
            ));
        }
        let (home, clock) = (self.home.clone(), self.clock);
        let delivery = Delivery { home: &home, server, limit, by_name };
        let delivered = tokio::select! {
            delivered = delivery::deliver(delivery, folder, record, || clock.wall()) => delivered,
            signal = self.signals.next() => return Tried::Stopped(signal),
        };
        match delivered {
            Ok(None) => Tried::Unwanted,
            Ok(Some(Delivered { receipt, notes })) => {
                for note in notes {
                    self.note(note);
                }
                Tried::Delivered(receipt)
            }
            Err(error) => {
                if error.is_of_the_server() {
                    self.silent.insert(name);
                }
                let rest = if error.is_final() { "; it is not tried again by itself" } else { "" };
                Tried::Failed(format!("{error}{rest}"))
            }
        }
    }

    /// Until when a server has asked to be left alone.
    fn left_alone_until(&self, server: &str) -> Option<Timestamp> {
        let trouble = Known::load(&self.home, server).trouble?;
        (trouble.asked && !trouble.is_over(self.clock.wall())).then_some(trouble.next)
    }

    /// Tells that a result waits for its servers.
    pub(super) fn not_delivered(&self, build: Option<&str>, record: &RunRecord, reason: &str) {
        for server in record.deliver_to.clone() {
            let event = Event::NotDelivered { server, reason: reason.to_owned() };
            self.show_perhaps_of(build, event);
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

/// A text that is no server.
pub(super) fn wrong_server(error: &AddressError) -> Failure {
    Failure::new(Exit::Usage, format!("pony-run: {error}"))
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
