//! `pony-run query wait`: asks again and again.

use std::time::Duration;

use super::{no_slot, summaries};
use crate::{
    clock::{Clock, Moment},
    query::{Health, text},
    server::{
        Server,
        api::{Api, QueryError},
        kind::QueryFailure,
        reported::Summary,
    },
    verbs::{Failure, querier::Querier, say},
    words::plain,
};

/// No server is asked more often.
const SHORTEST: Duration = Duration::from_millis(100);

/// Waits until all slots pass.
pub(super) struct Wait<'w> {
    pub(super) package: &'w str,
    pub(super) tags: &'w [String],
    pub(super) timeout: Option<Duration>,
    pub(super) every: Duration,
}

impl Wait<'_> {
    /// The last results, once all of them pass or time is up. Reports each change. Keeps waiting while the server is down.
    pub(super) async fn run(
        &self,
        querier: &mut Querier,
        server: &Server,
    ) -> Result<(Api, Vec<Summary>), Failure> {
        let began = querier.clock.now();
        let mut reported = String::new();
        let mut reached: Option<Api> = None;
        loop {
            let answer = self.once(querier, server, &mut reached).await?;
            let is_over = self.left(querier.clock, began).is_some_and(|left| left.is_zero());
            let (state, pause) = match answer {
                Ok((api, results))
                    if Health::of_all(&results) == Health::Passing || (is_over && !results.is_empty()) =>
                {
                    return Ok((api, results));
                }
                Ok(_) if is_over => {
                    return Err(no_slot(server, self.package, self.tags));
                }
                Ok((_, results)) => (self.state(&results), self.every),
                Err(error) if is_over || !may_pass(&error) => return Err(error.into()),
                Err(error) => (error.to_string(), self.every.max(retry_after(&error))),
            };
            if state != reported {
                say(&format!("pony-run: waiting: {}", plain(&state)));
                reported = state;
            }
            let pause = pause.max(SHORTEST);
            let pause = self.left(querier.clock, began).map_or(pause, |left| left.min(pause));
            querier.unless_stopped(tokio::time::sleep(pause)).await?;
        }
    }

    async fn once(
        &self,
        querier: &mut Querier,
        server: &Server,
        reached: &mut Option<Api>,
    ) -> Result<Result<(Api, Vec<Summary>), QueryError>, Failure> {
        let api = match reached {
            Some(api) => api,
            None => match querier.try_reach(server).await? {
                Ok(api) => reached.insert(api),
                Err(error) => return Ok(Err(error)),
            },
        };
        let results = match querier.unless_stopped(api.last_results(self.package, self.tags)).await? {
            Ok(last) => summaries(last),
            // It may come yet.
            Err(QueryError { failure: QueryFailure::NoPackage { .. }, .. }) => Vec::new(),
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok((api.clone(), results)))
    }

    /// Time left; none without a limit.
    fn left(&self, clock: Clock, began: Moment) -> Option<Duration> {
        Some(self.timeout?.saturating_sub(clock.now().saturating_sub(began)))
    }

    fn state(&self, results: &[Summary]) -> String {
        if results.is_empty() {
            return format!("no result of {} yet", self.package);
        }
        let not_passing = results.iter().filter(|result| Health::of(result.status) != Health::Passing);
        let slots = not_passing.map(|result| {
            let key = result.key.as_ref().map(|key| format!(" (result {key})")).unwrap_or_default();
            format!("{} {}{key}", text::slot(&result.slot), result.status.word())
        });
        slots.collect::<Vec<_>>().join("; ")
    }
}

fn retry_after(error: &QueryError) -> Duration {
    match &error.failure {
        QueryFailure::Call(error) => error.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn may_pass(error: &QueryError) -> bool {
    matches!(&error.failure, QueryFailure::Call(error) if !error.is_permanent())
}
