//! The program `pony-serve`: its options, its one line, its end, and that what it acknowledged is there after `kill -9`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use common::{call_at, get_at, info, key_for_files, reply, step, upload, upload_path};
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

    /// Waits for the end: exit code, and everything said after the ready line.
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
fn a_signal_ends_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/folder/results.db");
        let program = Program::on(&data);
        assert_eq!(program.data, data.to_str().unwrap());
        call_at(program.address, &Call::AddResults { client_info: info("p", "h", true), results: vec![] })
            .unwrap();
        // An idle connection does not keep it.
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
fn a_call_under_way_is_finished_first() {
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
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    program.signal(Signal::SIGTERM);
    // Once nobody is let in any more, it is stopping.
    while TcpStream::connect(program.address).is_ok() {
        thread::yield_now();
    }
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

fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = pony_serve(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("text"), "This is no results file, but long enough to look like one. ".repeat(100))
        .unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let other = path("other.db");
    let free = "127.0.0.1:0";
    let beside = path("text/results.db");
    let text = path("text");
    for (arguments, code, words) in [
        (
            vec!["--listen", &taken, "--data", &other],
            1,
            vec!["cannot listen on", &taken, "--listen", "in use"],
        ),
        (vec!["--listen", "nonsense", "--data", &other], 1, vec!["cannot listen on `nonsense`", "--listen"]),
        (vec!["--listen", free, "--data", &text], 1, vec!["cannot open", &text, "--data", "not a database"]),
        (vec!["--listen", free, "--data", &beside], 1, vec!["cannot create the folder", &text, "--data"]),
        (vec!["--listen", free], 1, vec!["PONY_HOME", "--data"]),
        (vec!["--lisen", free], 2, vec!["--listen"]),
        (vec!["--body-limit", "0"], 2, vec!["--body-limit"]),
        (vec!["--upload-limit", "0"], 2, vec!["--upload-limit"]),
        (vec!["--files-limit", "1 GB"], 2, vec!["--files-limit"]),
    ] {
        let (exit, said) = fails(&arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said:?}");
        }
    }
    // A folder that may not be written to; the superuser may.
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_err() {
        let (exit, said) = fails(&["--listen", free, "--data", &path("locked/results.db")]);
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("cannot open") && said.contains("locked/results.db"), "{said}");
    }
    let (exit, said) = fails(&["--listen", free, "--data", &text]);
    assert!(exit == Some(1) && said.starts_with("error: ") && said.contains("\n  caused by: "), "{said}");
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shelf.db");
    let program = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('CREATE TABLE packages (x)'); db.commit()";
    #[expect(clippy::disallowed_methods, reason = "another program makes the file")]
    let made = Command::new("python3").args(["-c", program]).arg(&data).status().expect("python3 is needed");
    assert!(made.success());
    let (exit, said) = fails(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert_eq!(exit, Some(1));
    assert!(said.contains("another program may have written it"), "{said}");
}

/// Bar 5: what was acknowledged is there, after any end.
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
fn what_a_killed_upload_left_goes_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("results.db");
    let program = Program::on(&data);
    let auth = key_for_files(program.address);
    assert_eq!(upload(program.address, &auth, "whole", b"whole").status, 200);
    let mut stream = TcpStream::connect(program.address).unwrap();
    let head = format!("POST {} HTTP/1.0\r\nContent-Length: 100\r\n\r\n", upload_path(&auth, "whole"));
    stream.write_all(&[head.as_bytes(), b"half"].concat()).unwrap();
    let second = folder.path().join("results.db.files/2");
    while !std::fs::metadata(&second).is_ok_and(|file| file.len() == 4) {
        thread::yield_now();
    }
    program.signal(Signal::SIGKILL);
    program.end();
    assert_eq!(files_beside(&data), ["1", "2"]);
    let program = Program::on(&data);
    assert_eq!(files_beside(&data), ["1"]);
    assert_eq!(get_at(program.address, "/p/p/1/files/whole").text(), "whole");
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end(), (Some(0), String::new()));
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
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
    assert_eq!(reply.text(), "The server's disk is full; nothing was kept.\n");
    while !files_beside(&data).is_empty() {
        thread::yield_now();
    }
    assert_eq!(get_at(program.address, "/p/p/1/files/large").status, 404);
    assert_eq!(upload(program.address, &auth, "small", b"x").status, 200);
    program.signal(Signal::SIGTERM);
    let (code, said) = program.end();
    assert!(code == Some(0) && said.contains("an upload could not be kept"), "{said}");
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
    // An answer that came whole is an acknowledgement.
    match decode_answer(&bytes[end + 4..]).ok()?.ok()?.as_array()? {
        [Value::Int(key), _] => Some(*key),
        _ => None,
    }
}
