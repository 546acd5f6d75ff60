//! How things are said on screen: durations, commands, counts.

use std::time::Duration;

use crate::{clock::Moment, server::EMBEDDED};

/// A duration as a person says it: `0.4 s`, `12 s`, `3 m 05 s`, `1 h 02 m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} m {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} m", whole / 3600, whole % 3600 / 60),
    }
}

/// Words of others (a commit's subject, a server's reason, a process's name) as they can do no harm on a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A command on one line, no longer than `width` characters.
pub fn one_line(command: &str, width: usize) -> String {
    let mut lines = command.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { " …" } else { "" };
    let plain = plain(first);
    if plain.chars().count() + more.chars().count() <= width {
        return format!("{plain}{more}");
    }
    plain.chars().take(width.saturating_sub(2)).chain(" …".chars()).collect()
}

/// Bytes as a person says them: `812 B`, `4.1 MB`.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let scaled = |unit: u64| count as f64 / unit as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", scaled(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", scaled(1_000_000)),
        _ => format!("{:.1} GB", scaled(1_000_000_000)),
    }
}

/// How long something has run, and how long it usually does: `0:42 of usually 3 m 05 s`.
pub fn elapsed(time: Moment, usual: Option<f64>) -> String {
    let usual = usual.map(|usual| format!(" of usually {}", duration(usual))).unwrap_or_default();
    format!("{}{usual}", clock_face(time.as_secs()))
}

/// As on a stopwatch: `0:07`, `12:30`, `1:02:03`.
fn clock_face(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Where a result is now; `server` as its target is named.
pub fn stored(server: &str, key: Option<&str>, page: Option<&str>) -> String {
    let key = key.map(|key| format!(" as result {}", plain(key))).unwrap_or_default();
    match page {
        Some(page) if server == EMBEDDED => {
            format!("stored{key} on this machine; `pony-serve` shows it at {page}")
        }
        Some(page) => format!("stored{key}: {page}"),
        None => format!("stored{key} on {server}"),
    }
}

/// What follows the word for an ending: ` at step …`, or `: ` and a sentence.
pub fn because(reason: Option<&str>) -> String {
    let reason = reason.map(plain).unwrap_or_default();
    match reason.as_str() {
        "" => reason,
        at if at.starts_with("at step") => format!(" {at}"),
        other => format!(": {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, said) in [
            (0.04, "0.0 s"),
            (9.96, "10.0 s"),
            (12.7, "12 s"),
            (185.0, "3 m 05 s"),
            (3720.0, "1 h 02 m"),
            (-1.0, "0.0 s"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }

    #[test]
    fn words_of_others_cannot_move_the_cursor() {
        assert_eq!(plain("fix\x1b[2J it\r\nnow\u{9b}1m"), "fix [2J it  now 1m");
    }

    #[test]
    fn a_script_is_shown_by_its_first_line() {
        assert_eq!(one_line("\n  make -j4\nmake install\n", 40), "make -j4 …");
        assert_eq!(one_line("make", 40), "make");
        assert_eq!(one_line("abcdefghij", 6), "abcd …");
    }

    #[test]
    fn stopwatch() {
        assert_eq!([clock_face(7), clock_face(750), clock_face(3723)], ["0:07", "12:30", "1:02:03"]);
    }
}
