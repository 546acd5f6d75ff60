//! One child: spawned in its own process group, its two pipes pumped as bytes. The only file that spawns.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::fd::AsFd,
    path::PathBuf,
    process::Stdio,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::{mpsc, watch},
};

use super::os::Group;
use crate::{record::event::Stream, run::watch::Exit};

/// The whole environment of a child, by name.
pub type Environment = BTreeMap<OsString, OsString>;

/// What to run. Never through a shell: a script is `sh -e -c SCRIPT`, spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Everything the child sees, nothing else.
    pub env: Environment,
}

/// What a child does.
#[derive(Debug)]
pub enum Message {
    /// It printed something, at most [`CHUNK`] bytes.
    Output(Stream, Bytes),
    /// This pipe is closed.
    Closed(Stream),
    /// The process has ended (and was waited for).
    Exited(Exit),
}

/// Most bytes in one [`Message::Output`].
pub const CHUNK: usize = 64 * 1024;
/// Messages under way; when so many wait, the pumps stop reading and the child waits in its pipe.
const QUEUE: usize = 16;
/// What is asked of the kernel for each pipe, so that a child stalls less often.
const PIPE: i32 = 1024 * 1024;
/// Most bytes that are read of a pipe that is abandoned: what it can hold.
const LAST: usize = 1024 * 1024;

/// A running child.
#[derive(Debug)]
pub struct Unit {
    group: Group,
    messages: mpsc::Receiver<Message>,
    /// While it is there, the pumps wait for more.
    waiting: Option<watch::Sender<()>>,
}

impl Unit {
    /// Starts `spec` with stdin closed (`/dev/null`), as the leader of a process group of its own.
    ///
    /// # Errors
    /// What the kernel says where it cannot be started.
    pub fn spawn(spec: &Spec) -> io::Result<Self> {
        let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let mut child = Command::new(found(program, spec))
            .arg0(program)
            .args(arguments)
            .current_dir(&spec.cwd)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = child.id().and_then(Group::of_leader).ok_or(io::ErrorKind::Other)?;
        let (sender, messages) = mpsc::channel(QUEUE);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        widen(&stdout);
        widen(&stderr);
        let (waiting, wait) = watch::channel(());
        tokio::spawn(pump(stdout, Stream::Out, sender.clone(), wait.clone()));
        tokio::spawn(pump(stderr, Stream::Err, sender.clone(), wait));
        tokio::spawn(async move {
            let exit = match child.wait().await {
                Ok(status) => exit_of(status),
                // Somebody else waited for it: how it ended is lost, that it ended is not.
                Err(_) => Exit::Status(-1),
            };
            let _ = sender.send(Message::Exited(exit)).await;
        });
        Ok(Self { group, messages, waiting: Some(waiting) })
    }

    /// Its process group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// What it does next; cancel-safe. Pends for ever when nothing more can come.
    pub async fn next(&mut self) -> Message {
        match self.messages.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }

    /// Waits no more for whoever holds the pipes: what is in them still comes, then they count as closed.
    pub fn abandon(&mut self) {
        self.waiting = None;
    }
}

/// Where a program is. Given its path, the system's library need not copy our page tables to start it.
fn found(program: &OsStr, spec: &Spec) -> PathBuf {
    let path = spec.env.get(OsStr::new("PATH"));
    // One that is not there is told of by whoever starts it.
    which::which_in(program, path, &spec.cwd).unwrap_or_else(|_| program.into())
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or_else(|| Exit::Status(status.code().unwrap_or(-1)), Exit::Signal)
}

async fn pump(
    mut pipe: impl AsyncRead + AsFd + Unpin,
    stream: Stream,
    sender: mpsc::Sender<Message>,
    mut wait: watch::Receiver<()>,
) {
    let mut buffer = BytesMut::new();
    loop {
        // Many small outputs share one buffer; a full one is handed on and, once everybody is done with it, used again.
        if buffer.capacity() < CHUNK / 4 {
            buffer.reserve(CHUNK);
        }
        let read = tokio::select! {
            biased;
            _ = wait.changed() => {
                drain(&pipe, stream, &sender).await;
                break;
            }
            read = pipe.read_buf(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if sender.send(Message::Output(stream, buffer.split().freeze())).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = sender.send(Message::Closed(stream)).await;
}

/// Sends what is in the pipe. Asks the kernel itself: the runtime may not have heard yet that there is something.
async fn drain(pipe: &impl AsFd, stream: Stream, sender: &mpsc::Sender<Message>) {
    let mut buffer = vec![0; CHUNK];
    let mut left = LAST;
    while left > 0 {
        // The pipe does not block: an empty one is an error.
        let Ok(read @ 1..) = nix::unistd::read(pipe, &mut buffer) else { return };
        left = left.saturating_sub(read);
        let bytes = Bytes::copy_from_slice(&buffer[..read]);
        if sender.send(Message::Output(stream, bytes)).await.is_err() {
            return;
        }
    }
}

#[cfg(target_os = "linux")]
fn widen(pipe: &impl AsFd) {
    // Over the user's limit, or not allowed: the usual 64 KiB do as well.
    let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
}

#[cfg(not(target_os = "linux"))]
fn widen<P>(_pipe: &P) {}

#[cfg(test)]
mod tests {
    use nix::{
        sys::wait::{Id, WaitPidFlag, waitid},
        unistd::Pid,
    };

    use super::*;

    fn sh(script: &str) -> Spec {
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        Spec { argv, cwd: "/".into(), env: std::env::vars_os().collect() }
    }

    /// What comes of it once its leader has ended and its pipes are abandoned, none of it read before.
    async fn last_words(unit: &mut Unit) -> [usize; 2] {
        let leader = Id::Pid(Pid::from_raw(unit.group().id()));
        waitid(leader, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        unit.abandon();
        let (mut sizes, mut closed) = ([0; 2], 0);
        while closed < 2 {
            match unit.next().await {
                Message::Output(stream, bytes) => sizes[stream.index()] += bytes.len(),
                Message::Closed(_) => closed += 1,
                Message::Exited(_) => {}
            }
        }
        sizes
    }

    #[tokio::test]
    async fn what_is_in_the_pipes_is_read_however_late() {
        let mut unit = Unit::spawn(&sh("head -c 60000 /dev/zero; printf err >&2")).unwrap();
        assert_eq!(last_words(&mut unit).await, [60_000, 3]);
    }

    #[tokio::test]
    async fn who_holds_an_abandoned_pipe_is_not_waited_for() {
        let mut unit = Unit::spawn(&sh("sleep 1000 & printf out")).unwrap();
        assert_eq!(last_words(&mut unit).await, [3, 0]);
        unit.group().kill();
    }

    #[tokio::test]
    async fn who_talks_on_into_an_abandoned_pipe_is_not_listened_to_for_ever() {
        let mut unit = Unit::spawn(&sh("yes & exit")).unwrap();
        let [out, _] = last_words(&mut unit).await;
        assert!(out <= LAST + CHUNK, "{out}");
        unit.group().kill();
    }
}
