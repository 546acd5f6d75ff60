//! Values as Python 2 writes them, for texts that clients know from the old servers.

use std::time::Duration;

/// A difference of at least a day: `1 day, 2:03:04`.
pub(crate) fn timedelta(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let plural = if days == 1 { "" } else { "s" };
    format!("{days} day{plural}, {hours}:{minutes:02}:{:02}", seconds % 60)
}

/// A string literal, as faults and reasons carry it.
pub(crate) fn repr(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    if escaped.contains('\'') && !escaped.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_in_python() {
        assert_eq!(repr("999"), "'999'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("'\"\n"), "'\\'\"\\n'");
    }
}
