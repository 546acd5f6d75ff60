//! How much of each log goes into a result, and reading just that: memory stays flat whatever a build printed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use pony_wire::text::{self, Colours};

/// The most bytes of each log so that all of them together stay within `budget`: short ones are kept whole, and only the
/// long ones are shortened, all to the same length. Pure.
pub(super) fn fair_share(sizes: &[u64], budget: u64) -> u64 {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    let mut left = budget;
    for (index, size) in sizes.iter().enumerate() {
        let waiting = (sizes.len() - index) as u64;
        if *size > left / waiting {
            return left / waiting;
        }
        left -= size;
    }
    budget
}

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
    fn short_logs_are_whole_and_long_ones_share_the_rest() {
        assert_eq!(fair_share(&[10, 10], 100), 100);
        assert_eq!(fair_share(&[10, 1000, 1000], 100), 45);
        assert_eq!(fair_share(&[1000, 1000], 100), 50);
        assert_eq!(fair_share(&[], 100), 100);
        for sizes in [vec![1, 2, 3, 400, 500], vec![99, 99, 99], vec![0, 0, 7000]] {
            let share = fair_share(&sizes, 120);
            assert!(sizes.iter().map(|size| (*size).min(share)).sum::<u64>() <= 120);
        }
    }

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
