//! Source `svn` over the network, against `svnserve` and Apache: logins, externals, and what goes wrong on the way.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, chown},
    },
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use pony_contexts::{
    CommandOutput, ContextRequest, Error, Network, Prepared, WorkingDir, changed_files, prepare, tip,
};

use crate::{
    remote::{assert_nowhere, listen},
    support::{Real, World, program, text},
    svn::{Upstream, asking, build, cached, run},
};

/// `p@ss/word`, as Apache keeps it.
const USERS: &str = "ann:{SHA}ebIdzyAlxJZvnAp3d/OG9Do8+dU=\n";
const LOGIN: &str = "ann:p%40ss%2Fword@";
const SECRETS: [&str; 2] = ["p@ss", "p%40ss"];

/// An `svnserve` of what is in `up`, with a process for each connection, as inetd starts them.
fn svnserve(world: &World) -> SocketAddr {
    let (home, root) = (world.path("home"), world.path("up"));
    listen(move |stream| {
        let output: OwnedFd = stream.try_clone().unwrap().into();
        let input: OwnedFd = stream.into();
        let mut command = program("svnserve", &home);
        command.args(["--inetd", "--root"]).arg(&root);
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::spawn(move || child.wait());
    })
}

/// Lets nobody in without the password.
fn close(upstream: &Upstream<'_>) {
    let config = "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\nrealm = demo\n";
    fs::write(upstream.dir.join("conf/svnserve.conf"), config).unwrap();
    fs::write(upstream.dir.join("conf/passwd"), "[users]\nann = p@ss/word\n").unwrap();
}

/// A web server that ends with the test.
struct Apache {
    child: Child,
    address: SocketAddr,
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Apache with what is in `up`: for all under `open`, for those who log in under `closed`.
fn apache(world: &World) -> Apache {
    let dir = world.path("apache");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("users"), USERS).unwrap();
    fs::write(dir.join("access"), "[/]\nann = r\n").unwrap();
    // A root's server gives its rights away, so that others must be able to look.
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = fs::metadata(&dir).is_ok() && chown(&dir, Some(0), None).is_ok();
    let user = if root { "User www-data\nGroup www-data\n" } else { "" };
    let modules = [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "dav",
        "dav_svn",
        "authz_svn",
    ];
    let modules: String = modules
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    // Somebody else may take a port that was free a moment ago.
    for _ in 0..5 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "{modules}{user}ServerName localhost\nServerRoot {dir}\nDefaultRuntimeDir {dir}\nPidFile {dir}/pid\n\
             Listen {address}\nErrorLog {dir}/errors\n\
             <Location /open>\nDAV svn\nSVNParentPath {up}\n</Location>\n\
             <Location /closed>\nDAV svn\nSVNParentPath {up}\nAuthType Basic\nAuthName demo\nAuthBasicProvider file\n\
             AuthUserFile {dir}/users\nAuthzSVNAccessFile {dir}/access\nRequire valid-user\n</Location>\n",
            dir = dir.display(),
            up = world.path("up").display(),
        );
        fs::write(dir.join("conf"), config).unwrap();
        let mut command = program("/usr/sbin/apache2", &world.path("home"));
        command.arg("-X").arg("-f").arg(dir.join("conf")).arg("-d").arg(&dir);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Apache { child: command.spawn().unwrap(), address };
        while server.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            thread::yield_now();
        }
    }
    panic!("no apache: {}", fs::read_to_string(dir.join("errors")).unwrap_or_default());
}

/// What lies between: hands on what both sides say, until it is told otherwise.
#[derive(Clone)]
struct Line {
    address: SocketAddr,
    /// It is cut after so many more bytes of the server's, until it is told otherwise.
    left: Arc<AtomicUsize>,
    /// Cut for good.
    dead: Arc<AtomicBool>,
}

impl Line {
    fn to(server: SocketAddr) -> Self {
        let (left, dead) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
        let (budget, cut) = (left.clone(), dead.clone());
        let address = listen(move |client| {
            if cut.load(Ordering::Relaxed) {
                return;
            }
            let server = TcpStream::connect(server).unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut up, &mut down);
                let _ = down.shutdown(Shutdown::Write);
            });
            let budget = budget.clone();
            thread::spawn(move || {
                let _ = hand_on(&server, &client, &budget);
                for stream in [server, client] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        });
        Self { address, left, dead }
    }

    fn cut_after(&self, bytes: usize) {
        self.left.store(bytes, Ordering::Relaxed);
    }
}

fn hand_on(mut from: &TcpStream, mut to: &TcpStream, budget: &AtomicUsize) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let left = budget.load(Ordering::Relaxed);
        if count >= left {
            budget.store(0, Ordering::Relaxed);
            return Ok(());
        }
        if left != usize::MAX {
            budget.store(left - count, Ordering::Relaxed);
        }
        to.write_all(&buffer[..count])?;
    }
}

/// Text that cannot be packed small.
fn noise(mut state: u64, length: usize) -> String {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + u8::try_from(state >> 57).unwrap() % 95)
    };
    (0..length).map(|_| next()).collect()
}

fn patient(request: ContextRequest, tries: usize) -> ContextRequest {
    ContextRequest {
        network: Network { retry_delays: vec![Duration::from_secs(7); tries], ..request.network.clone() },
        ..request
    }
}

fn offline(request: ContextRequest) -> ContextRequest {
    ContextRequest { network: Network { offline: true, ..request.network.clone() }, ..request }
}

#[tokio::test]
async fn over_svnserve() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    serves(&upstream, &format!("svn://{}/demo", svnserve(&world))).await;
}

#[tokio::test]
async fn over_http() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = apache(&world);
    serves(&upstream, &format!("http://{}/open/demo", server.address)).await;
}

/// What is at `base` is built, updated, and said not to be there where it is not.
async fn serves(upstream: &Upstream<'_>, base: &str) {
    let world = upstream.world;
    upstream.put("lib", &[("lib/a", "a")]);
    upstream.change("externals", &["propset", "svn:externals", "^/lib lib\n../lib other", "trunk"]);
    let url = format!("{base}/trunk");
    let prepared = build(world, &url, None).await.0.unwrap();
    for (name, expected) in [("file", "one"), ("lib/a", "a"), ("other/a", "a")] {
        assert_eq!(text(&prepared, name), expected);
    }
    assert!(prepared.checkout.unwrap().command.starts_with(&format!("SvnCheckout({url}, r")));
    upstream.put("next", &[("trunk/b", base), ("trunk/file", "one")]);
    let request = asking(world, &url, None);
    let mut shell = world.shell();
    let news = tip(&request, &mut shell).await.unwrap().unwrap();
    assert!(changed_files(&request, "3", &mut shell).await.unwrap().unwrap().contains(&"b".to_owned()));
    let (prepared, shell) = build(world, &url, None).await;
    let prepared = prepared.unwrap();
    assert_eq!((text(&prepared, "b"), prepared.tip), (base.to_owned(), Some(news)));
    assert_eq!(shell.count("create cache"), 0);
    let old = build(world, &format!("{url}@3"), None).await.0.unwrap();
    assert!(!old.cwd.join("b").exists());
    for (url, revision) in [(format!("{base}/none"), None), (url.clone(), Some("99"))] {
        let (prepared, shell) = build(world, &url, revision).await;
        let error = prepared.unwrap_err();
        assert!(matches!(error, Error::NoSuchFolder { .. } | Error::NoSuchName { .. }), "{error:?}");
        assert!(shell.pauses.is_empty());
    }
    let absent = build(world, &base.replace("demo", "absent"), None).await.0.unwrap_err();
    assert!(matches!(absent, Error::NoSuchRepository { .. } | Error::NoSuchFolder { .. }), "{absent:?}");
}

#[tokio::test]
async fn logins() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    close(&upstream);
    let server = apache(&world);
    for (scheme, rest) in [
        ("svn", format!("{}/demo/trunk", svnserve(&world))),
        ("http", format!("{}/closed/demo/trunk", server.address)),
    ] {
        let clean = format!("{scheme}://{rest}");
        for _ in 0..2 {
            let (prepared, shell) = build(&world, &format!("{scheme}://{LOGIN}{rest}"), None).await;
            let prepared = prepared.unwrap();
            assert_eq!(text(&prepared, "file"), "one");
            assert_eq!(prepared.checkout.unwrap().command, format!("SvnCheckout({clean}, r1)"));
            assert_eq!(
                run(&world, "svn", ["info", "--show-item", "url", prepared.cwd.to_str().unwrap()]),
                clean
            );
            assert_nowhere(&world, &shell, &SECRETS);
        }
        fs::remove_dir_all(world.path("cache")).unwrap();
        for login in ["", "ann@", "ann:wr0ng-one@", "tok3n-tok3n-tok3n-tok3n@"] {
            let (prepared, shell) = build(&world, &format!("{scheme}://{login}{rest}"), None).await;
            let error = prepared.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{login}: {error:?}");
            assert!(
                error.to_string().starts_with(&format!("login required for `{clean}` (svn: E")),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("svn info"));
            assert_nowhere(&world, &shell, &["wr0ng-one", "tok3n-tok3n"]);
            assert_eq!(shell.ran.len(), 1);
        }
    }
}

#[tokio::test]
async fn externals_on_this_machine_are_for_repositories_on_it() {
    let world = World::new();
    let private = Upstream::new(&world, "private");
    let upstream = Upstream::new(&world, "up/demo");
    let taken = format!("{} taken", private.url("trunk"));
    upstream.put("lib", &[("lib/a", "a"), ("trunk/deep/b", "b")]);
    upstream.change("direct", &["propset", "svn:externals", &taken, "trunk/deep"]);
    let address = svnserve(&world);
    // As a local repository it may.
    let prepared = build(&world, &upstream.url("trunk"), None).await.0.unwrap();
    assert_eq!(text(&prepared, "deep/taken/file"), "one");
    let direct = build(&world, &format!("svn://{address}/demo/trunk"), None).await;

    upstream.change(
        "nested",
        &["propdel", "svn:externals", "trunk/deep", "propset", "svn:externals", &taken, "lib"],
    );
    upstream.change("nested", &["propset", "svn:externals", "^/lib lib", "trunk"]);
    let nested = build(&world, &format!("svn://{address}/demo/trunk"), None).await;
    for (prepared, shell) in [direct, nested] {
        let error = prepared.unwrap_err();
        assert!(matches!(error, Error::LocalExternal { .. }), "{error:?}");
        assert!(error.to_string().contains(&private.url("trunk")), "{error}");
        assert_eq!(shell.pauses.len(), 0);
    }
    // Nothing of it is left.
    let name = format!("svn://{address}/demo/trunk");
    let kept = fs::read_dir(world.path("cache/svn")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(kept.filter(|path| path.is_dir()).count(), 1, "{name}");
}

#[tokio::test]
async fn a_login_is_for_its_own_host() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    // Asks everybody for a login, and remembers.
    let other = listen(move |stream| {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            ears.lock().unwrap().push(std::mem::take(&mut line));
        }
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = reader.into_inner().write_all(answer.as_bytes());
    });
    upstream.change("externals", &["propset", "svn:externals", &format!("http://{other}/x x"), "trunk"]);
    close(&upstream);
    let url = format!("svn://{LOGIN}{}/demo/trunk", svnserve(&world));
    let (prepared, shell) = build(&world, &url, None).await;
    let error = prepared.unwrap_err();
    assert!(error.to_string().contains(&other.to_string()), "{error}");
    // But on that host it is given for externals too.
    upstream.change("externals", &["propset", "svn:externals", "^/lib lib", "trunk", "mkdir", "lib"]);
    let (prepared, again) = build(&world, &url, None).await;
    assert!(prepared.unwrap().cwd.join("lib").is_dir());
    assert_nowhere(&world, &again, &SECRETS);
    cached(&world);
    let heard = heard.lock().unwrap().concat().to_lowercase();
    assert!(heard.contains("options /x") && !heard.contains("authorization"), "{heard}");
    assert_nowhere(&world, &shell, &SECRETS);
}

#[tokio::test]
async fn nobody_is_there() {
    let world = World::new();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for scheme in ["http", "svn"] {
        let mut shell = world.shell();
        let request = patient(asking(&world, &format!("{scheme}://{free}/demo"), None), 2);
        let error = prepare(&request, &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert_eq!((shell.count("info 3"), shell.pauses.len()), (1, 2));
        let error = build(&world, &format!("{scheme}://no..such..host/demo"), None).await.0.unwrap_err();
        assert!(matches!(error, Error::NoSuchHost { .. }), "{error:?}");
    }
    let ssh = world.path("ssh");
    fs::write(&ssh, "#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2\nexit 255\n").unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = world.shell();
    shell.env.push(("SVN_SSH", ssh.display().to_string()));
    let request = asking(&world, "svn+ssh://ann@host/demo", None);
    let error = prepare(&request, &mut shell).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn a_line_to_svnserve_that_is_cut_in_the_middle() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let line = Line::to(svnserve(&world));
    is_cut(&upstream, &line, &format!("svn://{}/demo/trunk", line.address)).await;
}

#[tokio::test]
async fn a_line_to_a_web_server_that_is_cut_in_the_middle() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let server = apache(&world);
    let line = Line::to(server.address);
    is_cut(&upstream, &line, &format!("http://{}/open/demo/trunk", line.address)).await;
}

/// What is at `url`, behind `line`, is given up, tried again, and made anew.
async fn is_cut(upstream: &Upstream<'_>, line: &Line, url: &str) {
    let world = upstream.world;
    let large = noise(1, 400_000);
    upstream.put("large", &[("trunk/a/large", &large), ("trunk/b/large", &large[1..])]);
    let go = async |request: ContextRequest| -> (Result<Prepared, Error>, Real) {
        let mut shell = world.shell();
        let cut = line.clone();
        shell.interrupt = Some(Box::new(move |command| {
            match command.label.as_str() {
                "create cache" | "cache_update" => cut.cut_after(100_000),
                "cleanup" => cut.cut_after(usize::MAX),
                _ => {}
            }
            None
        }));
        let prepared = prepare(&request, &mut shell).await;
        line.cut_after(usize::MAX);
        (prepared, shell)
    };
    let request = asking(world, url, None);
    let (prepared, _) = go(request.clone()).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");

    let (prepared, shell) = go(patient(asking(world, url, None), 1)).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "b/large"), large[1..]);
    assert_eq!((shell.count("cleanup"), shell.pauses.len()), (1, 1), "{:?}", shell.notes);
    assert!(!prepared.checkout.unwrap().dirty);

    // An update: given up, and made anew by the next.
    upstream.put("larger", &[("trunk/c/large", &noise(url.len() as u64, 300_000))]);
    let (prepared, _) = go(asking(world, url, None)).await;
    assert!(matches!(prepared, Err(Error::Unreachable { .. })), "{prepared:?}");
    let (prepared, shell) = build(world, url, None).await;
    prepared.unwrap();
    assert_eq!(shell.count("create cache"), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_tried_again() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = format!("svn://{}/demo/trunk", svnserve(&world));
    let silent = || CommandOutput { status: -15, quiet: true, ..CommandOutput::default() };
    for hanging in ["info", "create cache"] {
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(move |command| (command.label == hanging).then(silent)));
        let prepared = prepare(&patient(asking(&world, &url, None), 1), &mut shell).await.unwrap();
        assert_eq!(text(&prepared, "file"), "one");
        assert_eq!(shell.pauses, [Duration::from_secs(7)]);
        assert!(shell.notes.iter().any(|note| note.contains("(no output for too long); retrying in 7 s")));
        fs::remove_dir_all(world.path("cache")).unwrap();
    }
    let mut shell = world.shell();
    shell.interrupt = Some(Box::new(move |command| command.label.starts_with("info").then(silent)));
    let error = prepare(&patient(asking(&world, &url, None), 2), &mut shell).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach `{url}` (no output for too long)"));
    assert_eq!(shell.pauses.len(), 2);

    // Killed with its locks in place: cleaned up before the next try.
    build(&world, &url, None).await.0.unwrap();
    upstream.commit("two");
    let database = cached(&world).join(".svn/wc.db");
    let mut shell = world.shell();
    shell.interrupt = Some(Box::new(move |command| {
        (command.label == "cache_update").then(|| {
            let lock = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                        c.execute(\"insert into wc_lock values (1, '', -1)\"); c.commit()";
            let mut python = program("python3", std::path::Path::new("/"));
            assert!(python.args(["-c", lock]).arg(&database).status().unwrap().success());
            silent()
        })
    }));
    let prepared = prepare(&patient(asking(&world, &url, None), 1), &mut shell).await.unwrap();
    assert_eq!((text(&prepared, "file").as_str(), shell.count("create cache")), ("two", 0));
}

#[tokio::test]
async fn offline_the_cache_stands_in() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.put("lib", &[("lib/a", "a")]);
    upstream.change("externals", &["propset", "svn:externals", "^/lib lib", "trunk"]);
    upstream.put("elsewhere", &[("branches/b/file", "b")]);
    let line = Line::to(svnserve(&world));
    let url = format!("svn://{}/demo/trunk", line.address);
    build(&world, &url, None).await.0.unwrap();
    line.dead.store(true, Ordering::Relaxed);
    let dead = async |url: &str, revision: Option<&str>| {
        let mut shell = world.shell();
        let earlier = pony_contexts::EarlierRevisions { last: Some("1".to_owned()), last_success: None };
        let request = ContextRequest { earlier, ..patient(asking(&world, url, revision), 1) };
        (prepare(&request, &mut shell).await, shell)
    };
    for revision in [None, Some("HEAD"), Some("3"), Some("4")] {
        let (prepared, shell) = dead(&url, revision).await;
        let prepared = prepared.unwrap();
        assert_eq!((text(&prepared, "file").as_str(), text(&prepared, "lib/a").as_str()), ("one", "a"));
        assert!(shell.notes.iter().any(|note| note.starts_with("using the cached revision 4")));
        let checkout = prepared.checkout.unwrap();
        assert!(checkout.offline.unwrap().contains("cannot reach"));
        assert_eq!((checkout.revision.as_str(), checkout.changes_since_last), ("3", None));
        assert_eq!(shell.pauses.len(), 1);
    }
    let request = offline(asking(&world, &format!("{url}@4"), None));
    let mut shell = world.shell();
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert!(prepared.checkout.unwrap().offline.unwrap().contains("while offline"));
    assert_eq!(shell.count("info"), 0);

    for (url, revision) in [
        (url.clone(), Some("2")),
        (url.clone(), Some("5")),
        (url.clone(), Some("{2026-01-01}")),
        (url.replace("trunk", "branches/b"), None),
    ] {
        let error = dead(&url, revision).await.0.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
    assert!(matches!(tip(&request, &mut shell).await, Err(Error::Offline(_))));
}

#[tokio::test]
async fn offline_a_lasting_tree_stands_for_itself() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let line = Line::to(svnserve(&world));
    let url = format!("svn://{}/demo/trunk", line.address);
    let request = || ContextRequest {
        working_dir: WorkingDir::Directory("../lasting".into()),
        ..asking(&world, &url, None)
    };
    let first = prepare(&request(), &mut world.shell()).await.unwrap();
    fs::write(first.cwd.join("file"), "changed").unwrap();
    fs::write(first.cwd.join("product"), "kept").unwrap();
    drop(first.lock);
    upstream.commit("two");
    let second = prepare(&offline(request()), &mut world.shell()).await.unwrap();
    assert_eq!((text(&second, "file").as_str(), text(&second, "product").as_str()), ("one", "kept"));
    assert!(second.checkout.unwrap().offline.is_some());
    drop(second.lock);
    let third = prepare(&request(), &mut world.shell()).await.unwrap();
    assert_eq!((text(&third, "file").as_str(), text(&third, "product").as_str()), ("two", "kept"));
}
