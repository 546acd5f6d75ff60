//! The writer of stdout and stderr: everything that is shown goes through here, in the order in which it is written.
//!
//! It writes only what the reader has room for, in pieces that a pipe takes at once, and counts what was taken. So the end of
//! the program can tell a slow reader from one that takes nothing. A stream whose reader is gone takes whatever is written;
//! that is no reason to stop a build.

use std::{
    io::{self, IsTerminal as _},
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{SFlag, fstat},
    unistd,
};

use crate::record::event::Stream;

/// `PIPE_BUF`: a pipe that can be written to takes so many bytes at once.
const PIECE: usize = 4096;
/// The same where writing never has to wait.
const LARGE_PIECE: usize = 256 * 1024;

/// Bytes that readers have taken, or that nobody will take any more.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Streams that cannot be written to any more.
static CLOSED: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// How many bytes were taken so far: where it stands still, nobody reads.
pub(super) fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// Writes all of `bytes`, as fast as they are taken.
pub(super) fn write(stream: Stream, bytes: &[u8]) {
    let result = match stream {
        Stream::Out => write_all(stream, io::stdout().as_fd(), bytes),
        Stream::Err => write_all(stream, io::stderr().as_fd(), bytes),
    };
    let Err(error) = result else { return };
    let closed = CLOSED[stream.index()].swap(true, Ordering::Relaxed);
    // A reader that went away knows that it did; a disk that is full has to be told of.
    if !closed && !matches!(error, Errno::EPIPE | Errno::EIO | Errno::EBADF) && stream == Stream::Out {
        write(
            Stream::Err,
            format!("note: what the build prints cannot be shown: {}\n", error.desc()).as_bytes(),
        );
    }
}

/// Writes `bytes` if they are taken at once: a last word to somebody who may not be reading.
pub(super) fn try_write(stream: Stream, bytes: &[u8]) {
    let (out, err) = (io::stdout(), io::stderr());
    let fd = if stream == Stream::Out { out.as_fd() } else { err.as_fd() };
    let ready = poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::ZERO);
    if ready.is_ok_and(|ready| ready > 0) {
        let _ = unistd::write(fd, &bytes[..bytes.len().min(PIECE)]);
    }
}

fn write_all(stream: Stream, fd: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    let waits = may_wait(fd);
    while !bytes.is_empty() && !CLOSED[stream.index()].load(Ordering::Relaxed) {
        if waits {
            match poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error),
            }
        }
        let piece = &bytes[..bytes.len().min(if waits { PIECE } else { LARGE_PIECE })];
        match unistd::write(fd, piece) {
            Ok(written) => {
                TAKEN.fetch_add(written as u64, Ordering::Relaxed);
                bytes = &bytes[written..];
            }
            // The terminal of a shell may be shared with a program that made it non-blocking.
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether writing can have to wait for a reader: not for a file or `/dev/null`.
fn may_wait(fd: BorrowedFd<'_>) -> bool {
    let kind = fstat(fd)
        .map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode).intersection(SFlag::S_IFMT));
    match kind {
        SFlag::S_IFREG => false,
        SFlag::S_IFCHR => fd.is_terminal(),
        _ => true,
    }
}

/// Whether stdout and stderr are one file, pipe or terminal.
pub fn are_one() -> bool {
    let [out, err] = [fstat(io::stdout()), fstat(io::stderr())];
    matches!((out, err), (Ok(out), Ok(err)) if (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_what_has_a_reader_is_waited_for() {
        let (_reader, pipe) = io::pipe().unwrap();
        assert!(may_wait(pipe.as_fd()));
        let null = File::options().write(true).open("/dev/null").unwrap();
        assert!(!may_wait(null.as_fd()));
        assert!(!may_wait(tempfile::tempfile().unwrap().as_fd()));
    }
}
