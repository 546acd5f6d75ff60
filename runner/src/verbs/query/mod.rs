//! `pony-run query`: asks a server, and prints what it answers.

mod check;
mod server;
mod wait;

use std::io::IsTerminal;

use serde_json::{Value as Json, json as value};

use self::{check::check, wait::Wait};
use super::{
    Failure, print,
    querier::{Querier, no_slot},
    say, setup,
};
use crate::{
    cli::{AskOptions, Question},
    display::settings::ColourChoice,
    exit::Exit,
    query::{Health, json, table::Canvas, text},
    server::{
        Server,
        api::Api,
        reported::{LastResult, Summary},
    },
    words::plain,
};

/// Answers one question.
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
            let api = querier.reach(server).await?;
            let packages = querier.unless_stopped(api.packages()).await??;
            let mut answer = head(&api);
            answer["packages"] = json::packages(&packages);
            if packages.is_empty() && !ask.json {
                say(&format!("{} has no results", server.display_name()));
            } else {
                show(answer, text::packages(&packages, now, canvas));
            }
            Ok(if packages.is_empty() { Exit::No } else { Exit::Ok })
        }
        Question::Slots { package, .. } => {
            let api = querier.reach(server).await?;
            let slots = querier.unless_stopped(api.slots(package)).await??;
            let mut answer = head(&api);
            answer["package"] = package.as_str().into();
            answer["tagsets"] = json::slots(&slots);
            Ok(show(answer, text::slots(&slots, canvas)))
        }
        Question::Last { slots, .. } => {
            let api = querier.reach(server).await?;
            let results = summaries(querier.last(&api, &slots.package, &slots.tags).await?);
            show(results_json(&api, &slots.package, &results), text::results(&results, now, canvas));
            Ok(exit_of(Health::of_all(&results)))
        }
        Question::Failures { slots, .. } => {
            let api = querier.reach(server).await?;
            let mut results = summaries(querier.last(&api, &slots.package, &slots.tags).await?);
            let count = results.len();
            results.retain(|result| Health::of(result.status) == Health::Failing);
            if results.is_empty() && !ask.json {
                let slots_of = if count == 1 { "1 slot".to_owned() } else { format!("{count} slots") };
                say(&format!("{}: nothing is failing ({slots_of})", plain(&slots.package)));
            } else {
                show(results_json(&api, &slots.package, &results), text::results(&results, now, canvas));
            }
            Ok(if results.is_empty() { Exit::Ok } else { Exit::BuildFailed })
        }
        Question::Result { key, .. } => {
            let api = querier.reach(server).await?;
            let full = querier.unless_stopped(api.result(key)).await??;
            let mut answer = head(&api);
            answer["result"] = json::full(&full);
            show(answer, text::full(&full, now, canvas));
            Ok(exit_of(Health::of(full.summary.status)))
        }
        Question::Check { which, tags, .. } => check(querier, server, which, tags, ask).await,
        Question::Wait { slots, timeout, every, .. } => {
            let wait = Wait { package: &slots.package, tags: &slots.tags, timeout: *timeout, every: *every };
            let (api, results) = wait.run(querier, server).await?;
            show(results_json(&api, &slots.package, &results), text::results(&results, now, canvas));
            Ok(exit_of(Health::of_all(&results)))
        }
        Question::Server { .. } => self::server::server(querier, server, ask).await,
    }
}

fn summaries(last: Vec<LastResult>) -> Vec<Summary> {
    last.into_iter().map(|last| last.summary).collect()
}

fn exit_of(health: Health) -> Exit {
    match health {
        Health::Passing => Exit::Ok,
        Health::Failing => Exit::BuildFailed,
        Health::Unknown => Exit::No,
    }
}

fn head(api: &Api) -> Json {
    value!({"server": api.server.name(), "dialect": api.dialect.word()})
}

fn results_json(api: &Api, package: &str, results: &[Summary]) -> Json {
    let mut answer = head(api);
    answer["package"] = package.into();
    answer["verdict"] = Health::of_all(results).word().into();
    answer["results"] = results.iter().map(json::summary).collect();
    answer
}

/// How wide stdout is, and whether it has colours.
fn canvas(choice: ColourChoice) -> Canvas {
    let is_terminal = std::io::stdout().is_terminal();
    let width = is_terminal.then(|| usize::from(console::Term::stdout().size().1));
    // A terminal that does not know its width says 0.
    Canvas {
        width: width.filter(|width| *width > 0),
        colour: setup::display_settings(choice, false).keep_out,
    }
}
