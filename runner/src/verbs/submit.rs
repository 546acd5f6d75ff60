//! `pony-run submit`: delivers results that wait in their run folders, shows them, or gives them up.

use std::path::Path;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    Failure, print,
    recovery::recover,
    setup::{self, cannot_record, wrong_server},
};
use crate::{
    cli::{MessageFormat, ShowOptions, SubmitOptions},
    clock::Clock,
    delivery::{
        deliverer::{Deliverer, DeliveryOptions, Ended},
        outbox::{Rules, pass},
        receipt::{Receipt, Waiting},
    },
    display::Console,
    display::look::ColourChoice,
    exit::Exit,
    process::signals::Signals,
    record::{
        RunRecord,
        folder::{Active, Open, RunFolder, open_runs},
    },
    server::{Server, backoff::Backoff, state::ServerState},
};

/// Delivers these run folders, or all that wait.
pub(super) async fn submit(options: &SubmitOptions) -> Result<Exit, Failure> {
    let show = ShowOptions {
        color: ColourChoice::Auto,
        no_progress: false,
        message_format: MessageFormat::Human,
        verbose: false,
        debug: false,
    };
    let work = async |console, signals| submit_all(options, console, signals).await;
    setup::with_console(&show, Clock::start(), work).await
}

async fn submit_all(options: &SubmitOptions, console: Console, signals: Signals) -> Result<Exit, Failure> {
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let mut registry = setup::servers(&home, &config, &options.to);
    let given = registry.give(&options.to.servers).map_err(|error| wrong_server(&error))?;
    let is_asked = options.to.servers.iter().any(|server| !server.trim().is_empty());
    let servers = if is_asked { given } else { Vec::new() };
    home.make().map_err(cannot_record)?;
    // Runs that crashed become results first; their locks are let go, to be taken again below.
    drop(recover(&home, &console));
    let mut deliverer = Deliverer::new(home, config.delivery, registry, console, signals);
    if options.list {
        return Ok(list(&deliverer, options.json));
    }
    if options.runs.is_empty() && options.drop {
        if !options.all {
            return Err(usage("--drop needs the runs, or --all"));
        }
        return drop_all(&mut deliverer);
    }
    if options.runs.is_empty() {
        return Ok(all(&mut deliverer, servers, options.all).await);
    }
    let mut exit = Exit::Ok;
    for run in &options.runs {
        let Some(folder) = find(&deliverer, run) else {
            deliverer.console.say(&format!(
                "pony-run: there is no run `{}`; `pony-run submit --list` names those that wait",
                run.display()
            ));
            exit = exit.worst(Exit::Usage);
            continue;
        };
        let record = match folder.read_result() {
            Ok(record) => record,
            Err(error) => {
                deliverer.console.say(&format!("pony-run: {error}"));
                exit = exit.worst(Exit::Usage);
                continue;
            }
        };
        let active = take_up(&deliverer, &folder);
        if options.drop {
            give_up(&mut deliverer, &folder, &record);
            if let Some(active) = active {
                deliverer.close(active);
            }
            continue;
        }
        exit = exit.worst(one(&mut deliverer, &folder, active, &record, &servers).await?);
        if matches!(exit, Exit::Signal(_)) {
            break;
        }
    }
    Ok(exit)
}

fn usage(text: &str) -> Failure {
    Failure::new(Exit::Usage, text)
}

/// A run by its folder or its id.
fn find(deliverer: &Deliverer, run: &Path) -> Option<RunFolder> {
    if run.is_dir() {
        return Some(RunFolder::at(&std::path::absolute(run).unwrap_or_else(|_| run.to_owned())));
    }
    RunFolder::by_id(&deliverer.home, run.to_str()?)
}

/// The run's marker, if it is not closed and nobody is at it.
fn take_up(deliverer: &Deliverer, folder: &RunFolder) -> Option<Active> {
    open_runs(&deliverer.home).ok()?.find(|open| open.folder == *folder).map(|open| open.active)
}

/// Delivers all that wait, to these servers or to those that each is for.
async fn all(deliverer: &mut Deliverer, servers: Vec<Server>, also_final: bool) -> Exit {
    let only = servers.into_iter().map(Some).collect::<Vec<_>>();
    let only = if only.is_empty() { vec![None] } else { only };
    let (mut exit, mut tried) = (Exit::Ok, 0);
    for only in only {
        let rules = Rules { limit: None, only, hurry: true, also_final, shown: true };
        let tally = pass(deliverer, &rules).await;
        tried += tally.delivered + tally.waiting;
        if let Some(signal) = tally.signal {
            return Exit::Signal(signal);
        }
        if tally.waiting > 0 {
            exit = exit.worst(Exit::NotDelivered);
        }
    }
    if tried == 0 {
        let waiting = waiting(deliverer);
        match waiting
            .iter()
            .filter(|row| !row.waiting.as_ref().is_some_and(|waiting| waiting.dropped))
            .count()
        {
            0 => deliverer.console.say("Nothing is waiting to be sent."),
            1 => deliverer.console.say("1 result waits and was not tried; `pony-run submit --list` says why"),
            count => {
                deliverer.console.say(&format!(
                    "{count} results wait and were not tried; `pony-run submit --list` says why"
                ));
            }
        }
    }
    exit
}

/// Delivers one run to these servers, or to every server that it is still to go to.
async fn one(
    deliverer: &mut Deliverer,
    folder: &RunFolder,
    active: Option<Active>,
    record: &RunRecord,
    servers: &[Server],
) -> Result<Exit, Failure> {
    let servers = if servers.is_empty() {
        let named = record.deliver_to.iter().map(|name| deliverer.servers.of_receipt(name));
        named.collect::<Result<Vec<_>, _>>().map_err(|error| wrong_server(&error))?
    } else {
        servers.to_vec()
    };
    let mut exit = Exit::Ok;
    for server in servers {
        let name = server.name();
        let limit = deliverer.limits.timeout;
        let mut receipt = folder.read_receipt(&name);
        // Asked for by name, even files that were refused are tried again.
        receipt.iter_mut().for_each(Receipt::reopen);
        let ended = match receipt {
            Some(receipt) if receipt.has_waiting() => {
                deliverer.upload(None, folder, receipt, &server, deliverer.limits.uploads).await
            }
            Some(_) => {
                deliverer.console.note(format!("{} is on {name} already", folder.path().display()));
                Ended::Done
            }
            // Asked for by name, even a cancelled run is sent.
            None => {
                deliverer
                    .deliver(
                        None,
                        folder,
                        record,
                        DeliveryOptions { server: &server, limit, by_name: true, hurry: true },
                    )
                    .await
            }
        };
        server.close().await;
        exit = exit.worst(ended.exit());
        if matches!(exit, Exit::Signal(_)) {
            return Ok(exit);
        }
    }
    let is_there = |name: &String| folder.read_receipt(name).is_some_and(|receipt| !receipt.has_waiting());
    let everywhere = record.deliver_to.iter().all(is_there);
    if let Some(active) = active.filter(|_| exit == Exit::Ok && everywhere) {
        deliverer.close(active);
    }
    Ok(exit)
}

/// A result that waits for a server.
struct Row {
    run_id: String,
    package: String,
    ended: Timestamp,
    server: String,
    /// Files only: the result is there.
    files: usize,
    waiting: Option<Waiting>,
    /// Of the result, or of its files.
    trouble: Option<Backoff>,
    /// When it is tried next, whatever happens; none if never by itself.
    next: Option<Timestamp>,
}

/// All that waits, oldest first.
fn waiting(deliverer: &Deliverer) -> Vec<Row> {
    let now = deliverer.console.clock.wall();
    let mut rows = Vec::new();
    let Ok(open) = open_runs(&deliverer.home) else { return rows };
    for Open { folder, .. } in open {
        let Ok(record) = folder.read_result() else { continue };
        for server in &record.deliver_to {
            let receipt = folder.read_receipt(server);
            let files = receipt.as_ref().map_or(0, Receipt::waiting);
            if files == 0 && receipt.is_some() {
                continue;
            }
            let waiting = folder.read_waiting(server);
            let of_server =
                ServerState::load(&deliverer.home, server).backoff.filter(|backoff| !backoff.is_over(now));
            let never = waiting.as_ref().is_some_and(|waiting| waiting.is_final || waiting.dropped);
            let trouble = waiting.as_ref().map(|waiting| waiting.backoff.clone());
            let trouble = trouble.or_else(|| receipt.as_ref()?.backoff.clone());
            let own = trouble.as_ref().map(|trouble| trouble.next);
            let next = own.into_iter().chain(of_server.map(|trouble| trouble.next)).max().unwrap_or(now);
            rows.push(Row {
                run_id: record.run_id.clone(),
                package: record.package.clone(),
                ended: record.ended,
                server: server.clone(),
                files,
                waiting,
                trouble,
                next: (!never).then_some(next.max(now)),
            });
        }
    }
    rows
}

fn list(deliverer: &Deliverer, as_json: bool) -> Exit {
    let rows = waiting(deliverer);
    if as_json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        return print(&format!("{:#}", Value::Array(rows)));
    }
    if rows.is_empty() {
        deliverer.console.say("Nothing is waiting to be sent.");
        return Exit::Ok;
    }
    let now = deliverer.console.clock.wall();
    print(&rows.iter().map(|row| row.text(now)).collect::<Vec<_>>().join("\n"))
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "run_id": self.run_id,
            "package": self.package,
            "ended": self.ended,
            "server": self.server,
            "files": self.files,
            "tries": self.trouble.as_ref().map_or(0, |trouble| trouble.failures),
            "reason": self.trouble.as_ref().map(|trouble| &trouble.reason),
            "final": self.waiting.as_ref().is_some_and(|waiting| waiting.is_final),
            "dropped": self.waiting.as_ref().is_some_and(|waiting| waiting.dropped),
            "next": self.next,
        })
    }

    fn text(&self, now: Timestamp) -> String {
        let head = format!(
            "{}  {}, ended {}, for {}",
            self.run_id,
            self.package,
            self.ended.strftime("%Y-%m-%d %H:%M UTC"),
            self.server
        );
        let when = match (&self.waiting, self.next) {
            (Some(waiting), _) if waiting.dropped => "given up".to_owned(),
            (_, None) => "not tried again; `pony-run submit RUN` tries it".to_owned(),
            (_, Some(next)) if next <= now => "next try with the next run".to_owned(),
            (_, Some(next)) => format!("next try after {} (local)", local(next, now)),
        };
        let tried = match &self.trouble {
            Some(Backoff { failures: 1, reason, .. }) => format!("tried once: {reason}"),
            Some(Backoff { failures: tries @ 2.., reason, .. }) => format!("tried {tries} times: {reason}"),
            _ => "not tried yet".to_owned(),
        };
        let why = match self.files {
            0 => tried,
            1 => format!("the result is there, and 1 of its files waits; {tried}"),
            files => format!("the result is there, and {files} of its files wait; {tried}"),
        };
        format!("{head}\n  {why}\n  {when}")
    }
}

/// The time of day here, with the date where that is another one.
fn local(time: Timestamp, now: Timestamp) -> String {
    let (time, now) = (time.to_zoned(TimeZone::system()), now.to_zoned(TimeZone::system()));
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.strftime(format).to_string()
}

/// Gives up all that wait.
fn drop_all(deliverer: &mut Deliverer) -> Result<Exit, Failure> {
    let open = open_runs(&deliverer.home);
    let open = open.map_err(|error| cannot_record(format!("cannot look for waiting results: {error}")))?;
    for Open { folder, active } in open {
        let Ok(record) = folder.read_result() else { continue };
        give_up(deliverer, &folder, &record);
        deliverer.close(active);
    }
    Ok(Exit::Ok)
}

fn give_up(deliverer: &mut Deliverer, folder: &RunFolder, record: &RunRecord) {
    for server in record.deliver_to.iter().filter(|server| !folder.is_delivered_to(server)) {
        folder.write_waiting(&Waiting::dropped(
            folder.read_waiting(server),
            server,
            deliverer.console.clock.wall(),
        ));
        deliverer.console.note(format!(
            "dropped: {} will not be sent to {server} (files stay in {})",
            record.run_id,
            folder.path().display()
        ));
    }
    let receipts = record.deliver_to.iter().filter_map(|server| folder.read_receipt(server));
    for mut receipt in receipts.filter(Receipt::has_waiting) {
        receipt.refuse_waiting("given up");
        if let Err(error) = folder.write_receipt(&receipt) {
            deliverer
                .console
                .note(format!("cannot note that files of {} are given up: {error}", record.run_id));
        } else {
            deliverer
                .console
                .note(format!("dropped: files of {} will not be sent to {}", record.run_id, receipt.server));
        }
    }
}
