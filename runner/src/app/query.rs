//! `pony-run query`: asks a server, and prints what it answers.

mod about;
mod wait;

use std::io::IsTerminal;

use pony_wire::{Dialect, Slot};
use serde_json::{Value as Json, json};

use self::{about::about, wait::Wait};
use super::{
    Failure, load, print, say,
    session::{self, Session, wrong_server},
};
use crate::{
    cli::{AskOptions, Question, ShowOptions, WhichOptions},
    clock::Clock,
    delivery,
    display::look::ColourChoice,
    exit::Exit,
    plan,
    platform::Machine,
    query::{
        Row, Verdict,
        ask::{AskError, Asking, Last, called, find_out},
        say as words,
        table::{Canvas, Cell, Table},
    },
    server::{
        Server,
        known::{Known, turn},
    },
    words::plain,
};

/// Asks this.
pub(super) async fn query(question: &Question) -> Result<Exit, Failure> {
    let ask = question.ask();
    let mut session = Session::new(&ShowOptions::plain(ask.color), Clock::start())?;
    let server = match question {
        Question::Server { which: Some(which), .. } => {
            named(&mut session, &AskOptions { server: Some(which.clone()), ..ask.clone() })?
        }
        _ => named(&mut session, ask)?,
    };
    let exit = answer(&mut session, &server, question).await;
    server.close().await;
    exit
}

async fn answer(session: &mut Session, server: &Server, question: &Question) -> Result<Exit, Failure> {
    let ask = question.ask();
    let (now, canvas) = (session.clock.wall(), canvas(ask.color));
    let show = |json: Json, text: String| if ask.json { print(&format!("{json:#}")) } else { print(&text) };
    match question {
        Question::Packages { .. } => {
            let asking = reach(session, server).await?;
            let packages = unless_stopped(session, asking.packages()).await??;
            let mut json = head(&asking);
            json["packages"] = words::packages_json(&packages);
            if packages.is_empty() && !ask.json {
                say(&format!("{} has no results", called(server)));
            } else {
                show(json, words::packages(&packages, now, canvas));
            }
            Ok(if packages.is_empty() { Exit::No } else { Exit::Ok })
        }
        Question::Tagsets { package, .. } => {
            let asking = reach(session, server).await?;
            let slots = unless_stopped(session, asking.tagsets(package)).await??;
            let mut json = head(&asking);
            json["package"] = package.as_str().into();
            json["tagsets"] = words::tagsets_json(&slots);
            Ok(show(json, words::tagsets(&slots, canvas)))
        }
        Question::Last { slots, .. } => {
            let asking = reach(session, server).await?;
            let last = last(session, &asking, &slots.package, &slots.tags).await?;
            let rows: Vec<Row> = last.into_iter().map(|last| last.row).collect();
            show(rows_json(&asking, &slots.package, &rows), words::rows(&rows, now, canvas));
            Ok(exit_of(verdict(&rows)))
        }
        Question::Failures { slots, .. } => {
            let asking = reach(session, server).await?;
            let last = last(session, &asking, &slots.package, &slots.tags).await?;
            let all = last.len();
            let rows: Vec<Row> = last.into_iter().map(|last| last.row).collect();
            let red: Vec<Row> = rows.into_iter().filter(|row| row.status.verdict() == Verdict::Red).collect();
            if red.is_empty() && !ask.json {
                say(&format!("none of {all} tagsets of {} is red", plain(&slots.package)));
            } else {
                show(rows_json(&asking, &slots.package, &red), words::rows(&red, now, canvas));
            }
            Ok(if red.is_empty() { Exit::Ok } else { Exit::BuildFailed })
        }
        Question::Result { key, .. } => {
            let asking = reach(session, server).await?;
            let full = unless_stopped(session, asking.result(key)).await??;
            let mut json = head(&asking);
            json["result"] = words::full_json(&full);
            show(json, words::full(&full, now, canvas));
            Ok(exit_of(full.row.status.verdict()))
        }
        Question::Check { which, tags, .. } => check(session, server, which, tags, ask).await,
        Question::Wait { slots, timeout, every, .. } => {
            let wait = Wait { package: &slots.package, tags: &slots.tags, timeout: *timeout, every: *every };
            let (asking, rows) = wait.run(session, server).await?;
            show(rows_json(&asking, &slots.package, &rows), words::rows(&rows, now, canvas));
            Ok(exit_of(verdict(&rows)))
        }
        Question::Server { .. } => about(session, server, ask).await,
    }
}

/// The one server that is meant.
pub(super) fn named(session: &mut Session, ask: &AskOptions) -> Result<Server, Failure> {
    let options = ask.servers();
    if let [_, second, ..] = options.servers.as_slice() {
        let message =
            format!("pony-run: one server is asked at a time, and `{second}` is another; -s SERVER names it");
        return Err(Failure::new(Exit::Usage, message));
    }
    session.name_servers(&options);
    session
        .servers
        .give(&options.servers)
        .map_err(|error| wrong_server(&error))?
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(Exit::Usage, "pony-run: no server is named".to_owned()))
}

/// A server with what it speaks: what somebody said, what is remembered, or what it says to a cheap call, which is remembered.
pub(super) async fn reach(session: &mut Session, server: &Server) -> Result<Asking, Failure> {
    Ok(asking(session, server).await??)
}

async fn asking(session: &mut Session, server: &Server) -> Result<Result<Asking, AskError>, Failure> {
    let told = server.told_dialect().or_else(|| Known::load(&session.home, &server.name()).dialect());
    let found = match told {
        Some(dialect) => Ok(Some(dialect)),
        None => unless_stopped(session, find_out(server)).await?,
    };
    Ok(match found {
        Ok(Some(dialect)) => {
            if told.is_none() {
                remember(session, server, dialect);
            }
            Ok(Asking { server: server.clone(), dialect })
        }
        Ok(None) => Err(AskError::NoServer(called(server))),
        Err(error) => Err(AskError::Call { server: called(server), error }),
    })
}

/// Notes what a server speaks, where nobody delivers to it just now: what is noted of deliveries must not be lost.
fn remember(session: &Session, server: &Server, dialect: Dialect) {
    let name = server.name();
    let Ok(Some(_turn)) = turn(&session.home, &name) else { return };
    let mut known = Known::load(&session.home, &name);
    known.speaks(dialect);
    // Found out again next time, then.
    let _ = known.save(&session.home, &name);
}

/// What comes of `work`, unless a signal ends it.
pub(super) async fn unless_stopped<T>(
    session: &mut Session,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => Ok(done),
        signal = session.signals.next() => Err(Failure::new(Exit::Signal(signal), String::new())),
    }
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
        Self::new(exit, format!("pony-run: {}", plain(&error.to_string())))
    }
}

/// The last results of a package's slots with these tags: at least one.
pub(super) async fn last(
    session: &mut Session,
    asking: &Asking,
    package: &str,
    tags: &[String],
) -> Result<Vec<Last>, Failure> {
    let last = unless_stopped(session, asking.last(package, tags)).await??;
    if last.is_empty() {
        return Err(Failure::new(Exit::No, no_slot(&asking.server, package, tags)));
    }
    Ok(last)
}

fn no_slot(server: &Server, package: &str, tags: &[String]) -> String {
    let what = match tags {
        [] => format!("no results of {package}"),
        [tag] => format!("no tagset of {package} with the tag {tag}"),
        tags => format!("no tagset of {package} with the tags {}", tags.join(", ")),
    };
    let way_out = format!("`pony-run query tagsets {package}` shows what there is");
    format!("pony-run: {}", plain(&format!("{} has {what}; {way_out}", called(server))))
}

fn verdict(rows: &[Row]) -> Verdict {
    Verdict::of(rows.iter().map(|row| row.status.verdict()))
}

fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Green => Exit::Ok,
        Verdict::Red => Exit::BuildFailed,
        Verdict::Unknown => Exit::No,
    }
}

fn head(asking: &Asking) -> Json {
    json!({"server": asking.server.name(), "dialect": asking.dialect.word()})
}

fn rows_json(asking: &Asking, package: &str, rows: &[Row]) -> Json {
    let mut json = head(asking);
    json["package"] = package.into();
    json["verdict"] = verdict(rows).word().into();
    json["results"] = rows.iter().map(words::row_json).collect();
    json
}

/// How wide stdout is, and whether it has colours.
fn canvas(choice: ColourChoice) -> Canvas {
    let is_terminal = std::io::stdout().is_terminal();
    let width = is_terminal.then(|| usize::from(console::Term::stdout().size().1));
    // A terminal that does not know its width says 0.
    Canvas { width: width.filter(|width| *width > 0), colour: session::look(choice, false).keep_out }
}

/// Whether builds of these recipes are wanted by the server.
async fn check(
    session: &mut Session,
    server: &Server,
    which: &WhichOptions,
    tags: &[String],
    ask: &AskOptions,
) -> Result<Exit, Failure> {
    let machine = Machine::look();
    let graph = load(which, &machine.facts, ask.color)?;
    let asking = reach(session, server).await?;
    asking.says_whether_to_build()?;
    let mut table = Table::new(&["", "BUILD", "THE SERVER SAYS"]);
    let (mut all, mut is_any) = (Vec::new(), false);
    for node in graph.builds.iter().filter(|node| node.asked) {
        let tags = plan::tags(&node.recipe, tags)
            .map_err(|error| Failure::new(error.exit(), format!("pony-run: {error}")))?;
        let (package, host, arch) =
            (node.recipe.package.clone(), machine.facts.host.clone(), machine.facts.arch.clone());
        let slot = Slot { package: asking.dialect.package(&package), host, arch, tags };
        let asked =
            unless_stopped(session, delivery::check_should_build(server, slot.clone(), false)).await?;
        let delivery::Needed { build, reason } = asked.map_err(|error| asking.failed(error))?;
        is_any |= build;
        table.row([
            Cell::plain(if build { "build" } else { "leave" }),
            Cell::plain(&node.name),
            Cell::plain(&reason),
        ]);
        all.push(json!({
            "build": build, "reason": reason, "name": node.name,
            "package": slot.package, "host": slot.host, "arch": slot.arch, "tags": slot.tags,
        }));
    }
    let mut json = head(&asking);
    json["builds"] = all.into();
    if ask.json {
        print(&format!("{json:#}"));
    } else {
        print(&table.draw(canvas(ask.color)));
    }
    Ok(if is_any { Exit::Ok } else { Exit::No })
}
