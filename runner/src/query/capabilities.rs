//! What a kind of server can do, for people and for programs. The facts are in [`crate::server::kind`].

use pony_wire::{Dialect, text::Colours};
use serde_json::{Value as Json, json};

use crate::{
    server::{
        api::kind,
        kind::{BuildAdvice, Lookup},
    },
    words,
};

/// One thing that servers can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capability {
    /// Its name in JSON.
    name: &'static str,
    pub(crate) feature: &'static str,
    pub(crate) has: bool,
    /// What follows from it.
    pub(crate) effect: String,
}

pub(crate) fn of(dialect: Dialect) -> Vec<Capability> {
    let kind = kind(dialect);
    let row = |name, feature, has: bool, if_so: &str, if_not: &str| Capability {
        name,
        feature,
        has,
        effect: if has { if_so } else { if_not }.to_owned(),
    };
    let file_limit = kind.uploads.and_then(|limits| limits.file);
    let uploads = file_limit.map_or_else(
        || "of any size it accepts".to_owned(),
        |limit| format!("up to {} each", words::bytes(limit)),
    );
    let (advises, no_advice) = match kind.advice {
        BuildAdvice::Decides => (true, ""),
        BuildAdvice::AlwaysYes => (false, "it always says yes"),
        BuildAdvice::None => (false, "it cannot be asked"),
    };
    let lookup = match kind.lookup {
        Lookup::PackageAndKey => "query result PACKAGE/KEY; replay",
        Lookup::Key | Lookup::None => "query result KEY; replay",
    };
    vec![
        row(
            "run_ids",
            "duplicate detection",
            kind.knows_run_ids,
            "a result sent twice is kept once",
            "it is asked for a result before that is sent again",
        ),
        row(
            "outcomes",
            "cancelled and skipped",
            kind.knows_outcomes,
            "such builds are sent too",
            "such builds are not sent; it knows only passed and failed",
        ),
        row(
            "uploads",
            "file uploads",
            kind.uploads.is_some(),
            &uploads,
            "collected files stay on this machine",
        ),
        row("colours", "colours", kind.colours == Colours::Symbol, "kept in output", "removed from output"),
        row("packages", "package list", kind.lists_packages, "query packages", "only on its pages"),
        row("last", "last results", true, "query last, slots, failures, wait; notify", ""),
        row("result", "results by key", kind.lookup != Lookup::None, lookup, "only the last ones"),
        row("check", "build advice", advises, "query check; --if-needed", no_advice),
    ]
}

/// `48.0 MB (longer output is shortened)`
pub(crate) fn request_limit(dialect: Dialect) -> String {
    format!("{} (longer output is shortened)", words::bytes(kind(dialect).request_limit as u64))
}

/// What else is limited there.
pub(crate) fn restrictions(dialect: Dialect) -> String {
    let kind = kind(dialect);
    let names = kind.package_name.map(|_| "package names are changed to a-z, 0-9, _ and -".to_owned());
    let days = kind.listed_days.map(|days| format!("lists only results of the last {days} days"));
    names.into_iter().chain(days).collect::<Vec<_>>().join("; ")
}

/// The same for programs.
pub(crate) fn json(dialect: Dialect) -> Json {
    let kind = kind(dialect);
    let all: serde_json::Map<String, Json> = of(dialect)
        .into_iter()
        .map(|capability| (capability.name.to_owned(), capability.has.into()))
        .collect();
    json!({
        "can": all,
        "request_limit": kind.request_limit,
        "upload_limit": kind.uploads.and_then(|limits| limits.file),
    })
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
            let capabilities = of(dialect);
            let has: Vec<bool> = capabilities.iter().map(|capability| capability.has).collect();
            assert_eq!(has, expected, "{dialect}");
            assert!(capabilities.iter().all(|capability| !capability.effect.is_empty()), "{dialect}");
        }
    }

    #[test]
    fn restrictions_of_each_kind() {
        let names = "package names are changed to a-z, 0-9, _ and -";
        for (dialect, expected) in [
            (Dialect::V2009, ""),
            (Dialect::V2010, "lists only results of the last 7 days"),
            (Dialect::PonyServe, ""),
            (Dialect::Devmason, names),
            (Dialect::DevmasonRest, names),
        ] {
            assert_eq!(restrictions(dialect), expected);
        }
    }
}
