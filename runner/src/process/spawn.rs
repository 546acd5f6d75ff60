//! One child process: spawned in its own process group, its two pipes read as bytes. The only file that spawns.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{AccessFlags, access},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStderr, ChildStdout, Command},
};

use super::group::Group;
use super::stream::Stream;

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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// As the protocol wants it: `-N` for signal N.
    pub fn protocol_status(self) -> i64 {
        match self {
            Self::Status(status) => i64::from(status),
            Self::Signal(signal) => -i64::from(signal),
        }
    }
}

/// What a child does.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// It printed something, at most [`CHUNK`] bytes.
    Output(Stream, &'m [u8]),
    /// This pipe is closed.
    Closed(Stream),
    /// The process has ended (and was waited for).
    Exited(Exit),
}

/// Most bytes in one [`Message::Output`].
pub const CHUNK: usize = 64 * 1024;
/// What is asked of the kernel for each pipe, so that a child stalls less often.
const PIPE: i32 = 1024 * 1024;
/// Most bytes that are read of a pipe that is abandoned: what it can hold.
const LAST: usize = 1024 * 1024;

/// A running child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    out: Pipe<ChildStdout>,
    err: Pipe<ChildStderr>,
    has_exited: bool,
}

impl Process {
    /// Starts `spec` with stdin closed (`/dev/null`), as the leader of a process group of its own.
    ///
    /// # Errors
    /// What the kernel says where it cannot be started.
    pub fn spawn(spec: &Spec) -> io::Result<Self> {
        let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let mut child = Command::new(spec.find(program))
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
        let (out, err) = (Pipe::new(child.stdout.take()), Pipe::new(child.stderr.take()));
        Ok(Self { child, group, out, err, has_exited: false })
    }

    /// Its process group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// What it does next; cancel-safe. Pends for ever when nothing more can come.
    pub async fn next(&mut self) -> Message<'_> {
        let Self { child, out, err, has_exited, .. } = self;
        let (stream, read) = tokio::select! {
            read = out.read() => (Stream::Out, read),
            read = err.read() => (Stream::Err, read),
            ended = child.wait(), if !*has_exited => {
                *has_exited = true;
                // Where somebody else waited for it, how it ended is lost; that it ended is not.
                return Message::Exited(ended.map_or(Exit::Status(-1), exit_of));
            }
        };
        let buffer = match stream {
            Stream::Out => &out.buffer,
            Stream::Err => &err.buffer,
        };
        if read == 0 { Message::Closed(stream) } else { Message::Output(stream, &buffer[..read]) }
    }

    /// Whether something is in its pipes. The kernel is asked itself: the runtime may not have heard of it yet.
    pub fn has_printed(&self) -> bool {
        let out = self.out.reader.as_ref().map(AsFd::as_fd);
        let err = self.err.reader.as_ref().map(AsFd::as_fd);
        let mut open: Vec<PollFd<'_>> =
            out.into_iter().chain(err).map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)).collect();
        let is_readable =
            |pipe: &PollFd<'_>| pipe.revents().is_some_and(|ready| ready.contains(PollFlags::POLLIN));
        poll(&mut open, PollTimeout::ZERO).is_ok() && open.iter().any(is_readable)
    }

    /// Waits no more for whoever holds the pipes: what is in them still comes, then they count as closed.
    pub fn abandon(&mut self) {
        self.out.left.get_or_insert(LAST);
        self.err.left.get_or_insert(LAST);
    }
}

/// One of a child's pipes.
#[derive(Debug)]
struct Pipe<P> {
    /// Nothing once it is closed.
    reader: Option<P>,
    /// Made for the first that is printed.
    buffer: Vec<u8>,
    /// It is abandoned: so many bytes of it are still read, if they are there.
    left: Option<usize>,
}

impl<P: AsyncRead + AsFd + Unpin> Pipe<P> {
    fn new(pipe: Option<P>) -> Self {
        pipe.iter().for_each(widen);
        Self { reader: pipe, buffer: Vec::new(), left: None }
    }

    /// How many bytes are in the buffer now; none when it is closed. Never comes back after that.
    async fn read(&mut self) -> usize {
        let Self { reader, buffer, left } = self;
        let Some(open) = reader else { return std::future::pending().await };
        buffer.resize(CHUNK, 0);
        let read = match left {
            None => open.read(buffer).await.unwrap_or(0),
            Some(0) => 0,
            // The kernel is asked itself: the runtime may not have heard yet that there is something. An empty pipe is an
            // error, as it does not block.
            Some(left) => {
                let read = nix::unistd::read(&*open, buffer).unwrap_or(0);
                *left = left.saturating_sub(read);
                read
            }
        };
        if read == 0 {
            *reader = None;
        }
        read
    }
}

impl Spec {
    /// Where a program is. Given its path, the system's library need not copy our page tables to start it.
    fn find(&self, program: &OsStr) -> PathBuf {
        let path = self.env.get(OsStr::new("PATH")).map_or(OsStr::new(""), OsString::as_os_str);
        // One that is not there is told of by whoever starts it.
        find(program, path, &self.cwd).unwrap_or_else(|| program.into())
    }

    /// Why it cannot be started, with what to look at.
    pub fn cannot_start(&self, error: &io::Error) -> String {
        let program = self.argv.first().map(|program| program.to_string_lossy()).unwrap_or_default();
        if error.kind() == io::ErrorKind::NotFound && !self.cwd.is_dir() {
            return format!("cannot start `{program}`: there is no folder `{}`", self.cwd.display());
        }
        format!("cannot start `{program}`: {error}")
    }
}

/// Where a program is on this PATH, seen from `cwd`: the first file there that may be executed.
pub fn find(program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| access(path, AccessFlags::X_OK).is_ok() && path.is_file();
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(cwd.join(program)).filter(is_program);
    }
    std::env::split_paths(path).map(|folder| cwd.join(folder).join(program)).find(is_program)
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or_else(|| Exit::Status(status.code().unwrap_or(-1)), Exit::Signal)
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
    async fn last_words(process: &mut Process) -> [usize; 2] {
        let leader = Id::Pid(Pid::from_raw(process.group().id()));
        waitid(leader, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        process.abandon();
        let (mut sizes, mut closed) = ([0; 2], 0);
        while closed < 2 {
            match process.next().await {
                Message::Output(stream, bytes) => sizes[stream.index()] += bytes.len(),
                Message::Closed(_) => closed += 1,
                Message::Exited(_) => {}
            }
        }
        sizes
    }

    #[tokio::test]
    async fn what_is_in_the_pipes_is_read_however_late() {
        let mut process = Process::spawn(&sh("head -c 60000 /dev/zero; printf err >&2")).unwrap();
        assert_eq!(last_words(&mut process).await, [60_000, 3]);
    }

    #[tokio::test]
    async fn who_holds_an_abandoned_pipe_is_not_waited_for() {
        let mut process = Process::spawn(&sh("sleep 1000 & printf out")).unwrap();
        assert_eq!(last_words(&mut process).await, [3, 0]);
        process.group().kill();
    }

    #[tokio::test]
    async fn who_talks_on_into_an_abandoned_pipe_is_not_listened_to_for_ever() {
        let mut process = Process::spawn(&sh("yes & exit")).unwrap();
        let [out, _] = last_words(&mut process).await;
        assert!(out <= LAST + CHUNK, "{out}");
        process.group().kill();
    }

    #[test]
    fn a_program_is_the_first_of_its_name_that_may_be_executed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        std::fs::create_dir_all(dir.path().join("a/tool")).unwrap();
        file("b/tool", 0o644);
        let tool = file("c/tool", 0o755);
        let found = |program: &str| find(OsStr::new(program), OsStr::new("a:b:c:none"), dir.path());
        assert_eq!(found("tool"), Some(tool.clone()));
        assert_eq!(found("c/tool"), Some(tool));
        assert_eq!([found("b/tool"), found("none")], [None, None]);
    }
}
