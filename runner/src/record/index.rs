//! The chunk index: which bytes of a step's two logs came when, and in which order.
//!
//! Beside `03-make.out` and `03-make.err`, `03-make.idx` has one entry for each piece that the step printed. It is binary:
//!
//! ```text
//! header   70 69 64 78  major  minor      "pidx" and the version of this format, a byte each
//! entry    varint(length << 2 | kind)     kind 0: stdout, 1: stderr; 2 and 3 are reserved, and passed over
//!          varint(microseconds since the entry before; for the first one, since the step began)
//! ```
//!
//! A varint has seven bits a byte, the lowest first, and the highest bit of each byte but the last set. A piece begins in its
//! log where the one before it of the same stream ended. An entry is written after its piece, so a crash leaves at most a
//! piece without an entry, and an entry that is cut off at the end of the file.

use std::{
    fs::File,
    io::{self, Read, Write},
    time::Duration,
};

use super::{event::Stream, format::Format};

/// What this program writes.
pub const FORMAT: Format = Format::new(1, 0);

const MAGIC: [u8; 4] = *b"pidx";
const HEADER: usize = MAGIC.len() + 2;
const KIND_BITS: u32 = 2;
/// Two varints of 64 bits.
const LONGEST_ENTRY: usize = 20;

/// A piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// In which of the two logs.
    pub stream: Stream,
    /// Where it begins there.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// When it was printed, since the step began.
    pub time: Duration,
}

/// Writes an index, entry by entry.
#[derive(Debug)]
pub(super) struct IndexWriter {
    file: File,
    last: u64,
}

impl IndexWriter {
    /// Writes the header to a new file.
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        file.write_all(&header())?;
        Ok(Self { file, last: 0 })
    }

    /// Notes a piece of `length` bytes that was printed at `time` since the step began.
    pub(super) fn push(&mut self, stream: Stream, length: usize, time: Duration) -> io::Result<()> {
        let (entry, used) = encode(stream, length as u64, self.since_last(time));
        self.file.write_all(&entry[..used])
    }

    fn since_last(&mut self, time: Duration) -> u64 {
        let now = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let since = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        since
    }
}

/// Reads an index as far as it is written.
#[derive(Debug)]
pub(super) struct IndexReader<R> {
    file: R,
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl<R: Read> IndexReader<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, buffer: Vec::new(), decoder: Decoder::default() }
    }

    /// The next entry that is written whole; nothing if there is none yet.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let mut rest = self.buffer.as_slice();
            let chunk = self.decoder.next(&mut rest)?;
            let used = self.buffer.len() - rest.len();
            self.buffer.drain(..used);
            if chunk.is_some() {
                return Ok(chunk);
            }
            let mut more = [0; 4096];
            match self.file.read(&mut more) {
                Ok(0) => return Ok(None),
                Ok(read) => self.buffer.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What of an index has been read. Pure.
#[derive(Debug, Default)]
struct Decoder {
    has_header: bool,
    offsets: [u64; 2],
    time: u64,
}

impl Decoder {
    /// Takes the next whole entry off the front of `bytes`; nothing where its rest is still to come.
    fn next(&mut self, bytes: &mut &[u8]) -> io::Result<Option<Chunk>> {
        if !self.has_header {
            let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Ok(None) };
            let (magic, version) = header.split_at(MAGIC.len());
            if magic != MAGIC {
                return Err(invalid("it is no chunk index"));
            }
            let found = Format::new(u32::from(version[0]), u32::from(version[1]));
            found.readable(FORMAT).map_err(invalid)?;
            self.has_header = true;
            *bytes = rest;
        }
        loop {
            let mut rest = *bytes;
            let (Some(head), Some(since)) = (varint(&mut rest)?, varint(&mut rest)?) else { return Ok(None) };
            *bytes = rest;
            self.time = self.time.saturating_add(since);
            let length = head >> KIND_BITS;
            let stream = match head & ((1 << KIND_BITS) - 1) {
                0 => Stream::Out,
                1 => Stream::Err,
                // Of a newer minor version.
                _ => continue,
            };
            let offset = &mut self.offsets[stream.index()];
            let chunk = Chunk { stream, offset: *offset, length, time: Duration::from_micros(self.time) };
            *offset = offset.saturating_add(length);
            return Ok(Some(chunk));
        }
    }
}

fn header() -> [u8; HEADER] {
    let [a, b, c, d] = MAGIC;
    let byte = |number| u8::try_from(number).unwrap_or(u8::MAX);
    [a, b, c, d, byte(FORMAT.major), byte(FORMAT.minor)]
}

fn encode(stream: Stream, length: u64, since: u64) -> ([u8; LONGEST_ENTRY], usize) {
    let kind = match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    };
    let (mut entry, mut used) = ([0; LONGEST_ENTRY], 0);
    for mut number in [length << KIND_BITS | kind, since] {
        while number >= 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits")]
            let low = number as u8 | 0x80;
            entry[used] = low;
            used += 1;
            number >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        let last = number as u8;
        entry[used] = last;
        used += 1;
    }
    (entry, used)
}

/// Takes a number off the front of `bytes`; nothing where it is cut off.
fn varint(bytes: &mut &[u8]) -> io::Result<Option<u64>> {
    let mut number: u64 = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let shift = 7 * u32::try_from(place).unwrap_or(u32::MAX);
        let part = u64::from(byte & 0x7f);
        number |= part
            .checked_shl(shift)
            .filter(|shifted| shifted >> shift == part)
            .ok_or_else(|| invalid("a number in it is too large"))?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use proptest::prelude::*;

    use super::*;

    /// An index of these pieces: stream, length, microseconds.
    fn written(pieces: &[(Stream, usize, u64)]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = IndexWriter::new(file.try_clone().unwrap()).unwrap();
        for (stream, length, time) in pieces {
            writer.push(*stream, *length, Duration::from_micros(*time)).unwrap();
        }
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<Chunk>> {
        let mut reader = IndexReader::new(bytes);
        std::iter::from_fn(|| reader.next().transpose()).collect()
    }

    #[test]
    fn order_places_and_times_come_back() {
        let bytes =
            written(&[(Stream::Out, 80, 5), (Stream::Err, 3, 2_000_000), (Stream::Out, 1, 2_000_000)]);
        let chunk = |stream, offset, length, micros| Chunk {
            stream,
            offset,
            length,
            time: Duration::from_micros(micros),
        };
        let expected = [
            chunk(Stream::Out, 0, 80, 5),
            chunk(Stream::Err, 0, 3, 2_000_000),
            chunk(Stream::Out, 80, 1, 2_000_000),
        ];
        assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn the_index_is_small() {
        for (length, apart, share) in [(80, 1_000_000, 10), (80, 300_000_000, 10), (65536, 50, 1000)] {
            let pieces: Vec<_> = (1..1000).map(|piece| (Stream::Out, length, piece * apart)).collect();
            assert!(written(&pieces).len() * share < 999 * length, "{length} bytes every {apart} µs");
        }
    }

    #[test]
    fn newer_majors_are_refused_and_additions_of_newer_minors_passed_over() {
        let entries = |major, minor| [&MAGIC[..], &[major, minor, 80 << 2 & 0x7f | 0x80, 2, 0]].concat();
        assert_eq!(read(&entries(1, 0)).unwrap().len(), 1);
        let mut newer = entries(1, 7);
        // Of a kind that is not known: three bytes of something, a microsecond later.
        newer.extend([3 << 2 | 2, 1, 1 << 2, 4]);
        let chunks = read(&newer).unwrap();
        assert_eq!((chunks.len(), chunks[1].offset, chunks[1].time.as_micros()), (2, 80, 5));
        let error = read(&entries(2, 0)).unwrap_err().to_string();
        assert!(error.starts_with("its format is 2.0"), "{error}");
    }

    #[test]
    fn something_else_is_no_index() {
        assert!(read(b"hello world").is_err());
        assert!(read(&[&header()[..], &[0xff; 11]].concat()).is_err());
        assert!(read(b"").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_cut_off_is_read_up_to_there_and_then_on(
            pieces in proptest::collection::vec((any::<bool>(), 0_usize..200_000, 0_u64..1 << 40), 0..20),
            cut in 0_usize..200,
        ) {
            let pieces: Vec<_> = pieces
                .into_iter()
                .map(|(out, length, time)| (if out { Stream::Out } else { Stream::Err }, length, time))
                .collect();
            let bytes = written(&pieces);
            let whole = read(&bytes).unwrap();
            prop_assert_eq!(whole.len(), pieces.len());
            let cut = cut.min(bytes.len());
            let begun = read(&bytes[..cut]).unwrap();
            prop_assert_eq!(&whole[..begun.len()], &begun[..]);
            // The same reader goes on when the rest has come.
            let mut decoder = Decoder::default();
            let (mut held, mut chunks) = (Vec::new(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                held.extend_from_slice(part);
                let mut rest = held.as_slice();
                while let Some(chunk) = decoder.next(&mut rest).unwrap() {
                    chunks.push(chunk);
                }
                held = rest.to_vec();
            }
            prop_assert_eq!(chunks, whole);
        }
    }
}
