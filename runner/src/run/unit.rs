//! One child: spawned in its own process group, its two pipes pumped as bytes. The only file that spawns.

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, process::Stdio};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::mpsc,
    task::JoinHandle,
};

use super::{os::Group, watch::Exit};
use crate::event::Stream;

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

/// A running child.
#[derive(Debug)]
pub struct Unit {
    group: Group,
    messages: mpsc::Receiver<Message>,
    pumps: [JoinHandle<()>; 2],
}

impl Unit {
    /// Starts `spec` with stdin closed (`/dev/null`), as the leader of a process group of its own.
    ///
    /// # Errors
    /// What the kernel says where it cannot be started.
    pub fn spawn(spec: &Spec) -> io::Result<Self> {
        let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let mut child = Command::new(program)
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
        let pumps = [
            tokio::spawn(pump(stdout, Stream::Out, sender.clone())),
            tokio::spawn(pump(stderr, Stream::Err, sender.clone())),
        ];
        tokio::spawn(async move {
            let exit = match child.wait().await {
                Ok(status) => exit_of(status),
                // Somebody else waited for it: how it ended is lost, that it ended is not.
                Err(_) => Exit::Status(-1),
            };
            let _ = sender.send(Message::Exited(exit)).await;
        });
        Ok(Self { group, messages, pumps })
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

    /// What has already been read and not yet been taken, when its pipes are to be read no more.
    pub fn abandon(&mut self) -> Vec<Message> {
        self.pumps.iter().for_each(JoinHandle::abort);
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or_else(|| Exit::Status(status.code().unwrap_or(-1)), Exit::Signal)
}

async fn pump(mut pipe: impl AsyncRead + Unpin, stream: Stream, sender: mpsc::Sender<Message>) {
    let mut buffer = BytesMut::new();
    loop {
        // Many small outputs share one buffer; a full one is handed on and, once everybody is done with it, used again.
        if buffer.capacity() < CHUNK / 4 {
            buffer.reserve(CHUNK);
        }
        match pipe.read_buf(&mut buffer).await {
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

#[cfg(target_os = "linux")]
fn widen(pipe: &impl std::os::fd::AsFd) {
    // Over the user's limit, or not allowed: the usual 64 KiB do as well.
    let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
}

#[cfg(not(target_os = "linux"))]
fn widen<P>(_pipe: &P) {}
