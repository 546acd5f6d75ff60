//! Graphs of builds: what needs what, what is wrong with it, and how it is shown. Recipes are in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::support::{facts, snapshot};
use pony_runner::{
    graph::{
        Graph, GraphRequest, RecipeFiles,
        show::{Decision, Format, show},
    },
    recipe::{Action, DeferredValues, ReadError},
};
use proptest::prelude::*;

/// Recipes by their path from `/work`; how often each was read.
#[derive(Default)]
struct Memory {
    recipes: BTreeMap<PathBuf, String>,
    read: BTreeMap<PathBuf, usize>,
}

impl Memory {
    fn new(recipes: &[(&str, &str)]) -> Self {
        let recipes = recipes.iter().map(|(path, text)| (Path::new("/work").join(path), recipe(text)));
        Self { recipes: recipes.collect(), read: BTreeMap::new() }
    }
}

/// With the package and the step that every recipe has.
fn recipe(text: &str) -> String {
    let text = text.trim_start();
    let steps = if text.contains("steps:") { "" } else { "steps: [{run: make}]\n" };
    let package = if text.contains("package:") { "" } else { "package: demo\n" };
    format!("{package}{text}\n{steps}")
}

impl RecipeFiles for Memory {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let absolute = Path::new("/work").join(path);
        *self.read.entry(absolute.clone()).or_default() += 1;
        // As the disk does it.
        let normal = absolute.components().fold(PathBuf::new(), |mut normal, part| {
            if part == std::path::Component::ParentDir {
                normal.pop();
            } else {
                normal.push(part);
            }
            normal
        });
        let text = self.recipes.get(&normal).ok_or_else(|| ReadError::Missing { path: path.into() })?;
        Ok(text.clone().into_bytes())
    }

    fn list(&mut self, folder: &Path) -> Vec<String> {
        let folder = Path::new("/work").join(folder);
        let here = self.recipes.keys().filter(|path| path.parent() == Some(&folder));
        here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }
}

fn pairs(pairs: &[&str]) -> Vec<(String, String)> {
    let pair = |text: &&str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.iter().filter_map(pair).collect()
}

fn resolve_with(files: &mut Memory, asked: &[&str], set: &[&str], cells: &[&str]) -> Result<Graph, String> {
    let recipes: Vec<PathBuf> = asked.iter().map(PathBuf::from).collect();
    let (set, cells) = (pairs(set), pairs(cells));
    let request = GraphRequest { recipes: &recipes, settings: &set, cells: &cells };
    pony_runner::graph::resolve(request, &facts(), files).map_err(|errors| errors.render(false))
}

fn resolve(recipes: &[(&str, &str)], asked: &[&str]) -> Graph {
    resolve_with(&mut Memory::new(recipes), asked, &[], &[]).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn wrong(recipes: &[(&str, &str)], asked: &[&str]) -> String {
    match resolve_with(&mut Memory::new(recipes), asked, &[], &[]) {
        Ok(graph) => panic!("{:?}", lines(&graph)),
        Err(wrong) => wrong,
    }
}

/// Each build as `name <- needs`, asked ones with a `*`.
fn lines(graph: &Graph) -> Vec<String> {
    let line = |build: &pony_runner::graph::GraphNode| {
        let needs: Vec<&str> = build.needs.iter().map(|need| &*graph.builds[*need].name).collect();
        let needs = if needs.is_empty() { String::new() } else { format!(" <- {}", needs.join(" ")) };
        format!("{}{}{needs}", if build.requested { "*" } else { "" }, build.name)
    };
    graph.builds.iter().map(line).collect()
}

// -- what is one build and what is two

#[test]
fn a_diamond_is_four_builds_in_an_order_in_which_they_can_be_built() {
    let graph = resolve(
        &[
            ("app.yaml", "needs: [left, ./right.yaml]"),
            ("left.yaml", "needs: [base]"),
            ("right.yaml", "needs: [{recipe: base}]"),
            ("base.yml", ""),
        ],
        &["app.yaml"],
    );
    assert_eq!(lines(&graph), ["base", "left <- base", "right <- base", "*app <- left right"]);
    assert_eq!(graph.count_needs(&[3]), 3);
}

#[test]
fn one_recipe_by_different_paths_is_one_build_and_is_read_once() {
    let mut files = Memory::new(&[
        ("c/app.yaml", "needs: [./x.yaml, {recipe: ../c/x, as: y}, {recipe: /work/c/./x.yaml, as: z}]"),
        ("c/x.yaml", ""),
        ("c/other.yaml", "needs: [{recipe: ../c/../c/x.yaml, with: {}}]"),
    ]);
    let asked = ["c/app.yaml", "./c/x.yaml", "c/../c/other.yaml", "c/app.yaml"];
    let graph = resolve_with(&mut files, &asked, &[], &[]).unwrap();
    assert_eq!(lines(&graph), ["*x", "*app <- x x x", "*other <- x"]);
    assert_eq!(files.read.values().copied().collect::<Vec<_>>(), [1; 3], "{:?}", files.read);
}

#[test]
fn settings_that_change_nothing_make_no_other_build() {
    let zlib = "variables: {shared: yes, flags: '-O2 {{shared}}', host2: '{{host}}'}";
    let graph = resolve(
        &[
            ("zlib.yaml", zlib),
            ("a.yaml", "needs: [zlib]"),
            ("b.yaml", "needs: [{recipe: zlib, with: {shared: yes}}]"),
            ("c.yaml", "needs: [{recipe: zlib, with: {shared: no}}]"),
            ("d.yaml", "needs: [{recipe: zlib, with: {flags: -O2 no, shared: no}}]"),
            ("e.yaml", "needs: [{recipe: zlib, with: {host2: builder, flags: x}}]"),
        ],
        &["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"],
    );
    assert_eq!(
        lines(&graph),
        [
            "zlib",
            "*a <- zlib",
            "*b <- zlib",
            "zlib(shared=no)",
            "*c <- zlib(shared=no)",
            "*d <- zlib(shared=no)",
            "zlib(flags=x)",
            "*e <- zlib(flags=x)"
        ]
    );
    assert_eq!(graph.builds[3].settings, pairs(&["shared=no"]));
}

#[test]
fn settings_of_the_command_line_are_for_what_it_names() {
    let recipes = [
        ("a.yaml", "variables: {v: 1}\nneeds: [b]"),
        ("b.yaml", "variables: {v: 1}"),
        ("c.yaml", "needs: [b]"),
    ];
    let graph =
        resolve_with(&mut Memory::new(&recipes), &["a.yaml", "b.yaml"], &["v=1", "v=2"], &[]).unwrap();
    assert_eq!(lines(&graph), ["b", "*a(v=2) <- b", "*b(v=2)"]);
}

// -- matrices

const APP: &str =
    "matrix: {python: [3.12, 3.10], db: [sqlite, postgres], exclude: [{python: 3.12, db: postgres}]}
needs: [{recipe: lib, with: {python: '{{python}}'}}]
tags: [app]
";

const LIB: &str = "matrix: {python: [3.10, 3.12, 3.13]}\nvariables: {v: 1}";

#[test]
fn a_need_passes_its_own_axis_on() {
    let graph = resolve(&[("app.yaml", APP), ("lib.yaml", LIB)], &["app.yaml"]);
    assert_eq!(
        lines(&graph),
        [
            "lib[3.12]",
            "*app[3.12, sqlite] <- lib[3.12]",
            "lib[3.10]",
            "*app[3.10, sqlite] <- lib[3.10]",
            "*app[3.10, postgres] <- lib[3.10]",
        ]
    );
    assert_eq!(graph.builds[1].recipe.tags, ["app", "3.12", "sqlite"]);
    assert_eq!(graph.builds[1].settings, pairs(&["python=3.12", "db=sqlite"]));
}

#[test]
fn the_command_line_chooses_cells_of_what_it_names() {
    let recipes = [("app.yaml", APP), ("lib.yaml", LIB), ("x.yaml", "")];
    let chosen = |cells: &[&str]| {
        let graph = resolve_with(&mut Memory::new(&recipes), &["app.yaml", "x.yaml"], &[], cells);
        graph.map(|graph| lines(&graph))
    };
    assert_eq!(
        chosen(&["python=3.10", "db=sqlite"]).unwrap(),
        ["lib[3.10]", "*app[3.10, sqlite] <- lib[3.10]", "*x"]
    );
    assert_eq!(
        chosen(&["db=mysql", "os=x"]).unwrap_err(),
        "error: --matrix db=mysql: no cell has the value `mysql`\nhint: possible values: `sqlite`, `postgres`\n\n\
         error: --matrix os=x: no matrix has the axis `os`\nhint: axes: `python`, `db`\n"
    );
    assert_eq!(
        chosen(&["python=3.12", "db=postgres"]).unwrap_err(),
        "error: --matrix python=3.12 --matrix db=postgres: no cell has all of these values\n"
    );
}

#[test]
fn a_need_is_exactly_one_build() {
    let recipes = [
        (
            "a.yaml",
            "needs: [app, {recipe: app, as: b, with: {db: sqlite}}, {recipe: lib, with: {python: 3.9}}, \
             {recipe: app, as: c, with: {db: postgres, python: 3.12}}]",
        ),
        ("app.yaml", APP),
        ("lib.yaml", LIB),
    ];
    snapshot("graph-cells", &wrong(&recipes, &["a.yaml"]));
}

// -- what is wrong

#[test]
fn what_is_wrong_with_all_recipes_is_told_at_once() {
    let recipes = [
        ("r/app.yaml", "needs: [zlb, ../png.yaml, {recipe: broken, with: {vv: 1}}, nothing-like-it]\ntag: x"),
        (
            "r/base.yaml",
            "needs: [zlb, ../png.yaml, {recipe: ok, with: {shraed: 1, cpus: 2}}, {recipe: broken}]",
        ),
        ("r/zlib.yaml", ""),
        ("r/broken.yaml", "variables: {v: 1}\ntimeout: soon\nneeds: [sub/x]"),
        ("r/ok.yaml", "variables: {shared: 1}\noutputs: {prefix: x, wheels: dist}\nneeds: [far/../../away]"),
        (
            "r/uses.yaml",
            "needs: [ok, {recipe: zlib, as: z}]
variables: {lib: '{{needs.ok.prefx}}/lib'}
steps:
  - run: cp {{needs.ok.prefix}} {{ needs.z.prefix }} {{needs.ok.include}}
",
        ),
    ];
    let asked = ["r/app.yaml", "r/base.yaml", "r/gone.yaml", "r/uses.yaml"];
    let mut files = Memory::new(&recipes);
    let wrong = resolve_with(&mut files, &asked, &["nope=1"], &[]).unwrap_err();
    snapshot("graph-set", &wrong);
    let wrong = resolve_with(&mut Memory::new(&recipes), &asked, &[], &[]).unwrap_err();
    snapshot("graph-wrong", &wrong);
}

/// `count` recipes of which each needs the next, in `lead` recipes more that lead there.
fn circle(count: usize, lead: usize) -> Memory {
    let next = |n: usize| if n + 1 == lead + count { lead } else { n + 1 };
    let recipes = (0..lead + count)
        .map(|n| (format!("/work/r{n}.yaml").into(), recipe(&format!("needs: [r{}]", next(n)))));
    Memory { recipes: recipes.collect(), read: BTreeMap::new() }
}

#[test]
fn circles_are_shown_as_the_way_round() {
    let circle = |count: usize, lead: usize| {
        resolve_with(&mut circle(count, lead), &["r0.yaml"], &[], &[]).unwrap_err()
    };
    snapshot("graph-circle-1", &circle(1, 0));
    snapshot("graph-circle-2", &circle(2, 1));
    let fifty = circle(50, 2);
    assert_eq!(fifty.matches(" → ").count(), 50);
    assert!(fifty.contains(": r2.yaml → r3.yaml → "), "{fifty}");
    assert!(fifty.contains(" → r51.yaml → r2.yaml\n --> r51.yaml:2:9"), "{fifty}");
    let long = circle(200, 0);
    assert!(long.contains(" → r49.yaml → … 101 more … → r151.yaml → "), "{long}");
}

#[test]
fn a_recipe_cannot_need_itself_with_other_settings() {
    let recipes = [
        ("a.yaml", "variables: {n: ''}\nneeds: [{recipe: b, with: {n: '{{n}}x'}}]"),
        ("b.yaml", "variables: {n: ''}\nneeds: [{recipe: a, with: {n: '{{n}}x'}}]"),
    ];
    let wrong = wrong(&recipes, &["a.yaml"]);
    assert!(wrong.contains("circular dependency: a.yaml → b.yaml → a.yaml"), "{wrong}");
}

#[test]
fn recipes_that_multiply_are_stopped() {
    let mut recipes: Vec<(String, String)> = (0..40)
        .map(|n| {
            let need = |c: char| format!("{{recipe: r{}, as: {c}, with: {{v: '{{{{v}}}}{c}'}}}}", n + 1);
            (format!("r{n}.yaml"), format!("variables: {{v: ''}}\nneeds: [{}, {}]", need('x'), need('y')))
        })
        .collect();
    recipes.push(("r40.yaml".into(), "variables: {v: ''}".into()));
    let recipes: Vec<(&str, &str)> = recipes.iter().map(|(path, text)| (&**path, &**text)).collect();
    let large = format!("v={}", "x".repeat(1024 * 1024));
    let wrong = resolve_with(&mut Memory::new(&recipes), &["r0.yaml"], &[&large], &[]).unwrap_err();
    assert!(
        wrong.starts_with("error: the recipes have more than 20000 builds, or settings of more than 16 MiB"),
        "{wrong}"
    );
}

#[test]
fn a_long_chain_is_resolved() {
    for count in [500, 10_000] {
        let mut files = circle(count, 0);
        files.recipes.insert(format!("/work/r{}.yaml", count - 1).into(), recipe(""));
        let graph = resolve_with(&mut files, &["r0.yaml"], &[], &[]).unwrap();
        assert_eq!(graph.builds.len(), count);
        assert!(graph.builds.iter().enumerate().skip(1).all(|(n, build)| build.needs == [n - 1]));
    }
}

// -- what is known only when a build begins

#[test]
fn a_build_that_begins_knows_its_jobs_and_what_is_handed_on() {
    let graph = resolve(
        &[
            ("r/lib.yaml", "outputs: {prefix: install}\nvariables: {x: 1}"),
            (
                "r/app.yaml",
                "needs: [{recipe: lib, with: {x: 2}}]
variables: {flags: '-j{{jobs}}', with: '--with={{ needs.lib.prefix }}'}
matrix: {axis: [a, b]}
steps:
  - run: make {{flags}} {{with}} ${{{axis}}}
  - run: [echo, '{{{{jobs}}', '{{cpus}}']
",
            ),
        ],
        &["r/app.yaml"],
    );
    let app = &graph.builds[2];
    assert_eq!(app.name, "app[b]");
    assert_eq!(app.recipe.needs[0].recipe, Path::new("/work/r/lib.yaml"));
    assert!(app.recipe.uses_jobs && app.recipe.uses_needs);
    let planned = Action::Script("make -j{{jobs}} --with={{needs.lib.prefix}} ${b}".into());
    assert_eq!(app.recipe.steps[0].action, planned);
    assert!(app.recipe.resolved_yaml().contains("run: make -j{{jobs}} --with={{needs.lib.prefix}} ${b}"));
    let lib = BTreeMap::from([("prefix".to_owned(), "/c/lib-1/install".to_owned())]);
    let deferred = DeferredValues { jobs: 3, needs: BTreeMap::from([("lib".to_owned(), lib)]) };
    let begun = app.with_deferred(&facts(), &deferred).unwrap();
    assert_eq!(begun.steps[0].action, Action::Script("make -j3 --with=/c/lib-1/install ${b}".into()));
    let echo = ["echo", "{{jobs}}", "8"].map(str::to_owned).to_vec();
    assert_eq!(begun.steps[1].action, Action::Program(echo));
    assert!(!begun.uses_jobs && !begun.uses_needs);
    assert_eq!([begun.steps[0].uses_jobs, begun.steps[1].uses_jobs], [true, false]);
    assert_eq!((begun.needs, begun.cell), (app.recipe.needs.clone(), app.recipe.cell.clone()));
    let gone = app.with_deferred(&facts(), &DeferredValues::default()).unwrap_err();
    assert!(gone.render(false).contains("unknown name `needs.lib.prefix`"), "{}", gone.render(false));
}

// -- how it is shown

#[test]
fn a_graph_is_shown_as_a_tree_and_for_other_programs() {
    let graph = resolve(
        &[
            ("app.yaml", "needs: [left, right, lib]\nvariables: {v: 1}"),
            ("left.yaml", "needs: [base]"),
            ("right.yaml", "needs: [{recipe: base, with: {v: '\"<b>_\\'}}, {recipe: base, as: b}, left]"),
            ("lib.yaml", ""),
            ("base.yaml", "variables: {v: 1}\ntags: [t]\noutputs: {prefix: x}"),
            ("alone.yaml", ""),
        ],
        &["app.yaml", "alone.yaml", "left.yaml"],
    );
    let decision = |name: &str| match name {
        "base" => Decision::Reuse("of 2026-11-22,\nall as it was".to_owned()),
        "lib" => Decision::Skip("the secret `X` is not set".to_owned()),
        "left" => Decision::Skip(String::new()),
        _ => Decision::Build("asked for".to_owned()),
    };
    let decisions: Vec<_> = graph.builds.iter().map(|build| decision(&build.name)).collect();
    for (format, name) in
        [(Format::Text, "text"), (Format::Dot, "dot"), (Format::Mermaid, "mermaid"), (Format::Json, "json")]
    {
        snapshot(&format!("graph-{name}"), &show(&graph, &decisions, format));
    }
}

#[test]
fn a_deep_graph_is_shown_in_pieces() {
    let mut files = circle(500, 0);
    files.recipes.insert("/work/r499.yaml".into(), recipe(""));
    let graph = resolve_with(&mut files, &["r0.yaml"], &[], &[]).unwrap();
    let decisions = vec![Decision::Build(String::new()); graph.builds.len()];
    let text = show(&graph, &decisions, Format::Text);
    assert_eq!(text.lines().filter(|line| line.ends_with(": will be built")).count(), 500);
    assert!(
        text.contains("└── r31 (below)\nr31: will be built\n└── r32: will be built\n"),
        "{}",
        text.get(..4000).unwrap()
    );
}

// -- graphs made by chance

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Recipe `n` needs some of those after it, with one of three settings, of which one changes nothing.
    #[test]
    fn every_build_is_there_once_and_after_what_it_needs(
        needs in proptest::collection::vec(proptest::collection::btree_set((0usize..40, 0usize..3), 0..5), 1..40),
        asked in proptest::collection::btree_set(0usize..40, 1..4),
    ) {
        let count = needs.len();
        let recipes: BTreeMap<PathBuf, String> = needs.iter().enumerate().map(|(n, needs)| {
            let entries: Vec<String> = needs.iter().enumerate().filter_map(|(at, (to, setting))| {
                let to = n + 1 + to % count;
                let with = ["", ", with: {v: plain}", ", with: {v: other}"][*setting];
                (to < count).then(|| format!("{{recipe: r{to}, as: n{at}{with}}}"))
            }).collect();
            let entries = if entries.is_empty() { String::new() } else { format!("needs: [{}]", entries.join(", ")) };
            (format!("/work/r{n}.yaml").into(), recipe(&format!("variables: {{v: plain}}\n{entries}")))
        }).collect();
        // What must come out: recipe and whether its setting is another, found by walking the needs by themselves.
        let mut wanted = std::collections::BTreeSet::new();
        let mut left: Vec<(usize, bool)> = asked.iter().map(|n| (n % count, false)).collect();
        while let Some(build) = left.pop() {
            if wanted.insert(build) {
                left.extend(needs[build.0].iter().filter_map(|(to, setting)| {
                    let to = build.0 + 1 + to % count;
                    (to < count).then_some((to, *setting == 2))
                }));
            }
        }
        let wanted: Vec<String> = wanted.iter()
            .map(|(n, other)| format!("r{n}{}", if *other { "(v=other)" } else { "" })).collect();
        let mut files = Memory { recipes, read: BTreeMap::new() };
        let paths: Vec<PathBuf> = asked.iter().map(|n| format!("r{}.yaml", n % count).into()).collect();
        let request = GraphRequest { recipes: &paths, settings: &[], cells: &[] };
        let graph = pony_runner::graph::resolve(request, &facts(), &mut files)
            .map_err(|errors| TestCaseError::fail(errors.render(false)))?;
        for (at, build) in graph.builds.iter().enumerate() {
            prop_assert!(build.needs.iter().all(|need| *need < at), "{:?}", lines(&graph));
            prop_assert_eq!(build.needs.len(), build.recipe.needs.len());
            for (need, meant) in build.needs.iter().zip(&build.recipe.needs) {
                let needed = &graph.builds[*need].recipe;
                prop_assert_eq!(&Path::new("/work").join(&needed.path), &meant.recipe);
                prop_assert_eq!(needed.variables.get("v").map(String::as_str), meant.with.first().map_or(Some("plain"), |(_, v)| Some(v)));
            }
        }
        let mut names: Vec<&str> = graph.builds.iter().map(|build| &*build.name).collect();
        names.sort_unstable();
        let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        prop_assert_eq!(names, wanted);
        prop_assert!(files.read.values().all(|count| *count == 1));
        // Shown, each is there once with its decision.
        let decisions = vec![Decision::Build(String::new()); graph.builds.len()];
        let text = show(&graph, &decisions, Format::Text);
        prop_assert_eq!(text.lines().filter(|line| line.ends_with(": will be built")).count(), graph.builds.len());
    }
}
