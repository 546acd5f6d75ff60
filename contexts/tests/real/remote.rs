//! Source `git` over the network protocols, against servers inside the test: http with a login, `git://`, ssh.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use pony_contexts::{Error, GitSpec, RevisionSpec};

use crate::support::{Real, World, branch, files, program, revision, tag, text, wanted};

/// `ann:p@ss/word`, as a browser sends it.
const LOGIN: &str = "Basic YW5uOnBAc3Mvd29yZA==";

/// A port of this machine where each connection is handed to `serve`, until the test program ends.
pub fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

/// A web server with the files below `root`, for those who log in.
fn web(root: PathBuf) -> SocketAddr {
    listen(move |stream| {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let path = lines[0].split(' ').nth(1).unwrap().split('?').next().unwrap().trim_start_matches('/');
        let known = lines.iter().any(|line| line.split_once(": ").is_some_and(|(_, value)| value == LOGIN));
        let (status, body) = if !known {
            ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", Vec::new())
        } else if let Ok(bytes) = fs::read(root.join(path)) {
            ("200 OK", bytes)
        } else {
            ("404 Not Found", Vec::new())
        };
        let mut stream = reader.into_inner();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}

/// Makes `up/<name>.git`, bare and ready for a server of plain files.
fn publish(world: &World, from: &Path, name: &str) -> PathBuf {
    let bare = world.path(&format!("up/{name}.git"));
    let arguments = ["clone", "--quiet", "--bare", from.to_str().unwrap(), bare.to_str().unwrap()];
    world.git(world.dir.path(), &arguments);
    world.git(&bare, &["update-server-info"]);
    bare
}

/// Nothing that was run, said or left on disk holds one of `secrets`.
pub fn assert_nowhere(world: &World, shell: &Real, secrets: &[&str]) {
    let holds = |bytes: &[u8]| {
        secrets.iter().find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
    };
    for (command, output) in &shell.ran {
        for bytes in command.argv.iter().map(|arg| arg.as_encoded_bytes()) {
            assert_eq!(holds(bytes), None, "{:?}", command.argv);
        }
        assert_eq!(holds(&output.stdout), None);
        assert_eq!(holds(&output.stderr), None, "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(holds(shell.notes.concat().as_bytes()), None, "{:?}", shell.notes);
    for root in ["cache", "tmp", "home"] {
        let Ok(root) = world.path(root).canonicalize() else { continue };
        for file in files(&root) {
            assert_eq!(holds(file.as_os_str().as_encoded_bytes()), None, "{}", file.display());
            assert_eq!(holds(&fs::read(&file).unwrap_or_default()), None, "{}", file.display());
        }
    }
}

#[tokio::test]
async fn a_login_in_the_address_works_and_stays_secret() {
    let world = World::new();
    let inner = world.repository("inner");
    publish(&world, &inner.dir, "inner");
    let repository = world.repository("demo");
    // A helper that would keep whatever it is told.
    let store = world.path("home/store");
    let config = format!("[credential]\n\thelper = store --file={}\n", store.display());
    world.configure(&config);
    let address = web(world.path("up"));
    fs::write(
        repository.dir.join(".gitmodules"),
        "[submodule \"inner\"]\n\tpath = inner\n\turl = ../inner.git\n",
    )
    .unwrap();
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},inner", inner.head())]);
    fs::create_dir(repository.dir.join("inner")).unwrap();
    repository.git(&["add", ".gitmodules"]);
    repository.git(&["commit", "--quiet", "-m", "submodule"]);
    publish(&world, &repository.dir, "demo");

    let url = format!("http://ann:p%40ss%2Fword@{address}/demo.git");
    let wanted = GitSpec { submodules: true, ..wanted(&url, RevisionSpec::Default) };
    assert_eq!(wanted.url.secrets(), ["ann:p%40ss%2Fword", "p%40ss%2Fword", "p@ss/word"]);
    let (prepared, shell) = world.prepare_wanted(wanted).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "inner/file"), "one");
    let clean = format!("http://{address}/demo.git");
    assert_eq!(world.git(&prepared.cwd, &["remote", "get-url", "origin"]), clean);
    assert_eq!(prepared.checkout.unwrap().command, format!("GitClone({clean}, main)"));
    assert_nowhere(&world, &shell, &["p%40ss", "p@ss", &LOGIN[6..]]);
    assert!(!store.exists());
}

#[tokio::test]
async fn a_wrong_login_or_none_is_an_error_without_a_question() {
    let world = World::new();
    let repository = world.repository("demo");
    publish(&world, &repository.dir, "demo");
    let address = web(world.path("up"));
    for login in ["", "ann@", "ann:wr0ng-one@", "tok3n-tok3n-tok3n-tok3n@"] {
        for revision in [RevisionSpec::Default, branch("main")] {
            let (prepared, shell) =
                world.prepare(&format!("http://{login}{address}/demo.git"), revision).await;
            let error = prepared.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{login}: {error:?}");
            assert!(
                error.to_string().starts_with(&format!("login required for `http://{address}/demo.git` (")),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("credential helper"));
            assert_nowhere(&world, &shell, &["wr0ng-one", "tok3n-tok3n"]);
        }
    }
    let url = format!("http://ann:p%40ss%2Fword@{address}/absent.git");
    let error = world.prepare(&url, branch("main")).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
}

/// A `git://` server of what is in `root`.
fn daemon(world: &World, root: &Path) -> SocketAddr {
    let (home, base) = (world.path("home"), format!("--base-path={}", root.display()));
    listen(move |stream| {
        let output: OwnedFd = stream.try_clone().unwrap().into();
        let input: OwnedFd = stream.into();
        let mut command = program("git", &home);
        command.args(["daemon", "--inetd", "--export-all", &base]);
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null());
        command.status().unwrap();
    })
}

#[tokio::test]
async fn over_the_git_protocol() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["tag", "v1"]);
    let lost = upstream.commit("lost");
    upstream.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    upstream.commit("two");
    let url = format!("git://{}/demo", daemon(&world, &world.path("up")));
    world.configure("[protocol \"file\"]\n\tallow = never\n");
    for (revision, expected) in [
        (RevisionSpec::Default, "two"),
        (branch("main"), "two"),
        (tag("v1"), "one"),
        (revision(&lost), "lost"),
    ] {
        let prepared = world.prepare(&url, revision).await.0.unwrap();
        assert_eq!(text(&prepared, "file"), expected);
    }
    let error = world.prepare(&url.replace("demo", "absent"), branch("main")).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["http", "git"] {
        let error = world.prepare(&format!("{scheme}://{free}/demo"), branch("main")).await.0.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
    for scheme in ["http", "git"] {
        let (prepared, _) = world.prepare(&format!("{scheme}://no..such..host/demo"), branch("main")).await;
        let error = prepared.unwrap_err();
        assert!(matches!(error, Error::NoSuchHost { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn over_ssh_as_the_person_has_set_it_up() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    // Runs what it is told here, where the true one would run it there; and writes down how it was called.
    let ssh = world.path("ssh");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        world.path("calls").display()
    );
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = world.shell();
    shell.env.push(("GIT_SSH_COMMAND", ssh.display().to_string()));
    shell.env.push(("GIT_SSH_VARIANT", "ssh".to_owned()));
    for url in [format!("git@host:{}", upstream.url()), format!("ssh://git@host:2222{}", upstream.url())] {
        let prepared = world.prepare_with(&url, RevisionSpec::Default, &mut shell).await.unwrap();
        assert_eq!(text(&prepared, "file"), "one");
        assert_eq!(world.git(&prepared.cwd, &["remote", "get-url", "origin"]), url);
    }
    let calls = fs::read_to_string(world.path("calls")).unwrap();
    assert!(calls.contains("git@host git-upload-pack") && calls.contains("-p 2222 git@host"), "{calls}");

    let refusing = "#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2\nexit 255\n";
    fs::write(&ssh, refusing).unwrap();
    let error = world.prepare_with("git@host:other", branch("main"), &mut shell).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn a_repository_from_elsewhere_does_not_reach_into_this_machine() {
    let world = World::new();
    let private = world.repository("private");
    let upstream = world.repository("up/demo");
    let arguments =
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &private.url(), "taken"];
    upstream.git(&arguments);
    upstream.commit("submodule");
    let url = format!("git://{}/demo", daemon(&world, &world.path("up")));
    let (prepared, _) =
        world.prepare_wanted(GitSpec { submodules: true, ..wanted(&url, RevisionSpec::Default) }).await;
    let error = prepared.unwrap_err();
    assert!(error.to_string().contains("transport 'file' not allowed"), "{error}");
}

/// The runner moves futures between threads.
#[test]
fn preparing_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let world = World::new();
    let request = world.request(None);
    let mut shell = world.shell();
    is_send(&pony_contexts::prepare(&request, &mut shell));
}
