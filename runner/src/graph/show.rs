//! `pony-run graph`: the builds of a graph as text, for Graphviz, for Mermaid, and for programs. Pure.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write as _,
};

use serde::Serialize;

use super::{Graph, Node};

/// Deeper than this nothing is drawn below what needs it, but further down from the left edge again.
const DEEPEST: usize = 30;

/// What would become of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It would be built, because of this.
    Build(String),
    /// What an earlier run made would be used, because of this.
    Reuse(String),
    /// It could not be built, because of this.
    Skip(String),
}

impl Verdict {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Build(_) => "build",
            Self::Reuse(_) => "reuse",
            Self::Skip(_) => "skip",
        }
    }

    /// Why.
    pub fn why(&self) -> &str {
        let (Self::Build(why) | Self::Reuse(why) | Self::Skip(why)) = self;
        why
    }
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A tree for people
    #[default]
    Text,
    /// For Graphviz
    Dot,
    /// For Mermaid
    Mermaid,
    /// One JSON object
    Json,
}

/// Renders a graph; `verdicts` has one for each of its builds. Ends in a newline, but for an empty text.
pub fn show(graph: &Graph, verdicts: &[Verdict], format: Format) -> String {
    match format {
        Format::Text => text(graph, verdicts),
        Format::Dot => dot(graph, verdicts),
        Format::Mermaid => mermaid(graph, verdicts),
        Format::Json => json(graph, verdicts),
    }
}

fn each<'a>(
    graph: &'a Graph,
    verdicts: &'a [Verdict],
) -> impl Iterator<Item = (usize, &'a Node, &'a Verdict)> {
    graph.builds.iter().zip(verdicts).enumerate().map(|(index, (build, verdict))| (index, build, verdict))
}

/// What is needed stands below what needs it; what was shown before is only named again.
fn text(graph: &Graph, verdicts: &[Verdict]) -> String {
    let needed: HashSet<usize> = graph.builds.iter().flat_map(|build| &build.needs).copied().collect();
    let mut roots: VecDeque<usize> =
        (0..graph.builds.len()).filter(|build| !needed.contains(build)).collect();
    let mut tree = Tree { graph, verdicts, text: String::new(), shown: HashSet::new(), further: Vec::new() };
    while let Some(root) = roots.pop_front() {
        tree.root(root);
        roots.extend(tree.further.drain(..));
    }
    tree.text
}

struct Tree<'a> {
    graph: &'a Graph,
    verdicts: &'a [Verdict],
    text: String,
    shown: HashSet<usize>,
    /// Shown from the left edge when this tree is done.
    further: Vec<usize>,
}

impl Tree<'_> {
    fn root(&mut self, root: usize) {
        // Not recursive: builds, what their lines begin with, and what those below them begin with.
        let mut left = vec![(root, String::new(), String::new(), 0)];
        while let Some((build, head, below, depth)) = left.pop() {
            let Some(Node { name, needs, .. }) = self.graph.builds.get(build) else { continue };
            if self.shown.contains(&build) {
                let _ = writeln!(self.text, "{head}{name} (above)");
                continue;
            }
            if depth > DEEPEST {
                let _ = writeln!(self.text, "{head}{name} (below)");
                if !self.further.contains(&build) {
                    self.further.push(build);
                }
                continue;
            }
            self.shown.insert(build);
            let _ = writeln!(self.text, "{head}{name}: {}", self.verdict(build));
            let mut once = HashSet::new();
            let needs: Vec<usize> = needs.iter().copied().filter(|need| once.insert(*need)).collect();
            for (index, need) in needs.iter().enumerate().rev() {
                let (head, further) =
                    if index + 1 == needs.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
                left.push((*need, format!("{below}{head}"), format!("{below}{further}"), depth + 1));
            }
        }
    }

    fn verdict(&self, build: usize) -> String {
        let verdict = self.verdicts.get(build);
        verdict.map_or_else(String::new, |verdict| joined(verdict, ", "))
    }
}

/// The word, and why, on one line.
fn joined(verdict: &Verdict, between: &str) -> String {
    let why: Vec<&str> = verdict.why().split(char::is_control).filter(|part| !part.is_empty()).collect();
    if why.is_empty() {
        verdict.word().to_owned()
    } else {
        format!("{}{between}{}", verdict.word(), why.join(" "))
    }
}

fn dot(graph: &Graph, verdicts: &[Verdict]) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
    let mut text = "digraph builds {\n  node [shape=box];\n".to_owned();
    for (index, Node { name, .. }, verdict) in each(graph, verdicts) {
        let style = match verdict {
            Verdict::Build(_) => "solid",
            Verdict::Reuse(_) => "rounded",
            Verdict::Skip(_) => "dashed",
        };
        let (name, verdict) = (escaped(name), escaped(&joined(verdict, ": ")));
        let _ = writeln!(text, "  n{index} [label=\"{name}\\n{verdict}\", style={style}];");
    }
    for (from, to) in edges(graph) {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

fn mermaid(graph: &Graph, verdicts: &[Verdict]) -> String {
    // Its entities; everything that could end the text, or be taken for HTML or Markdown.
    let escaped = |text: &str| {
        let escape = |c: char| match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '*' | '_' | ';' | '\\' => format!("#{};", u32::from(c)),
            c => c.to_string(),
        };
        text.chars().map(escape).collect::<String>()
    };
    let mut text = "flowchart TD\n".to_owned();
    for (index, Node { name, .. }, verdict) in each(graph, verdicts) {
        let (open, close) = match verdict {
            Verdict::Build(_) => ("[", "]"),
            Verdict::Reuse(_) => ("(", ")"),
            Verdict::Skip(_) => ("{{", "}}"),
        };
        let (name, verdict) = (escaped(name), escaped(&joined(verdict, ": ")));
        let _ = writeln!(text, "  n{index}{open}\"{name}<br/>{verdict}\"{close}");
    }
    for (from, to) in edges(graph) {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    text
}

/// From a build to each that it needs, once.
fn edges(graph: &Graph) -> Vec<(usize, usize)> {
    let mut once = HashSet::new();
    let all = graph.builds.iter().enumerate();
    let all = all.flat_map(|(from, build)| build.needs.iter().map(move |need| (from, *need)));
    all.filter(|edge| once.insert(*edge)).collect()
}

fn json(graph: &Graph, verdicts: &[Verdict]) -> String {
    #[derive(Serialize)]
    struct Shown<'a> {
        name: &'a str,
        recipe: String,
        package: &'a str,
        tags: &'a [String],
        asked: bool,
        needs: Vec<&'a str>,
        verdict: &'static str,
        why: &'a str,
    }
    #[derive(Serialize)]
    struct All<'a> {
        builds: Vec<Shown<'a>>,
    }
    let named = |need: &usize| graph.builds.get(*need).map(|build| build.name.as_str());
    let builds = each(graph, verdicts).map(|(_, Node { name, recipe, needs, asked, .. }, verdict)| Shown {
        name,
        recipe: recipe.path.display().to_string(),
        package: &recipe.package,
        tags: &recipe.tags,
        asked: *asked,
        needs: needs.iter().filter_map(named).collect(),
        verdict: verdict.word(),
        why: verdict.why(),
    });
    // Text and lists of text have no way to fail.
    serde_json::to_string_pretty(&All { builds: builds.collect() }).unwrap_or_default() + "\n"
}
