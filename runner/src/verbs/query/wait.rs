//! `pony-run query wait`: asks again and again.

use std::time::Duration;

use super::{no_slot, verdict};
use crate::{
    clock::{Clock, Moment},
    exit::Exit,
    query::{
        Row, Verdict,
        ask::{AskError, Asking},
        say as words,
    },
    server::Server,
    verbs::{Failure, querier::Querier, say},
    words::plain,
};

/// No server is asked more often than this.
const SHORTEST: Duration = Duration::from_millis(100);

/// Waits for green.
pub(super) struct Wait<'w> {
    /// Of which package.
    pub(super) package: &'w str,
    /// Of which of its slots.
    pub(super) tags: &'w [String],
    /// For how long.
    pub(super) timeout: Option<Duration>,
    /// How long to wait before it is asked again.
    pub(super) every: Duration,
}

impl Wait<'_> {
    /// The last results, once all of them are green or time is up. Tells of each change. What passes by itself, a server that is
    /// down for instance, is waited out too.
    pub(super) async fn run(
        &self,
        querier: &mut Querier,
        server: &Server,
    ) -> Result<(Asking, Vec<Row>), Failure> {
        let began = querier.clock.now();
        let mut said = String::new();
        let mut reached: Option<Asking> = None;
        loop {
            let asked = self.once(querier, server, &mut reached).await?;
            let is_over = self.left(querier.clock, began).is_some_and(|left| left.is_zero());
            let (words, pause) = match asked {
                Ok((asking, rows)) if verdict(&rows) == Verdict::Green || (is_over && !rows.is_empty()) => {
                    return Ok((asking, rows));
                }
                Ok(_) if is_over => {
                    return Err(Failure::new(Exit::No, no_slot(server, self.package, self.tags)));
                }
                Ok((_, rows)) => (self.state(&rows), self.every),
                Err(error) if is_over || !passes(&error) => return Err(error.into()),
                Err(error) => (error.to_string(), self.every.max(wish(&error))),
            };
            if words != said {
                say(&format!("pony-run: waiting: {}", plain(&words)));
                said = words;
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
        reached: &mut Option<Asking>,
    ) -> Result<Result<(Asking, Vec<Row>), AskError>, Failure> {
        let asking = match reached {
            Some(asking) => asking,
            None => match querier.asking(server).await? {
                Ok(asking) => reached.insert(asking),
                Err(error) => return Ok(Err(error)),
            },
        };
        let rows = match querier.unless_stopped(asking.last(self.package, self.tags)).await? {
            Ok(last) => last.into_iter().map(|last| last.row).collect(),
            // It may come yet.
            Err(AskError::NoPackage { .. }) => Vec::new(),
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok((asking.clone(), rows)))
    }

    /// How much time is left; none if there is no end of it.
    fn left(&self, clock: Clock, began: Moment) -> Option<Duration> {
        Some(self.timeout?.saturating_sub(clock.now().saturating_sub(began)))
    }

    fn state(&self, rows: &[Row]) -> String {
        if rows.is_empty() {
            return format!("there is no result of {} yet", self.package);
        }
        let not_green: Vec<String> = rows
            .iter()
            .filter(|row| row.status.verdict() != Verdict::Green)
            .map(|row| {
                let key = row.key.as_ref().map(|key| format!(", result {key}")).unwrap_or_default();
                format!("{} is {}{key}", words::slot(&row.slot), row.status.verdict().word())
            })
            .collect();
        not_green.join("; ")
    }
}

/// How long a server asks to be left alone.
fn wish(error: &AskError) -> Duration {
    match error {
        AskError::Call { error, .. } => error.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn passes(error: &AskError) -> bool {
    matches!(error, AskError::Call { error, .. } if !error.is_final())
}
