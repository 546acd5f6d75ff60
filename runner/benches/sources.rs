//! `cargo bench -p pony-runner --bench sources`: checkouts and the question whether to build, whole processes of `pony-run`
//! measured against the bare tools, taking turns.
//!
//! Prints medians and ratios; asserts nothing, because machines are noisy. A word after `--` picks the measurements whose
//! name holds it. Needs git, svn and hg with their servers; nothing leaves the machine.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark that cannot run fails")]
#![expect(clippy::disallowed_methods, reason = "a benchmark spawns what it measures, and is about the clock")]

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PONY_RUN: &str = env!("CARGO_BIN_EXE_pony-run");
/// Of the big repository.
const FOLDERS: usize = 1_000;
const FILES_EACH: usize = 100;
const COMMITS: usize = 20;

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let all: [(&str, Measurement); 2] = [("checkout", checkout), ("needed", needed)];
    for (name, measure) in all.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        println!("{name}");
        measure(&Room::new());
    }
}

/// Measures in a fresh place and prints what it found.
type Measurement = fn(&Room);

/// A fresh place for repositories, recipes and a `PONY_HOME`.
struct Room {
    dir: tempfile::TempDir,
}

/// A server that ends with the benchmark.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["up", "tmp", "home"] {
            fs::create_dir(dir.path().join(name)).expect("a new folder");
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.dir.path()).stdin(Stdio::null());
        command
            .env("HOME", self.path("home"))
            .env("PONY_HOME", self.path("pony"))
            .env("TMPDIR", self.path("tmp"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        }
        command
    }

    /// Runs a command that must succeed; how long it took.
    fn run(&self, program: &str, words: &[&str]) -> Duration {
        let mut command = self.command(program, words);
        let began = Instant::now();
        let output = command.output().expect(program);
        let took = began.elapsed();
        assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        took
    }

    /// Runs a script of shell commands, each of which must succeed.
    fn script(&self, script: &str) {
        self.run("sh", &["-ec", script]);
    }

    /// A server that listens on `port` once this returns.
    fn serve(&self, port: u16, program: &str, words: &[&str]) -> Server {
        let child = self.command(program, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server(child.expect(program));
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        server
    }

    fn recipe(&self, name: &str, source: &str) -> String {
        let path = self.path(&format!("{name}.yaml"));
        let text = format!("package: {name}\nsource: {{{source}}}\nsteps: [{{run: [\"true\"]}}]\n");
        fs::write(&path, text).expect("a new file");
        path.display().to_string()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn git_daemon(room: &Room) -> (Server, u16) {
    let port = free_port();
    let (base, listen) = (room.path("up").display().to_string(), port.to_string());
    let script = "exec \"$(git --exec-path)/git-daemon\" --export-all --reuseaddr --listen=127.0.0.1 --port=$0 --base-path=$1";
    (room.serve(port, "sh", &["-c", script, &listen, &base]), port)
}

/// A repository of 100,000 files with some history, bare, in `up/big`.
fn big_repository(room: &Room) {
    room.run("git", &["init", "--quiet", "--bare", "--initial-branch=main", "up/big"]);
    let mut import = room
        .command("git", &["-C", "up/big", "fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("git");
    let mut stream = std::io::BufWriter::new(import.stdin.take().expect("a pipe"));
    for commit in 0..COMMITS {
        write!(
            stream,
            "commit refs/heads/main\ncommitter Ann <ann@example.org> {} +0000\ndata 1\nx\n",
            1_700_000_000 + commit
        )
        .unwrap();
        for folder in 0..FOLDERS {
            for file in 0..FILES_EACH {
                // All of them at first, then some.
                if commit == 0 || (folder * FILES_EACH + file) % COMMITS == commit {
                    let text = format!("{commit} {folder} {file}\n").repeat(40);
                    write!(stream, "M 100644 inline d{folder}/f{file}\ndata {}\n{text}\n", text.len())
                        .unwrap();
                }
            }
        }
    }
    drop(stream);
    assert!(import.wait().expect("git").success());
    room.run("git", &["-C", "up/big", "repack", "-adq"]);
}

/// A commit more, whatever the work tree.
fn commit_to_big(room: &Room, number: usize) {
    let text = format!(
        "commit refs/heads/main\ncommitter Ann <ann@example.org> {} +0000\ndata 1\ny\nfrom refs/heads/main^0\nM 100644 inline d0/f0\ndata 4\n{number:03}\n\n",
        1_800_000_000 + number
    );
    fs::write(room.path("more"), text).expect("a new file");
    room.script("git -C up/big fast-import --quiet <more");
}

fn checkout(room: &Room) {
    big_repository(room);
    let (_daemon, port) = git_daemon(room);
    let url = format!("git://127.0.0.1:{port}/big");
    let recipe = room.recipe("big", &format!("git: '{url}', branch: main"));
    let trees = || fs::read_dir(room.path("tmp")).unwrap().map(|entry| entry.unwrap().path());
    let clear = || {
        for tree in trees() {
            fs::remove_dir_all(tree).unwrap();
        }
        room.run("sync", &[]);
    };
    let built = || room.run(PONY_RUN, &["-n", "-N", &recipe]);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let _ = fs::remove_dir_all(room.path("pony/cache"));
        ours.push(built());
        clear();
        theirs.push(room.run("git", &["clone", "--quiet", "--branch=main", &url, "tmp/clone"]));
        clear();
    }
    report("cold, against git clone", ours, theirs);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    room.run("git", &["clone", "--quiet", "--mirror", &url, "mirror"]);
    for round in 0..5 {
        commit_to_big(room, round);
        ours.push(built());
        clear();
        let fetch = room.run("git", &["-C", "mirror", "fetch", "--quiet"]);
        theirs.push(
            fetch
                + room.run(
                    "git",
                    &["-C", "mirror", "worktree", "add", "--quiet", "--detach", "../tmp/tree", "main"],
                ),
        );
        clear();
        room.run("git", &["-C", "mirror", "worktree", "prune"]);
    }
    report("warm with a new commit, against git fetch and git worktree add", ours, theirs);
}

/// `--if-needed` where nothing is new.
fn needed(room: &Room) {
    const ROUNDS: usize = 15;
    room.script(
        "git init --quiet --initial-branch=main up/git && cd up/git && echo x >file && git add file && git commit --quiet -m x",
    );
    room.script("hg init up/hg && cd up/hg && echo x >file && hg add -q file && hg commit -u ann -m x");
    room.script("svnadmin create up/svn && svn mkdir -q -m x file://$PWD/up/svn/trunk && echo x >file && svn import -q -m y file file://$PWD/up/svn/trunk/file");
    let (_git, git_port) = git_daemon(room);
    let svn_port = free_port();
    let svn_root = room.path("up").display().to_string();
    let listen = svn_port.to_string();
    let _svn = room.serve(
        svn_port,
        "svnserve",
        &[
            "-d",
            "--foreground",
            "-T",
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            &listen,
            "-r",
            &svn_root,
        ],
    );
    let hg_port = free_port();
    let listen = hg_port.to_string();
    let _hg =
        room.serve(hg_port, "hg", &["serve", "--cwd", "up/hg", "--address", "127.0.0.1", "--port", &listen]);
    let hg_path = room.path("up/hg");
    for (name, source) in [
        ("git", format!("git: 'git://127.0.0.1:{git_port}/git'")),
        ("svn", format!("svn: 'svn://127.0.0.1:{svn_port}/svn/trunk'")),
        ("hg", format!("hg: 'http://127.0.0.1:{hg_port}/'")),
        ("hg-path", format!("hg: '{}'", Path::display(&hg_path))),
    ] {
        let recipe = room.recipe(name, &source);
        room.run(PONY_RUN, &[&recipe]);
        let times = (0..ROUNDS).map(|_| room.run(PONY_RUN, &["--if-needed", &recipe])).collect();
        println!("  {name}: nothing new {:.0} ms (median of {ROUNDS})", median(times).as_secs_f64() * 1e3);
        assert_eq!(fs::read_dir(room.path("pony/runs").join(name)).unwrap().count(), 1, "it was built again");
    }
}

fn report(what: &str, ours: Vec<Duration>, theirs: Vec<Duration>) {
    let rounds = ours.len();
    let (ours, theirs) = (median(ours).as_secs_f64(), median(theirs).as_secs_f64());
    println!("  {what}: {ours:.2} s against {theirs:.2} s, ratio {:.2} (medians of {rounds})", ours / theirs);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
