//! A step's log with the time of each line, both streams in the order in which they came.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{event::Stream, folder::RunFolder, pieces::Pieces};

/// A longer line is cut.
const LONGEST: usize = 64 * 1024;

/// Prints the log that is called `stem` in this folder: before each line the seconds since the step began, then `|`, or `!`
/// where it is of stderr. A line's time is that of its first byte.
///
/// # Errors
/// When the log cannot be read or `out` not be written.
pub fn print(folder: &RunFolder, stem: &str, out: &mut impl Write) -> io::Result<()> {
    let mut pieces = Pieces::new(folder.path(), stem);
    pieces.seal();
    let mut open: [Line; 2] = Default::default();
    while let Some(piece) = pieces.read()? {
        for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = &mut open[piece.stream.index()];
            if line.text.is_empty() {
                line.time = piece.time;
            }
            line.text.extend_from_slice(part);
            if part.ends_with(b"\n") || line.text.len() >= LONGEST {
                line.print(piece.stream, out)?;
            }
        }
    }
    // What began first comes first.
    let [stdout, stderr] = &mut open;
    let mut rest = [(Stream::Out, stdout), (Stream::Err, stderr)];
    rest.sort_by_key(|(_, line)| line.time);
    rest.iter_mut()
        .filter(|(_, line)| !line.text.is_empty())
        .try_for_each(|(stream, line)| line.print(*stream, out))
}

#[derive(Debug, Default)]
struct Line {
    time: Duration,
    text: Vec<u8>,
}

impl Line {
    fn print(&mut self, stream: Stream, out: &mut impl Write) -> io::Result<()> {
        let sign = match stream {
            Stream::Out => '|',
            Stream::Err => '!',
        };
        write!(out, "{:>10.3} {sign} ", self.time.as_secs_f64())?;
        out.write_all(self.text.strip_suffix(b"\n").unwrap_or(&self.text))?;
        out.write_all(b"\n")?;
        self.text.clear();
        Ok(())
    }
}
