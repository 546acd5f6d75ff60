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
    server::{
        Server,
        api::{Api, QueryError, detect},
        kind::QueryFailure,
        registry::Servers,
        reported::LastResult,
        state::{ServerState, lock},
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
    pub(super) fn new(ask: &AskOptions) -> Result<Self, Failure> {
        let home = setup::home()?;
        let config = setup::config(&home)?;
        let servers = setup::servers(&home, &config, &ask.servers());
        Ok(Self { home, config, servers, signals: setup::signals()?, clock: Clock::start() })
    }

    /// The one server that the options name.
    pub(super) fn named(&mut self, ask: &AskOptions) -> Result<Server, Failure> {
        let options = ask.servers();
        if let [_, second, ..] = options.servers.as_slice() {
            let message = format!("only one server can be asked at a time; `{second}` is a second one");
            return Err(Failure::new(Exit::Usage, message));
        }
        self.servers
            .give(&options.servers)
            .map_err(|error| wrong_server(&error))?
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new(Exit::Usage, "no server is named"))
    }

    /// A server with its dialect: given, remembered, or detected, and then remembered.
    pub(super) async fn reach(&mut self, server: &Server) -> Result<Api, Failure> {
        Ok(self.try_reach(server).await??)
    }

    /// As [`reach`](Self::reach), where a server that cannot be reached is no failure.
    pub(super) async fn try_reach(&mut self, server: &Server) -> Result<Result<Api, QueryError>, Failure> {
        let known =
            server.given_dialect().or_else(|| ServerState::load(&self.home, &server.name()).ok()?.dialect());
        if let Some(dialect) = known {
            return Ok(Ok(Api::new(server, dialect)));
        }
        let detected = self.unless_stopped(detect(server)).await?;
        if let Ok(dialect) = detected {
            self.remember(server, dialect);
        }
        Ok(detected.map(|dialect| Api::new(server, dialect)))
    }

    /// Keeps a server's dialect, unless results are delivered to it just now: what is kept of deliveries must not be lost.
    pub(super) fn remember(&self, server: &Server, dialect: Dialect) {
        let name = server.name();
        let Ok(Some(_lock)) = lock(&self.home, &name) else { return };
        let Ok(mut state) = ServerState::load(&self.home, &name) else { return };
        state.set_dialect(dialect);
        // Else it is detected again next time.
        let _ = state.save(&self.home);
    }

    /// The last results of a package's slots with these tags: at least one.
    pub(super) async fn last(
        &mut self,
        api: &Api,
        package: &str,
        tags: &[String],
    ) -> Result<Vec<LastResult>, Failure> {
        let last = self.unless_stopped(api.last_results(package, tags)).await??;
        if last.is_empty() {
            return Err(no_slot(&api.server, package, tags));
        }
        Ok(last)
    }

    /// `work`, unless a signal ends it.
    pub(super) async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        unless_stopped(&mut self.signals, work).await
    }
}

/// A server has no result of such a slot.
pub(super) fn no_slot(server: &Server, package: &str, tags: &[String]) -> Failure {
    let what = match tags {
        [] => format!("no results of {package}"),
        [tag] => format!("no slot of {package} with the tag {tag}"),
        tags => format!("no slot of {package} with the tags {}", tags.join(", ")),
    };
    Failure::new(Exit::No, format!("{} has {what}", server.display_name()))
        .hint(format!("`pony-run query slots {package}` lists its slots"))
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let exit = match error.failure {
            QueryFailure::NoPackage { .. } | QueryFailure::NoResult(_) => Exit::No,
            QueryFailure::Call(_)
            | QueryFailure::NotAResult(_)
            | QueryFailure::Unsupported { .. }
            | QueryFailure::Unrecognized => Exit::NotAnswered,
        };
        let failure = Self::of(exit, &error);
        match error.failure.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
