//! Source `archive`: every format, what must never be unpacked, and downloads from a small web server.

use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use pony_contexts::{
    ArchiveSpec, ContextRequest, Error, Network, Prepared, SourceSpec, WorkingDir, prepare, tip,
};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::support::{Real, World, files, text};

const TIME: u64 = 1_600_000_001;

fn sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes).iter().flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<_>>();
    digits.into_iter().map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

/// A tar archive made entry by entry, with names as they are given.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, kind: EntryType, name: &str, target: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.add(EntryType::Regular, name, "", 0o644, content.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.add(EntryType::Directory, name, "", 0o755, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, name, target, 0o777, b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Link, name, target, 0o644, b"")
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// What a release looks like: one folder, and all in it.
pub fn release() -> Vec<u8> {
    Tar::default()
        .dir("demo-1.0/")
        .file("demo-1.0/file", "one")
        .add(EntryType::Regular, "demo-1.0/sub/run", "", 0o6755, b"#!/bin/sh\n")
        .symlink("demo-1.0/sub/link", "../file")
        .link("demo-1.0/other", "demo-1.0/file")
        .end()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Entries of a zip archive: name, mode with the kind of file, content.
fn zip(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let time = zip::DateTime::from_date_and_time(2020, 9, 13, 12, 26, 40).unwrap();
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(time)
            .unix_permissions(mode & 0o7777);
        if mode & 0o170_000 == 0o120_000 {
            writer.add_symlink(*name, *content, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn wanted(url: &str, sha256: Option<String>) -> SourceSpec {
    SourceSpec::Archive(ArchiveSpec { url: url.parse().unwrap(), sha256, subdir: None, dir: None })
}

/// Builds the archive `bytes`, a file of this machine.
async fn build(world: &World, bytes: &[u8]) -> Result<Prepared, Error> {
    fs::write(world.path("demo.archive"), bytes).unwrap();
    let request = world.request(Some(wanted("../demo.archive", None)));
    let outcome = prepare(&request, &mut world.shell()).await;
    // Nothing half-made is left, and nothing lies beside the tree.
    match &outcome {
        Ok(prepared) => {
            let root = prepared.tempdir.as_ref().unwrap();
            assert_eq!(fs::read_dir(root).unwrap().count(), 1);
        }
        Err(_) => assert!(!request.tempdir.exists()),
    }
    outcome
}

/// What is wrong with it.
async fn refused(bytes: &[u8]) -> String {
    let world = World::new();
    let before = files(world.dir.path()).len();
    let error = build(&world, bytes).await.unwrap_err();
    assert!(error.hint().is_some());
    assert_eq!(files(world.dir.path()).len(), before + 1, "something was written");
    let said = error.to_string();
    let (before, after) = said.split_once("`../demo.archive`").unwrap_or_else(|| panic!("{said}"));
    format!("{before}ARCHIVE{after}")
}

#[tokio::test]
async fn every_format_is_told_by_its_content() {
    let tar = release();
    let zipped = zip(&[
        ("demo-1.0/file", 0o644, "one"),
        ("demo-1.0/sub/run", 0o755, "#!/bin/sh\n"),
        ("demo-1.0/sub/link", 0o120_777, "../file"),
    ]);
    let packed =
        [gzip(&tar), xz(&tar), zstd::encode_all(&tar[..], 1).unwrap(), bzip2(&tar), tar.clone(), zipped];
    for (index, bytes) in packed.iter().enumerate() {
        let world = World::new();
        let prepared = build(&world, bytes).await.unwrap_or_else(|error| panic!("{index}: {error:?}"));
        assert_eq!(text(&prepared, "file"), "one");
        assert_eq!(text(&prepared, "sub/link"), "one");
        let run = fs::metadata(prepared.cwd.join("sub/run")).unwrap();
        assert_eq!(run.permissions().mode() & 0o7777, 0o755);
        assert!(run.mtime().abs_diff(TIME.cast_signed()) <= 1, "{index}: {}", run.mtime());
        let checkout = prepared.checkout.unwrap();
        assert_eq!(checkout.version_type, "archive");
        assert_eq!(checkout.revision, sha256(bytes));
        assert_eq!(checkout.version_info, format!("{} demo.archive", sha256(bytes)));
        assert_eq!(checkout.command, "Archive(../demo.archive)");
        assert_eq!((checkout.commit_date.as_str(), checkout.changes_since_last), ("", None));
        assert_eq!(prepared.tip, Some(sha256(bytes)));
    }
}

#[tokio::test]
async fn names_of_all_sorts() {
    let world = World::new();
    let mut builder = tar::Builder::new(Vec::new());
    let deep = format!("top/{}", "d\u{e4}mo/".repeat(60));
    for name in [format!("{deep}file"), format!("top/{}", "x".repeat(200)), "top/ a b".to_owned()] {
        let mut header = Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o600);
        builder.append_data(&mut header, name, &b"hi"[..]).unwrap();
    }
    let prepared = build(&world, &gzip(&builder.into_inner().unwrap())).await.unwrap();
    assert_eq!(text(&prepared, &format!("{}file", &deep[4..])), "hi");
    assert_eq!(text(&prepared, &"x".repeat(200)), "hi");
    assert_eq!(text(&prepared, " a b"), "hi");

    // More than one folder: nothing is taken off. A folder twice is no matter.
    let two =
        Tar::default().dir("./").dir("a").file("./a/x", "x").dir("a/").file("b", "b").symlink("a/l", "../b");
    let prepared = build(&world, &two.end()).await.unwrap();
    assert_eq!((text(&prepared, "a/x").as_str(), text(&prepared, "a/l").as_str()), ("x", "b"));
    // One file, and nothing at all.
    assert_eq!(text(&build(&world, &Tar::default().file("x", "x").end()).await.unwrap(), "x"), "x");
    let prepared = build(&world, &gzip(&Tar::default().end())).await.unwrap();
    assert_eq!(fs::read_dir(prepared.cwd).unwrap().count(), 0);
    let prepared = build(&world, &zip(&[])).await.unwrap();
    assert_eq!(fs::read_dir(prepared.cwd).unwrap().count(), 0);
}

#[tokio::test]
async fn nothing_reaches_out_of_the_tree() {
    let tar = Tar::default;
    let kind = |kind| tar().add(kind, "x", "", 0o644, b"");
    for (archive, said) in [
        (tar().file("../x", ""), "cannot unpack `../x` of ARCHIVE: its path points outside"),
        (tar().file("a/../../x", ""), "cannot unpack `a/../../x` of ARCHIVE: its path points outside"),
        (tar().file("/tmp/x", ""), "cannot unpack `/tmp/x` of ARCHIVE: its path points outside"),
        (tar().dir(".."), "cannot unpack `..` of ARCHIVE: its path points outside"),
        (
            tar().symlink("l", "/etc/passwd"),
            "cannot unpack `l` of ARCHIVE: it is a link that may point outside",
        ),
        (tar().symlink("l", ".."), "cannot unpack `l` of ARCHIVE: it is a link that points outside"),
        (tar().symlink("a/l", "../../x"), "cannot unpack `a/l` of ARCHIVE: it is a link that points outside"),
        (
            tar().symlink("l", "a/../../x"),
            "cannot unpack `l` of ARCHIVE: it is a link that may point outside",
        ),
        (tar().symlink("l", ""), "cannot unpack `l` of ARCHIVE: it is a link that points outside"),
        // All in one folder, which is taken off.
        (
            tar().symlink("a/l", "../b"),
            "cannot unpack `a/l` of ARCHIVE: it is a link that points outside the one folder of the archive",
        ),
        // Written through a link, even one that stays inside.
        (
            tar().dir("a").symlink("l", "a").file("l/x", ""),
            "cannot unpack `l/x` of ARCHIVE: it needs a folder where another entry is",
        ),
        (
            tar().dir("a").symlink("l", "a").dir("l/"),
            "cannot unpack `l/` of ARCHIVE: it needs a folder where another entry is",
        ),
        (
            tar().symlink("l", "x").file("l", "y"),
            "cannot unpack `l` of ARCHIVE: another entry has the same path",
        ),
        (tar().dir("a").symlink("a", "b"), "cannot unpack `a` of ARCHIVE: another entry has the same path"),
        (tar().file("x", "").file("x", ""), "cannot unpack `x` of ARCHIVE: another entry has the same path"),
        (
            tar().file("x", "").file("x/y", ""),
            "cannot unpack `x/y` of ARCHIVE: it needs a folder where another entry is",
        ),
        (
            tar().file("x", "").dir("x"),
            "cannot unpack `x` of ARCHIVE: it needs a folder where another entry is",
        ),
        (tar().dir("x").file("x", ""), "cannot unpack `x` of ARCHIVE: another entry has the same path"),
        (tar().link("x", "/etc/passwd"), "cannot unpack `x` of ARCHIVE: it is a link that points outside"),
        (
            tar().link("x", "../demo.archive"),
            "cannot unpack `x` of ARCHIVE: it is a link that points outside",
        ),
        (
            tar().link("x", "absent"),
            "cannot unpack `x` of ARCHIVE: it is a link to something that is no file of the archive",
        ),
        (
            tar().dir("a").link("x", "a"),
            "cannot unpack `x` of ARCHIVE: it is a link to something that is no file of the archive",
        ),
        (
            tar().symlink("l", "absent").link("x", "l"),
            "cannot unpack `x` of ARCHIVE: it is a link to something that is no file of the archive",
        ),
        (
            tar().dir("a").symlink("l", "a").link("x", "l/y"),
            "cannot unpack `x` of ARCHIVE: it is a link through something that is no folder",
        ),
        (kind(EntryType::Char), "cannot unpack `x` of ARCHIVE: it is no file, folder or link"),
        (kind(EntryType::Block), "cannot unpack `x` of ARCHIVE: it is no file, folder or link"),
        (kind(EntryType::Fifo), "cannot unpack `x` of ARCHIVE: it is no file, folder or link"),
    ] {
        assert_eq!(refused(&archive.end()).await, said);
    }
}

#[tokio::test]
async fn nothing_reaches_out_of_a_zip_either() {
    for (entries, said) in [
        (&[("../x", 0o644, "")][..], "cannot unpack `../x` of ARCHIVE: its path points outside"),
        (&[("/tmp/x", 0o644, "")], "cannot unpack `/tmp/x` of ARCHIVE: its path points outside"),
        (&[("l", 0o120_777, "/etc")], "cannot unpack `l` of ARCHIVE: it is a link that may point outside"),
        (
            &[("l", 0o120_777, "a"), ("l/x", 0o644, "")],
            "cannot unpack `l/x` of ARCHIVE: it needs a folder where another entry is",
        ),
        (
            &[("x", 0o644, ""), ("x/y", 0o644, "")],
            "cannot unpack `x/y` of ARCHIVE: it needs a folder where another entry is",
        ),
    ] {
        assert_eq!(refused(&zip(entries)).await, said);
    }
}

#[tokio::test]
async fn what_is_broken_is_said_to_be() {
    let rubble: Vec<u8> = (0..5000_u32).map(|index| ((index * 7919) >> 3).to_le_bytes()[0]).collect();
    let tar =
        Tar::default().file("x", &"x".repeat(100)).add(EntryType::Regular, "y", "", 0o644, &rubble).end();
    for bytes in [&b""[..], b"hello", &rubble] {
        assert_eq!(refused(bytes).await, "cannot unpack ARCHIVE (unknown archive format)");
    }
    let packed = [
        gzip(&tar),
        xz(&tar),
        zstd::encode_all(&tar[..], 1).unwrap(),
        bzip2(&tar),
        zip(&[("x", 0o644, "xxx")]),
    ];
    for (index, bytes) in packed.iter().enumerate() {
        // In the middle, and in what only guards the content.
        for length in [bytes.len() / 2, bytes.len() - 1] {
            let said = refused(&bytes[..length]).await;
            assert!(said.starts_with("cannot unpack ARCHIVE ("), "{index}: {length}: {said}");
        }
    }
    let said = refused(&tar[..2000]).await;
    assert!(said.starts_with("cannot unpack ARCHIVE ("), "{said}");
    let said = refused(&gzip(&rubble)).await;
    assert!(said.starts_with("cannot unpack ARCHIVE ("), "{said}");
    let mut flipped = gzip(&tar);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let said = refused(&flipped).await;
    assert!(said.starts_with("cannot unpack ARCHIVE ("), "{said}");
}

#[tokio::test]
async fn the_digest_is_checked_before_anything_is_unpacked() {
    let world = World::new();
    let bytes = release();
    fs::write(world.path("demo.tar"), &bytes).unwrap();
    let url = world.path("demo.tar").display().to_string();
    let request = world.request(Some(wanted(&url, Some(sha256(&bytes)))));
    let prepared = prepare(&request, &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    let other = sha256(b"other");
    let request = world.request(Some(wanted(&url, Some(other.clone()))));
    let error = prepare(&request, &mut world.shell()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` has the SHA-256 `{}`, not `{other}`", sha256(&bytes)));
    assert!(error.hint().unwrap().contains("`sha256` in the recipe"));
    assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(other));
    let request = world.request(Some(wanted(&format!("file://{url}"), None)));
    assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(sha256(&bytes)));
    for name in ["../absent.tar", "../home"] {
        let error = prepare(&world.request(Some(wanted(name, None))), &mut world.shell()).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchFile { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_lasting_tree_is_unpacked_when_the_content_is_another() {
    let world = World::new();
    fs::write(world.path("demo.tar"), release()).unwrap();
    let source = SourceSpec::Archive(ArchiveSpec {
        url: "../demo.tar".parse().unwrap(),
        sha256: None,
        subdir: Some("sub".into()),
        dir: None,
    });
    let request = ContextRequest {
        working_dir: WorkingDir::Directory("../lasting".into()),
        ..world.request(Some(source))
    };
    let run = async || prepare(&request, &mut world.shell()).await.unwrap().cwd;
    let sub = run().await;
    fs::write(sub.join("built"), "").unwrap();
    assert!(run().await.join("built").exists());
    let changed = Tar::default().file("demo-2.0/sub/new", "two").end();
    fs::write(world.path("demo.tar"), changed).unwrap();
    let sub = run().await;
    assert_eq!(fs::read_to_string(sub.join("new")).unwrap(), "two");
    assert_eq!(files(&sub).len(), 1);
}

/// A web server that gives `file`, knows what has not changed, and keeps the requests that it got.
pub struct Web {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Of each answer to the path `/cut/…`, only half is sent.
    pub fn new(file: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (file, log) = (file.to_owned(), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                let mut body = fs::read(&file).unwrap_or_default();
                let tag = format!("\"{}\"", &sha256(&body)[..8]);
                let status = if head.contains("/absent") {
                    "404 Not Found"
                } else if head.contains("/broken") {
                    "418 I'm a teapot"
                } else if head.contains(&tag) {
                    "304 Not Modified"
                } else {
                    "200 OK"
                };
                if status != "200 OK" {
                    body.clear();
                }
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: {tag}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                if head.contains("/cut") {
                    body.truncate(body.len() / 2);
                }
                log.lock().unwrap().push(format!("{} {status}", head.split(' ').nth(1).unwrap_or_default()));
                let mut stream = reader.into_inner();
                let _ = stream.write_all(&[answer.as_bytes(), &body].concat());
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

pub async fn download(
    world: &World,
    url: &str,
    pinned: Option<String>,
    offline: bool,
) -> (Result<Prepared, Error>, Real) {
    let mut shell = world.shell();
    let network = Network {
        offline,
        retry_delays: vec![Duration::from_secs(3); 2],
        quiet_timeout: Duration::from_mins(1),
    };
    let request = ContextRequest { network, ..world.request(Some(wanted(url, pinned))) };
    (prepare(&request, &mut shell).await, shell)
}

#[tokio::test]
async fn a_file_is_downloaded_once() {
    let world = World::new();
    let file = world.path("demo.tar.gz");
    fs::write(&file, gzip(&release())).unwrap();
    let web = Web::new(&file);
    let url = format!("{}/a/demo.tar.gz?token=x", web.url);
    for status in ["200 OK", "304 Not Modified"] {
        let prepared = download(&world, &url, None, false).await.0.unwrap();
        assert_eq!(text(&prepared, "file"), "one");
        assert!(prepared.checkout.unwrap().version_info.ends_with(" demo.tar.gz"));
        assert_eq!(web.requests(), [format!("/a/demo.tar.gz?token=x {status}")]);
    }
    // Known to be the right one: nothing is asked.
    let right = sha256(&gzip(&release()));
    download(&world, &url, Some(right.clone()), false).await.0.unwrap();
    assert!(web.requests().is_empty());
    let news = gzip(&Tar::default().file("d/file", "two").end());
    fs::write(&file, &news).unwrap();
    let request = world.request(Some(wanted(&url, None)));
    assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(sha256(&news)));
    let prepared = download(&world, &url, Some(sha256(&news)), false).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert_eq!(web.requests().len(), 1);
    // What is cached is the wrong one, and so is what its server has: asked once, and not kept.
    let error = download(&world, &url, Some(right), false).await.0.unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
    assert_eq!(web.requests(), ["/a/demo.tar.gz?token=x 200 OK"]);
}

#[tokio::test]
async fn a_damaged_file_in_the_cache_is_downloaded_again() {
    let world = World::new();
    let file = world.path("demo.tar.gz");
    fs::write(&file, gzip(&release())).unwrap();
    let web = Web::new(&file);
    let url = format!("{}/demo.tar.gz", web.url);
    let pinned = Some(sha256(&gzip(&release())));
    download(&world, &url, pinned.clone(), false).await.0.unwrap();
    let cached =
        files(&world.path("cache/archive")).into_iter().find(|path| path.ends_with("demo.tar.gz")).unwrap();
    fs::write(&cached, "rubble").unwrap();
    let prepared = download(&world, &url, pinned, false).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(web.requests().len(), 2);
}

#[tokio::test]
async fn downloads_that_fail() {
    let world = World::new();
    let file = world.path("demo.tar.gz");
    fs::write(&file, gzip(&release())).unwrap();
    let web = Web::new(&file);
    let (prepared, shell) = download(&world, &format!("{}/absent.tar", web.url), None, false).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::NoSuchFile { .. }) && shell.pauses.is_empty(), "{error:?}");
    let error = download(&world, &format!("{}/broken", web.url), None, false).await.0.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    web.requests();
    // The line is cut: tried again, then given up; and nothing of it is kept.
    let (prepared, shell) = download(&world, &format!("{}/cut.tar.gz", web.url), None, false).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(shell.pauses.len(), 2);
    assert_eq!(web.requests().len(), 3);
    assert!(files(&world.path("cache")).iter().all(|path| path.extension().is_some_and(|end| end == "lock")));
}

#[tokio::test]
async fn offline_the_cached_file_has_to_do() {
    let world = World::new();
    let file = world.path("demo.tar.gz");
    fs::write(&file, gzip(&release())).unwrap();
    let web = Web::new(&file);
    let url = format!("{}/demo.tar.gz", web.url);
    let error = download(&world, &url, None, true).await.0.unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
    download(&world, &url, None, false).await.0.unwrap();
    web.requests();
    let prepared = download(&world, &url, None, true).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(prepared.checkout.unwrap().offline, Some(format!("cannot fetch `{url}` while offline")));
    let error = download(&world, &url, Some(sha256(b"other")), true).await.0.unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
    assert!(web.requests().is_empty());
}

#[tokio::test]
async fn descriptions_without_end() {
    let world = World::new();
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 24);
        header.set_cksum();
        let bytes = [header.as_bytes().as_slice(), &vec![b'x'; 1 << 24]].concat();
        let error = build(&world, &gzip(&bytes)).await.unwrap_err();
        assert!(error.to_string().contains("the header of an entry is too long"), "{error}");
    }
}
