//! `pony-run query`: asks a server, and prints what it answers.

mod check;
mod server;
mod wait;

use std::io::IsTerminal;

use serde_json::{Value as Json, json};

use self::{check::check, wait::Wait};
use super::{
    Failure, print,
    querier::{Querier, no_slot},
    say, setup,
};
use crate::{
    cli::{AskOptions, Question},
    display::look::ColourChoice,
    exit::Exit,
    query::{
        Row, Verdict,
        ask::{Asking, called},
        say as words,
        table::Canvas,
    },
    server::Server,
    words::plain,
};

/// Asks this.
pub(super) async fn query(question: &Question) -> Result<Exit, Failure> {
    let ask = question.ask();
    let mut querier = Querier::new(ask)?;
    let server = match question {
        Question::Server { which: Some(which), .. } => {
            querier.named(&AskOptions { server: Some(which.clone()), ..ask.clone() })?
        }
        _ => querier.named(ask)?,
    };
    let exit = answer(&mut querier, &server, question).await;
    server.close().await;
    exit
}

async fn answer(querier: &mut Querier, server: &Server, question: &Question) -> Result<Exit, Failure> {
    let ask = question.ask();
    let (now, canvas) = (querier.clock.wall(), canvas(ask.color));
    let show = |json: Json, text: String| if ask.json { print(&format!("{json:#}")) } else { print(&text) };
    match question {
        Question::Packages { .. } => {
            let asking = querier.reach(server).await?;
            let packages = querier.unless_stopped(asking.packages()).await??;
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
            let asking = querier.reach(server).await?;
            let slots = querier.unless_stopped(asking.tagsets(package)).await??;
            let mut json = head(&asking);
            json["package"] = package.as_str().into();
            json["tagsets"] = words::tagsets_json(&slots);
            Ok(show(json, words::tagsets(&slots, canvas)))
        }
        Question::Last { slots, .. } => {
            let asking = querier.reach(server).await?;
            let last = querier.last(&asking, &slots.package, &slots.tags).await?;
            let rows: Vec<Row> = last.into_iter().map(|last| last.row).collect();
            show(rows_json(&asking, &slots.package, &rows), words::rows(&rows, now, canvas));
            Ok(exit_of(verdict(&rows)))
        }
        Question::Failures { slots, .. } => {
            let asking = querier.reach(server).await?;
            let last = querier.last(&asking, &slots.package, &slots.tags).await?;
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
            let asking = querier.reach(server).await?;
            let full = querier.unless_stopped(asking.result(key)).await??;
            let mut json = head(&asking);
            json["result"] = words::full_json(&full);
            show(json, words::full(&full, now, canvas));
            Ok(exit_of(full.row.status.verdict()))
        }
        Question::Check { which, tags, .. } => check(querier, server, which, tags, ask).await,
        Question::Wait { slots, timeout, every, .. } => {
            let wait = Wait { package: &slots.package, tags: &slots.tags, timeout: *timeout, every: *every };
            let (asking, rows) = wait.run(querier, server).await?;
            show(rows_json(&asking, &slots.package, &rows), words::rows(&rows, now, canvas));
            Ok(exit_of(verdict(&rows)))
        }
        Question::Server { .. } => self::server::server(querier, server, ask).await,
    }
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
    Canvas { width: width.filter(|width| *width > 0), colour: setup::look(choice, false).keep_out }
}
