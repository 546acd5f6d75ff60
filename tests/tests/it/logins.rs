//! Getting to a server: logins from all sources and their traces, certificates, proxies, redirects.

use std::fs;

use pony_tests::{Dialect, Odd, Peer, World, files};

const PASSWORD: &str = "hunter2-and-more";

fn ready(world: &World) -> Peer<'_> {
    world.recipe("steps:\n- run: 'echo out; tr \"\\0\" \" \" < /proc/$PPID/cmdline; env'\n");
    world.peer(Dialect::V2010)
}

/// The login of the last request, as it was sent.
fn sent(peer: &Peer<'_>) -> Option<String> {
    let requests = peer.stored().requests;
    let headers = requests.last().expect("a request")["headers"].clone();
    let found = headers.as_object().map_or_else(
        || {
            let pairs = headers.as_array().expect("headers").clone();
            pairs.into_iter().find(|pair| pair[0].as_str().is_some_and(is_login)).map(|pair| pair[1].clone())
        },
        |map| map.iter().find(|(name, _)| is_login(name)).map(|(_, value)| value.clone()),
    );
    found.map(|value| value.as_str().expect("text").to_owned())
}

fn is_login(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

/// `ann` and the password, as HTTP has them.
const BASIC: &str = "Basic YW5uOmh1bnRlcjItYW5kLW1vcmU=";

/// Nothing that is kept, printed or sent holds the password.
fn no_trace(world: &World, peer: &Peer<'_>, ended: &pony_tests::Ended<'_>) {
    assert!(!ended.err().contains(PASSWORD) && !ended.out().contains(PASSWORD), "{ended}");
    let kept = files(&world.path("pony")).into_iter().filter(|file| !file.ends_with("config.yaml"));
    let mut folders: Vec<_> = kept.collect();
    for run in world.runs() {
        folders.extend(files(&run.path));
    }
    folders.extend(files(&world.path("pony/servers")));
    for file in folders.into_iter().filter(|file| file.is_file()) {
        let content = fs::read(&file).expect("a file");
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(PASSWORD), "{}: {text}", file.display());
    }
    let stored = format!("{:?}", peer.stored().results);
    assert!(!stored.contains(PASSWORD), "{stored}");
}

#[test]
fn a_login_in_the_address_is_sent_and_leaves_no_trace() {
    let world = World::new();
    let peer = ready(&world);
    let url = peer.url().replace("http://", &format!("http://ann:{PASSWORD}@"));
    let ended = world.pony(&["-v", "--debug", "-s", &url, "demo.yaml"]).end().code(0);
    assert_eq!(sent(&peer).as_deref(), Some(BASIC));
    no_trace(&world, &peer, &ended);
    let ended = world.pony(&["demo.yaml"]).env("PONY_SERVER", &url).end().code(0);
    no_trace(&world, &peer, &ended);
    // Also where it goes wrong.
    peer.answer(&[Odd::redirect(301, &format!("http://ann:{PASSWORD}@elsewhere.invalid/"))]);
    let ended = world.pony(&["-s", &url, "demo.yaml"]).end().code(13).err_has("elsewhere.invalid");
    no_trace(&world, &peer, &ended);
    let _ = world.pony(&["submit", "--list"]).end().code(0).has_no(PASSWORD);
}

#[test]
fn a_login_comes_from_the_configuration_a_command_or_a_netrc() {
    let world = World::new();
    let peer = ready(&world);
    let url = peer.url();
    world.configure(&format!("servers: {{lab: {{url: '{url}', user: ann, password: {PASSWORD}}}}}\n"));
    let ended = world.pony(&["-s", "lab", "demo.yaml"]).end().code(0);
    assert_eq!(sent(&peer).as_deref(), Some(BASIC));
    no_trace(&world, &peer, &ended);

    world.configure(&format!(
        "servers: {{lab: {{url: '{url}', user: ann, password-command: [sh, -c, 'echo $PW_START-and-more']}}}}\n"
    ));
    let ended = world.pony(&["-s", &url, "demo.yaml"]).env("PW_START", "hunter2").end().code(0);
    assert_eq!(sent(&peer).as_deref(), Some(BASIC));
    no_trace(&world, &peer, &ended);
    // One that fails is told, and what waits is not lost.
    world.configure(&format!(
        "servers: {{lab: {{url: '{url}', user: ann, password-command: [sh, -c, 'exit 7']}}}}\n"
    ));
    let _ = world.pony(&["-s", "lab", "demo.yaml"]).end().code(13).err_has("sh ended with 7");

    world.configure("");
    let netrc = world.path("home/.netrc");
    fs::write(&netrc, format!("machine 127.0.0.1\n  login ann\n  password {PASSWORD}\n"))
        .expect("a new file");
    let ended = world.pony(&["submit"]).end().code(0).err_has("stored");
    assert_eq!(sent(&peer).as_deref(), Some(BASIC));
    no_trace(&world, &peer, &ended);
    fs::remove_file(netrc).expect("a file");
    let _ = world.pony(&["-s", &url, "demo.yaml"]).end().code(0);
    assert_eq!(sent(&peer), None);
}

#[test]
fn redirects_are_followed_on_the_same_host_and_stay_posts() {
    for status in [301, 302, 303, 307, 308] {
        let world = World::new();
        let peer = ready(&world);
        let url = format!("{}moved/", peer.url());
        peer.answer(&[Odd::redirect(status, "/xmlrpc").on("/moved/")]);
        let ended = world.pony(&["-s", &url, "demo.yaml"]).end().code(0);
        peer.settle();
        assert_eq!(peer.runs().into_values().collect::<Vec<_>>(), [1], "{status} {ended}");
        let methods: Vec<_> =
            peer.stored().requests.iter().map(|request| request["method"].clone()).collect();
        assert!(
            methods.iter().filter(|method| !method.is_null()).all(|method| method == "POST"),
            "{methods:?}"
        );
    }
    let world = World::new();
    let (peer, other) = (ready(&world), world.peer(Dialect::V2010));
    peer.answer(&[Odd::redirect(307, &format!("{}xmlrpc", other.url()))]);
    let url = peer.url().replace("http://", &format!("http://ann:{PASSWORD}@"));
    let _ = world.pony(&["-s", &url, "demo.yaml"]).end().code(13).err_has("it has moved to");
    assert!(other.stored().requests.is_empty(), "neither a result nor a login goes to another server");
}

#[test]
fn a_certificate_is_trusted_where_it_is_said_to_be() {
    let world = World::new();
    let peer = ready(&world);
    let work = world.path("work");
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout ca.key -out ca.pem \
        -subj /CN=ca -addext basicConstraints=critical,CA:TRUE 2>&1 && \
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out leaf.csr -subj /CN=localhost 2>&1 && \
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext && \
        openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out cert.pem 2>&1";
    let _ = world.call("sh", &["-c", script]).end().code(0);
    let tls = world.helper("tls.py", &[&peer.port().to_string(), "cert.pem", "key.pem"]);
    let url = format!("https://localhost:{}/", tls.port());
    let _ = world.pony(&["-s", &url, "demo.yaml"]).end().code(13).err_has("certificate");
    let not_there = ["--cacert", "no-such.pem", "-s", &url, "demo.yaml"];
    let _ = world.pony(&not_there).end().code(2).err_has("no-such.pem");
    world.write("empty.pem", "nothing");
    let empty = ["--cacert", "empty.pem", "-s", &url, "demo.yaml"];
    let _ = world.pony(&empty).end().code(2).err_has("no certificate");
    let _ = world.pony(&["--cacert", "ca.pem", "-s", &url, "demo.yaml"]).end().code(0);
    let ca = work.join("ca.pem").display().to_string();
    world.configure(&format!("servers: {{lab: {{url: '{url}', cacert: '{ca}'}}}}\n"));
    let _ = world.pony(&["submit", "--all"]).end().code(0);
    peer.settle();
    assert_eq!(peer.runs().into_values().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn proxies_are_as_the_environment_says() {
    let world = World::new();
    let peer = ready(&world);
    let folder = world.path("work");
    let proxy = world.helper("forward.py", &[&peer.port().to_string(), &folder.display().to_string()]);
    let at = format!("http://127.0.0.1:{}", proxy.port());
    let url = "http://pony.invalid/";
    let _ = world.pony(&["-s", url, "demo.yaml"]).env("http_proxy", &at).end().code(0);
    let asked = fs::read_to_string(folder.join("asked")).expect("the proxy was asked");
    assert!(asked.lines().all(|line| line == "http://pony.invalid/xmlrpc"), "{asked}");
    let _ = world
        .pony(&["-s", url, "demo.yaml"])
        .env("http_proxy", &at)
        .env("no_proxy", "pony.invalid")
        .end()
        .code(13);
    // This machine is not behind any.
    let _ =
        world.pony(&["-s", &peer.url(), "demo.yaml"]).env("http_proxy", "http://127.0.0.1:1").end().code(0);
    assert_eq!(asked, fs::read_to_string(folder.join("asked")).expect("a file"));
}
