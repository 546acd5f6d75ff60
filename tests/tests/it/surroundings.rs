//! Odd homes, odd paths, odd environments.

use std::{fs, os::unix::fs::PermissionsExt};

use pony_tests::World;

const ECHO: &str = "steps:\n- run: echo ran\n";

#[test]
fn without_a_home_it_says_what_to_set() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    let call = world.pony(&[recipe]).unset("HOME").unset("PONY_HOME");
    call.end().code(14).out_is("").err_has("PONY_HOME=");
    world.pony(&[recipe]).unset("HOME").end().code(0).out_is("ran\n");
    world.pony(&["check", recipe]).unset("HOME").unset("PONY_HOME").end().code(0);
}

#[test]
fn the_home_is_below_the_users_home_by_default() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    world.pony(&[recipe]).unset("PONY_HOME").end().code(0).out_is("ran\n");
    assert!(world.path("home/.pony-build/results.db").exists());
    let mode = fs::metadata(world.path("home/.pony-build")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "logs can hold anything");
}

#[test]
fn a_home_with_blanks_and_other_alphabets() {
    let world = World::new();
    let recipe = world.recipe("source: {git: ./my project}\nsteps:\n- run: cat file\n");
    world.repository("work/my project");
    let home = world.path("my home ☃ 'é");
    let call = world.pony(&[recipe]).env("PONY_HOME", &home).env("TMPDIR", world.path("work"));
    call.end().code(0).out_is("one");
    assert!(home.join("results.db").exists());
}

#[test]
fn a_home_that_is_relative() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    world.pony(&[recipe]).env("PONY_HOME", "here").end().code(0).out_is("ran\n");
    assert!(world.path("work/here/results.db").exists());
}

#[test]
fn a_home_that_cannot_be_written_to() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    // Where not even root may make folders.
    let call = world.pony(&[recipe]).env("PONY_HOME", "/proc/pony");
    call.end().code(14).out_is("").err_has("PONY_HOME");
    fs::create_dir(world.path("pony")).unwrap();
    fs::write(world.path("pony/runs"), "a file").unwrap();
    world.pony(&[recipe]).end().code(14).out_is("");
}

#[test]
fn a_results_file_that_is_none_keeps_the_result_for_later() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    fs::create_dir(world.path("pony")).unwrap();
    fs::write(world.path("pony/results.db"), "this is no database, and never was one\n".repeat(100)).unwrap();
    let ended = world.pony(&[recipe]).end().code(13).out_is("ran\n").err_has("not delivered");
    assert!(ended.err().contains("results"), "{ended}");
    fs::remove_file(world.path("pony/results.db")).unwrap();
    world.pony(&["submit"]).end().code(0).err_has("stored");
}

#[test]
fn a_path_with_blanks_to_the_recipe() {
    let world = World::new();
    world.write("my recipes/été.yaml", "package: my package\nsteps: [{name: two words, run: echo ran}]\n");
    let ended = world.pony(&["my recipes/été.yaml"]).end().code(0).out_is("ran\n");
    let serve = world.serve();
    assert_eq!(serve.page("/p/my%20package/latest/").status, 200, "{ended}");
    world.pony(&["./my recipes/été.yaml", "--dry-run"]).end().code(0).out_has("my package");
}

#[test]
fn a_recipe_given_twice_is_one_build() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    world.pony(&[recipe, "./demo.yaml"]).end().code(0).out_is("ran\n");
    assert_eq!(world.runs().len(), 1);
    assert_eq!(world.serve().json("/p/demo/show_all?format=json")["results"].as_array().unwrap().len(), 1);
}

#[test]
fn a_temporary_place_that_is_not_there() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    let ended = world.pony(&["-n", recipe]).env("TMPDIR", world.path("gone/away")).end();
    // Made, or refused in words; never a panic.
    assert!(ended.code == 0 || ended.code == 12, "{ended}");
    assert!(!ended.err().contains("panic"), "{ended}");
}

#[test]
fn a_locale_that_is_not_utf_8() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: é, run: 'echo ☃'}\n");
    let ended = world.pony(&["-n", recipe]).env("LC_ALL", "POSIX").end().code(0);
    assert_eq!(ended.out(), "☃\n");
}

#[test]
fn an_environment_that_is_no_text_is_passed_on() {
    use std::os::unix::ffi::OsStringExt;
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'printf \"$ODD\"'\n");
    let odd = std::ffi::OsString::from_vec(b"a\xffb".to_vec());
    let ended = world.pony(&["-n", recipe]).env("ODD", odd).end().code(0);
    assert_eq!(ended.out_bytes(), b"a\xffb");
}

#[test]
fn a_package_name_cannot_lead_out_of_the_runs() {
    let world = World::new();
    world.write("demo.yaml", "package: '..'\nsteps: [{run: echo ran}]\n");
    let ended = world.pony(&["demo.yaml"]).end();
    if ended.code == 0 {
        assert!(world.run().path.starts_with(world.path("pony/runs")), "{ended}");
    } else {
        assert_eq!(ended.code, 11, "{ended}");
    }
    assert!(files_beside(&world).is_empty(), "{:?}", files_beside(&world));
}

fn files_beside(world: &World) -> Vec<std::path::PathBuf> {
    let known = ["runs", "cache", "results.db", "results.db-wal", "results.db-shm"];
    fs::read_dir(world.path("pony"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !known.contains(&path.file_name().unwrap().to_str().unwrap()))
        .collect()
}

#[test]
fn a_proxy_is_not_asked_for_this_machines_own_server() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    let mut call = world.pony(&[recipe]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        call = call.env(name, "http://127.0.0.1:1/");
    }
    call.end().code(0).err_has("stored");
}

#[test]
fn an_empty_server_is_no_server() {
    let world = World::new();
    let recipe = world.recipe(ECHO);
    world.pony(&[recipe]).env("PONY_SERVER", "").end().code(0).err_has("stored");
    assert!(world.path("pony/results.db").exists());
}

#[test]
fn a_temporary_place_that_is_relative() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {run: '[ \"$PWD\" = \"$(pwd)\" ]; mkdir in'}\n- {run: 'pwd', cwd: in}\n");
    fs::create_dir(world.path("work/here")).unwrap();
    let ended = world.pony(&["-n", recipe]).env("TMPDIR", "here").end().code(0);
    assert!(ended.out().starts_with(world.path("work/here").to_str().unwrap()), "{ended}");
    assert_eq!(fs::read_dir(world.path("work/here")).unwrap().count(), 0, "{ended}");
}

#[test]
fn streams_that_are_closed() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'echo out; echo err >&2'\n");
    for closed in [">&-", "2>&-", ">&- 2>&- <&-"] {
        let script = format!("exec \"$0\" \"$@\" {closed}");
        let ended = world.pony(&["-n", recipe]).through(&["sh", "-c", &script]).end().code(0);
        assert!(!ended.err().contains("panic"), "{ended}");
    }
    for run in world.runs() {
        assert_eq!((run.text("01-echo.out"), run.text("01-echo.err")), ("out\n".into(), "err\n".into()));
    }
}

#[test]
fn what_is_no_recipe_is_refused() {
    let world = World::new();
    for path in [".", "/dev/zero", "/dev/null", "/proc/self/mem", "/nowhere/at/all"] {
        world.pony(&["-n", path]).end().code(11).out_is("").err_has(path);
    }
}

#[test]
fn a_path_that_is_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let world = World::new();
    let path = world.path("work").join(std::ffi::OsString::from_vec(b"odd-\xff.yaml".to_vec()));
    fs::write(&path, format!("package: demo\nsource: {{path: .}}\n{ECHO}")).unwrap();
    let ended = world.pony(&["-n"]).arg(&path).end().code(0).out_is("ran\n");
    assert_eq!(world.run().result()["outcome"], "passed", "{ended}");
}
