//! The program `pony-serve`: options, messages, signals, and that acknowledged results survive `kill -9`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::harness::{call_at, get_at, info, key_for_files, reply, step, upload, upload_path, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pony_wire::{Call, Value, decode_answer};

#[expect(clippy::disallowed_methods, reason = "this tests the program")]
fn pony_serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pony-serve"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Program {
    child: Child,
    address: SocketAddr,
    /// The results file as the program names it.
    data: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let (address, data) = line
            .strip_prefix("pony-serve: listening on http://")
            .and_then(|rest| rest.trim_end().split_once("/, results in "))
            .unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.parse().unwrap(), data: data.to_owned(), child, stderr }
    }

    fn on(data: &Path) -> Self {
        Self::start(pony_serve(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end: the exit code, and stderr after the first line.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "");
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only a failed test leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_it_gracefully() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/folder/results.db");
        let program = Program::on(&data);
        assert_eq!(program.data, data.to_str().unwrap());
        call_at(program.address, &Call::AddResults { client_info: info("p", "h", true), results: vec![] })
            .unwrap();
        // An idle connection does not delay it.
        let _idle = TcpStream::connect(program.address).unwrap();
        program.signal(signal);
        assert_eq!(program.end(), (Some(0), String::new()));
        // Everything is in the one file.
        let left: Vec<_> = std::fs::read_dir(data.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["results.db"]);
    }
}

#[test]
fn a_call_in_progress_is_finished_first() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    let program = Program::on(&data);
    let body =
        Call::AddResults { client_info: info("p", "h", true), results: vec![step("s", 0, "x")] }.encode();
    let mut stream = TcpStream::connect(program.address).unwrap();
    write!(
        stream,
        "POST /xmlrpc HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The server asks for the body: it is in the middle of the call.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    program.signal(Signal::SIGTERM);
    // Once it accepts no connections, it is stopping.
    wait_until(|| TcpStream::connect(program.address).is_err());
    stream.write_all(&body).unwrap();
    reply(&mut stream).answer().unwrap();
    assert_eq!(program.end(), (Some(0), String::new()));
}

#[test]
fn the_default_file_is_where_clients_write() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    for (variables, expected) in [
        (vec![("HOME", home)], ".pony-build/results.db"),
        (vec![("HOME", "/nonexistent"), ("PONY_HOME", home)], "results.db"),
        (vec![("HOME", home), ("PONY_HOME", "")], ".pony-build/results.db"),
    ] {
        let mut command = pony_serve(&["--listen", "127.0.0.1:0"]);
        command.envs(variables);
        let program = Program::start(command);
        assert_eq!(program.data, folder.path().join(expected).to_str().unwrap());
        assert!(folder.path().join(expected).exists());
        program.signal(Signal::SIGTERM);
        assert_eq!(program.end().0, Some(0));
    }
}

/// The exit code and stderr of a program that does not start.
fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = pony_serve(arguments).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn errors_have_a_cause_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("text"), "Not a results file, but long enough to look like one. ".repeat(100))
        .unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (other, text, below) = (path("other.db"), path("text"), path("text/results.db"));
    let free = "127.0.0.1:0";
    let listen = "hint: name another address with `--listen`; `--listen 127.0.0.1:0` picks a free port\n";
    let data = "hint: name another file with `--data`\n";
    for (arguments, expected) in [
        (
            vec!["--listen", &taken, "--data", &other],
            format!(
                "error: cannot listen on `{taken}`\n  caused by: Address already in use (os error 98)\n{listen}"
            ),
        ),
        (
            vec!["--listen", "nonsense", "--data", &other],
            format!("error: cannot listen on `nonsense`\n  caused by: invalid socket address\n{listen}"),
        ),
        (
            vec!["--listen", free, "--data", &text],
            format!(
                "error: cannot open `{text}` as a results file\n  \
                 caused by: error returned from database: (code: 26) file is not a database\n{data}"
            ),
        ),
        (
            vec!["--listen", free, "--data", &below],
            format!(
                "error: cannot create the folder `{text}` for the results\n  caused by: File exists (os error 17)\n{data}"
            ),
        ),
        (
            vec!["--listen", free],
            "error: no results file: neither PONY_HOME nor HOME is set\nhint: name one with `--data`\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(fails(&arguments), (Some(1), expected), "{arguments:?}");
    }
    // A folder that may not be written to; the superuser may.
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_err() {
        let data = path("locked/results.db");
        let (exit, stderr) = fails(&["--listen", free, "--data", &data]);
        assert_eq!(exit, Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("error: cannot open `{data}` as a results file\n")), "{stderr}");
    }
}

#[test]
fn wrong_options_are_usage_errors() {
    let (exit, stderr) = fails(&["--lisen", "127.0.0.1:0"]);
    assert_eq!(exit, Some(2));
    assert_eq!(
        stderr,
        "error: unexpected argument '--lisen' found\n\n  tip: a similar argument exists: '--listen'\n\n\
         Usage: pony-serve --listen <ADDRESS>\n\nFor more information, try '--help'.\n"
    );
    for arguments in [["--body-limit", "0"], ["--upload-limit", "0"], ["--files-limit", "1 GB"]] {
        let (exit, stderr) = fails(&arguments);
        assert_eq!(exit, Some(2));
        let [option, value] = arguments;
        assert!(
            stderr.starts_with(&format!("error: invalid value '{value}' for '{option} <MIB>': ")),
            "{stderr}"
        );
    }
}

#[test]
fn help_has_a_line_for_each_option() {
    let output = pony_serve(&["--help"]).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), HELP);
}

const HELP: &str = "\
Stores the results of builds and shows them

Usage: pony-serve [OPTIONS]

Options:
      --listen <ADDRESS>    Address to listen on (port 0: any free one) [default: 127.0.0.1:8000]
      --data <FILE>         Results file [default: results.db in $PONY_HOME or ~/.pony-build]
      --body-limit <MIB>    Largest call, in MiB after decompression [default: 64]
      --upload-limit <MIB>  Largest uploaded file, in MiB after decompression [default: 256]
      --files-limit <MIB>   Space for all files, in MiB; the oldest are deleted [default: 10240]
  -h, --help                Print help
  -V, --version             Print version

Build clients send results to http://ADDRESS/xmlrpc, people open http://ADDRESS/.
PONY_LOG sets what is logged to stderr: warn (default), info or debug.
";

#[test]
fn a_file_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shelf.db");
    let program = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('CREATE TABLE packages (x)'); db.commit()";
    #[expect(clippy::disallowed_methods, reason = "another program makes the file")]
    let made = Command::new("python3").args(["-c", program]).arg(&data).status().expect("python3 is needed");
    assert!(made.success());
    let (exit, stderr) = fails(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert_eq!(exit, Some(1));
    let expected = format!(
        "error: cannot use the tables in `{}`\n  \
         caused by: while executing migration 1: error returned from database: (code: 1) table packages already exists\n\
         hint: a newer pony-serve or another program may have written it; name another file with `--data`\n",
        data.display()
    );
    assert_eq!(stderr, expected);
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    let acknowledged = Mutex::new(Vec::<(i64, String)>::new());
    for round in 0..3 {
        let program = Program::on(&data);
        let address = program.address;
        let (sent, enough) = std::sync::mpsc::channel::<()>();
        thread::scope(|scope| {
            for writer in 0..8 {
                let (sent, acknowledged) = (sent.clone(), &acknowledged);
                scope.spawn(move || {
                    for number in 0.. {
                        let name = format!("{round}/{writer}/{number}");
                        let Some(key) = add_until_killed(address, &name) else { return };
                        acknowledged.lock().unwrap().push((key, name));
                        let _ = sent.send(());
                    }
                });
            }
            for _ in 0..100 {
                enough.recv().unwrap();
            }
            program.signal(Signal::SIGKILL);
        });
    }
    let program = Program::on(&data);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= 300);
    for (key, name) in &acknowledged {
        let found = get_at(program.address, &format!("/p/p/{key}/?format=json")).json();
        assert_eq!(found["results"][0]["name"], *name, "{key}");
        assert_eq!(found["results"][0]["output"].as_str().unwrap().len(), 4096);
    }
    let mut keys: Vec<_> = acknowledged.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), acknowledged.len());
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end().0, Some(0));
}

fn files_beside(data: &Path) -> Vec<String> {
    let folder = std::fs::read_dir(format!("{}.files", data.to_str().unwrap()));
    let mut names: Vec<_> = folder.map_or_else(
        |_| Vec::new(),
        |folder| folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
    );
    names.sort_unstable();
    names
}

#[test]
fn the_next_start_deletes_what_a_killed_upload_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    let program = Program::on(&data);
    let auth = key_for_files(program.address);
    assert_eq!(upload(program.address, &auth, "complete", b"complete").status, 200);
    let mut stream = TcpStream::connect(program.address).unwrap();
    let head = format!("POST {} HTTP/1.0\r\nContent-Length: 100\r\n\r\n", upload_path(&auth, "complete"));
    stream.write_all(&[head.as_bytes(), b"half"].concat()).unwrap();
    let second = folder.path().join("results.db.files/2");
    wait_until(|| std::fs::metadata(&second).is_ok_and(|file| file.len() == 4));
    program.signal(Signal::SIGKILL);
    program.end();
    assert_eq!(files_beside(&data), ["1", "2"]);
    let program = Program::on(&data);
    assert_eq!(files_beside(&data), ["1"]);
    assert_eq!(get_at(program.address, "/p/p/1/files/complete").text(), "complete");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end(), (Some(0), String::new()));
}

#[test]
fn a_full_disk_refuses_the_upload_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    // A file that may not become larger is what a full disk is to its writer.
    #[expect(clippy::disallowed_methods, reason = "this tests the program")]
    let mut command = Command::new("/bin/sh");
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --listen 127.0.0.1:0 --data \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_pony-serve")]).arg(&data).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = Program::start(command);
    let auth = key_for_files(program.address);
    let reply = upload(program.address, &auth, "large", &vec![0; 4 << 20]);
    assert_eq!(reply.status, 507, "{reply:?}");
    assert_eq!(reply.text(), "The server's disk is full; nothing was stored.\n");
    wait_until(|| files_beside(&data).is_empty());
    assert_eq!(get_at(program.address, "/p/p/1/files/large").status, 404);
    assert_eq!(upload(program.address, &auth, "small", b"x").status, 200);
    program.signal(Signal::SIGTERM);
    let (code, stderr) = program.end();
    assert!(code == Some(0) && stderr.contains("an upload could not be stored"), "{stderr}");
}

#[test]
fn limits_of_files_are_options() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    let arguments = ["--listen", "127.0.0.1:0", "--upload-limit", "2", "--files-limit", "3", "--data"];
    let program = Program::start(pony_serve(&[&arguments[..], &[data.to_str().unwrap()]].concat()));
    let auth = key_for_files(program.address);
    let body = vec![0; (2 << 20) + 1];
    assert_eq!(upload(program.address, &auth, "a", &body).status, 413);
    assert_eq!(upload(program.address, &auth, "a", &body[1..]).status, 200);
    assert_eq!(upload(program.address, &auth, "b", &body[1..]).status, 200);
    assert_eq!(get_at(program.address, "/p/p/1/files/a").status, 404);
    assert_eq!(get_at(program.address, "/p/p/1/files/b").status, 200);
}

/// Adds a result; `None` once the server is gone.
fn add_until_killed(address: SocketAddr, name: &str) -> Option<i64> {
    let call = Call::AddResults {
        client_info: info("p", "h", true),
        results: vec![step(name, 0, &"x".repeat(4096))],
    };
    let body = call.encode();
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!("POST /xmlrpc HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    // A complete answer is an acknowledgement.
    match decode_answer(&bytes[end + 4..]).ok()?.ok()?.as_array()? {
        [Value::Int(key), _] => Some(*key),
        _ => None,
    }
}
