//! Uploaded files: sent as clients of 2010 send them, stored complete or not at all, listed, and served as they were sent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use crate::browser::{all, follow, page};
use crate::harness::{
    Reply, Running, compressed, get_at, info, key_for_files, post_at, reply, send, upload, upload_path,
    wait_until,
};
use pony_server_lite::ServerLimits;
use pony_wire::Call;

fn server() -> (tempfile::TempDir, Running) {
    server_with(ServerLimits::DEFAULT)
}

fn server_with(limits: ServerLimits) -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::with_limits(&folder.path().join("results.db"), limits);
    (folder, server)
}

/// Files on disk.
fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("results.db.files")).map_or(0, Iterator::count)
}

/// Waits for this number of files on disk: replaced and interrupted ones are deleted after the reply.
fn wait_for_files(folder: &Path, expected: usize) {
    wait_until(|| count(folder) == expected);
}

fn files(server: &Running, key: i64) -> Vec<serde_json::Value> {
    server.get(&format!("/p/p/{key}/?format=json")).json()["files"].as_array().unwrap().clone()
}

fn names(server: &Running, key: i64) -> Vec<String> {
    files(server, key).iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// A request in chunks, with the last one only if `ends`.
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

#[test]
fn the_recorded_upload_is_accepted_byte_for_byte() {
    let (_folder, server) = server();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/recorded/2010");
    let request = std::fs::read(recorded.join("upload-egg.request.http")).unwrap();
    let answer = std::fs::read(recorded.join("upload-egg.response.http")).unwrap();
    // No result has its key here, until one is sent with it.
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
fn files_are_listed_and_served_as_they_were_sent() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let log = compressed(b"a long log\n");
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
    // As on the 2010 server, only `yes` makes it visible.
    send("silent", "", b"x");
    wait_for_files(folder.path(), 5);

    let html = page(&server.get("/p/p/1/"));
    assert_eq!(all(&html, "tbody td:first-child"), ["dist/a-1.0.whl", "logs/02-make.out.gz", "notes.TXT"]);
    assert_eq!(all(&html, "tbody td.number")[0], "7 bytes");
    assert_eq!(all(&html, "tbody td:last-child")[0], "<b> &");
    assert_eq!(page(&server.get("/p/p/latest/")).select("td a").len(), 3);

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
        let reply = crate::harness::send(server.address, request.as_bytes());
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
fn a_range_and_the_head_of_a_file_can_be_requested() {
    let (_folder, server) = server();
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", b"0123456789").status, 200);
    let request = |method: &str, header: &str| {
        let head =
            format!("{method} /p/p/1/files/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        send(server.address, head.as_bytes())
    };
    let part = request("GET", "Range: bytes=4-6\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "456"));
    let head = request("HEAD", "");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    let modified = head.header("last-modified").unwrap().to_owned();
    assert_eq!(request("GET", &format!("If-Modified-Since: {modified}\r\n")).status, 304);
    assert_eq!(request("PUT", "").status, 405);
}

#[test]
fn uploads_may_be_chunked_compressed_and_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::nested(&folder.path().join("results.db"), "/ci");
    let address = server.address;
    let call = Call::AddResults { client_info: info("p", "h", true), results: vec![] };
    let answer = post_at(address, "/ci/xmlrpc", "", &call.encode()).answer().unwrap();
    let auth = answer.as_array().unwrap()[1].as_str().unwrap();
    let path = |name: &str| format!("/ci{}", upload_path(auth, name));
    assert_eq!(send(address, &chunked(&path("chunked"), &[b"ab", b"c"], true)).status, 200);
    let reply = post_at(address, &path("compressed"), "Content-Encoding: gzip\r\n", &compressed(b"abc"));
    assert_eq!(reply.status, 200, "{reply:?}");
    for name in ["chunked", "compressed"] {
        let html = page(&get_at(address, "/ci/p/p/1/"));
        let link = html.select("td a").into_iter().find(|link| link.text() == name).unwrap();
        assert_eq!(link.attr("href"), Some(format!("../1/files/{name}").as_str()));
        assert_eq!(get_at(address, &format!("/ci/p/p/1/files/{name}")).text(), "abc");
    }
}

#[test]
fn a_bad_upload_is_refused_with_a_reason_and_leaves_nothing() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let unknown = "0".repeat(32);
    let long = "n".repeat(1_001);
    let no_result = "no result has this `auth_key`, the second part of the answer to `add_results`";
    let no_name = "the query of the address has no `filename`";
    let too_long = "`filename` is longer than 1000 bytes, or `description` than 2000";
    let twice = "the query of the address is invalid: a key occurs twice";
    for (query, body, status, reason) in [
        (format!("filename=a&auth_key={unknown}"), &b"x"[..], 401, no_result),
        ("filename=a&auth_key=x".to_owned(), b"x", 401, no_result),
        ("filename=a".to_owned(), b"x", 401, no_result),
        (String::new(), b"x", 401, no_result),
        (format!("auth_key={auth}"), b"x", 400, no_name),
        (format!("filename=&auth_key={auth}"), b"x", 400, no_name),
        (format!("filename=a&filename=b&auth_key={auth}"), b"x", 400, twice),
        (format!("filename={long}&auth_key={auth}"), b"x", 400, too_long),
        (format!("filename=a&description={long}{long}&auth_key={auth}"), b"x", 400, too_long),
        (format!("filename=a&auth_key={auth}"), b"", 400, "the body of the request is empty"),
    ] {
        let reply = post_at(server.address, &format!("/upload?{query}"), "", body);
        let expected = format!("{reason}; nothing was stored.\n");
        assert_eq!((reply.status, reply.text()), (status, expected), "{query}");
    }
    // Without a length and without chunks there is no body.
    let head = format!("POST {} HTTP/1.0\r\n\r\n", upload_path(&auth, "a"));
    assert_eq!(send(server.address, head.as_bytes()).status, 400);
    assert_eq!(send(server.address, &chunked(&upload_path(&auth, "a"), &[], true)).status, 400);
    let reply = server.get("/upload");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    wait_for_files(folder.path(), 0);
    assert!(names(&server, 1).is_empty());
}

#[test]
fn an_interrupted_upload_leaves_nothing() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", b"before").status, 200);
    let path = upload_path(&auth, "a");
    let announced = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly so much");
    let truncated = compressed(&[b'x'; 10_000]);
    for (request, end) in [
        (announced.clone().into_bytes(), Shutdown::Write),
        (chunked(&path, &[b"only", b"so much"], false), Shutdown::Write),
        (announced.into_bytes(), Shutdown::Both),
        (chunked(&path, &[b"only", b"so much"], false), Shutdown::Both),
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&request).unwrap();
        wait_for_files(folder.path(), 2);
        stream.shutdown(end).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        wait_for_files(folder.path(), 1);
        assert_eq!(server.get("/p/p/1/files/a").text(), "before");
    }
    let cut = post_at(server.address, &path, "Content-Encoding: gzip\r\n", &truncated[..truncated.len() - 9]);
    assert_eq!(cut.status, 400, "{cut:?}");
    wait_for_files(folder.path(), 1);
    assert_eq!(server.get("/p/p/1/files/a").text(), "before");
}

#[test]
fn a_file_sent_again_replaces_the_first() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    for body in [&b"one"[..], b"one", b"two words"] {
        assert_eq!(upload(server.address, &auth, "dist/a", body).status, 200);
        assert_eq!(server.get("/p/p/1/files/dist/a").body, body);
    }
    wait_for_files(folder.path(), 1);
    // The same name of another result is another file.
    let other = key_for_files(server.address);
    assert_eq!(upload(server.address, &other, "dist/a", b"other").status, 200);
    assert_eq!(server.get("/p/p/2/files/dist/a").text(), "other");
    // Several at once, while it is read: always one of them, complete.
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
    wait_for_files(folder.path(), 2);
    assert_eq!(names(&server, 1), ["dist/a"]);
}

#[test]
fn a_file_over_the_limit_is_refused() {
    // More than socket buffers take, so that the server has to read it.
    const LIMIT: usize = 4_000_000;
    let (folder, server) = server_with(ServerLimits { upload: LIMIT as u64, ..ServerLimits::DEFAULT });
    let auth = key_for_files(server.address);
    let path = upload_path(&auth, "a");
    assert_eq!(upload(server.address, &auth, "a", &vec![1; LIMIT]).status, 200);
    let large = vec![1; 3 * LIMIT];
    let zeros = compressed(&vec![0; 5 * LIMIT]);
    for request in [
        // A client that sends everything before it reads gets the reply too.
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
        // One that waits for `100 Continue` gets it without sending anything.
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n")
            .into_bytes(),
    ] {
        let reply = send(server.address, &request);
        assert_eq!(reply.status, 413, "{reply:?}");
        assert!(reply.text().contains("larger than 4000000 bytes"), "{}", reply.text());
    }
    wait_for_files(folder.path(), 1);
    assert_eq!(server.get("/p/p/1/files/a").body.len(), LIMIT);
    // An unknown key is refused before the body is sent, too.
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        upload_path("x", "a")
    );
    assert_eq!(send(server.address, request.as_bytes()).status, 401);
}

#[test]
fn files_of_old_results_are_deleted_for_new_ones() {
    let (folder, server) = server_with(ServerLimits { files: 3 * 4096, ..ServerLimits::DEFAULT });
    for key in 1..=4 {
        let auth = key_for_files(server.address);
        assert_eq!(upload(server.address, &auth, "a", format!("of {key}").as_bytes()).status, 200);
    }
    wait_for_files(folder.path(), 3);
    assert_eq!(server.get("/p/p/1/files/a").status, 404);
    assert!(page(&server.get("/p/p/1/")).select("table").is_empty());
    for key in 2..=4 {
        assert_eq!(server.get(&format!("/p/p/{key}/files/a")).text(), format!("of {key}"));
    }
    // A file larger than the limit of all files is refused, whatever the limit of one.
    let auth = key_for_files(server.address);
    assert_eq!(upload(server.address, &auth, "a", &[0; 3 * 4096 + 1]).status, 413);
    wait_for_files(folder.path(), 3);
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
    assert!(html.select("script").is_empty());
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
    wait_for_files(folder.path(), odd.len());
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

/// An upload whose sender holds the last byte back.
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
fn two_servers_on_one_results_file_do_not_disturb_each_other() {
    let (folder, first) = server();
    let auth = key_for_files(first.address);
    let slow = Slow::begin(first.address, &auth, "slow");
    wait_for_files(folder.path(), 1);
    // It sweeps when it opens, and after each upload.
    let second = Running::start(&folder.path().join("results.db"));
    assert_eq!(upload(second.address, &auth, "quick", b"x").status, 200);
    assert_eq!(upload(second.address, &auth, "quick", b"y").status, 200);
    wait_for_files(folder.path(), 2);
    assert_eq!(names(&second, 1), ["quick"]);
    assert_eq!(slow.end().status, 200);
    assert_eq!(second.get("/p/p/1/files/slow").text(), "12");
    assert_eq!(names(&second, 1), ["quick", "slow"]);
}

#[test]
fn uploads_beyond_the_limit_wait() {
    let (folder, server) = server();
    let auth = key_for_files(server.address);
    let slow: Vec<_> = (0..20).map(|n| Slow::begin(server.address, &auth, &n.to_string())).collect();
    wait_for_files(folder.path(), 16);
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
