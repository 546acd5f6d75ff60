//! The waiting results, as `pony-run submit --list` shows them.
#![expect(clippy::disallowed_methods, reason = "people read local wall clocks")]

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value as Json, json};

use super::{outbox::Standing, receipt::Receipt};
use crate::{
    home::Home,
    record::folder::{Open, open_runs},
    server::{backoff::Backoff, state::ServerState},
};

/// A result that waits for a server, or whose files do.
#[derive(Debug)]
pub(crate) struct WaitingResult {
    run_id: String,
    package: String,
    ended: Timestamp,
    server: String,
    standing: Standing,
    /// None if it is only tried when somebody asks for it.
    next_try: Option<Timestamp>,
}

/// All of them, oldest first.
pub(crate) fn waiting(home: &Home, now: Timestamp) -> Vec<WaitingResult> {
    let mut all = Vec::new();
    let Ok(open) = open_runs(home) else { return all };
    for Open { folder, .. } in open {
        let Ok(record) = folder.read_result() else { continue };
        for server in &record.deliver_to {
            let standing = Standing::read(&folder, server);
            if matches!(standing, Standing::Delivered) {
                continue;
            }
            let backoff = ServerState::load(home, server).ok().and_then(|state| state.backoff);
            all.push(WaitingResult {
                run_id: record.run_id.clone(),
                package: record.package.clone(),
                ended: record.ended,
                server: server.clone(),
                next_try: next_try(&standing, backoff.as_ref(), now),
                standing,
            });
        }
    }
    all
}

/// When the next run tries it, at the earliest: its own time, or that of its server. Pure.
fn next_try(standing: &Standing, of_server: Option<&Backoff>, now: Timestamp) -> Option<Timestamp> {
    let is_never = match standing {
        Standing::GivenUp(_) | Standing::Unreadable(_) => true,
        Standing::Waiting(mark) => mark.as_ref().is_some_and(|mark| mark.is_permanent),
        Standing::Delivered | Standing::FilesWaiting(_) => false,
    };
    let of_server = of_server.filter(|backoff| !backoff.is_over(now));
    let next = backoff(standing).into_iter().chain(of_server).map(|backoff| backoff.next).max();
    (!is_never).then_some(next.unwrap_or(now).max(now))
}

/// Of the result, or of its files.
fn backoff(standing: &Standing) -> Option<&Backoff> {
    match standing {
        Standing::Waiting(mark) => mark.as_ref().map(|mark| &mark.backoff),
        Standing::GivenUp(mark) => Some(&mark.backoff),
        Standing::FilesWaiting(receipt) => receipt.backoff.as_ref(),
        Standing::Delivered | Standing::Unreadable(_) => None,
    }
}

impl WaitingResult {
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self.standing, Standing::GivenUp(_))
    }

    fn files(&self) -> usize {
        if let Standing::FilesWaiting(receipt) = &self.standing { Receipt::waiting(receipt) } else { 0 }
    }

    pub(crate) fn json(&self) -> Json {
        let backoff = backoff(&self.standing);
        let is_permanent = match &self.standing {
            Standing::GivenUp(mark) | Standing::Waiting(Some(mark)) => mark.is_permanent,
            _ => false,
        };
        let reason = match &self.standing {
            Standing::Unreadable(error) => Some(error.to_string()),
            _ => backoff.map(|backoff| backoff.reason.clone()),
        };
        json!({
            "run_id": self.run_id,
            "package": self.package,
            "ended": self.ended,
            "server": self.server,
            "files": self.files(),
            "tries": backoff.map_or(0, |backoff| backoff.failures),
            "reason": reason,
            "final": is_permanent,
            "dropped": self.is_given_up(),
            "next": self.next_try,
        })
    }

    pub(crate) fn text(&self, now: Timestamp) -> String {
        let Self { run_id, package, server, .. } = self;
        let ended = self.ended.strftime("%Y-%m-%d %H:%M UTC");
        let tried = match (&self.standing, backoff(&self.standing)) {
            (Standing::Unreadable(error), _) => error.to_string(),
            (_, Some(Backoff { failures: 1, reason, .. })) => format!("tried once: {reason}"),
            (_, Some(Backoff { failures: tries @ 2.., reason, .. })) => {
                format!("tried {tries} times: {reason}")
            }
            _ => "not tried yet".to_owned(),
        };
        let why = match self.files() {
            0 => tried,
            1 => format!("the result is there, and 1 of its files waits; {tried}"),
            files => format!("the result is there, and {files} of its files wait; {tried}"),
        };
        let when = match self.next_try {
            _ if self.is_given_up() => "given up".to_owned(),
            None => "not tried again; `pony-run submit RUN` tries it".to_owned(),
            Some(next) if next <= now => "next try with the next run".to_owned(),
            Some(next) => format!("next try after {} (local)", local(next, now)),
        };
        format!("{run_id}  {package}, ended {ended}, for {server}\n  {why}\n  {when}")
    }
}

/// The time of day here, with the date where that is another one.
fn local(time: Timestamp, now: Timestamp) -> String {
    let (time, now) = (time.to_zoned_datetime(TimeZone::system()), now.to_zoned_datetime(TimeZone::system()));
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::mark::OutboxMark;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn the_next_try_is_that_of_the_result_or_of_its_server() {
        let backoff = |next| Backoff {
            failures: 1,
            reason: "x".to_owned(),
            last: at(0),
            next: at(next),
            is_requested: false,
        };
        let mark = |next, is_permanent| OutboxMark {
            server: "s".to_owned(),
            backoff: backoff(next),
            is_permanent,
            is_login: false,
            is_given_up: false,
        };
        let waiting = |mark| Standing::Waiting(mark);
        for (standing, of_server, expected) in [
            (waiting(None), None, Some(10)),
            (waiting(None), Some(backoff(60)), Some(60)),
            (waiting(Some(mark(30, false))), None, Some(30)),
            (waiting(Some(mark(30, false))), Some(backoff(60)), Some(60)),
            (waiting(Some(mark(90, false))), Some(backoff(60)), Some(90)),
            (waiting(Some(mark(5, false))), Some(backoff(5)), Some(10)),
            (waiting(Some(mark(30, true))), None, None),
            (Standing::GivenUp(mark(30, false)), None, None),
        ] {
            assert_eq!(next_try(&standing, of_server.as_ref(), at(10)), expected.map(at), "{standing:?}");
        }
    }
}
