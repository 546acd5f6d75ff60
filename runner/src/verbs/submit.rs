//! `pony-run submit`: delivers results that wait in their run folders, shows them, or gives them up.

use std::path::Path;

use serde_json::Value;

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
        listing::{WaitingResult, waiting},
        mark::OutboxMark,
        outbox::{Rules, Standing, pass},
        receipt::Receipt,
    },
    display::Console,
    display::settings::ColourChoice,
    exit::Exit,
    process::signals::Signals,
    record::{
        RunRecord,
        folder::{Active, Open, RunFolder, open_runs},
    },
    server::Server,
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
            give_up(&deliverer, &folder, &record);
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
async fn all(deliverer: &mut Deliverer, servers: Vec<Server>, rejected: bool) -> Exit {
    let only = servers.into_iter().map(Some).collect::<Vec<_>>();
    let only = if only.is_empty() { vec![None] } else { only };
    let (mut exit, mut tried) = (Exit::Ok, 0);
    for only in only {
        let rules = Rules { limit: None, only, hurry: true, rejected, shown: true };
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
        let waiting = waiting(&deliverer.home, deliverer.console.clock.wall());
        match waiting.iter().filter(|result| !result.is_given_up()).count() {
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
        let mut receipt = match Receipt::load(folder, &name) {
            Ok(receipt) => receipt,
            Err(error) => {
                deliverer.console.note(format!("{} is not sent to {name}: {error}", record.run_id));
                exit = exit.worst(Exit::NotDelivered);
                continue;
            }
        };
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
    let is_there = |name: &String| matches!(Standing::read(folder, name), Standing::Delivered);
    let everywhere = record.deliver_to.iter().all(is_there);
    if let Some(active) = active.filter(|_| exit == Exit::Ok && everywhere) {
        deliverer.close(active);
    }
    Ok(exit)
}

fn list(deliverer: &Deliverer, as_json: bool) -> Exit {
    let now = deliverer.console.clock.wall();
    let waiting = waiting(&deliverer.home, now);
    if as_json {
        return print(&format!("{:#}", waiting.iter().map(WaitingResult::json).collect::<Value>()));
    }
    if waiting.is_empty() {
        deliverer.console.say("Nothing is waiting to be sent.");
        return Exit::Ok;
    }
    print(&waiting.iter().map(|result| result.text(now)).collect::<Vec<_>>().join("\n"))
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

fn give_up(deliverer: &Deliverer, folder: &RunFolder, record: &RunRecord) {
    let console = &deliverer.console;
    let run = &record.run_id;
    for server in &record.deliver_to {
        match Standing::read(folder, server) {
            Standing::Delivered => {}
            Standing::FilesWaiting(mut receipt) => {
                receipt.refuse_waiting("given up");
                console.note(match receipt.save(folder) {
                    Ok(()) => format!("dropped: files of {run} will not be sent to {server}"),
                    Err(error) => format!("cannot note that files of {run} are given up: {error}"),
                });
            }
            Standing::Unreadable(error) => console.note(format!("{run} is not given up: {error}")),
            Standing::Waiting(mark) => {
                give_up_result(deliverer, folder, &OutboxMark::given_up(mark, server, console.clock.wall()));
            }
            Standing::GivenUp(mark) => give_up_result(deliverer, folder, &mark),
        }
    }
}

fn give_up_result(deliverer: &Deliverer, folder: &RunFolder, mark: &OutboxMark) {
    mark.save(folder);
    deliverer.console.note(format!(
        "dropped: {} will not be sent to {} (files stay in {})",
        folder.run_id(),
        mark.server,
        folder.path().display()
    ));
}
