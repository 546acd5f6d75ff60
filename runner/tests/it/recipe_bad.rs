//! Wrong recipes: what the messages say. One snapshot for each recipe of `recipes/bad`.

use std::{fs, path::Path};

use crate::support::{bad, files, load_cells, load_plain, load_text, name_of, snapshot};
use pony_runner::recipe::SIZE_LIMIT;

#[test]
fn every_bad_recipe_says_what_is_wrong() {
    for path in files(&bad()) {
        let name = name_of(&path);
        let errors = load_plain(Path::new(name), &fs::read(&path).unwrap())
            .err()
            .unwrap_or_else(|| panic!("{name} loads"));
        snapshot(name.trim_end_matches(".yaml"), &errors.render(false));
    }
}

#[test]
fn wrong_settings_are_reported_with_the_errors_of_the_file() {
    let text = "package: demo\nvariables: {jobs: 1, prefix: /usr}\nsteps:\n  - run: make {{job}}\n";
    let errors =
        load_text(text, &[("jbos", "2"), ("cpus", "4"), ("nothing", "like it"), ("jobs", "3")]).unwrap_err();
    snapshot("set", &errors.render(false));
    assert_eq!(errors.len(), 4);
}

#[test]
fn errors_name_their_place_for_programs_too() {
    let errors = load_text("package: demo\nsteps:\n  - run: make\n    nmae: ü\n", &[]).unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!((error.line, error.column), (4, 5));
    assert_eq!(error.message, "unknown key `nmae` in a step");
    assert_eq!(error.hint.as_deref(), Some("did you mean `name`?"));
    assert_eq!(errors.to_string(), "the recipe `recipes/test.yaml` has 1 error");
    assert!(errors.render(true).contains("\u{1b}["));
    assert!(!errors.render(false).contains('\u{1b}'));
}

#[test]
fn credentials_are_not_shown() {
    let text = "package: demo\nsource: {git: 'https://me:hunter2@example.org/x', brnch: main}\nsteps: [{run: make}]\n";
    let shown = load_text(text, &[]).unwrap_err().render(false);
    assert!(shown.contains("https://**********@example.org/x"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn no_more_than_a_hundred_errors_are_kept_and_the_rest_is_counted() {
    let text = "package: demo\nsteps:\n".to_owned() + &"  - {run: '{{nope}}', no: 1}\n".repeat(1000);
    let errors = load_text(&text, &[]).unwrap_err();
    assert_eq!(errors.len(), 2000);
    assert_eq!(errors.iter().count(), 100);
    assert!(errors.render(false).ends_with("… and 1900 more errors\n"));
}

/// `count` pieces of text, one after the other.
fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// Each of these is as large as a recipe may be. None may take long or much.
#[test]
fn what_is_large_is_refused_at_once() {
    let limit = usize::try_from(SIZE_LIMIT).unwrap();
    let fill = |unit: &str| unit.repeat(limit / unit.len());
    refused(&[
        ("too large", "a".repeat(limit + 1)),
        ("one long word", "a".repeat(limit)),
        ("brackets", fill("[")),
        ("braces", fill("{a: ")),
        ("dashes", fill("- ")),
        ("dash lines", fill("-\n")),
        ("anchors", fill("&a ")),
        ("unknown keys", many(60_000, |n| format!("k{n}: 1\n"))),
        ("equal keys", fill("package: demo\n")),
        ("documents", fill("---\n")),
        ("comments", fill("# c\n")),
        ("quotes", fill("\"")),
        ("templates", format!("package: demo\nsteps:\n  - run: '{}'\n", "{{x}} ".repeat(limit / 7))),
        ("open templates", format!("package: demo\nsteps:\n  - run: '{}'\n", "{{ x".repeat(limit / 4 - 100))),
    ]);
}

/// Each of these grows when it is read. None may take long or much.
#[test]
fn what_grows_is_refused_at_once() {
    let limit = usize::try_from(SIZE_LIMIT).unwrap();
    let chain = many(4_000, |n| format!("  v{n}: '{{{{v{}}}}}'\n", n + 1));
    let steps = "steps: [{run: make}]\n";
    let anchored = format!("variables:\n  a: &a {}\n", "x".repeat(limit / 2));
    let names = many(2_000, |n| format!("  some_long_name_of_a_variable_{n}: 1\n"));
    let misspelt = "'{{some_lnog_name_of_a_variable}}',".repeat(1_000);
    refused(&[
        ("aliases", "a: &a x\nb: [".to_owned() + &"*a,".repeat(limit / 3 - 10) + "]"),
        ("long aliased text", anchored + &many(10_000, |n| format!("  b{n}: *a\n"))),
        ("merges", "a: &a {b: c}\n".to_owned() + &"<<: *a\n".repeat(limit / 7 - 10)),
        ("chain", format!("package: demo\nvariables:\n{chain}{steps}")),
        ("circle", format!("package: demo\nvariables:\n{chain}  v4000: '{{{{v0}}}}'\n{steps}")),
        (
            "needs",
            format!(
                "package: demo\nneeds:\n{}{steps}",
                many(15_000, |n| format!("  - ../some/where/or/other/x{}\n", n % 9_000))
            ),
        ),
        ("cells", format!("package: demo\nmatrix:\n  a: [{}]\n{steps}", many(2_000, |n| format!("{n}, ")))),
        (
            "cells of a large recipe",
            format!(
                "package: demo\nmatrix:\n  a: [{}]\nsteps:\n{}",
                many(30, |n| format!("{n}, ")),
                "  - run: '{{{{ some text of a step {{a}} {{b'\n".repeat(4_000)
            ),
        ),
        ("axes", format!("package: demo\nmatrix:\n{}{steps}", many(60, |n| format!("  a{n}: [1, 2]\n")))),
        ("names to compare", format!("package: demo\nvariables:\n{names}tags: [{misspelt}]\n{steps}")),
    ]);
}

fn refused(hostile: &[(&str, String)]) {
    for (what, text) in hostile {
        let errors = load_cells(Path::new("hostile.yaml"), text.as_bytes()).err();
        let shown = errors.unwrap_or_else(|| panic!("{what} loads")).render(false);
        assert!(shown.len() < 64 * 1024, "{what}: {} bytes are shown", shown.len());
    }
}
