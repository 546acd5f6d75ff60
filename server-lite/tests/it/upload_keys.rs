//! Upload keys that clients choose: the same answer to each try, and no authority for anybody else.

use std::net::SocketAddr;
use std::thread;

use crate::harness::{Running, call_at, info, step, upload};
use pony_wire::{Call, ClientInfo, Value};

fn server() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&folder.path().join("results.db"));
    (folder, server)
}

fn run(id: &str, upload_key: Option<&str>) -> ClientInfo {
    let mut info = info("p", "h", true);
    info.extra.insert("run_id".to_owned(), id.into());
    if let Some(key) = upload_key {
        info.extra.insert("upload_key".to_owned(), key.into());
    }
    info
}

/// The answer to `add_results`: the result's key and the upload key.
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
    // Whoever has read the run id on a page gets the result key, which is public too, and no more.
    assert_eq!(add(server.address, run("r", Some(&stranger))), (1, stranger.clone()));
    assert_eq!(upload(server.address, &stranger, "a", b"y").status, 401);
    let (again, random) = add(server.address, run("r", None));
    assert_eq!(again, 1);
    assert_eq!(upload(server.address, &random, "a", b"y").status, 401);
    // Nothing changes for the owner of the key.
    assert_eq!(add(server.address, run("r", Some(key))), answer);
    assert_eq!(upload(server.address, key, "b", b"x").status, 200);
    assert_eq!(server.get("/p/p/1/files/a").text(), "x");
    assert_eq!(server.get("/p/p/show_all?format=json").json()["results"].as_array().unwrap().len(), 1);

    // Nobody can read the key.
    let stored = server.call(&Call::GetResults { result_key: "1".to_owned() }).unwrap();
    assert!(!format!("{stored:?}").contains("upload_key"), "{stored:?}");
    for page in ["/p/p/1/", "/p/p/1/inspect", "/p/p/1/?format=json"] {
        let text = server.get(page).text();
        assert!(!text.contains(key) && !text.contains("upload_key"), "{text}");
    }
}

#[test]
fn an_upload_key_belongs_to_one_result() {
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
