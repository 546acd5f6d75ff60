//! `pony-run notify`: who is told what, by mail and webhook, once.

use std::{fs, path::PathBuf};

use pony_tests::{Ended, World, files};
use serde_json::{Value, json};

use crate::query::{Asked, KINDS};

/// Fails while there is a file `red`.
const DEMO: &str = "package: demo\ntags: [fast]\ncontext: here\nsteps:\n- {name: make, run: 'echo made'}\n- {name: check, type: test, run: 'echo \"two is not one: naïve\" >&2; test ! -e red'}\n";

fn world() -> World {
    let world = World::new();
    world.write("demo.yaml", DEMO);
    world
}

/// Builds `demo`, red or green.
fn build(world: &World, url: &str, red: bool) {
    let mark = world.path("work/red");
    if red {
        fs::write(mark, "").unwrap();
    } else {
        let _ = fs::remove_file(mark);
    }
    let dialect: &[&str] = if url.contains('@') { &["--dialect", "devmason-rest"] } else { &[] };
    let ended = world.pony(&[dialect, &["-s", url, "demo.yaml"]].concat()).end();
    assert!(ended.err().contains("stored"), "{ended}");
}

fn notify<'w>(world: &'w World, words: &[&str]) -> Ended<'w> {
    world.pony(&[&["notify", "demo"], words].concat()).end()
}

/// The files in which it is noted what was told.
fn notes(world: &World) -> Vec<PathBuf> {
    let is_note = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    files(&world.path("pony/notify")).into_iter().filter(is_note).collect()
}

/// What was told last was told so many hours ago.
fn let_pass(world: &World, hours: u64) {
    for path in notes(world) {
        let mut note: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let told = note["told"].as_str().unwrap();
        let out = world
            .call("date", &["-u", "-d", &format!("{told} {hours} hours ago"), "+%FT%TZ"])
            .end()
            .code(0)
            .out();
        note["told"] = out.trim().into();
        fs::write(&path, note.to_string()).unwrap();
    }
}

/// A header of a message.
fn header(message: &Value, name: &str) -> String {
    let text = message["message"].as_str().unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ");
    let line = unfolded.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
}

/// The text of a message, decoded by somebody else.
fn body(world: &World, message: &Value) -> String {
    let path = world.write("message.eml", message["message"].as_str().unwrap());
    let script = "import email, email.policy, sys\nmessage = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\nassert not message.defects, message.defects\nsys.stdout.buffer.write(message.get_content().encode())";
    let mut call = world.call("python3", &["-c", script, &path.display().to_string()]);
    if let Some(home) = std::env::var_os("HOME") {
        call = call.env("HOME", home);
    }
    call.end().code(0).out()
}

#[test]
fn mail_is_sent_when_a_package_turns_red_stays_red_and_turns_green() {
    let world = world();
    let smtp = world.smtp("plain");
    world.configure(&format!(
        "notify: {{mail: {{from: 'Pony <pony@example.org>', to: [ann@example.org, 'Bob B <bob@example.org>'], smtp: 'smtp://127.0.0.1:{}'}}}}\n",
        smtp.port()
    ));
    notify(&world, &[]).code(1).err_has("has no results of a package `demo`");
    build(&world, "embedded", false);
    notify(&world, &[]).code(0).out_is("").err_is("");
    assert!(smtp.calls().is_empty());

    build(&world, "embedded", true);
    let host = world.last_run().result()["host"].as_str().unwrap().to_owned();
    let subject = format!("[pony] demo fails at check on {host}");
    notify(&world, &[])
        .code(0)
        .out_has("mail to ann@example.org, bob@example.org: [pony] demo fails")
        .err_is("");
    let sent = smtp.calls();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["to"], json!(["TO:<ann@example.org>", "TO:<bob@example.org>"]));
    assert_eq!(sent[0]["from"], "FROM:<pony@example.org>");
    assert!(header(&sent[0], "Subject").starts_with(&subject), "{}", header(&sent[0], "Subject"));
    assert!(header(&sent[0], "Subject").ends_with("[fast]"));
    let text = body(&world, &sent[0]);
    for words in
        ["page      http://127.0.0.1:8000/p/demo/2/", "Last lines of check:", "  two is not one: naïve"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }

    // Nobody is told again so soon, whatever is built in between.
    build(&world, "embedded", true);
    notify(&world, &[]).code(0).out_is("");
    let_pass(&world, 25);
    notify(&world, &[]).code(0).out_has("still fails");
    notify(&world, &[]).code(0).out_is("");
    assert_eq!(smtp.calls().len(), 2);
    assert!(body(&world, &smtp.calls()[1]).contains("failing   since 20"));

    build(&world, "embedded", false);
    notify(&world, &[]).code(0).out_has("passes again");
    notify(&world, &[]).code(0).out_is("");
    let sent = smtp.calls();
    assert_eq!(sent.len(), 3);
    assert!(header(&sent[2], "Subject").contains("demo passes again on"));
    let ids: Vec<String> = sent.iter().map(|message| header(message, "Message-ID")).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let world = world();
    build(&world, "embedded", true);
    let smtp = world.smtp("plain");
    let hook = world.hook("ok");
    world.configure(&format!(
        "notify: {{mail: {{to: [a@x.org], smtp: 'smtp://127.0.0.1:{}'}}}}\n",
        smtp.port()
    ));
    for _ in 0..2 {
        let told =
            notify(&world, &["--dry-run"]).code(0).out_has("to: mail to a@x.org\nsubject: [pony] demo fails");
        assert!(told.out().contains("two is not one"), "{told}");
    }
    let url = format!("{}hook/sesame", hook.url());
    let told = notify(&world, &["--dry-run", "--json", "--webhook", &url]).code(0);
    let json: Value = serde_json::from_str(&told.out()).unwrap();
    assert_eq!((&json[0]["kind"], &json[0]["to"]), (&json!("turned-red"), &json!("webhook at 127.0.0.1")));
    told.has_no("sesame");
    assert!(smtp.calls().is_empty() && hook.calls().is_empty() && notes(&world).is_empty());
    // Without anybody to tell it shows what would be told.
    world.configure("");
    notify(&world, &["--dry-run"]).code(0).out_has("to: nobody\n");
    notify(&world, &[])
        .code(2)
        .err_has("no recipients: use --mail-to, --webhook, or `notify` in config.yaml");
}

#[test]
fn what_could_not_be_sent_is_sent_the_next_time() {
    let world = world();
    build(&world, "embedded", true);
    let configure = |port: &str| {
        world.configure(&format!("notify: {{mail: {{to: [a@x.org], smtp: 'smtp://127.0.0.1:{port}'}}}}\n"));
    };
    for (how, said) in [("refuse", "550"), ("busy", "421"), ("", "refused")] {
        let smtp = if how.is_empty() { None } else { Some(world.smtp(how)) };
        configure(smtp.as_ref().map_or("1", |smtp| smtp.port()));
        notify(&world, &[])
            .code(13)
            .out_is("")
            .err_has("mail to a@x.org was not sent: 127.0.0.1 did not take it")
            .err_has(said);
        assert!(notes(&world).is_empty(), "{how}");
    }
    // It had been taken, and nobody said so: told twice, as one message.
    let silent = world.smtp("hangup");
    configure(silent.port());
    notify(&world, &[]).code(13);
    let smtp = world.smtp("plain");
    configure(smtp.port());
    notify(&world, &[]).code(0).out_has("demo fails");
    let (first, second) = (silent.calls(), smtp.calls());
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(header(&first[0], "Message-ID"), header(&second[0], "Message-ID"));
}

#[test]
fn what_was_told_and_not_noted_is_told_once_more() {
    let world = world();
    let hook = world.hook("ok");
    let url = format!("{}hook/sesame", hook.url());
    build(&world, "embedded", false);
    notify(&world, &["--webhook", &url]).code(0).out_is("");
    let note = notes(&world).remove(0);
    fs::remove_file(&note).unwrap();
    fs::create_dir_all(note.join("in the way")).unwrap();
    build(&world, "embedded", true);
    notify(&world, &["--webhook", &url]).code(14).err_has("cannot note that a message was sent");
    fs::remove_dir_all(&note).unwrap();
    notify(&world, &["--webhook", &url]).code(0).out_has("demo fails");
    notify(&world, &["--webhook", &url]).code(0).out_is("");
    let ids: Vec<Value> = hook.calls().iter().map(|call| call["json"]["id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn what_a_newer_program_noted_is_not_misread() {
    let world = world();
    let hook = world.hook("ok");
    let url = format!("{}hook", hook.url());
    build(&world, "embedded", false);
    notify(&world, &["--webhook", &url]).code(0).out_is("");
    build(&world, "embedded", true);
    let note = notes(&world).remove(0);
    let written: Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    let with = |format: Option<&str>| {
        let mut json = written.clone();
        json.as_object_mut().unwrap().remove("format");
        if let Some(format) = format {
            json["format"] = format.into();
            json["added-later"] = true.into();
        }
        fs::write(&note, json.to_string()).unwrap();
    };
    with(Some("2.0"));
    notify(&world, &["--webhook", &url])
        .code(14)
        .err_has("its format is 2.0")
        .err_has("use a newer pony-run");
    assert!(hook.calls().is_empty());
    for (format, count) in [(Some("1.9"), 1), (None, 2)] {
        with(format);
        notify(&world, &["--webhook", &url]).code(0).out_has("demo fails");
        assert_eq!(hook.calls().len(), count);
    }
}

#[test]
fn a_webhook_gets_words_and_what_they_mean() {
    let world = world();
    let hook = world.hook("ok");
    build(&world, "embedded", true);
    let url = format!("http://ann:hunter2@127.0.0.1:{}/hook/sesame", hook.port());
    world.configure(&format!("notify: {{webhook: '{url}'}}\n"));
    notify(&world, &[]).code(0).out_has("webhook at 127.0.0.1: [pony] demo fails").has_no("sesame");
    let calls = hook.calls();
    let (call, told) = (&calls[0], &calls[0]["json"]);
    assert_eq!((&call["path"], &call["type"]), (&json!("/hook/sesame"), &json!("application/json")));
    assert!(call["login"].as_str().unwrap().starts_with("Basic "));
    assert!(told["text"].as_str().unwrap().starts_with("[pony] demo fails at check on "), "{told:#}");
    assert!(told["text"].as_str().unwrap().ends_with("\nhttp://127.0.0.1:8000/p/demo/1/"), "{told:#}");
    for (name, value) in [
        ("kind", json!("turned-red")),
        ("package", json!("demo")),
        ("status", json!("failed")),
        ("failed_step", json!("check")),
        ("tags", json!(["fast"])),
        ("server", json!("embedded")),
        ("tail", json!("two is not one: naïve")),
    ] {
        assert_eq!(told[name], value, "{name} in {told:#}");
    }
    // The address is a secret.
    assert!(
        world.holding("sesame").iter().all(|path| path.ends_with("config.yaml")),
        "{:?}",
        world.holding("sesame")
    );
    assert!(world.holding("hunter2").iter().all(|path| path.ends_with("config.yaml")));
    for (how, said) in [("500", "500 Internal Server Error: go away"), ("302", "moved to another address")] {
        let hook = world.hook(how);
        let url = format!("{}hook/sesame", hook.url());
        let told = notify(&world, &["--webhook", &url])
            .code(13)
            .out_is("")
            .err_has("webhook at 127.0.0.1 was not sent");
        assert!(told.err().contains(said), "{told}");
        told.has_no("sesame");
    }
    let told = notify(&world, &["--webhook", "http://127.0.0.1:1/hook/sesame"]).code(13);
    told.err_has("cannot reach it").has_no("sesame");
}

#[test]
fn one_way_that_fails_does_not_repeat_the_other() {
    let world = world();
    build(&world, "embedded", true);
    let smtp = world.smtp("plain");
    let mail = format!("mail: {{to: [a@x.org], smtp: 'smtp://127.0.0.1:{}'}}", smtp.port());
    let bad = world.hook("503");
    world.configure(&format!("notify: {{{mail}, webhook: '{}hook/x'}}\n", bad.url()));
    notify(&world, &[]).code(13).out_has("mail to a@x.org").err_has("503");
    notify(&world, &[]).code(13).out_is("");
    let good = world.hook("ok");
    world.configure(&format!("notify: {{{mail}, webhook: '{}hook/x'}}\n", good.url()));
    notify(&world, &[]).code(0).out_has("webhook");
    assert_eq!((smtp.calls().len(), good.calls().len()), (1, 1));
}

#[test]
fn a_login_is_used_and_shown_nowhere() {
    let world = world();
    build(&world, "embedded", true);
    let smtp = world.smtp("login");
    let configure = |password: &str| {
        world.configure(&format!(
            "notify: {{mail: {{to: [a@x.org], smtp: 'smtp://ann@127.0.0.1:{}', {password}}}}}\n",
            smtp.port()
        ));
    };
    configure("password: wrong-one");
    notify(&world, &[]).code(13).err_has("535").has_no("wrong-one");
    configure("password-command: [sh, -c, 'exit 3']");
    notify(&world, &[]).code(13).err_has("its `password-command` sh ended with 3");
    configure("password-command: [sh, -c, 'echo ses\"\"ame']");
    notify(&world, &[]).code(0).out_has("demo fails");
    assert_eq!(smtp.calls()[0]["login"], json!(["ann", "sesame"]));
    assert!(world.holding("sesame").is_empty(), "{:?}", world.holding("sesame"));
}

#[test]
fn sendmail_carries_mail_where_no_server_is_named() {
    let mut world = world();
    build(&world, "embedded", true);
    world.write("bin/sendmail", "#!/bin/sh\nprintf '%s\\n' \"$@\" >>\"$HOME/arguments\"\ncat >>\"$HOME/message\"\nexit \"${SENDMAIL_EXIT:-0}\"\n");
    world.call("chmod", &["+x", "bin/sendmail"]).end().code(0);
    world.put_first_on_path("work/bin");
    world.set("SENDMAIL_EXIT", "75");
    notify(&world, &["--mail-to", "ann@example.org"]).code(13).err_has("sendmail ended with 75");
    world.set("SENDMAIL_EXIT", "0");
    fs::remove_file(world.path("home/arguments")).unwrap();
    fs::remove_file(world.path("home/message")).unwrap();
    notify(&world, &["--mail-to", "ann@example.org", "--mail-to", "Bob <bob@example.org>"])
        .code(0)
        .out_has("demo fails");
    let arguments = fs::read_to_string(world.path("home/arguments")).unwrap();
    let words: Vec<&str> = arguments.lines().collect();
    assert_eq!(
        (words[0], words[1], &words[3..]),
        ("-i", "-f", &["--", "ann@example.org", "bob@example.org"][..])
    );
    assert!(words[2].starts_with("pony-run@"), "{arguments}");
    let text = fs::read_to_string(world.path("home/message")).unwrap();
    let text = body(&world, &json!({"message": text}));
    assert!(text.contains("two is not one: naïve"), "{text}");
    // Nothing is left where it was handed over.
    assert_eq!(files(&world.path("pony/notify")).len(), 2, "{}", world.listing());
    notify(&world, &["--mail-to", "ann"]).code(2).err_has("`ann` is no mail address");
    world.configure("notify: {mail: {to: [a@x.org]}}\n");
    notify(&world, &[]).code(2).err_has("smtp://").err_has("config.yaml");
}

#[test]
fn every_kind_of_server_can_be_watched() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        let hook = world.hook("ok");
        let hook_url = format!("{}hook", hook.url());
        build(&world, &url, true);
        let words = ["-s", &url, "--webhook", &hook_url];
        notify(&world, &words).code(0).out_has("demo fails at check on");
        build(&world, &url, false);
        notify(&world, &words).code(0).out_has("passes again");
        notify(&world, &words).code(0).out_is("");
        let calls = hook.calls();
        assert_eq!(calls.len(), 2, "{kind}");
        assert_eq!(calls[0]["json"]["tail"], "two is not one: naïve", "{kind}");
        assert!(world.holding("hunter2").is_empty(), "{kind}");
    }
    let world = world();
    notify(&world, &["--mail-to", "a@x.org", "-s", "http://127.0.0.1:1/"])
        .code(15)
        .err_has("could not be asked");
}
