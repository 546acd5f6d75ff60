//! What each kind of server can do, in words. Pure; the facts are [`Dialect`]'s.

use pony_wire::{Dialect, text::Colours};
use serde_json::{Value as Json, json};

use crate::words;

/// One thing that servers can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trait {
    /// Its name in JSON.
    pub name: &'static str,
    /// As people say it.
    pub what: &'static str,
    /// Whether it can.
    pub can: bool,
    /// What that means.
    pub means: String,
}

/// What a kind of server is, in a few words.
pub fn kind(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::V2009 => "pony-build's release of 2009",
        Dialect::V2010 => "pony-build's release of 2010",
        Dialect::PonyServe => "this project's own server",
        Dialect::Devmason => "devmason by XML-RPC",
        Dialect::DevmasonRest => "devmason by its REST interface",
    }
}

/// All of them.
pub fn of(dialect: Dialect) -> Vec<Trait> {
    let is_devmason = matches!(dialect, Dialect::Devmason | Dialect::DevmasonRest);
    let row = |name, what, can: bool, if_so: &str, if_not: &str| Trait {
        name,
        what,
        can,
        means: if can { if_so } else { if_not }.to_owned(),
    };
    let size = |bytes: u64| format!("each up to {}", words::bytes(bytes));
    let uploads = dialect.upload_limit().map_or_else(|| "as large as it takes".to_owned(), size);
    vec![
        row(
            "run_ids",
            "knows runs",
            dialect.knows_run_ids(),
            "a result sent twice is kept once",
            "before a result is sent again it is asked whether it has it",
        ),
        row(
            "outcomes",
            "knows outcomes",
            dialect.knows_outcomes(),
            "cancelled and skipped builds are sent too",
            "only red and green: cancelled and skipped builds are not sent",
        ),
        row(
            "uploads",
            "takes files",
            dialect.takes_uploads(),
            &uploads,
            "what upload steps collect stays here",
        ),
        row(
            "colours",
            "shows colours",
            dialect.colours() == Colours::Symbol,
            "those of outputs are sent",
            "outputs are sent without",
        ),
        row(
            "packages",
            "lists packages",
            is_devmason || dialect == Dialect::PonyServe,
            "query packages",
            "its pages may",
        ),
        row(
            "last",
            "tells the last results",
            is_devmason || dialect.answers_questions(),
            "query last, tagsets, failures, wait; notify",
            "",
        ),
        row(
            "result",
            "gives a result by key",
            is_devmason || dialect.gives_results(),
            if is_devmason { "query result PACKAGE/KEY; replay" } else { "query result KEY; replay" },
            "only the last ones",
        ),
        match dialect {
            Dialect::Devmason => row("check", "says whether to build", false, "", "it always says yes"),
            Dialect::DevmasonRest => row("check", "says whether to build", false, "", "it cannot be asked"),
            Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => {
                row("check", "says whether to build", true, "query check; --if-needed", "")
            }
        },
    ]
}

/// `a request up to 4.8 MB; …`
pub fn limits(dialect: Dialect) -> String {
    let request = words::bytes(dialect.request_limit() as u64);
    let name = match dialect {
        Dialect::Devmason | Dialect::DevmasonRest => {
            "; packages are called a-z, 0-9, _ and -, other names are changed"
        }
        Dialect::V2009 | Dialect::V2010 | Dialect::PonyServe => "",
    };
    format!("a result is fitted into {request}{name}")
}

/// The same for programs.
pub fn json(dialect: Dialect) -> Json {
    let all: serde_json::Map<String, Json> =
        of(dialect).into_iter().map(|of| (of.name.to_owned(), of.can.into())).collect();
    json!({"can": all, "request_limit": dialect.request_limit(), "upload_limit": dialect.upload_limit()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_table_of_what_servers_can_do() {
        // run_ids, outcomes, uploads, colours, packages, last, result, check
        for (dialect, expected) in [
            (Dialect::V2009, [false, false, false, false, false, true, false, true]),
            (Dialect::V2010, [false, false, true, false, false, true, true, true]),
            (Dialect::PonyServe, [true, true, true, true, true, true, true, true]),
            (Dialect::Devmason, [false, false, false, false, true, true, true, false]),
            (Dialect::DevmasonRest, [false, false, false, false, true, true, true, false]),
        ] {
            let can: Vec<bool> = of(dialect).iter().map(|of| of.can).collect();
            assert_eq!(can, expected, "{dialect}");
            assert!(of(dialect).iter().all(|of| !of.means.is_empty()), "{dialect}");
        }
    }
}
