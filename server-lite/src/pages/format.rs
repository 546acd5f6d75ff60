//! Times, durations, sizes and exit statuses as people read them. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Time;

/// RFC 3339, UTC, to the second.
pub(super) fn rfc3339(time: Time) -> String {
    Timestamp::from_microsecond(time.0)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// `2026-11-22 13:56:06 UTC`, for reading.
pub(super) fn date(time: Time) -> String {
    Timestamp::from_microsecond(time.0)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

/// `just now`, `3 min ago`, `2 days ago`.
pub(super) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// `0.04 s`, `12.3 s`, `4 min 10 s`, `1 h 05 min`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{:.2} s", duration.as_secs_f64()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// `512 bytes`, `1.2 MB`, `3.0 GB`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// An exit status, or the signal that ended the process.
pub(super) fn exit_status(status: i64) -> String {
    match status {
        0 => "ok".to_owned(),
        -1 => "could not start".to_owned(),
        -64..=-2 => match signal_name(-status) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {}", -status),
        },
        other => format!("exit status {other}"),
    }
}

/// The signals that end builds, by the numbers that Linux, macOS and the BSDs share.
fn signal_name(number: i64) -> Option<&'static str> {
    Some(match number {
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let seconds = Duration::from_secs;
        for (age, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(super::age(seconds(age)), expected);
        }
        for (duration, expected) in [
            (Duration::from_millis(41), "0.04 s"),
            (Duration::from_millis(12_340), "12.3 s"),
            (seconds(250), "4 min 10 s"),
            (seconds(3_900), "1 h 05 min"),
        ] {
            assert_eq!(super::duration(duration), expected);
        }
        assert_eq!(date(Time(1_795_355_766_000_000)), "2026-11-22 13:56:06 UTC");
        assert_eq!(rfc3339(Time(1_795_355_766_000_000)), "2026-11-22T13:56:06Z");
        assert_eq!(rfc3339(Time(i64::MAX)), "");
    }

    #[test]
    fn statuses_read_well() {
        for (status, expected) in [
            (0, "ok"),
            (-1, "could not start"),
            (-9, "killed by SIGKILL"),
            (-40, "killed by signal 40"),
            (2, "exit status 2"),
            (-1_000, "exit status -1000"),
            (i64::MIN, "exit status -9223372036854775808"),
        ] {
            assert_eq!(exit_status(status), expected);
        }
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(64_000), "64.0 kB");
        assert_eq!(size(1_234_567), "1.2 MB");
        assert_eq!(size(2_000_000_000), "2.0 GB");
    }
}
