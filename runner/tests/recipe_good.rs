//! Right recipes: what they resolve to.

mod recipe_support;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use pony_runner::recipe::{
    Action, Context, DEFAULT_QUIET_TIMEOUT, DEFAULT_TIMEOUT, Recipe, Source, StepKind, Want, load,
};
use recipe_support::{facts, good, load_text};

fn program(words: &[&str]) -> Action {
    Action::Program(words.iter().map(|word| (*word).to_owned()).collect())
}

fn names(recipe: &Recipe) -> Vec<&str> {
    recipe.steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn a_recipe_with_every_key() {
    let recipe = good(
        "version: 1
package: python
tags: [python3.14, '{{arch}}']
source: {git: https://example.org/cpython.git, branch: '{{branch}}', submodules: true, subdir: ./src/python}
context: tempdir
variables: {jobs: '{{cpus}}', branch: main, prefix: '/opt/{{branch}}-{{ jobs }}'}
environment: {LC_ALL: C.UTF-8, JOBS: '{{jobs}}', ON: yes, VERSION: 3.10, HEX: 0x1F, NO: false, EMPTY: ''}
timeout: 1h 30m
expect: 24h
secrets: [UPLOAD_TOKEN]
steps:
  - name: configure
    type: setup
    run: ./configure --prefix={{prefix}}
    cwd: build/{{branch}}
    env: {CFLAGS: -O2}
    timeout: 10m
    quiet-timeout: 90
    allow-failure: true
    always: true
  - run: [make, -j, 4, '{{jobs}}', 3.10, true, 1_000]
  - {upload: 'dist/*-{{branch}}.whl', description: 'a wheel for {{host}}'}
",
    );
    assert_eq!(recipe.package, "python");
    assert_eq!(recipe.tags, ["python3.14", "linux-x86_64"]);
    assert_eq!(
        recipe.source,
        Some(Source::Git {
            url: "https://example.org/cpython.git".into(),
            want: Want::Branch("main".into()),
            submodules: true,
            subdir: Some("src/python".into()),
        })
    );
    assert_eq!(recipe.context, Context::Tempdir);
    let variables: Vec<_> = recipe.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(variables, [("jobs", "8"), ("branch", "main"), ("prefix", "/opt/main-8")]);
    let environment: Vec<_> = recipe.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        environment,
        [
            ("LC_ALL", "C.UTF-8"),
            ("JOBS", "8"),
            ("ON", "yes"),
            ("VERSION", "3.10"),
            ("HEX", "0x1F"),
            ("NO", "false"),
            ("EMPTY", ""),
        ]
    );
    assert_eq!(recipe.timeout, Duration::from_mins(90));
    assert_eq!(recipe.expect, Some(Duration::from_hours(24)));
    assert_eq!(recipe.secrets, ["UPLOAD_TOKEN"]);

    let [configure, make, upload] = &recipe.steps[..] else { panic!("{:?}", recipe.steps) };
    assert_eq!(configure.name, "configure");
    assert_eq!(configure.kind, StepKind::Setup);
    assert_eq!(configure.action, Action::Script("./configure --prefix=/opt/main-8".into()));
    assert_eq!(configure.cwd, Some(PathBuf::from("build/main")));
    assert_eq!(configure.environment.get("CFLAGS").map(String::as_str), Some("-O2"));
    assert_eq!(configure.timeout, Some(Duration::from_mins(10)));
    assert_eq!(configure.quiet_timeout, Duration::from_secs(90));
    assert!(configure.allow_failure && configure.always);
    assert_eq!(configure.line, 12);
    assert_eq!(make.action, program(&["make", "-j", "4", "8", "3.10", "true", "1_000"]));
    assert_eq!((make.kind, make.line), (StepKind::Build, 21));
    let glob =
        Action::Upload { glob: "dist/*-main.whl".into(), description: Some("a wheel for builder".into()) };
    assert_eq!((&upload.action, upload.kind), (&glob, StepKind::Package));
}

#[test]
fn defaults() {
    let recipe = good("package: demo\nsteps:\n  - run: true\n");
    assert_eq!(recipe.source, None);
    assert_eq!(recipe.context, Context::Tempdir);
    assert_eq!((recipe.timeout, recipe.expect), (DEFAULT_TIMEOUT, None));
    assert!(recipe.tags.is_empty() && recipe.variables.is_empty() && recipe.environment.is_empty());
    let step = &recipe.steps[0];
    assert_eq!(step.action, Action::Script("true".into()));
    assert_eq!((step.timeout, step.quiet_timeout), (None, DEFAULT_QUIET_TIMEOUT));
    assert!(!step.allow_failure && !step.always && step.cwd.is_none());
}

#[test]
fn steps_without_a_name_are_named_after_what_they_run() {
    let recipe = good(
        "package: demo
steps:
  - run: ./configure
  - run: make
  - run: CC=clang make -j4
  - {run: make install, name: make 2}
  - run: [/usr/bin/python3.11, -m, pytest]
  - run: |
      # a comment
      cd docs
  - run: '[ -e x ]'
  - upload: '*.whl'
",
    );
    let expected = ["configure", "make", "make 3", "make 2", "python3.11", "cd", "step 7", "upload"];
    assert_eq!(names(&recipe), expected);
}

#[test]
fn templates_are_filled_in_once_and_braces_can_be_written() {
    let recipe = load_text(
        "package: demo
variables: {a: '{{{{b}}', b: '{{a}}!', c: x}
steps:
  - run: 'docker ps --format {{{{.Names}}; echo {{b}} {{c}} }}'
",
        &[("c", "old"), ("c", "{{a}} {{nope}}")],
    )
    .unwrap();
    assert_eq!(
        recipe.steps[0].action,
        Action::Script("docker ps --format {{.Names}}; echo {{b}}! {{a}} {{nope}} }}".into())
    );
}

#[test]
fn a_setting_replaces_a_variable_and_what_uses_it_follows() {
    let text = "package: demo\nvariables: {jobs: '{{cpus}}', flags: '-j{{jobs}}'}\nsteps: [{run: 'make {{flags}}'}]\n";
    let recipe = load_text(text, &[("jobs", "1")]).unwrap();
    assert_eq!(recipe.steps[0].action, Action::Script("make -j1".into()));
    assert_eq!(recipe.variables.get("flags").map(String::as_str), Some("-j1"));
}

#[test]
fn sources_of_this_machine_are_found_from_the_recipe() {
    let source = |written: &str, path: &str| {
        let text = format!("package: demo\nsource: {{{written}}}\nsteps: [{{run: make}}]\n");
        load(Path::new(path), text.as_bytes(), &[], &facts()).unwrap().source.unwrap()
    };
    let git =
        |url: &str| Source::Git { url: url.into(), want: Want::Default, submodules: false, subdir: None };
    assert_eq!(source("path: ..", "recipes/x.yaml"), Source::Path { dir: "/work/recipes/..".into() });
    assert_eq!(source("path: src", "/x.yaml"), Source::Path { dir: "/src".into() });
    assert_eq!(source("path: /usr/src", "x.yaml"), Source::Path { dir: "/usr/src".into() });
    assert_eq!(source("git: ..", "recipes/x.yaml"), git("/work/recipes/.."));
    assert_eq!(source("git: ./a:b", "x.yaml"), git("/work/./a:b"));
    for url in
        ["https://example.org/x", "git@example.org:x/y.git", "ssh://git@example.org/x", "file:///x", "/x"]
    {
        assert_eq!(source(&format!("git: '{url}'"), "recipes/x.yaml"), git(url));
    }
}

#[test]
fn yaml_is_read_as_people_write_it() {
    let plain = good("package: demo\nsteps:\n  - run: |\n      make\n      make test\n");
    let windows = "package: demo\nsteps:\n  - run: |\n      make\n      make test\n".replace('\n', "\r\n");
    assert_eq!(good(&windows).steps, plain.steps);
    assert_eq!(
        good("\u{feff}package: demo\nsteps:\n  - run: |\n      make\n      make test\n").steps,
        plain.steps
    );

    let merged = good(
        "package: demo
steps:
  - &base {run: make, env: &env {A: 1, B: 2}, quiet-timeout: 1h}
  - <<: *base
    run: make test
    env: {<<: *env, B: 3}
",
    );
    let step = &merged.steps[1];
    assert_eq!(step.action, Action::Script("make test".into()));
    assert_eq!(step.quiet_timeout, Duration::from_hours(1));
    let env: Vec<_> = step.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["B=3", "A=1"]);
    assert_eq!(step.line, 4);
}

#[test]
fn a_long_chain_of_variables_resolves() {
    let chain = (0..3000).map(|n| format!("  v{n}: '{{{{v{}}}}}'\n", n + 1)).collect::<Vec<_>>().concat();
    let recipe = good(&format!(
        "package: demo\nvariables:\n{chain}  v3000: end\nsteps: [{{run: 'echo {{{{v0}}}}'}}]\n"
    ));
    assert_eq!(recipe.steps[0].action, Action::Script("echo end".into()));
}
