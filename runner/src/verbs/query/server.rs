//! `pony-run query server`: what a server is and can do, and what is remembered of it.

use jiff::Timestamp;
use pony_wire::Dialect;
use serde_json::json;

use super::canvas;
use crate::{
    cli::AskOptions,
    exit::Exit,
    query::{
        capabilities,
        table::{Canvas, Cell, Table},
        text::ago,
    },
    server::{Server, api, api::QueryError, backoff::Backoff, state::ServerState},
    verbs::{Failure, print, querier::Querier},
};

/// Its dialect is detected unless it is given.
pub(super) async fn server(
    querier: &mut Querier,
    server: &Server,
    ask: &AskOptions,
) -> Result<Exit, Failure> {
    let name = server.name();
    let (state, unreadable) = match ServerState::load(&querier.home, &name) {
        Ok(state) => (state, None),
        Err(error) => (ServerState::default(), Some(error.to_string())),
    };
    let detected = match server.given_dialect() {
        Some(dialect) => Ok(dialect),
        None => querier.unless_stopped(api::detect(server)).await?,
    };
    if let (Ok(dialect), None) = (&detected, server.given_dialect()) {
        querier.remember(server, *dialect);
    }
    let (dialect, how) = known_dialect(server, &detected, &state);
    let login = server.login_source().map_or_else(|error| error.to_string(), |source| source.to_string());
    let exit = if detected.is_ok() { Exit::Ok } else { Exit::NotAnswered };
    let in_doubt: Vec<String> = state.in_doubt.values().cloned().collect();
    if ask.json {
        let mut json = dialect.map_or_else(|| json!({}), capabilities::json);
        json["server"] = name.into();
        json["dialect"] = dialect.map(Dialect::word).into();
        json["answers"] = detected.is_ok().into();
        json["how"] = how.into();
        json["login"] = login.into();
        json["trouble"] = serde_json::to_value(&state.backoff).unwrap_or_default();
        json["unsure"] = in_doubt.into();
        print(&format!("{json:#}"));
        return Ok(exit);
    }
    let mut head = Table::new(&["", ""]);
    let mut line = |name: &str, text: String| head.row([Cell::dim(name), Cell::plain(text)]);
    line("server", name);
    match dialect {
        Some(dialect) => {
            line("type", format!("{dialect} ({}), {how}", api::kind(dialect).description));
            line("maximum request", capabilities::request_limit(dialect));
            let restrictions = capabilities::restrictions(dialect);
            if !restrictions.is_empty() {
                line("restrictions", restrictions);
            }
        }
        None => line("type", format!("unknown: {how}")),
    }
    line("login", login);
    let last_error = unreadable.unwrap_or_else(|| last_error(state.backoff.as_ref(), querier.clock.wall()));
    line("last error", last_error);
    line("results in doubt", if in_doubt.is_empty() { "none".to_owned() } else { in_doubt.join(", ") });
    let canvas = canvas(ask.color);
    let mut text = head.draw(Canvas { width: None, ..canvas });
    if let Some(dialect) = dialect {
        let mut table = Table::new(&["FEATURE", "", ""]);
        for capability in capabilities::of(dialect) {
            table.row([
                Cell::plain(capability.feature),
                Cell::plain(if capability.has { "yes" } else { "no" }),
                Cell::dim(&capability.effect),
            ]);
        }
        text.push('\n');
        text.push_str(&table.draw(canvas));
    }
    print(&text);
    Ok(exit)
}

/// What it speaks, and how that is known, or why it is not.
fn known_dialect(
    server: &Server,
    detected: &Result<Dialect, QueryError>,
    state: &ServerState,
) -> (Option<Dialect>, String) {
    let how = match (detected, state.dialect()) {
        (Ok(_), _) if server.is_embedded() => "on this machine".to_owned(),
        (Ok(_), _) if server.given_dialect().is_some() => {
            "as --dialect, config.yaml or its address says".to_owned()
        }
        (Ok(_), _) => "detected".to_owned(),
        (Err(error), Some(_)) => format!("detected earlier; now it {}", error.failure),
        (Err(error), None) => format!("it {}", error.failure),
    };
    (detected.as_ref().ok().copied().or(state.dialect()), how)
}

fn last_error(backoff: Option<&Backoff>, now: Timestamp) -> String {
    let Some(Backoff { failures, reason, last, next, .. }) = backoff else { return "none".to_owned() };
    let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
    let next = next.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{reason} (failed {times}, last {}; next try after {next})", ago(Some(*last), now))
}
