//! Reading of a log just what goes into a result: memory stays flat whatever a build printed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use pony_wire::text::{self, Colours};

/// Reads a log as text that every server takes, at most `limit` bytes of it: its head and its tail.
/// `whole` says where all of it is.
pub(super) fn read(path: &Path, limit: u64, whole: &str, colours: Colours) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let limit_len = usize::try_from(limit).unwrap_or(usize::MAX);
    // Cleaning can make text longer (a wrong byte becomes three) and shorter (colours go); `shorten` has the last word.
    if size <= limit.saturating_mul(2) {
        let mut bytes = Vec::new();
        file.take(limit.saturating_mul(2)).read_to_end(&mut bytes)?;
        return Ok(text::shorten(&text::clean(&bytes, colours), limit_len, whole));
    }
    let mut head = Vec::new();
    (&mut file).take(limit).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(size - limit))?;
    let mut tail = Vec::new();
    file.take(limit).read_to_end(&mut tail)?;
    let between = size - 2 * limit;
    Ok(text::shorten_ends(
        &text::clean(&head, colours),
        &text::clean(&tail, colours),
        between,
        limit_len,
        whole,
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_a_long_log_both_ends_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let lines: Vec<String> = (0..100_000).map(|line| format!("line {line}\n")).collect();
        fs::write(&path, lines.concat()).unwrap();
        let text = read(&path, 2000, "here:/log", Colours::Strip).unwrap();
        assert!(text.len() <= 2000, "{}", text.len());
        assert!(text.starts_with("line 0\n") && text.ends_with("line 99999\n"), "{text}");
        assert!(text.contains("here:/log"), "{text}");
        let whole = read(&path, 10_000_000, "here:/log", Colours::Strip).unwrap();
        assert_eq!(whole, lines.concat());
    }
}
