//! What README and the book say is what the programs do: recipes load, configurations load, commands parse, links lead
//! somewhere, and files that are named exist.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory, Parser};
use pony_runner::{cli::Cli, config::Config, recipe::schema};

use crate::support::{load_cells, load_plain, read};

/// A page by its path from the repository's root.
struct Page {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// README, CONTRIBUTING and every page of the book.
fn pages() -> Vec<Page> {
    let root = root();
    let mut paths = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let mut folders = vec![root.join("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().display().to_string(),
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// Fenced blocks, each with its language.
    fn blocks(&self) -> Vec<(&str, String)> {
        let mut blocks: Vec<(&str, String)> = Vec::new();
        let mut is_open = false;
        for line in self.text.lines() {
            match line.strip_prefix("```") {
                Some(_) if is_open => is_open = false,
                Some(language) => {
                    is_open = true;
                    blocks.push((language, String::new()));
                }
                None if is_open => {
                    let block = &mut blocks.last_mut().unwrap().1;
                    block.push_str(line);
                    block.push('\n');
                }
                None => {}
            }
        }
        assert!(!is_open, "{}: a block is never closed", self.path);
        blocks
    }

    /// The text outside of fenced blocks.
    fn prose(&self) -> String {
        let mut is_open = false;
        let keep = |line: &&str| {
            let is_fence = line.starts_with("```");
            is_open ^= is_fence;
            !is_open && !is_fence
        };
        self.text.lines().filter(keep).collect::<Vec<_>>().join("\n")
    }

    /// Spans of code in the prose.
    fn code(&self) -> Vec<String> {
        self.prose().split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")).collect()
    }

    fn anchors(&self) -> HashSet<String> {
        let headings = self.prose();
        let headings =
            headings.lines().filter_map(|line| Some(line.trim_start_matches('#')).filter(|it| *it != line));
        headings.map(|heading| slug(heading.trim())).collect()
    }

    /// Targets of links and images.
    fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let parts = prose.split("](").skip(1);
        parts.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }
}

/// A heading's anchor.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// The words of a command up to a comment, a pipe or a redirection, without variables in front of it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if words.last().is_some_and(String::is_empty) => break,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    let is_end =
        |word: &String| word == "|" || word == "&&" || word.starts_with('>') || word.starts_with("2>");
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let words = words.into_iter().filter(|word| !word.is_empty()).take_while(|word| !is_end(word));
    words.skip_while(is_variable).collect()
}

/// The commands of a page whose program is `pony-run`. Of the prose, not those that only name a verb.
fn commands(page: &Page) -> Vec<Vec<String>> {
    let cli = Cli::command();
    let names_verb = |code: &String| {
        code.strip_prefix("pony-run ").is_some_and(|verb| cli.find_subcommand(verb).is_some())
    };
    let mut lines = page.code();
    lines.retain(|code| !names_verb(code));
    for (language, block) in page.blocks() {
        match language {
            "sh" => lines.extend(block.lines().map(str::to_owned)),
            "console" => {
                lines.extend(block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned));
            }
            "cron" => lines.extend(block.lines().map(|line| line.splitn(6, ' ').nth(5).unwrap().to_owned())),
            _ => {}
        }
    }
    let run = |line: &String| {
        let words = words(line);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["pony-run", _, ..] => Some(words),
            ["cargo", "run", "--release", "--", rest @ ..] => {
                Some([&["pony-run"], rest].concat().into_iter().map(str::to_owned).collect())
            }
            _ => None,
        }
    };
    lines.iter().filter_map(run).collect()
}

#[test]
fn every_command_parses() {
    let mut count = 0;
    for page in pages() {
        for command in commands(&page) {
            let parsed = Cli::try_parse_from(&command);
            assert!(parsed.is_ok(), "{}: {}\n{}", page.path, command.join(" "), parsed.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_recipe_and_every_configuration_loads() {
    let (mut recipes, mut configurations) = (0, 0);
    for page in pages() {
        for (language, block) in page.blocks() {
            match language {
                "yaml" if block.starts_with("package:") => {
                    let loaded = load_cells(Path::new(&page.path), block.as_bytes());
                    loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
                    recipes += 1;
                }
                "yaml" => {
                    let loaded = Config::parse(&block);
                    assert!(loaded.is_ok(), "{}: {}\n{block}", page.path, loaded.unwrap_err().render(false));
                    configurations += 1;
                }
                _ => {}
            }
        }
    }
    assert!(recipes > 5 && configurations > 2, "{recipes} {configurations}");
}

#[test]
fn the_defaults_of_the_configuration_are_the_real_ones() {
    let pages = pages();
    let page = pages.iter().find(|page| page.path.ends_with("reference/configuration.md")).unwrap();
    let block = page.blocks().into_iter().find(|(language, _)| *language == "yaml").unwrap().1;
    assert_eq!(Config::parse(&block).unwrap(), Config::default());
}

#[test]
fn every_key_of_recipes_has_its_row() {
    let pages =
        ["recipes", "contexts", "chains", "if-needed"].map(|page| read(&format!("../docs/src/{page}.md")));
    let (reference, schema) = (pages.concat(), schema());
    let context = &schema["properties"]["context"]["anyOf"][1]["properties"];
    let properties = [
        &schema["properties"],
        &schema["properties"]["source"]["properties"],
        &schema["properties"]["watch"]["properties"],
        &schema["properties"]["needs"]["items"]["anyOf"][1]["properties"],
        &schema["properties"]["matrix"]["properties"],
        context,
        &context["virtualenv"]["anyOf"][1]["properties"],
        &schema["properties"]["steps"]["items"]["properties"],
    ];
    for key in properties.into_iter().flat_map(|keys| keys.as_object().unwrap().keys()) {
        assert!(reference.contains(&format!("\n| `{key}` |")), "{key} has no row in docs/src");
    }
}

#[test]
fn the_errors_shown_are_the_real_ones() {
    let text = read("tests/recipes/documented.yaml");
    let errors = load_plain(Path::new("demo.yaml"), text.as_bytes()).unwrap_err().render(false);
    assert!(
        read("../docs/src/recipes.md").contains(&format!("```text\n{errors}```\n")),
        "docs/src/recipes.md should show:\n{errors}"
    );
}

#[test]
fn every_link_leads_to_a_file_and_an_anchor() {
    let (root, pages) = (root(), pages());
    let mut wrong = Vec::new();
    for page in &pages {
        for link in page.links().iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root.join(&page.path).parent().unwrap().to_path_buf();
            let target = if file.is_empty() { root.join(&page.path) } else { folder.join(file) };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link}", page.path));
                continue;
            };
            let leads_to = |page: &&Page| root.join(&page.path) == target;
            let is_there = |page: &Page| page.anchors().contains(anchor);
            if !anchor.is_empty() && !pages.iter().find(leads_to).is_some_and(is_there) {
                wrong.push(format!("{}: {link}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_summary_lists_every_page_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == "docs/src/SUMMARY.md").unwrap();
    let mut listed = summary.links();
    let mut written: Vec<String> = pages
        .iter()
        .filter_map(|page| page.path.strip_prefix("docs/src/"))
        .filter(|path| *path != "SUMMARY.md")
        .map(str::to_owned)
        .collect();
    listed.sort();
    written.sort();
    assert_eq!(listed, written);
}

/// `runner/src/run/` and the like, in any page.
#[test]
fn every_file_that_is_named_exists() {
    let root = root();
    let roots = ["runner/", "contexts/", "wire/", "server-lite/", "tests/", "docs/src/", "recipes/", ".ci/"];
    let mut wrong = Vec::new();
    for page in pages() {
        for code in page.code() {
            let is_path = roots.iter().any(|name| code.starts_with(name)) && !code.contains([' ', '*', '…']);
            if is_path && !root.join(&code).exists() {
                wrong.push(format!("{}: {code}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
