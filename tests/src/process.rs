//! Programs started and watched from outside, with bounded waits. The only file here that spawns and reads the clock.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{PATIENCE, world::World};

/// A command in a world, about to be started.
#[derive(Debug, Clone)]
pub struct Call<'w> {
    world: &'w World,
    program: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    cwd: PathBuf,
}

/// Which stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Something that a process printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where.
    pub stream: Stream,
    /// What.
    pub bytes: Vec<u8>,
    /// When, from its start.
    pub after: Duration,
}

enum Message {
    Printed(Output),
    Closed,
    Exited(ExitStatus),
}

/// A process under way.
#[derive(Debug)]
pub struct Live<'w> {
    call: Call<'w>,
    pid: Pid,
    messages: Receiver<Message>,
    printed: Vec<Output>,
    closed: usize,
    exit: Option<ExitStatus>,
    began: Instant,
    /// From its start, how long it is waited for.
    patience: Duration,
}

/// A process that has ended.
pub struct Ended<'w> {
    call: Call<'w>,
    /// Exit status; `-N` for signal N.
    pub code: i32,
    /// What it printed, in the order in which it came.
    pub printed: Vec<Output>,
    /// From start to end.
    pub took: Duration,
}

impl<'w> Call<'w> {
    pub(crate) fn new(world: &'w World, program: OsString, arguments: Vec<OsString>) -> Self {
        let environment = world.environment().clone();
        Self { world, program, arguments, environment, cwd: world.path("work") }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.remove(&OsString::from(name));
        self
    }

    /// Starts it in this folder instead of `work`.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = folder.into();
        self
    }

    /// One more argument, of any bytes.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same command as the arguments of another program, such as `sh -c '…; exec "$@"' sh`.
    #[must_use]
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        let words = wrapper.iter().map(OsString::from).chain([self.program]).chain(self.arguments);
        let mut words: Vec<OsString> = words.collect();
        self.program = words.remove(0);
        self.arguments = words;
        self
    }

    /// Program and arguments.
    pub fn words(&self) -> Vec<OsString> {
        std::iter::once(&self.program).chain(&self.arguments).cloned().collect()
    }

    /// Its whole environment.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.environment
    }

    /// It as the standard library starts it.
    #[expect(clippy::disallowed_methods, reason = "tests have no runner to spawn for them")]
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment).current_dir(&self.cwd);
        command
    }

    /// Starts it, with stdin closed.
    #[expect(clippy::disallowed_methods, reason = "how long a process took is shown where a test fails")]
    pub fn start(self) -> Live<'w> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {self}: {error}"));
        let began = Instant::now();
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        let (sender, messages) = channel();
        pump(child.stdout.take().expect("a pipe"), Stream::Out, began, sender.clone());
        pump(child.stderr.take().expect("a pipe"), Stream::Err, began, sender.clone());
        thread::spawn(move || {
            let status = child.wait().expect("a child can be waited for");
            let _ = sender.send(Message::Exited(status));
        });
        Live {
            call: self,
            pid,
            messages,
            printed: Vec::new(),
            closed: 0,
            exit: None,
            began,
            patience: PATIENCE,
        }
    }

    /// Runs it to its end.
    pub fn end(self) -> Ended<'w> {
        self.start().end()
    }
}

impl World {
    /// `pony-run` with these arguments.
    pub fn pony<'w, S: AsRef<str>>(&'w self, arguments: &[S]) -> Call<'w> {
        self.call(crate::program("pony-run"), arguments)
    }

    /// Any program with these arguments.
    pub fn call<'w, S: AsRef<str>>(&'w self, program: impl Into<OsString>, arguments: &[S]) -> Call<'w> {
        Call::new(self, program.into(), arguments.iter().map(|text| text.as_ref().into()).collect())
    }

    /// The same call with a `PONY_HOME` that has room for no more than 200 kB: a small file system of its own where this
    /// user may mount one, else a limit on the size of each file.
    pub fn full_disk<'w>(&'w self, call: &Call<'w>) -> Call<'w> {
        let mount = "mkdir -p \"$PONY_HOME\" && mount -t tmpfs -o size=200k none \"$PONY_HOME\"";
        let unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
        let probe = Call::new(self, "true".into(), Vec::new()).through(&[&unshare[..], &[mount]].concat());
        if probe.end().code == 0 {
            let script = format!("{mount} && exec \"$0\" \"$@\"");
            return call.clone().through(&[&unshare[..], &[&script]].concat());
        }
        call.clone().through(&["sh", "-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""])
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in self.words() {
            write!(f, "'{}' ", word.display())?;
        }
        write!(f, "in {}", self.cwd.display())
    }
}

fn pump(mut pipe: impl Read + Send + 'static, stream: Stream, began: Instant, sender: Sender<Message>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let after = began.elapsed();
            let output = Output { stream, bytes: buffer[..count].to_vec(), after };
            if sender.send(Message::Printed(output)).is_err() {
                return;
            }
        }
        let _ = sender.send(Message::Closed);
    });
}

impl<'w> Live<'w> {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap_or_else(|error| panic!("{signal} to {self}: {error}"));
    }

    /// Waits until it has printed `text` on `stream`, and returns all that it has printed there so far.
    pub fn until(&mut self, stream: Stream, text: &str) -> String {
        loop {
            let printed = String::from_utf8_lossy(&join(&self.printed, stream)).into_owned();
            if printed.contains(text) {
                return printed;
            }
            let more = self.step(&format!("`{text}`"));
            assert!(more, "it ended without printing `{text}` on {stream:?}: {self}");
        }
    }

    /// Waits for more on stdout, and returns all that it has printed there so far.
    pub(crate) fn more(&mut self) -> String {
        assert!(self.step("more on stdout"), "it ended: {self}");
        String::from_utf8_lossy(&join(&self.printed, Stream::Out)).into_owned()
    }

    /// Waits until it has printed `text` so many times on stdout, or has closed it; whether it has.
    pub fn until_times(&mut self, text: &str, times: usize) -> bool {
        loop {
            let printed = String::from_utf8_lossy(&join(&self.printed, Stream::Out)).into_owned();
            if printed.matches(text).count() >= times {
                return true;
            }
            if !self.step(&format!("`{text}`, {times} times")) {
                return false;
            }
        }
    }

    /// Kills it, if it still runs, and waits until it is gone.
    pub fn kill(mut self) -> Ended<'w> {
        self.patience = self.began.elapsed() + PATIENCE;
        let _ = kill(self.pid, Signal::SIGKILL);
        self.end()
    }

    /// What it has printed so far, of what has been waited for.
    pub fn printed(&self) -> &[Output] {
        &self.printed
    }

    /// Whether it has ended, as far as has been waited for.
    pub fn has_ended(&self) -> bool {
        self.exit.is_some()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended<'w> {
        while self.step("its end") {}
        let took = self.began.elapsed();
        let status = self.exit.expect("it has ended");
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        let printed = std::mem::take(&mut self.printed);
        Ended { call: self.call.clone(), code, printed, took }
    }

    /// Takes up the next message; false when there will be none.
    fn step(&mut self, what: &str) -> bool {
        if self.exit.is_some() && self.closed == 2 {
            return false;
        }
        let left = self.patience.saturating_sub(self.began.elapsed());
        match self.messages.recv_timeout(left) {
            Ok(Message::Printed(output)) => self.printed.push(output),
            Ok(Message::Closed) => self.closed += 1,
            Ok(Message::Exited(status)) => self.exit = Some(status),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                let running = self.call.world.processes().join("\n");
                panic!("waited {:?} for {what}: {self}\n--- running\n{running}", self.patience);
            }
        }
        true
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

impl fmt::Display for Live<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.call, "still running", &self.printed)
    }
}

impl Ended<'_> {
    /// What it printed on stdout.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out_bytes()).into_owned()
    }

    /// The same, as it came.
    pub fn out_bytes(&self) -> Vec<u8> {
        join(&self.printed, Stream::Out)
    }

    /// What it printed on stderr.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err_bytes()).into_owned()
    }

    /// The same, as it came.
    pub fn err_bytes(&self) -> Vec<u8> {
        join(&self.printed, Stream::Err)
    }

    /// Asserts its exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert!(self.code == code, "exit code {code} is expected: {self}");
        self
    }

    /// Asserts that stdout is this text.
    #[track_caller]
    pub fn out_is(self, text: &str) -> Self {
        assert!(self.out() == text, "stdout {text:?} is expected: {self}");
        self
    }

    /// Asserts that stderr is this text.
    #[track_caller]
    pub fn err_is(self, text: &str) -> Self {
        assert!(self.err() == text, "stderr {text:?} is expected: {self}");
        self
    }

    /// Asserts that stdout holds this text.
    #[track_caller]
    pub fn out_has(self, text: &str) -> Self {
        assert!(self.out().contains(text), "{text:?} is expected on stdout: {self}");
        self
    }

    /// Asserts that stderr holds this text.
    #[track_caller]
    pub fn err_has(self, text: &str) -> Self {
        assert!(self.err().contains(text), "{text:?} is expected on stderr: {self}");
        self
    }

    /// Asserts that neither stream holds this text.
    #[track_caller]
    pub fn has_no(self, text: &str) -> Self {
        assert!(!self.err().contains(text) && !self.out().contains(text), "{text:?} is not expected: {self}");
        self
    }
}

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.call, &format!("exit {} after {:?}", self.code, self.took), &self.printed)
    }
}

fn join(printed: &[Output], stream: Stream) -> Vec<u8> {
    let pieces = printed.iter().filter(|output| output.stream == stream).map(|output| &output.bytes[..]);
    pieces.collect::<Vec<_>>().concat()
}

fn describe(f: &mut fmt::Formatter<'_>, call: &Call<'_>, state: &str, printed: &[Output]) -> fmt::Result {
    const SHOWN: usize = 6000;
    writeln!(f, "\n--- {call}: {state}")?;
    for stream in [Stream::Out, Stream::Err] {
        let bytes = join(printed, stream);
        let name = if stream == Stream::Out { "stdout" } else { "stderr" };
        writeln!(f, "--- {name}, {} bytes", bytes.len())?;
        let end = &bytes[bytes.len().saturating_sub(SHOWN)..];
        writeln!(f, "{}", String::from_utf8_lossy(end).replace('\x1b', "\u{241b}"))?;
    }
    write!(f, "{}", call.world.listing())
}
