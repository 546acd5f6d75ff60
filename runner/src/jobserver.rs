//! The jobserver that builds share: a pool of tokens, of which a program takes one for each job that it runs beside its
//! first, as GNU make's manual describes it ("POSIX Jobserver Interaction"). For whoever runs several builds at once.
//!
//! The pool is a named pipe that holds a byte for each token. How it is offered depends on the make that is there:
//!
//! - GNU make from 4.4 on: `fifo:PATH`, which it opens itself. Ninja (from 1.13), cargo and GCC (from 13) take this too.
//! - An older one ends with an error at the word `fifo`, so it is given the pipe as two file descriptors that children
//!   inherit, one to read and one to write; newer ones take these as well, as do cargo and older GCC. Before 4.2 a number
//!   behind `-j` would turn the pool off.
//! - No make at all: `fifo:PATH`, for ninja and cargo.
//! - Another make: nothing. It reads `MAKEFLAGS` too, and does not know these words.
//!
//! Makes from 4.2.1 on have reading from what they inherit fail rather than wait, for all who share it. So what is
//! inherited is opened by itself, and what is read from here is nobody else's.
#![expect(clippy::disallowed_methods, reason = "it is a named pipe, with a folder of its own")]

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, OnceLock, PoisonError},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::mkfifo,
};
use tempfile::TempDir;
use tokio::{net::unix::pipe::Receiver, sync::Mutex};

use crate::disk::Lock;

/// As many tokens as jobs may run at once, in a named pipe that goes with the last clone.
#[derive(Debug, Clone)]
pub struct Jobserver {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    jobs: usize,
    /// To be read and written without waiting. As long as it is open the tokens stay, whoever else comes and goes.
    pipe: File,
    /// To wait for tokens: one at a time, so that two who want several each do not wait for each other.
    waiting: Mutex<Receiver>,
    /// Held for as long as it and the pipe differ.
    taken: std::sync::Mutex<Taken>,
    /// The ends for makes that cannot open the pipe by its name, if there are such.
    inherited: OnceLock<Option<[OwnedFd; 2]>>,
    path: PathBuf,
    _dir: TempDir,
    _marker: Marker,
}

/// That a pool is in use: a file that names its folder, locked for as long. One that is not was left by a pony-run that
/// was killed.
#[derive(Debug)]
struct Marker {
    path: PathBuf,
    _lock: Lock,
}

impl Marker {
    fn new(markers: &Path, dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(markers)?;
        let name = dir.file_name().unwrap_or_default();
        let (path, mut unseen) = (markers.join(name), OsString::from("."));
        unseen.push(name);
        let lock = Lock::create(&path, &markers.join(unseen), dir.as_os_str().as_encoded_bytes())?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // One that stays leads nowhere, and is removed by the next pony-run.
        let _ = fs::remove_file(&self.path);
    }
}

/// What is out in [`Tokens`].
#[derive(Debug, Default)]
struct Taken {
    tokens: usize,
    /// Builds that have all of theirs, and so may have makes.
    builds: usize,
}

/// The tokens of one build, given back when this is dropped.
#[derive(Debug)]
pub struct Tokens {
    pool: Arc<Pool>,
    count: usize,
    whole: bool,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let mut taken = self.pool.taken();
        taken.tokens -= self.count;
        taken.builds -= usize::from(self.whole);
        self.pool.put(self.count);
    }
}

impl Pool {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One token, if there is one right now. Where no build has a make, those that killed makes took with them are brought
    /// back first: nobody else ever would.
    fn get(&self, taken: &mut Taken) -> bool {
        let got = || matches!((&self.pipe).read(&mut [0]), Ok(1));
        if !got() {
            if taken.builds > 0 {
                return false;
            }
            self.put(self.jobs.saturating_sub(taken.tokens));
            if !got() {
                return false;
            }
        }
        taken.tokens += 1;
        true
    }

    /// The pipe holds far more bytes than there are tokens, so that this neither waits nor fails.
    fn put(&self, count: usize) {
        let _ = (&self.pipe).write_all(&vec![b'+'; count]);
    }
}

impl Jobserver {
    /// One for so many jobs at once, called `id`; what a kill leaves of it is found by what is noted in the folder `markers`.
    /// Only within a runtime.
    pub fn new(jobs: usize, id: &str, markers: &Path) -> io::Result<Self> {
        let (temporary, name) = (std::env::temp_dir(), format!("{PREFIX}{id}"));
        // Noted before it is there.
        let marker = Marker::new(markers, &room(&temporary).join(&name))?;
        let mut dir = tempfile::Builder::new();
        let dir = dir.prefix(&name).rand_bytes(0).tempdir_in(room(&temporary))?;
        let path = dir.path().join("pool");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // For both, so that opening does not wait for who opens the other end.
        let nonblocking = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path)
        };
        let pool = Pool {
            jobs,
            pipe: nonblocking()?,
            waiting: Mutex::new(Receiver::from_file(nonblocking()?)?),
            taken: std::sync::Mutex::default(),
            inherited: OnceLock::new(),
            path,
            _dir: dir,
            _marker: marker,
        };
        pool.put(jobs);
        Ok(Self { pool: Arc::new(pool) })
    }

    /// Removes what killed ones have left of their pools.
    pub fn sweep(markers: &Path) {
        for marker in fs::read_dir(markers).into_iter().flatten().filter_map(Result::ok) {
            let path = marker.path();
            let Some(_lock) = Lock::try_existing(&path) else { continue };
            let dir = fs::read_to_string(&path).map(PathBuf::from).unwrap_or_default();
            if dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
                let _ = fs::remove_dir_all(dir);
            }
            let _ = fs::remove_file(path);
        }
    }

    /// How many jobs may run at once.
    pub fn jobs(&self) -> usize {
        self.pool.jobs
    }

    /// Takes tokens out, at most as many as there are; whoever asks first gets all of its own first. Dropping the future gives
    /// back what it has got.
    pub async fn take(&self, count: usize) -> Tokens {
        let mut tokens = Tokens { pool: Arc::clone(&self.pool), count: 0, whole: false };
        let waiting = self.pool.waiting.lock().await;
        while tokens.count < count.min(self.pool.jobs) {
            if self.pool.get(&mut self.pool.taken()) {
                tokens.count += 1;
                continue;
            }
            if waiting.readable().await.is_err() {
                // The runtime ends, and with it who asked.
                std::future::pending::<()>().await;
            }
            let mut taken = self.pool.taken();
            // The pipe has no end as long as it is open here; another may have been quicker.
            if matches!(waiting.try_read(&mut [0]), Ok(1)) {
                taken.tokens += 1;
                tokens.count += 1;
            }
        }
        self.pool.taken().builds += 1;
        tokens.whole = true;
        tokens
    }

    /// What has to be in `MAKEFLAGS` where the make that is there says this of its version; an empty text where there is none.
    /// Nothing if that one would not understand it.
    pub fn makeflags(&self, version: &str) -> OsString {
        let jobs = self.pool.jobs;
        let flags = match Style::of(version) {
            None => return OsString::new(),
            Some(Style::Named) => {
                let mut flags = OsString::from(format!(" -j{jobs} --jobserver-auth=fifo:"));
                flags.push(&self.pool.path);
                return flags;
            }
            Some(Style::Inherited { number }) => {
                let Some([read, write]) = self.inherited() else { return OsString::new() };
                let number = if number { jobs.to_string() } else { String::new() };
                let (read, write) = (read.as_raw_fd(), write.as_raw_fd());
                format!(" -j{number} --jobserver-fds={read},{write} --jobserver-auth={read},{write}")
            }
        };
        flags.into()
    }

    /// Open in every child from now on. Without them a make runs one job at a time, which is no reason not to build.
    fn inherited(&self) -> Option<&[OwnedFd; 2]> {
        let end = |flag| open(&self.pool.path, flag, Mode::empty()).ok();
        let ends = || Some([end(OFlag::O_RDONLY)?, end(OFlag::O_WRONLY)?]);
        self.pool.inherited.get_or_init(ends).as_ref()
    }
}

/// What the names of folders for pools begin with.
const PREFIX: &str = "pony-jobs-";

/// A folder for the pipe: its path stands among words that blanks part.
fn room(temporary: &Path) -> &Path {
    let is_plain = temporary.to_str().is_some_and(|path| !path.contains(char::is_whitespace));
    if is_plain { temporary } else { Path::new("/tmp") }
}

/// How a pool is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Named,
    Inherited {
        /// `-j` may have a number.
        number: bool,
    },
}

impl Style {
    /// For the make whose `--version` begins like this. Pure.
    fn of(version: &str) -> Option<Self> {
        let Some(first) = version.lines().next() else { return Some(Self::Named) };
        let version = first.strip_prefix("GNU Make ")?;
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(match (major, minor) {
            (4, 4..) | (5.., _) => Self::Named,
            (major, minor) => Self::Inherited { number: (major, minor) >= (4, 2) },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll, time::Duration};

    use super::*;
    use crate::process::spawn::{Exit, Message, Process, Spec};

    /// With markers that nobody looks after.
    fn pool_of(jobs: usize) -> Jobserver {
        let markers = tempfile::tempdir().unwrap();
        Jobserver::new(jobs, &id_of(markers.path()), markers.path()).unwrap()
    }

    fn id_of(markers: &Path) -> String {
        markers.file_name().unwrap().to_string_lossy().into_owned()
    }

    #[tokio::test]
    async fn what_a_kill_leaves_is_swept() {
        let markers = tempfile::tempdir().unwrap();
        let pool = Jobserver::new(1, &id_of(markers.path()), markers.path()).unwrap();
        let dir = pool.pool.path.parent().unwrap().to_owned();
        Jobserver::sweep(markers.path());
        assert!(dir.exists(), "it is in use");
        // As after a kill: both are there, and nobody holds the lock.
        let left = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap().keep();
        fs::write(markers.path().join("left"), left.as_os_str().as_encoded_bytes()).unwrap();
        Jobserver::sweep(markers.path());
        assert!(!left.exists() && dir.exists());
        drop(pool);
        assert!(fs::read_dir(markers.path()).unwrap().next().is_none());
    }

    /// As the make of this machine says.
    async fn version() -> String {
        let (exit, output) = ended(&mut spawn(Path::new("/"), "make --version", "")).await;
        assert_eq!(exit, Exit::Status(0));
        output
    }

    fn spawn(cwd: &Path, script: &str, makeflags: impl Into<OsString>) -> Process {
        let mut env: crate::process::spawn::Environment = std::env::vars_os().collect();
        env.insert("MAKEFLAGS".into(), makeflags.into());
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        Process::spawn(&Spec { argv, cwd: cwd.to_owned(), env }).unwrap()
    }

    async fn ended(process: &mut Process) -> (Exit, String) {
        let (mut output, mut exit, mut closed) = (Vec::new(), None, 0);
        while exit.is_none() || closed < 2 {
            match process.next().await {
                Message::Output(_, bytes) => output.extend_from_slice(bytes),
                Message::Closed(_) => closed += 1,
                Message::Exited(how) => exit = Some(how),
            }
        }
        (exit.unwrap(), String::from_utf8(output).unwrap())
    }

    /// What it says at once, without waiting for anybody.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        // What the runtime has heard of the pipe is heard in between.
        for _ in 0..50 {
            let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            if let Poll::Ready(value) = polled {
                return Some(value);
            }
            tokio::task::yield_now().await;
        }
        None
    }

    #[test]
    fn each_make_is_offered_what_it_understands() {
        for (version, expected) in [
            ("GNU Make 4.4.1\nBuilt for", Some(Style::Named)),
            ("GNU Make 4.10", Some(Style::Named)),
            ("GNU Make 5.0", Some(Style::Named)),
            ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", Some(Style::Inherited { number: true })),
            ("GNU Make 4.2.1", Some(Style::Inherited { number: true })),
            ("GNU Make 4.1", Some(Style::Inherited { number: false })),
            ("GNU Make 3.81", Some(Style::Inherited { number: false })),
            ("", Some(Style::Named)),
            ("bmake 20200710", None),
            ("GNU Make", None),
            ("make: illegal option -- -", None),
        ] {
            assert_eq!(Style::of(version), expected, "{version}");
        }
        assert_eq!(room(Path::new("/var/tmp")), Path::new("/var/tmp"));
        assert_eq!(room(Path::new("/Volumes/My Disk")), Path::new("/tmp"));
    }

    #[tokio::test]
    async fn tokens_come_back_however_their_taker_ends() {
        let pool = pool_of(3);
        let two = pool.take(2).await;
        // It has got one of its two; who comes later does not get ahead of it.
        let mut first = Box::pin(pool.take(2));
        assert!(at_once(&mut first).await.is_none());
        assert!(at_once(pool.take(1)).await.is_none());
        drop(first);
        let one = at_once(pool.take(1)).await.unwrap();
        drop((one, two));
        let all = at_once(pool.take(100)).await.unwrap();
        assert_eq!(all.count, 3, "as many as there are");
        assert!(at_once(pool.take(1)).await.is_none(), "they are not lost");
        drop(all);
        let dir = pool.pool.path.parent().unwrap().to_owned();
        assert!(dir.exists());
        drop(pool);
        assert!(!dir.exists());
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        let pool = pool_of(1);
        let one = pool.take(1).await;
        let waiter = pool.clone();
        let waiter = tokio::spawn(async move { waiter.take(1).await.count });
        tokio::task::yield_now().await;
        drop(one);
        assert_eq!(waiter.await.unwrap(), 1);
    }

    /// Jobs that tell of their begin and end.
    const COUNTED: &str = "JOBS := $(foreach job,0 1 2 3 4 5 6 7 8 9,a$(job) b$(job) c$(job))\n\
        all: $(JOBS)\n\
        $(JOBS):\n\
        \t@echo + >> ../log; i=0; while [ $$i -lt 500 ]; do i=$$((i+1)); done; echo - >> ../log\n";

    #[tokio::test]
    async fn makes_at_once_run_no_more_jobs_than_there_are_tokens() {
        let pool = pool_of(3);
        let flags = pool.makeflags(&version().await);
        let room = tempfile::tempdir().unwrap();
        let mut builds = Vec::new();
        for build in 0..4 {
            let dir = room.path().join(build.to_string());
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("Makefile"), COUNTED).unwrap();
            let (pool, flags) = (pool.clone(), flags.clone());
            builds.push(tokio::spawn(async move {
                let _first = pool.take(1).await;
                // One make calls another.
                ended(&mut spawn(&dir, "make -f - <<'END'\nall: ; +@$(MAKE) -f Makefile\nEND", flags)).await
            }));
        }
        for build in builds {
            let (exit, output) = build.await.unwrap();
            assert_eq!((exit, output.contains("jobserver")), (Exit::Status(0), false), "{output}");
        }
        let (mut now, mut most, mut begun) = (0, 0, 0);
        for line in fs::read_to_string(room.path().join("log")).unwrap().lines() {
            let begins = line == "+";
            begun += i32::from(begins);
            now += if begins { 1 } else { -1 };
            most = now.max(most);
        }
        assert_eq!((begun, now), (120, 0));
        assert!(most <= 3, "{most} at once");
        // All tokens are back.
        assert_eq!(at_once(pool.take(3)).await.unwrap().count, 3);
    }

    /// Two jobs that wait for each other, and one more that needs them.
    const TOGETHER: &str = "all: one two\n\t@echo both\none: ; @echo x > pipe\ntwo: ; @cat pipe\n";

    #[tokio::test]
    async fn a_make_runs_more_than_one_job() {
        let pool = pool_of(2);
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("Makefile"), TOGETHER).unwrap();
        let _first = pool.take(1).await;
        let flags = pool.makeflags(&version().await);
        let (exit, output) = ended(&mut spawn(room.path(), "mkfifo pipe && make", flags)).await;
        assert_eq!((exit, output.as_str()), (Exit::Status(0), "x\nboth\n"));
    }

    #[tokio::test]
    async fn what_a_killed_make_took_with_it_is_brought_back() {
        let pool = pool_of(3);
        let flags = pool.makeflags(&version().await);
        let room = tempfile::tempdir().unwrap();
        let makefile = "all: a b c\na b c: ; @echo begun; exec sleep 1000\n";
        fs::write(room.path().join("Makefile"), makefile).unwrap();
        let first = pool.take(1).await;
        let mut process = spawn(room.path(), "exec make", flags);
        let mut output = Vec::new();
        while output.len() < "begun\n".len() * 3 {
            match process.next().await {
                Message::Output(_, bytes) => output.extend_from_slice(bytes),
                other => panic!("{other:?}: {}", String::from_utf8_lossy(&output)),
            }
        }
        process.group().kill();
        assert_eq!(ended(&mut process).await.0, Exit::Signal(9));
        assert!(at_once(pool.take(1)).await.is_none(), "two are lost, as long as a build may have them");
        // One who waits gets them when nobody can have them any more.
        let mut waiting = Box::pin(pool.take(3));
        assert!(at_once(&mut waiting).await.is_none());
        drop(first);
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().count, 3);
    }

    #[tokio::test]
    async fn the_pool_has_a_name_where_makes_open_it_themselves() {
        let pool = pool_of(2);
        let flags = pool.makeflags("GNU Make 4.4.1").into_string().unwrap();
        let path = flags.strip_prefix(" -j2 --jobserver-auth=fifo:").unwrap();
        // What such a make does: opens it, takes a token, gives it back.
        let mut pipe = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut token = [0];
        let first = pool.take(1).await;
        pipe.read_exact(&mut token).unwrap();
        assert!(at_once(pool.take(1)).await.is_none());
        pipe.write_all(&token).unwrap();
        assert_eq!(pool.take(1).await.count, 1);
        drop(first);
        assert_eq!(pool.makeflags("bmake"), "");
        assert!(pool.pool.inherited.get().is_none(), "nobody inherits anything");
    }
}
