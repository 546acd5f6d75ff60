//! Files that follow a result, as they are shown: a bar while they are on their way, words when no more go. Pure.

use indexmap::IndexMap;

use crate::{
    record::event::{RefusedFile, Uploads},
    words,
};

/// Files that are named where many are refused for one reason.
const NAMED: usize = 3;

/// A file on its way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) name: String,
    /// Bytes of it that are.
    pub(super) sent: u64,
    /// Its size.
    pub(super) bytes: u64,
}

impl UnderWay {
    /// Its line, within `columns`.
    pub(super) fn line(&self, columns: usize) -> String {
        let counts = format!("{} of {}", words::bytes(self.sent), words::bytes(self.bytes));
        let cells = (columns / 4).min(30);
        let head = "uploading ";
        let taken = head.len() + cells + counts.len() + 2;
        let name = words::plain(&self.name);
        let name = words::fit(&name, columns.saturating_sub(taken));
        let line = format!("{head}{name} {} {counts}", bar(self.sent, self.bytes, cells));
        words::fit(&line, columns)
    }
}

fn bar(sent: u64, bytes: u64, cells: usize) -> String {
    let full = u128::from(sent.min(bytes)) * cells as u128 / u128::from(bytes.max(1));
    let full = usize::try_from(full).unwrap_or(cells);
    "━".repeat(full) + &"─".repeat(cells - full)
}

/// In a few words: `uploaded 3 files (12.4 MB), 1 refused, 2 wait`.
pub(super) fn in_short(uploads: &Uploads) -> String {
    let mut parts = Vec::new();
    if uploads.files > 0 {
        parts.push(uploaded(uploads));
    }
    if !uploads.refused.is_empty() {
        let what = if parts.is_empty() {
            words::count(uploads.refused.len(), "file")
        } else {
            uploads.refused.len().to_string()
        };
        parts.push(format!("{what} refused"));
    }
    if uploads.waiting > 0 {
        let what = if parts.is_empty() {
            words::count(uploads.waiting, "file")
        } else {
            uploads.waiting.to_string()
        };
        parts.push(format!("{what} {}", if uploads.waiting == 1 { "waits" } else { "wait" }));
    }
    parts.join(", ")
}

/// All there is to say, a line each.
pub(super) fn lines(uploads: &Uploads) -> Vec<String> {
    let sent = (uploads.files > 0).then(|| uploaded(uploads));
    sent.into_iter().chain(troubles(uploads)).collect()
}

/// What became of those that are not there, a line each.
pub(super) fn troubles(uploads: &Uploads) -> Vec<String> {
    let Uploads { server, refused, waiting, reason, .. } = uploads;
    let mut lines = Vec::new();
    let mut reasons: IndexMap<&str, Vec<String>> = IndexMap::new();
    for RefusedFile { name, reason } in refused {
        reasons.entry(reason).or_default().push(words::plain(name));
    }
    for (reason, names) in reasons {
        let was = if names.len() == 1 { "was" } else { "were" };
        let (named, reason) = (named(&names), words::plain(reason));
        lines.push(format!("note: {named} {was} not uploaded to {server}: {reason}"));
    }
    if *waiting > 0 {
        let wait = if *waiting == 1 { "waits" } else { "wait" };
        let why = reason.as_deref().map(|reason| format!(": {}", words::plain(reason))).unwrap_or_default();
        lines
            .push(format!("note: {} {wait} to be uploaded to {server}{why}", words::count(*waiting, "file")));
        lines.push("  The next run will send them, or run \"pony-run submit\" now.".to_owned());
    }
    lines
}

fn uploaded(uploads: &Uploads) -> String {
    format!("uploaded {} ({})", words::count(uploads.files, "file"), words::bytes(uploads.bytes))
}

fn named(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if names.len() <= NAMED => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names[..NAMED - 1].join(", "), names.len() - (NAMED - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fits_its_line() {
        let line =
            |name: &str, sent, bytes, columns| UnderWay { name: name.to_owned(), sent, bytes }.line(columns);
        assert_eq!(
            line("dist/demo.whl", 75_000_000, 300_000_000, 80),
            "uploading dist/demo.whl ━━━━━─────────────── 75.0 MB of 300.0 MB"
        );
        assert_eq!(line("a\n", 10, 10, 40), "uploading a  ━━━━━━━━━━ 10 B of 10 B");
        assert_eq!(line("a", 0, 10, 40), "uploading a ────────── 0 B of 10 B");
        for columns in 1..100 {
            let line = line(&"long/".repeat(40), 5_000, 10_000, columns);
            assert!(words::columns(&line) <= columns, "{columns}: {line}");
        }
    }

    #[test]
    fn what_became_of_files_is_said_in_a_few_lines() {
        let refused = |names: &[&str], reason: &str| -> Vec<RefusedFile> {
            let file = |name: &&str| RefusedFile { name: (*name).to_owned(), reason: reason.to_owned() };
            names.iter().map(file).collect()
        };
        let uploads = Uploads {
            server: "http://x/".to_owned(),
            files: 3,
            bytes: 12_400_000,
            refused: [refused(&["a"], "it is empty"), refused(&["b", "c", "d", "e"], "gone\n")].concat(),
            waiting: 1,
            reason: Some("it took nothing for 60 s".to_owned()),
        };
        assert_eq!(in_short(&uploads), "uploaded 3 files (12.4 MB), 5 refused, 1 waits");
        assert_eq!(
            lines(&uploads),
            [
                "uploaded 3 files (12.4 MB)",
                "note: a was not uploaded to http://x/: it is empty",
                "note: b, c and 2 more were not uploaded to http://x/: gone ",
                "note: 1 file waits to be uploaded to http://x/: it took nothing for 60 s",
                "  The next run will send them, or run \"pony-run submit\" now.",
            ]
        );
        let none = Uploads { refused: refused(&["a", "b"], "no"), ..Uploads::default() };
        assert_eq!(in_short(&none), "2 files refused");
        assert_eq!(in_short(&Uploads { waiting: 2, ..Uploads::default() }), "2 files wait");
    }
}
