//! Durations as recipes write them: `20m`, `4h`, `1h 30m`, `90s`; a plain number is seconds.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// No timeout is longer, so that sums of times do not overflow.
const MAX: Duration = Duration::from_hours(366 * 24);

/// A hint that shows how durations are written.
pub(crate) const HINT: &str = "write it like `90s`, `20m`, `4h` or `1h 30m`; a plain number is seconds";

/// Reads a duration. The error is the rest of a sentence: "`timeout` is not a duration".
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => SignedDuration::try_from_secs_f64(seconds).map_err(|_| "is not a duration")?,
        Err(_) => text
            .parse::<Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
            .ok_or("is not a duration")?,
    };
    match Duration::try_from(duration) {
        Ok(duration) if duration > MAX => Err("cannot be longer than a year"),
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0"),
    }
}

/// Text that [`parse`] reads back to the same duration.
pub(crate) fn print(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| duration.as_secs().to_string(), |exact| format!("{exact:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("20m", 1200.0),
            ("4h", 14400.0),
            ("1h 30m", 5400.0),
            ("1h30m", 5400.0),
            ("2 minutes", 120.0),
            ("1d", 86400.0),
            ("2w", 1_209_600.0),
            ("45", 45.0),
            ("1.5", 1.5),
            (" 3s ", 3.0),
            ("250ms", 0.25),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
            assert_eq!(parse(&print(Duration::from_secs_f64(seconds))), parse(text), "{text}");
        }
    }

    #[test]
    fn durations_that_are_zero_negative_or_endless_are_rejected() {
        for (text, why) in [
            ("", "is not a duration"),
            ("soon", "is not a duration"),
            ("10 q", "is not a duration"),
            ("1mo", "is not a duration"),
            ("0", "must be more than 0"),
            ("0s", "must be more than 0"),
            ("-5", "must be more than 0"),
            ("-5m", "must be more than 0"),
            ("NaN", "is not a duration"),
            ("inf", "is not a duration"),
            ("1e300", "is not a duration"),
            ("400d", "cannot be longer than a year"),
            ("99999999999999999999h", "is not a duration"),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
