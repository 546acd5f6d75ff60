//! The formats of archives, recognised by their first bytes, and what their entries mean. Everything is streamed, so that memory
//! stays small however much an archive unpacks to.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::{civil, tz::TimeZone};
use tar::EntryType;
use zip::{ZipArchive, extra_fields::ExtraField};

use super::writer::Writer;
use crate::{blocking::StopFlag, error::Error, url::Url};

/// What decompressors may take, in KiB.
const MEMORY: u32 = 256 << 10;
/// The longest description of an entry in a tar archive: its header, with the long names and attributes before it.
const LONGEST_HEADERS: u64 = 1 << 20;
/// The longest target of a symbolic link, in bytes.
const LONGEST_LINK: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    Gzip,
    Xz,
    Zstd,
    Bzip2,
    Zip,
}

/// The format of a file that begins like this.
fn format(start: &[u8]) -> Option<Format> {
    let magics: [(&[u8], Format); 6] = [
        (b"\x1f\x8b", Format::Gzip),
        (b"\xfd7zXZ\0", Format::Xz),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"BZh", Format::Bzip2),
        (b"PK\x03\x04", Format::Zip),
        (b"PK\x05\x06", Format::Zip),
    ];
    let by_magic = magics.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| *format);
    by_magic.or_else(|| is_tar(start).then_some(Format::Tar))
}

/// Old archives have no magic, but a sum over their first header; an empty one is all zeros.
fn is_tar(start: &[u8]) -> bool {
    let Some((header, _)) = start.split_first_chunk::<512>() else { return false };
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
        .sum();
    let detail = String::from_utf8_lossy(&header[148..156]);
    let detail = u32::from_str_radix(detail.trim_matches(['\0', ' ']), 8);
    detail == Ok(sum) || header.iter().all(|&byte| byte == 0)
}

/// Unpacks `file` into `root`, which is empty; returns the one folder that everything is in, if there is one.
pub(super) fn unpack(
    mut file: File,
    root: &Path,
    url: &Url,
    stop: &StopFlag,
) -> Result<Option<PathBuf>, Error> {
    let mut writer = Writer::new(root, url, stop);
    let mut start = Vec::new();
    let read = (&mut file).take(512).read_to_end(&mut start).and_then(|_| file.rewind());
    read.map_err(Error::io("read", "the archive"))?;
    let Some(format) = format(&start) else {
        return Err(writer.broken(&io::Error::other("unknown archive format")));
    };
    let input = BufReader::with_capacity(1 << 16, file);
    match format {
        Format::Tar => tar(input, &mut writer)?,
        Format::Gzip => tar(flate2::bufread::MultiGzDecoder::new(input), &mut writer)?,
        Format::Xz => tar(lzma_rust2::XzReader::new_mem_limit(input, true, MEMORY), &mut writer)?,
        Format::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            tar(decoder.map_err(|error| writer.broken(&error))?, &mut writer)?;
        }
        Format::Bzip2 => tar(bzip2::bufread::MultiBzDecoder::new(input), &mut writer)?,
        Format::Zip => zip(input, &mut writer)?,
    }
    writer.top()
}

/// Limits reading: the headers of an entry are read into memory, however long they claim to be.
struct Rationed<'a, R> {
    input: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Rationed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("the header of an entry is too long"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.input.read(&mut buffer[..most])?;
        self.left.set(left.saturating_sub(count as u64));
        Ok(count)
    }
}

fn tar(input: impl Read, writer: &mut Writer) -> Result<(), Error> {
    let left = Cell::new(LONGEST_HEADERS);
    let mut input = Rationed { input, left: &left };
    let mut archive = tar::Archive::new(&mut input);
    for entry in archive.entries().map_err(|error| writer.broken(&error))? {
        writer.proceed()?;
        let mut entry = entry.map_err(|error| writer.broken(&error))?;
        left.set(u64::MAX);
        let name = entry.path_bytes().into_owned();
        let mode = entry.header().mode().map_err(|error| writer.broken(&error))?;
        let modified = entry.header().mtime().ok().and_then(time);
        match entry.header().entry_type() {
            // Before there was a type for them, folders were named with a slash.
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => writer.dir(&name, mode)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                writer.file(&name, mode, modified, &mut entry)?;
            }
            EntryType::Directory => writer.dir(&name, mode)?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                writer.symlink(&name, &target)?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                writer.hard_link(&name, &target)?;
            }
            // The commit that git made it of.
            EntryType::XGlobalHeader => {}
            _ => return Err(writer.refused(&name, "it is no file, folder or link")),
        }
        left.set(LONGEST_HEADERS);
    }
    left.set(u64::MAX);
    // To the end, where decompressors check what they gave.
    let mut buffer = vec![0; 1 << 16];
    loop {
        writer.proceed()?;
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(writer.broken(&error)),
        }
    }
}

fn zip(input: impl Read + Seek, writer: &mut Writer) -> Result<(), Error> {
    let mut archive = ZipArchive::new(input).map_err(|error| writer.broken(&error))?;
    for index in 0..archive.len() {
        writer.proceed()?;
        let mut entry = archive.by_index(index).map_err(|error| writer.broken(&error))?;
        let name = entry.name_raw().to_vec();
        let mode = entry.unix_mode();
        let modified = modified(&entry);
        // A file may be marked as any kind that Unix knows.
        match mode.unwrap_or_default() & 0o170_000 {
            _ if entry.is_dir() => writer.dir(&name, mode.unwrap_or(0o755))?,
            0o120_000 => {
                let mut target = Vec::new();
                (&mut entry)
                    .take(LONGEST_LINK)
                    .read_to_end(&mut target)
                    .map_err(|error| writer.broken(&error))?;
                writer.symlink(&name, &target)?;
            }
            0 | 0o100_000 => writer.file(&name, mode.unwrap_or(0o644), modified, &mut entry)?,
            _ => return Err(writer.refused(&name, "it is no file, folder or link")),
        }
    }
    Ok(())
}

/// When a file was changed; the old field has no zone, and is taken for UTC so that it is the same everywhere.
fn modified<R: Read + Seek>(entry: &zip::read::ZipFile<'_, R>) -> Option<SystemTime> {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    if let Some(seconds) = exact {
        return time(seconds.into());
    }
    let at = entry.last_modified()?;
    let small = |number: u8| i8::try_from(number).ok();
    let date = civil::Date::new(at.year().try_into().ok()?, small(at.month())?, small(at.day())?).ok()?;
    let clock = civil::Time::new(small(at.hour())?, small(at.minute())?, small(at.second())?, 0).ok()?;
    let zoned = date.to_datetime(clock).to_zoned_datetime(TimeZone::UTC).ok()?;
    time(zoned.timestamp().as_second().try_into().ok()?)
}

fn time(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(format(b"\x1f\x8b\x08"), Some(Format::Gzip));
        assert_eq!(format(b"PK\x05\x06"), Some(Format::Zip));
        assert_eq!(format(&[0; 512]), Some(Format::Tar));
        let mut old = tar::Header::new_old();
        old.set_path("x").unwrap();
        old.set_size(0);
        old.set_cksum();
        assert_eq!(format(old.as_bytes()), Some(Format::Tar));
        for start in [&b""[..], b"hello", &[0; 511], &[65; 512], b"P"] {
            assert_eq!(format(start), None);
        }
    }
}
