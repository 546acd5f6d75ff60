//! Right recipes: what they resolve to.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{facts, good, load_plain, load_text};
use indexmap::IndexMap;
use pony_contexts::{
    ArchiveSpec, GitSpec, HgSpec, PathSpec, PrivateDirs, RevisionSpec, SourceSpec, SvnSpec, VirtualenvSpec,
    chain::EnvironmentUse, virtualenv::Installer,
};
use pony_runner::recipe::{
    Action, Context, DEFAULT_QUIET_TIMEOUT, DEFAULT_TIMEOUT, EnvironmentFrom, LoadOptions, Need, PublicName,
    Recipe, StepKind, Upload, Weight, load,
};

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
        Some(SourceSpec::Git(GitSpec {
            url: "https://example.org/cpython.git".parse().unwrap(),
            revision: RevisionSpec::Branch("main".into()),
            submodules: true,
            subdir: Some("src/python".into()),
            dir: None,
        }))
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
    let wheel = Action::Upload(Upload {
        glob: "dist/*-main.whl".into(),
        name: PublicName::Path,
        visible: true,
        description: Some("a wheel for builder".into()),
    });
    assert_eq!((&upload.action, upload.kind), (&wheel, StepKind::Package));
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
fn uploads_have_names_of_their_own() {
    let upload = |keys: &str| {
        let recipe = good(&format!("package: demo\nsteps: [{{upload: 'a/*', {keys}}}]\n"));
        match &recipe.steps[0].action {
            Action::Upload(Upload { name, visible, .. }) => (name.clone(), *visible),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(upload(""), (PublicName::Path, true));
    assert_eq!(upload("as: demo.whl"), (PublicName::File("demo.whl".into()), true));
    assert_eq!(upload("as: a/demo.whl, visible: true").0, PublicName::File("a/demo.whl".into()));
    assert_eq!(
        upload("as: '{{arch}}/', visible: false"),
        (PublicName::Folder("linux-x86_64/".into()), false)
    );
    assert_eq!(upload("as: ...").0, PublicName::File("...".into()));
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

fn source(written: &str, path: &str) -> SourceSpec {
    let text = format!("package: demo\nsource: {{{written}}}\nsteps: [{{run: make}}]\n");
    let recipe = load_plain(Path::new(path), text.as_bytes());
    recipe.ok().and_then(|recipe| recipe.source).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn every_kind_of_source_is_read() {
    assert_eq!(
        source("hg: 'https://example.org/hg/x', branch: stable, subdir: a/b, dir: demo", "x.yaml"),
        SourceSpec::Hg(HgSpec {
            url: "https://example.org/hg/x".parse().unwrap(),
            revision: RevisionSpec::Branch("stable".into()),
            subdir: Some("a/b".into()),
            dir: Some("demo".into()),
        })
    );
    assert_eq!(
        source("svn: 'svn://example.org/x/trunk@7', revision: r5", "x.yaml"),
        SourceSpec::Svn(SvnSpec {
            url: "svn://example.org/x/trunk@7".parse().unwrap(),
            revision: Some("5".into()),
            subdir: None,
            dir: None,
        })
    );
    let digest = "0123456789abcdef".repeat(4);
    assert_eq!(
        source(&format!("archive: x.tar.gz, sha256: {}", digest.to_uppercase()), "recipes/x.yaml"),
        SourceSpec::Archive(ArchiveSpec {
            url: "/work/recipes/x.tar.gz".parse().unwrap(),
            sha256: Some(digest),
            subdir: None,
            dir: None,
        })
    );
    assert_eq!(
        source("path: x, gitignore: true", "/x.yaml"),
        SourceSpec::Path(PathSpec { dir: "/x".into(), gitignore: true })
    );
}

#[test]
fn every_kind_of_context_is_read() {
    let context =
        |written: &str| good(&format!("package: demo\ncontext: {written}\nsteps: [{{run: make}}]\n")).context;
    assert_eq!(context("tempdir"), Context::Tempdir);
    assert_eq!(context("here"), Context::Here);
    assert_eq!(context("{directory: ../build}"), Context::Directory("/work/recipes/../build".into()));
    assert_eq!(context("{virtualenv: }"), Context::Virtualenv(VirtualenvSpec::default()));
    assert_eq!(
        context(
            "{virtualenv: {python: '3.12', requirements: [pytest, -r x.txt], optional: [lxml], \
             system-site-packages: true, installer: venv}}"
        ),
        Context::Virtualenv(VirtualenvSpec {
            python: Some("3.12".into()),
            requirements: vec!["pytest".into(), "-r x.txt".into()],
            optional: vec!["lxml".into()],
            system_site_packages: true,
            installer: Some(Installer::Venv),
        })
    );
}

#[test]
fn surroundings_are_read() {
    let recipe = good(
        "package: demo
environment-from: clean
private: [tmp, home]
tools: [gcc, make, gcc]
watch: {include: ['src/**', Makefile], exclude: ['**/*.md']}
force-every: 7d
steps: [{run: make}]
",
    );
    assert_eq!(recipe.environment_from, EnvironmentFrom::Clean);
    assert_eq!(recipe.private, PrivateDirs { home: true, tmp: true });
    assert_eq!(recipe.tools, ["gcc", "make"]);
    assert_eq!(recipe.force_every, Some(Duration::from_hours(7 * 24)));
    for (path, counts) in
        [("src/a/b.c", true), ("Makefile", true), ("doc/Makefile", false), ("src/a/README.md", false)]
    {
        assert_eq!(recipe.watch.counts(path), counts, "{path}");
    }
    assert!(good("package: demo\nsteps: [{run: make}]\n").watch.counts("anything"));
}

#[test]
fn sources_of_this_machine_are_found_from_the_recipe() {
    let git = |url: &str| {
        let url = url.parse().unwrap();
        SourceSpec::Git(GitSpec {
            url,
            revision: RevisionSpec::Default,
            submodules: false,
            subdir: None,
            dir: None,
        })
    };
    let folder = |dir: &str| SourceSpec::Path(PathSpec { dir: dir.into(), gitignore: false });
    assert_eq!(source("path: ..", "recipes/x.yaml"), folder("/work/recipes/.."));
    assert_eq!(source("path: src", "/x.yaml"), folder("/src"));
    assert_eq!(source("path: /usr/src", "x.yaml"), folder("/usr/src"));
    assert_eq!(source("git: ..", "recipes/x.yaml"), git("/work/recipes/.."));
    assert_eq!(source("git: ./a:b", "x.yaml"), git("/work/a:b"));
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

#[test]
fn what_is_needed_and_handed_on_is_read() {
    let recipe = good(
        "package: demo
variables: {v: x}
needs:
  - zlib
  - ../images/libpng-1.6.yaml
  - {recipe: './sub/{{v}}', as: y, with: {a: '{{v}}{{cpus}}', b: 3.10}, without: [prefix, wheels]}
  - {recipe: /opt/y.yml, as: z, without: [PATH, LIBRARY_PATH]}
outputs: {prefix: ./install/, wheels: 'dist/{{v}}'}
weight: all
memory: 2G
locks: [port, 'x {{v}}', port]
jobserver: true
steps: [{run: 'make {{needs.libpng-1.6.prefix}}'}, {run: outputs}]
",
    );
    let need = |recipe: &str, name: &str, with: &[(&str, &str)], without: &[EnvironmentUse], line| Need {
        recipe: recipe.into(),
        name: name.into(),
        with: with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        except: without.iter().copied().collect(),
        line,
    };
    let all = [
        EnvironmentUse::Path,
        EnvironmentUse::PkgConfigPath,
        EnvironmentUse::CmakePrefixPath,
        EnvironmentUse::LdLibraryPath,
        EnvironmentUse::CIncludePath,
        EnvironmentUse::LibraryPath,
        EnvironmentUse::Wheels,
    ];
    assert_eq!(
        recipe.needs,
        [
            need("/work/recipes/zlib", "zlib", &[], &[], 4),
            need("/work/images/libpng-1.6.yaml", "libpng-1.6", &[], &[], 5),
            need("/work/recipes/sub/x", "y", &[("a", "x8"), ("b", "3.10")], &all, 6),
            need("/opt/y.yml", "z", &[], &[EnvironmentUse::Path, EnvironmentUse::LibraryPath], 7),
        ]
    );
    let outputs: IndexMap<String, PathBuf> =
        [("prefix", "install"), ("wheels", "dist/x")].map(|(name, path)| (name.into(), path.into())).into();
    assert_eq!(recipe.outputs, outputs);
    assert_eq!(
        (recipe.weight, recipe.memory, recipe.jobserver),
        (Weight::All, Some(2_000_000_000), Some(true))
    );
    assert_eq!(recipe.locks, ["port", "x x"]);
    assert_eq!(names(&recipe), ["make", "outputs 2", "outputs"]);
    let last = &recipe.steps[2];
    assert_eq!((&last.action, last.kind, last.line), (&Action::Outputs(outputs), StepKind::Package, 8));
    assert!(recipe.uses_needs && !recipe.uses_jobs);
}

#[test]
fn a_matrix_is_one_recipe_for_each_cell() {
    let text = "package: demo
matrix:
  python: [3.10, 3.1, yes]
  flag: [yes, no]
  include: [{flag: maybe, python: 1_000}]
  exclude: [{python: yes, flag: no}, {python: 3.1}]
tags: ['py{{python}}']
steps: [{run: 'echo {{python}} {{flag}}'}]
";
    let load = |set: &[(&str, &str)]| {
        let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = LoadOptions { settings: &set, platform: &facts(), deferred: None };
        let recipes = load(Path::new("x.yaml"), text.as_bytes(), &options);
        recipes.map(|recipes| recipes.iter().map(|recipe| recipe.tags.join(" ")).collect::<Vec<_>>())
    };
    assert_eq!(
        load(&[]).unwrap(),
        ["py3.10 3.10 flag=yes", "py3.10 3.10 no", "pyyes python=yes flag=yes", "py1_000 1_000 maybe"]
    );
    assert_eq!(
        load(&[("flag", "no"), ("flag", "yes")]).unwrap(),
        ["py3.10 3.10 flag=yes", "pyyes python=yes flag=yes"]
    );
    assert_eq!(load(&[("flag", "yes"), ("python", "3.10")]).unwrap(), ["py3.10 3.10 flag=yes"]);
    let wrong = load(&[("flag", "no"), ("python", "yes"), ("pyhton", "x")]).unwrap_err().render(false);
    assert!(wrong.contains("cannot set `flag`: no cell of the matrix has `no`"), "{wrong}");
    assert!(wrong.contains("did you mean `python`?"), "{wrong}");
    let only = good("package: demo\nmatrix: {include: [{a: 1, b: 2}]}\nsteps: [{run: 'x {{a}}{{b}}'}]\n");
    assert_eq!(only.steps[0].action, Action::Script("x 12".into()));
    assert_eq!(only.cell.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn deferred_values_stay_templates_until_the_build_begins() {
    let text = "package: demo
variables: {flags: '-j {{ jobs }}', unused: '{{needs.a.b}}'}
needs: [a]
environment: {E: 'e'}
steps: [{run: 'make {{flags}}'}, {run: [make, '{{cpus}}'], env: {J: '{{jobs}}'}}, {run: make}]
";
    let recipe = good(text);
    assert_eq!(recipe.steps[0].action, Action::Script("make -j {{jobs}}".into()));
    assert!(recipe.uses_jobs && recipe.uses_needs);
    let uses = |recipe: &Recipe| recipe.steps.iter().map(|step| step.uses_jobs).collect::<Vec<_>>();
    assert_eq!(uses(&recipe), [true, true, false]);
    assert_eq!(uses(&good(&text.replace("E: 'e'", "E: '{{flags}}'"))), [true; 3]);
    // Old recipes have a variable of that name.
    let own = good(&text.replace("unused: '{{needs.a.b}}'", "jobs: 3"));
    assert_eq!(own.steps[0].action, Action::Script("make -j 3".into()));
    assert!(!own.uses_jobs && !own.uses_needs);
}
