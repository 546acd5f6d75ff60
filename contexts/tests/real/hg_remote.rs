//! Source `hg` over http: against `hg serve`, with a login, and where the network fails.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use pony_contexts::{Command, CommandOutput, ContextRequest, Error, Network, RevisionSpec, prepare, tip};

use crate::{
    hg::{Upstream, branch, build, built, hg, wanted},
    support::{Real, World, files, program, text},
};

/// `ann:p@ss/word`, as a browser sends it.
const LOGIN: &str = "Basic YW5uOnBAc3Mvd29yZA==";

/// `hg serve`, killed when this is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn new(upstream: &Upstream) -> Self {
        let mut command = program("hg", &upstream.world.path("home"));
        command.args(["serve", "--address=127.0.0.1", "--port=0", "--print-url", "--accesslog=/dev/null"]);
        command.current_dir(&upstream.dir).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of this machine where each connection is handed to `serve`, until the test program ends.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Hands on to `port` what comes with the login, and of the answer at most `bytes`.
fn front(port: u16, login: &'static str, bytes: u64) -> SocketAddr {
    listen(move |stream| {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let known = login.is_empty()
            || head.to_lowercase().contains(&format!("\r\nauthorization: {login}\r\n").to_lowercase());
        let mut stream = reader.into_inner();
        if !known {
            let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(refusal.as_bytes());
            return;
        }
        let mut inner = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head =
            head.replacen("\r\n", "\r\nConnection: close\r\n", 1).replace("Connection: keep-alive\r\n", "");
        inner.write_all(head.as_bytes()).unwrap();
        let _ = std::io::copy(&mut inner.take(bytes), &mut stream);
        let _ = stream.shutdown(Shutdown::Both);
    })
}

/// Nothing that was run, said or left on disk holds one of `secrets`.
fn assert_nowhere(world: &World, shell: &Real, secrets: &[&str]) {
    let holds = |bytes: &[u8]| {
        secrets.iter().find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
    };
    for (command, output) in &shell.ran {
        for bytes in command.argv.iter().map(|arg| arg.as_encoded_bytes()) {
            assert_eq!(holds(bytes), None, "{:?}", command.argv);
        }
        assert_eq!(holds(&[&output.stdout[..], &output.stderr].concat()), None, "{output:?}");
    }
    assert_eq!(holds(shell.notes.concat().as_bytes()), None, "{:?}", shell.notes);
    for file in ["cache", "tmp", "home"]
        .into_iter()
        .filter(|root| world.path(root).exists())
        .flat_map(|root| files(&world.path(root)))
    {
        assert_eq!(holds(&fs::read(&file).unwrap_or_default()), None, "{}", file.display());
    }
}

#[tokio::test]
async fn over_http() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let url = server.url();
    assert_eq!(built(&world, &url, RevisionSpec::Default).await, "one");
    upstream.commit("two");
    upstream.hg(&["bookmark", "-r", "0", "fix"]);
    assert_eq!(built(&world, &url, branch("fix")).await, "one");
    let request = world.request(Some(wanted(&url, RevisionSpec::Default)));
    let mut shell = world.shell();
    assert_eq!(tip(&request, &mut shell).await.unwrap(), Some(upstream.id("1")));
    assert_eq!((shell.ran.len(), shell.downloads), (0, 1));
    let request = world.request(Some(wanted(&url, branch("nope"))));
    let error = tip(&request, &mut shell).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no branch `nope` in `{url}`"));
    assert!(shell.ran.is_empty());
    for name in ["0", "max(all())"] {
        let error = build(&world, &url, branch(name)).await.0.unwrap_err();
        assert!(matches!(error, Error::NoSuchName { .. }), "{name}: {error:?}");
    }
    let error = build(&world, &format!("{url}absent"), RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
}

#[tokio::test]
async fn a_login_in_the_address_works_and_stays_secret() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let address = front(server.port, LOGIN, u64::MAX);
    let (prepared, shell) =
        build(&world, &format!("http://ann:p%40ss%2Fword@{address}/"), branch("default")).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(hg(&world, &prepared.cwd, &["paths", "default"]), format!("http://{address}/"));
    assert_eq!(prepared.checkout.unwrap().command, format!("HgClone(http://{address}/, default)"));
    assert_nowhere(&world, &shell, &["p%40ss", "p@ss", &LOGIN[6..]]);
}

#[tokio::test]
async fn a_wrong_login_or_none_is_an_error_without_a_question() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let address = front(server.port, LOGIN, u64::MAX);
    for login in ["ann@", "ann:wr0ng-one@", "tok3n-tok3n-tok3n-tok3n@"] {
        let (prepared, shell) = build(&world, &format!("http://{login}{address}/"), branch("default")).await;
        let error = prepared.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{login}: {error:?}");
        assert_nowhere(&world, &shell, &["wr0ng-one", "tok3n-tok3n"]);
    }
}

#[tokio::test]
async fn a_login_the_person_has_set_up_is_used() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let address = front(server.port, LOGIN, u64::MAX);
    let config =
        format!("[auth]\nx.prefix = {address}\nx.schemes = http\nx.username = ann\nx.password = p@ss/word\n");
    fs::write(world.path("home/.hgrc"), config).unwrap();
    for login in ["", "ann@"] {
        let request = world.request(Some(wanted(&format!("http://{login}{address}/"), branch("default"))));
        assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(upstream.id(".")));
    }
}

#[tokio::test]
async fn a_network_that_fails_is_tried_again_then_done_without() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let url = server.url();
    let retry_delays = vec![Duration::from_secs(5), Duration::from_secs(20)];
    let with = |revision: RevisionSpec, offline: bool| {
        let network =
            Network { offline, retry_delays: retry_delays.clone(), quiet_timeout: Duration::from_mins(1) };
        ContextRequest { network, ..world.request(Some(wanted(&url, revision))) }
    };
    // Not even the first time.
    let error = prepare(&with(branch("default"), true), &mut world.shell()).await.unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
    assert_eq!(built(&world, &url, branch("default")).await, "one");
    drop(server);
    let mut shell = world.shell();
    let prepared = prepare(&with(branch("default"), false), &mut shell).await.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(shell.pauses, retry_delays);
    assert!(prepared.checkout.unwrap().offline.unwrap().contains("cannot reach"));
    let prepared = prepare(&with(branch("default"), true), &mut world.shell()).await.unwrap();
    assert_eq!(prepared.checkout.unwrap().offline, Some(format!("cannot fetch `{url}` while offline")));
    let error = prepare(&with(branch("nope"), true), &mut world.shell()).await.unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
}

#[tokio::test]
async fn a_pull_that_is_cut_is_done_without() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    let url = server.url();
    assert_eq!(built(&world, &url, RevisionSpec::Default).await, "one");
    // Upstream says that there is another tip, which then does not arrive.
    upstream.commit("two");
    for revision in [RevisionSpec::Default, branch("default")] {
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(|command| {
            let said = b"abort: HTTP request error (incomplete response; expected 65536 bytes got 18897)\n";
            let cut = CommandOutput { status: 255, stderr: said.to_vec(), ..CommandOutput::default() };
            (command.label == "cache_update").then_some(cut)
        }));
        let prepared = prepare(&world.request(Some(wanted(&url, revision))), &mut shell).await.unwrap();
        assert_eq!(text(&prepared, "file"), "one");
        assert!(prepared.checkout.unwrap().offline.unwrap().contains("incomplete response"));
    }
    assert_eq!(built(&world, &url, RevisionSpec::Default).await, "two");
}

#[tokio::test]
async fn a_server_that_cuts_the_line() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = Server::new(&upstream);
    for bytes in [0, 500] {
        let address = front(server.port, "", bytes);
        let error = build(&world, &format!("http://{address}/"), branch("default")).await.0.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{bytes}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_and_none_at_all() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let address = listen(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let home = world.path("home");
    let mut shell = world.shell();
    shell.interrupt = Some(Box::new(move |command: &Command| {
        // What the runner does with a command that has nothing to say for that long.
        assert_eq!(command.quiet_timeout, Some(Duration::from_mins(1)));
        let mut child = program("timeout", &home);
        let status = child.arg("0.5").args(&command.argv).status().unwrap();
        assert_eq!(status.code(), Some(124));
        Some(CommandOutput { status: -15, quiet: true, ..CommandOutput::default() })
    }));
    let request = world.request(Some(wanted(&format!("http://{address}/"), RevisionSpec::Default)));
    let error = prepare(&request, &mut shell).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach `http://{address}/` (no output for too long)"));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = build(&world, &format!("http://{free}/"), RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let error = build(&world, "http://no..such..host/x", RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchHost { .. }), "{error:?}");
    let nothing = format!("{}-absent", upstream.url());
    let error = build(&world, &nothing, RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
}
