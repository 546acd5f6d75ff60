//! `pony-run query server`: what a server speaks, and what is remembered of it.

use pony_wire::Dialect;
use serde_json::json;

use super::canvas;
use crate::{
    cli::AskOptions,
    exit::Exit,
    query::{
        ask::{AskError, find_out},
        say::ago,
        table::{Canvas, Cell, Table},
        traits,
    },
    server::{Server, error::CallError, known::Known},
    verbs::{Failure, print, querier::Querier},
};

/// What a server is, and what is remembered of it. It is asked what it speaks, unless somebody has said so.
pub(super) async fn server(
    querier: &mut Querier,
    server: &Server,
    ask: &AskOptions,
) -> Result<Exit, Failure> {
    let name = server.name();
    let known = Known::load(&querier.home, &name);
    let asked = match server.told_dialect() {
        Some(dialect) => Ok(Some(dialect)),
        None => querier.unless_stopped(find_out(server)).await?,
    };
    let (dialect, how) = match (&asked, server.told_dialect()) {
        (Ok(_), Some(told)) if server.is_embedded() => (Some(told), "it is this machine's own".to_owned()),
        (Ok(_), Some(told)) => (Some(told), "as --dialect, config.yaml or its address says".to_owned()),
        (Ok(Some(found)), None) => {
            querier.remember(server, *found);
            (Some(*found), "as its answers show".to_owned())
        }
        (Ok(None), _) => {
            (known.dialect(), "as was found before; now it answers like none that is known".to_owned())
        }
        (Err(error), _) => (known.dialect(), format!("as was found before; now it cannot be asked: {error}")),
    };
    let login = server.login_source().map_or_else(|error| error.to_string(), |source| source.to_string());
    let exit = if matches!(asked, Ok(Some(_))) { Exit::Ok } else { Exit::NotAnswered };
    if ask.json {
        let mut json = dialect.map_or_else(|| json!({}), traits::json);
        json["server"] = name.into();
        json["dialect"] = dialect.map(Dialect::word).into();
        json["answers"] = (exit == Exit::Ok).into();
        json["how"] = how.into();
        json["login"] = login.into();
        json["trouble"] = serde_json::to_value(&known.trouble).unwrap_or_default();
        json["unsure"] = known.unsure.values().cloned().collect::<Vec<_>>().into();
        print(&format!("{json:#}"));
        return Ok(exit);
    }
    let now = querier.clock.wall();
    let mut head = Table::new(&["", ""]);
    let mut line = |name: &str, text: String| head.row([Cell::dim(name), Cell::plain(text)]);
    line("server", name.clone());
    match dialect {
        Some(dialect) => {
            line("speaks", format!("{dialect} ({}), {how}", traits::kind(dialect)));
            line("limits", traits::limits(dialect));
        }
        None => line(
            "speaks",
            asked.as_ref().err().map_or_else(|| AskError::NoServer(name).to_string(), unreachable),
        ),
    }
    line("login", login);
    let trouble = known.trouble.as_ref().map_or_else(
        || "none".to_owned(),
        |trouble| {
            let times =
                if trouble.failures == 1 { "once".to_owned() } else { format!("{} times", trouble.failures) };
            let next = trouble.next.strftime("%Y-%m-%d %H:%M:%S UTC");
            format!(
                "failed {times}, last {}: {}; not before {next}",
                ago(Some(trouble.last), now),
                trouble.reason
            )
        },
    );
    line("trouble", trouble);
    let unsure = match known.unsure.len() {
        0 => "nothing".to_owned(),
        count => format!(
            "{count} sent and not answered for: {}",
            known.unsure.values().cloned().collect::<Vec<_>>().join(", ")
        ),
    };
    line("unsure", unsure);
    let canvas = canvas(ask.color);
    let mut text = head.draw(Canvas { width: None, ..canvas });
    if let Some(dialect) = dialect {
        let mut table = Table::new(&["IT", "", ""]);
        for row in traits::of(dialect) {
            table.row([
                Cell::plain(row.what),
                Cell::plain(if row.can { "yes" } else { "no" }),
                Cell::dim(&row.means),
            ]);
        }
        text.push('\n');
        text.push_str(&table.draw(canvas));
    }
    print(&text);
    Ok(exit)
}

fn unreachable(error: &CallError) -> String {
    format!("unknown: {error}")
}
