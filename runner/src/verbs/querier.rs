//! One server that is asked, for the verbs that ask: `query`, `notify`, `replay`.

use pony_wire::Dialect;

use super::{
    Failure,
    setup::{self, unless_stopped, wrong_server},
};
use crate::{
    cli::AskOptions,
    clock::Clock,
    config::Config,
    exit::Exit,
    home::Home,
    process::signals::Signals,
    query::ask::{AskError, Asking, Last, called, find_out},
    server::{
        Server,
        known::{Known, turn},
        registry::Servers,
    },
};

/// Asks a server, until a signal ends that.
pub(super) struct Querier {
    pub(super) home: Home,
    pub(super) config: Config,
    pub(super) servers: Servers,
    pub(super) signals: Signals,
    pub(super) clock: Clock,
}

impl Querier {
    /// One that asks nobody yet.
    pub(super) fn new(ask: &AskOptions) -> Result<Self, Failure> {
        let home = setup::home()?;
        let config = setup::config(&home)?;
        let servers = setup::servers(&home, &config, &ask.servers());
        Ok(Self { home, config, servers, signals: setup::signals()?, clock: Clock::start() })
    }

    /// The one server that is meant.
    pub(super) fn named(&mut self, ask: &AskOptions) -> Result<Server, Failure> {
        let options = ask.servers();
        if let [_, second, ..] = options.servers.as_slice() {
            let message =
                format!("one server is asked at a time, and `{second}` is another; -s SERVER names it");
            return Err(Failure::new(Exit::Usage, message));
        }
        self.servers
            .give(&options.servers)
            .map_err(|error| wrong_server(&error))?
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new(Exit::Usage, "no server is named"))
    }

    /// A server with what it speaks: what somebody said, what is remembered, or what it says to a cheap call, which is remembered.
    pub(super) async fn reach(&mut self, server: &Server) -> Result<Asking, Failure> {
        Ok(self.asking(server).await??)
    }

    /// As [`reach`](Self::reach), where a server that cannot be reached is no failure.
    pub(super) async fn asking(&mut self, server: &Server) -> Result<Result<Asking, AskError>, Failure> {
        let told = server.told_dialect().or_else(|| Known::load(&self.home, &server.name()).dialect());
        let found = match told {
            Some(dialect) => Ok(Some(dialect)),
            None => self.unless_stopped(find_out(server)).await?,
        };
        Ok(match found {
            Ok(Some(dialect)) => {
                if told.is_none() {
                    self.remember(server, dialect);
                }
                Ok(Asking { server: server.clone(), dialect })
            }
            Ok(None) => Err(AskError::NoServer(called(server))),
            Err(error) => Err(AskError::Call { server: called(server), error }),
        })
    }

    /// Notes what a server speaks, where nobody delivers to it just now: what is noted of deliveries must not be lost.
    pub(super) fn remember(&self, server: &Server, dialect: Dialect) {
        let name = server.name();
        let Ok(Some(_turn)) = turn(&self.home, &name) else { return };
        let mut known = Known::load(&self.home, &name);
        known.speaks(dialect);
        // Found out again next time, then.
        let _ = known.save(&self.home, &name);
    }

    /// The last results of a package's slots with these tags: at least one.
    pub(super) async fn last(
        &mut self,
        asking: &Asking,
        package: &str,
        tags: &[String],
    ) -> Result<Vec<Last>, Failure> {
        let last = self.unless_stopped(asking.last(package, tags)).await??;
        if last.is_empty() {
            return Err(Failure::new(Exit::No, no_slot(&asking.server, package, tags)));
        }
        Ok(last)
    }

    /// What comes of `work`, unless a signal ends it.
    pub(super) async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        unless_stopped(&mut self.signals, work).await
    }
}

/// That a server has no result of such a slot.
pub(super) fn no_slot(server: &Server, package: &str, tags: &[String]) -> String {
    let what = match tags {
        [] => format!("no results of {package}"),
        [tag] => format!("no tagset of {package} with the tag {tag}"),
        tags => format!("no tagset of {package} with the tags {}", tags.join(", ")),
    };
    let way_out = format!("`pony-run query tagsets {package}` shows what there is");
    format!("{} has {what}; {way_out}", called(server))
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let exit = match error {
            AskError::NoPackage { .. } | AskError::NoResult { .. } => Exit::No,
            AskError::Call { .. }
            | AskError::Odd { .. }
            | AskError::Cannot { .. }
            | AskError::NoServer(_) => Exit::NotAnswered,
        };
        Self::of(exit, &error)
    }
}
