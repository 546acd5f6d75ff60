//! Files of results: sent as clients of 2010 send them, kept whole or not at all, listed, and given back as they came.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use common::browser::{all, follow, page};
use common::{
    Reply, Running, call_at, get_at, info, key_for_files, post_at, reply, send, step, upload, upload_path,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use pony_server_lite::Server;
use pony_wire::{Call, ClientInfo, Value};

fn server() -> (tempfile::TempDir, Running) {
    server_with(|server| server)
}

fn server_with(change: impl FnOnce(Server) -> Server + Send + 'static) -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::with(&folder.path().join("results.db"), change);
    (folder, server)
}

/// Files on disk.
fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("results.db.files")).map_or(0, Iterator::count)
}

/// Waits until there are so many on disk: what was replaced or broken off goes after the answer.
fn settles_at(folder: &Path, expected: usize) {
    while count(folder) != expected {
        thread::yield_now();
    }
}

fn files(server: &Running, key: i64) -> Vec<serde_json::Value> {
    server.get(&format!("/p/p/{key}/?format=json")).json()["files"].as_array().unwrap().clone()
}

fn names(server: &Running, key: i64) -> Vec<String> {
    files(server, key).iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// A request in chunks, whole only if it is to end.
fn chunked(path: &str, pieces: &[&[u8]], ends: bool) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for piece in pieces.iter().copied().chain(ends.then_some(&b""[..])) {
        request.extend(format!("{:x}\r\n", piece.len()).bytes());
        request.extend(piece);
        request.extend(b"\r\n");
    }
    request
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn the_recorded_upload_is_taken_to_the_byte() {
    let (_folder, server) = server();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/recorded/2010");
    let request = std::fs::read(recorded.join("upload-egg.request.http")).unwrap();
    let answer = std::fs::read(recorded.join("upload-egg.response.http")).unwrap();
    // Its key is of another server, and no result has it here, until one is sent with it.
    assert_eq!(send(server.address, &request).status, 401);
    let mut info = info("p", "h", true);
    info.extra.insert("upload_key".to_owned(), "ca19f21eb98148bcbd1f536d7be2a01a".into());
    let key = server.add(info, vec![]);
    let reply = send(server.address, &request);
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(reply.head.lines().next(), answer.lines().next());
    assert_eq!((reply.header("content-length"), reply.body.len()), (Some("0"), 0));
    assert!(answer.contains("Content-length: 0\r\n\r\n"));

    let body = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let listed = &files(&server, key)[0];
    assert_eq!(listed["name"], "hello-0.1-py2.7.egg");
    assert_eq!(listed["description"], "an egg installation file");
    assert_eq!(listed["size"], request.len() - body);
    let (path, file) = follow(&server, &format!("/p/p/{key}/"), "hello-0.1-py2.7.egg");
    assert_eq!(path, format!("/p/p/{key}/files/hello-0.1-py2.7.egg"));
    assert!(file.body == request[body..]);
}

#[test]
fn files_are_listed_and_come_back_as_they_were_sent() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let log = packed(b"a long log\n");
    let script = "<script>alert(1)</script>\n".repeat(100);
    let send = |name: &str, visible: &str, body: &[u8]| {
        let path = format!("/upload?filename={name}&description=%3Cb%3E+%26&auth_key={auth}{visible}");
        let reply = post_at(server.address, &path, "", body);
        assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    };
    send("logs/02-make.out.gz", "&visible=yes", &log);
    send("dist/a-1.0.whl", "&visible=yes", b"a wheel");
    send("notes.TXT", "&visible=yes", "ü".as_bytes());
    send("hidden.html", "&visible=no", script.as_bytes());
    // As on the server of 2010, what does not say yes is not shown.
    send("silent", "", b"x");
    settles_at(folder.path(), 5);

    let html = page(&server.get("/p/p/1/"));
    assert_eq!(all(&html, "tbody td:first-child"), ["dist/a-1.0.whl", "logs/02-make.out.gz", "notes.TXT"]);
    assert_eq!(all(&html, "tbody td.number")[0], "7 bytes");
    assert_eq!(all(&html, "tbody td:last-child")[0], "<b> &");
    assert_eq!(
        page(&server.get("/p/p/latest/")).select(&scraper::Selector::parse("td a").unwrap()).count(),
        3
    );

    let listed = files(&server, 1);
    assert_eq!(
        names(&server, 1),
        ["dist/a-1.0.whl", "hidden.html", "logs/02-make.out.gz", "notes.TXT", "silent"]
    );
    assert_eq!(listed[1]["visible"], false);
    assert_eq!(listed[2]["visible"], true);
    assert_eq!(listed[2]["path"], "p/p/1/files/logs/02-make.out.gz");
    for (name, kind, place, body) in [
        ("logs/02-make.out.gz", "application/gzip", "attachment; filename=\"02-make.out.gz\"", &log[..]),
        // A proxy may have encoded the slash.
        ("dist%2Fa-1.0.whl", "application/octet-stream", "attachment; filename=\"a-1.0.whl\"", b"a wheel"),
        ("notes.TXT", "text/plain; charset=utf-8", "inline; filename=\"notes.TXT\"", "ü".as_bytes()),
        (
            "hidden.html",
            "application/octet-stream",
            "attachment; filename=\"hidden.html\"",
            script.as_bytes(),
        ),
    ] {
        let request = format!(
            "GET /p/p/1/files/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        let reply = common::send(server.address, request.as_bytes());
        assert_eq!((reply.status, &reply.body[..]), (200, body), "{name}");
        assert_eq!(reply.header("content-type"), Some(kind));
        assert_eq!(reply.header("content-length").unwrap(), body.len().to_string());
        assert_eq!(reply.header("content-encoding"), None);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let disposition = reply.header("content-disposition").unwrap();
        assert!(disposition.starts_with(&format!("{place}; filename*=UTF-8''")), "{disposition}");
    }
    for missing in
        ["/p/p/1/files/none", "/p/other/1/files/notes.TXT", "/p/p/2/files/notes.TXT", "/p/p/x/files/a"]
    {
        let reply = server.get(missing);
        assert_eq!(reply.status, 404, "{missing}");
        assert!(reply.text().contains("has no file"), "{}", reply.text());
    }
}

#[test]
fn part_of_a_file_and_nothing_of_it_can_be_asked_for() {
    let (_folder, server) = server();
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", b"0123456789").status, 200);
    let ask = |method: &str, header: &str| {
        let head =
            format!("{method} /p/p/1/files/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        send(server.address, head.as_bytes())
    };
    let part = ask("GET", "Range: bytes=4-6\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "456"));
    let head = ask("HEAD", "");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    let modified = head.header("last-modified").unwrap().to_owned();
    assert_eq!(ask("GET", &format!("If-Modified-Since: {modified}\r\n")).status, 304);
    assert_eq!(ask("PUT", "").status, 405);
}

#[test]
fn clients_may_send_in_chunks_packed_and_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (address, stop, done) = runtime.block_on(async {
        let server = Server::open(&folder.path().join("results.db")).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().nest("/ci", server.router());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
        (address, stop, tokio::spawn(serving.into_future()))
    });
    let call = Call::AddResults { client_info: info("p", "h", true), results: vec![] };
    let answer = post_at(address, "/ci/xmlrpc", "", &call.encode()).answer().unwrap();
    let auth = answer.as_array().unwrap()[1].as_str().unwrap();
    let path = |name: &str| format!("/ci{}", upload_path(auth, name));
    assert_eq!(send(address, &chunked(&path("chunked"), &[b"ab", b"c"], true)).status, 200);
    let reply = post_at(address, &path("packed"), "Content-Encoding: gzip\r\n", &packed(b"abc"));
    assert_eq!(reply.status, 200, "{reply:?}");
    for name in ["chunked", "packed"] {
        let html = page(&get_at(address, "/ci/p/p/1/"));
        let link = html
            .select(&scraper::Selector::parse("td a").unwrap())
            .find(|link| link.text().collect::<String>() == name)
            .unwrap();
        assert_eq!(link.attr("href"), Some(format!("../1/files/{name}").as_str()));
        assert_eq!(get_at(address, &format!("/ci/p/p/1/files/{name}")).text(), "abc");
    }
    drop(stop);
    runtime.block_on(done).unwrap().unwrap();
}

#[test]
fn what_cannot_be_kept_is_refused_in_words_and_leaves_nothing() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let unknown = "0".repeat(32);
    let long = "n".repeat(1_001);
    for (query, body, status, words) in [
        (format!("filename=a&auth_key={unknown}"), &b"x"[..], 401, "no result has this `auth_key`"),
        ("filename=a&auth_key=x".to_owned(), b"x", 401, "no result has this `auth_key`"),
        ("filename=a".to_owned(), b"x", 401, "no result has this `auth_key`"),
        (String::new(), b"x", 401, "no result has this `auth_key`"),
        (format!("auth_key={auth}"), b"x", 400, "no `filename`"),
        (format!("filename=&auth_key={auth}"), b"x", 400, "no `filename`"),
        (format!("filename=a&filename=b&auth_key={auth}"), b"x", 400, "a key twice"),
        (format!("filename={long}&auth_key={auth}"), b"x", 400, "longer than 1000 bytes"),
        (
            format!("filename=a&description={long}{long}&auth_key={auth}"),
            b"x",
            400,
            "`description` than 2000",
        ),
        (format!("filename=a&auth_key={auth}"), b"", 400, "no file in the body"),
    ] {
        let reply = post_at(server.address, &format!("/upload?{query}"), "", body);
        assert_eq!(reply.status, status, "{query}: {reply:?}");
        assert!(reply.text().contains(words), "{query}: {}", reply.text());
    }
    // A body without a length and without chunks is none.
    let head = format!("POST {} HTTP/1.0\r\n\r\n", upload_path(&auth, "a"));
    assert_eq!(send(server.address, head.as_bytes()).status, 400);
    assert_eq!(send(server.address, &chunked(&upload_path(&auth, "a"), &[], true)).status, 400);
    let reply = server.get("/upload");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    settles_at(folder.path(), 0);
    assert!(names(&server, 1).is_empty());
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", b"before").status, 200);
    let path = upload_path(&auth, "a");
    let announced = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly so much");
    let broken = packed(&[b'x'; 10_000]);
    for (request, gone) in [
        (announced.clone().into_bytes(), Shutdown::Write),
        (chunked(&path, &[b"only", b"so much"], false), Shutdown::Write),
        (announced.into_bytes(), Shutdown::Both),
        (chunked(&path, &[b"only", b"so much"], false), Shutdown::Both),
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&request).unwrap();
        settles_at(folder.path(), 2);
        stream.shutdown(gone).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        settles_at(folder.path(), 1);
        assert_eq!(server.get("/p/p/1/files/a").text(), "before");
    }
    let cut = post_at(server.address, &path, "Content-Encoding: gzip\r\n", &broken[..broken.len() - 9]);
    assert_eq!(cut.status, 400, "{cut:?}");
    settles_at(folder.path(), 1);
    assert_eq!(server.get("/p/p/1/files/a").text(), "before");
}

#[test]
fn a_file_sent_again_takes_the_place_of_the_first() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    for body in [&b"one"[..], b"one", b"two words"] {
        assert_eq!(upload(server.address, &auth, "dist/a", body).status, 200);
        assert_eq!(server.get("/p/p/1/files/dist/a").body, body);
    }
    settles_at(folder.path(), 1);
    // The same name of another result is another file.
    let other = key_for_files(server.address);
    assert_eq!(upload(server.address, &other, "dist/a", b"other").status, 200);
    assert_eq!(server.get("/p/p/2/files/dist/a").text(), "other");
    // Several at once, while it is read: always one of them, and whole.
    let (address, bodies) = (server.address, [vec![b'a'; 200_000], vec![b'b'; 100_000]]);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|number| {
                let (auth, body) = (&auth, &bodies[number % 2]);
                scope.spawn(move || assert_eq!(upload(address, auth, "dist/a", body).status, 200))
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            let read = get_at(address, "/p/p/1/files/dist/a");
            assert_eq!(read.status, 200);
            assert!(read.body == b"two words" || bodies.contains(&read.body));
        }
    });
    settles_at(folder.path(), 2);
    assert_eq!(names(&server, 1), ["dist/a"]);
}

#[test]
fn too_large_is_said_in_words() {
    // What is sent is more than sockets hold, so that it has to be read.
    const LIMIT: usize = 4_000_000;
    let (folder, server) = server_with(|server| server.with_upload_limit(LIMIT as u64));
    let auth = key_for_files(server.address);
    let path = upload_path(&auth, "a");
    assert_eq!(upload(server.address, &auth, "a", &vec![1; LIMIT]).status, 200);
    let large = vec![1; 3 * LIMIT];
    let zeros = packed(&vec![0; 5 * LIMIT]);
    for request in [
        // A client that sends everything before it listens hears it too.
        [format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", large.len()).as_bytes(), &large]
            .concat(),
        chunked(&path, &[&large[..LIMIT], &large[LIMIT..]], true),
        [
            format!(
                "POST {path} HTTP/1.0\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                zeros.len()
            )
            .as_bytes(),
            &zeros,
        ]
        .concat(),
        // One that asks first hears it without sending anything.
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n")
            .into_bytes(),
    ] {
        let reply = send(server.address, &request);
        assert_eq!(reply.status, 413, "{reply:?}");
        assert!(reply.text().contains("larger than 4000000 bytes"), "{}", reply.text());
    }
    settles_at(folder.path(), 1);
    assert_eq!(server.get("/p/p/1/files/a").body.len(), LIMIT);
    // Who may not send is told before sending, too.
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        upload_path("x", "a")
    );
    assert_eq!(send(server.address, request.as_bytes()).status, 401);
}

#[test]
fn files_of_old_results_make_room_for_new_ones() {
    let (folder, server) = server_with(|server| server.with_files_limit(3 * 4096));
    for key in 1..=4 {
        let auth = key_for_files(server.address);
        assert_eq!(upload(server.address, &auth, "a", format!("of {key}").as_bytes()).status, 200);
    }
    settles_at(folder.path(), 3);
    assert_eq!(server.get("/p/p/1/files/a").status, 404);
    assert!(
        page(&server.get("/p/p/1/")).select(&scraper::Selector::parse("table").unwrap()).next().is_none()
    );
    for key in 2..=4 {
        assert_eq!(server.get(&format!("/p/p/{key}/files/a")).text(), format!("of {key}"));
    }
    // Nothing larger than all of them is taken, whatever one file may have.
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", &[0; 3 * 4096 + 1]).status, 413);
    settles_at(folder.path(), 3);
}

#[test]
fn names_are_only_names() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let odd = [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "a/../b",
        "a//b/",
        "~x",
        "~/x",
        "%2e%2e/%",
        "a b?c#d&e=f;g",
        "\"><script>alert(1)</script>",
        "ünï/cödé 🐎",
        "CON.",
        "\\..\\x",
    ];
    for name in odd {
        let reply = upload(server.address, &auth, name, name.as_bytes());
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
    let html = page(&server.get("/p/p/1/"));
    assert!(html.select(&scraper::Selector::parse("script").unwrap()).next().is_none());
    let mut listed = all(&html, "tbody td:first-child");
    listed.sort_unstable();
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for name in odd {
        let (path, file) = follow(&server, "/p/p/1/", name);
        assert_eq!((file.status, file.text().as_str()), (200, name), "{path}");
        assert!(path.starts_with("/p/p/1/files/"), "{path}");
    }
    for file in files(&server, 1) {
        let path = format!("/{}", file["path"].as_str().unwrap());
        assert_eq!(server.get(&path).text(), file["name"].as_str().unwrap(), "{path}");
    }
    // On disk they are numbers in one folder.
    settles_at(folder.path(), odd.len());
    let written: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !matches!(name.as_str(), "results.db" | "results.db-wal" | "results.db-shm"))
        .collect();
    assert_eq!(written, ["results.db.files"]);
}

#[test]
fn names_cannot_write_headers() {
    let (_folder, server) = server();
    let auth = key_for_files(server.address);
    let name = "a\r\nSet-Cookie: x=1\r\n\r\n<b>\u{0}\u{1B}[31m\u{85}.txt";
    assert_eq!(upload(server.address, &auth, name, b"x").status, 200);
    // The same again, by the name as it was sent.
    assert_eq!(upload(server.address, &auth, name, b"y").status, 200);
    let shown =
        "a\u{FFFD}\u{FFFD}Set-Cookie: x=1\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}<b>\u{FFFD}\u{FFFD}[31m\u{FFFD}.txt";
    assert_eq!(names(&server, 1), [shown]);
    let (_, file) = follow(&server, "/p/p/1/", shown);
    assert_eq!((file.status, file.text().as_str()), (200, "y"));
    assert_eq!(file.header("set-cookie"), None, "{}", file.head);
    let path = upload_path("", name);
    let encoded = path.strip_prefix("/upload?filename=").unwrap().split('&').next().unwrap();
    assert_eq!(server.get(&format!("/p/p/1/files/{encoded}")).text(), "y");
}

fn run(id: &str, upload_key: Option<&str>) -> ClientInfo {
    let mut info = info("p", "h", true);
    info.extra.insert("run_id".to_owned(), id.into());
    if let Some(key) = upload_key {
        info.extra.insert("upload_key".to_owned(), key.into());
    }
    info
}

/// The answer to a result: its key, and the key for files.
fn add(address: SocketAddr, client_info: ClientInfo) -> (i64, String) {
    let answer =
        call_at(address, &Call::AddResults { client_info, results: vec![step("s", 0, "")] }).unwrap();
    match answer.as_array() {
        Some([Value::Int(key), Value::String(auth)]) => (*key, auth.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_sent_again_with_its_upload_key_gets_the_answer_that_was_lost() {
    let (_folder, server) = server();
    let (key, stranger) = ("0123456789abcdef0123456789abcdef", "f".repeat(32));
    let answer = (1, key.to_owned());
    // Several at once: a client that gave up waiting, and its next try.
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let address = server.address;
            thread::spawn(move || add(address, run("r", Some(key))))
        })
        .collect();
    for sender in senders {
        assert_eq!(sender.join().unwrap(), answer);
    }
    assert_eq!(upload(server.address, key, "a", b"x").status, 200);
    // Who has read the run's id on a page gets the result's key, which is there too, and no more.
    assert_eq!(add(server.address, run("r", Some(&stranger))), (1, stranger.clone()));
    assert_eq!(upload(server.address, &stranger, "a", b"y").status, 401);
    let (again, random) = add(server.address, run("r", None));
    assert_eq!(again, 1);
    assert_eq!(upload(server.address, &random, "a", b"y").status, 401);
    // Which changes nothing for its owner.
    assert_eq!(add(server.address, run("r", Some(key))), answer);
    assert_eq!(upload(server.address, key, "b", b"x").status, 200);
    assert_eq!(server.get("/p/p/1/files/a").text(), "x");
    assert_eq!(server.get("/p/p/show_all?format=json").json()["results"].as_array().unwrap().len(), 1);

    // The key is nowhere to be read, and no part of it on disk.
    let stored = server.call(&Call::GetResults { result_key: "1".to_owned() }).unwrap();
    assert!(!format!("{stored:?}").contains("upload_key"), "{stored:?}");
    for page in ["/p/p/1/", "/p/p/1/inspect", "/p/p/1/?format=json"] {
        let text = server.get(page).text();
        assert!(!text.contains(key) && !text.contains("upload_key"), "{text}");
    }
}

#[test]
fn an_upload_key_is_of_one_result() {
    let (_folder, server) = server();
    let key = "0123456789abcdef0123456789abcdef";
    add(server.address, run("r", Some(key)));
    let refused = |client_info| {
        let call = Call::AddResults { client_info, results: vec![] };
        server.call(&call).unwrap_err().message
    };
    let in_use = refused(run("other", Some(key)));
    assert!(in_use.starts_with("<type 'exceptions.ValueError'>:'upload_key' is that of another"), "{in_use}");
    let mut without_run = info("other package", "h", true);
    without_run.extra.insert("upload_key".to_owned(), key.into());
    assert_eq!(refused(without_run), in_use);
    let odd = refused(run("odd", Some("secret")));
    assert!(odd.contains("'upload_key' must be 32 hexadecimal digits"), "{odd}");
    let packages = server.get("/?format=json").json();
    assert_eq!(packages["packages"].as_array().unwrap().len(), 1, "{packages}");
}

/// An upload whose sender waits with the last byte, and hears the answer then.
struct Slow(TcpStream);

impl Slow {
    fn begin(address: SocketAddr, auth: &str, name: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let path = upload_path(auth, name);
        write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: 2\r\n\r\n1").unwrap();
        Self(stream)
    }

    fn end(mut self) -> Reply {
        self.0.write_all(b"2").unwrap();
        reply(&mut self.0)
    }
}

#[test]
fn two_servers_on_one_file_leave_each_other_alone() {
    let (folder, first) = server();
    let auth = key_for_files(first.address);
    let slow = Slow::begin(first.address, &auth, "slow");
    settles_at(folder.path(), 1);
    // It sweeps when it opens, and after what it took in.
    let second = Running::start(&folder.path().join("results.db"));
    assert_eq!(upload(second.address, &auth, "quick", b"x").status, 200);
    assert_eq!(upload(second.address, &auth, "quick", b"y").status, 200);
    settles_at(folder.path(), 2);
    assert_eq!(names(&second, 1), ["quick"]);
    assert_eq!(slow.end().status, 200);
    assert_eq!(second.get("/p/p/1/files/slow").text(), "12");
    assert_eq!(names(&second, 1), ["quick", "slow"]);
}

#[test]
fn more_uploads_at_once_than_are_let_in_wait() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let slow: Vec<_> = (0..20).map(|n| Slow::begin(server.address, &auth, &n.to_string())).collect();
    settles_at(folder.path(), 16);
    for _ in 0..50 {
        assert!(names(&server, 1).is_empty());
        assert_eq!(count(folder.path()), 16);
    }
    let senders: Vec<_> = slow.into_iter().map(|upload| thread::spawn(move || upload.end().status)).collect();
    for sender in senders {
        assert_eq!(sender.join().unwrap(), 200);
    }
    assert_eq!(names(&server, 1).len(), 20);
}
