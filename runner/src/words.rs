//! How things are said to people: durations, times, sizes, counts, and text that has to fit into columns. Pure.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::Timestamp;

/// A duration that was measured, in seconds: `0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A duration that somebody has set: `3 s`, `1.5 s`, `90 min`.
pub fn limit(limit: Duration) -> String {
    let seconds = limit.as_secs();
    match seconds {
        _ if limit.subsec_nanos() > 0 => format!("{} s", limit.as_secs_f64()),
        3600.. if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        60.. if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        0..60 => format!("{seconds} s"),
        _ => duration(limit.as_secs_f64()),
    }
}

/// How long ago something was: `5 min ago`; what is older than two weeks, or lies ahead, by its date.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        -60..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        172_800..1_209_600 => format!("{} days ago", seconds / 86_400),
        _ => then.strftime("%Y-%m-%d").to_string(),
    }
}

/// How long something has run, and how long it usually does: `0:42 (usually 3 min 05 s)`.
pub fn elapsed(time: Duration, usual: Option<f64>) -> String {
    let usual = usual.map(|usual| format!(" (usually {})", duration(usual))).unwrap_or_default();
    format!("{}{usual}", stopwatch(time.as_secs()))
}

/// `0:07`, `12:30`, `1:02:03`.
fn stopwatch(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Bytes: `812 B`, `4.1 MB`.
pub fn bytes(count: u64) -> String {
    ByteSize::b(count).display().si().to_string()
}

/// `1 file`, `3 files`.
pub fn count(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Text of others (a commit's subject, a server's reason, a process's name) as it can do no harm on a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A command on one line, no wider than `width` columns.
pub fn one_line(command: &str, width: usize) -> String {
    let mut lines = command.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = plain(lines.next().unwrap_or_default());
    let more = if lines.next().is_some() { " …" } else { "" };
    if columns(&first) + columns(more) <= width {
        return format!("{first}{more}");
    }
    fit(&first, width.saturating_sub(1)).trim_end_matches('…').to_owned() + " …"
}

/// How many columns text takes up on a terminal; colours take up none.
pub fn columns(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Text and blanks after it, up to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Text cut to `width` columns, which `…` shows.
pub fn fit(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_were_measured() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.96, "10.0 s"),
            (12.7, "12 s"),
            (185.0, "3 min 05 s"),
            (3720.0, "1 h 02 min"),
            (-1.0, "0.0 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn durations_that_were_set() {
        for (milliseconds, text) in [
            (0, "0 s"),
            (3_000, "3 s"),
            (1_500, "1.5 s"),
            (90_000, "1 min 30 s"),
            (5_400_000, "90 min"),
            (14_400_000, "4 h"),
        ] {
            assert_eq!(limit(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn ages() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, text) in [
            (59, "just now"),
            (-59, "just now"),
            (300, "5 min ago"),
            (7_300, "2 h ago"),
            (3 * 86_400, "3 days ago"),
            (20 * 86_400, "2026-12-26"),
            (-3_600, "2027-01-15"),
        ] {
            assert_eq!(ago(now - jiff::SignedDuration::from_secs(seconds), now), text);
        }
    }

    #[test]
    fn sizes_and_counts() {
        for (size, text) in [
            (0, "0 B"),
            (812, "812 B"),
            (2_000, "2.0 kB"),
            (12_400_000, "12.4 MB"),
            (3_000_000_000, "3.0 GB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!([count(0, "file"), count(1, "file"), count(2, "file")], ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn text_of_others_cannot_move_the_cursor() {
        assert_eq!(plain("fix\x1b[2J it\r\nnow\u{9b}1m"), "fix [2J it  now 1m");
    }

    #[test]
    fn a_script_is_shown_by_its_first_line() {
        assert_eq!(one_line("\n  make -j4\nmake install\n", 40), "make -j4 …");
        assert_eq!(one_line("make", 40), "make");
        assert_eq!(one_line("abcdefghij", 6), "abcd …");
        assert_eq!(one_line("試験試験試験", 9), "試験試 …");
    }

    #[test]
    fn columns_are_those_of_the_terminal() {
        assert_eq!(columns("試験"), 4);
        assert_eq!(columns("\x1b[1m試験\x1b[0m"), 4);
        assert_eq!(pad("試験", 6), "試験  ");
        assert_eq!(pad("\x1b[1mé\x1b[0m", 3), "\x1b[1mé\x1b[0m  ");
        assert_eq!(fit("試験する", 5), "試験…");
    }

    #[test]
    fn stopwatches() {
        assert_eq!([stopwatch(7), stopwatch(750), stopwatch(3723)], ["0:07", "12:30", "1:02:03"]);
    }
}
