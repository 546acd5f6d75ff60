//! `pony-run graph`: renders a graph as text, for Graphviz, for Mermaid, and as JSON.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write as _,
};

use serde::Serialize;

use super::{Graph, GraphNode};

/// Needs below this depth are drawn in a new tree, so that lines do not grow without limit.
const MAX_DEPTH: usize = 30;

/// What would happen to a build, and why. The reason may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It would be built.
    Build(String),
    /// The outputs of an earlier run would be used.
    Reuse(String),
    /// It is not needed, or cannot be built.
    Skip(String),
}

impl Decision {
    /// The word in JSON and diagrams.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Build(_) => "build",
            Self::Reuse(_) => "reuse",
            Self::Skip(_) => "skip",
        }
    }

    /// The words in the text for people.
    fn phrase(&self) -> &'static str {
        match self {
            Self::Build(_) => "will be built",
            Self::Reuse(_) => "will be reused",
            Self::Skip(_) => "skipped",
        }
    }

    /// May have several lines.
    pub fn reason(&self) -> &str {
        let (Self::Build(reason) | Self::Reuse(reason) | Self::Skip(reason)) = self;
        reason
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

/// Renders a graph; `decisions` has one for each of its builds. Ends in a newline, unless it is empty.
pub fn show(graph: &Graph, decisions: &[Decision], format: Format) -> String {
    match format {
        Format::Text => text(graph, decisions),
        Format::Dot => dot(graph, decisions),
        Format::Mermaid => mermaid(graph, decisions),
        Format::Json => json(graph, decisions),
    }
}

fn each<'a>(
    graph: &'a Graph,
    decisions: &'a [Decision],
) -> impl Iterator<Item = (usize, &'a GraphNode, &'a Decision)> {
    graph.builds.iter().zip(decisions).enumerate().map(|(index, (build, decision))| (index, build, decision))
}

/// Needs stand below the build that needs them. A build that appears again is only named.
fn text(graph: &Graph, decisions: &[Decision]) -> String {
    let needed: HashSet<usize> = graph.builds.iter().flat_map(|build| &build.needs).copied().collect();
    let mut roots: VecDeque<usize> =
        (0..graph.builds.len()).filter(|build| !needed.contains(build)).collect();
    let mut tree = Tree { graph, decisions, text: String::new(), shown: HashSet::new(), deeper: Vec::new() };
    while let Some(root) = roots.pop_front() {
        tree.root(root);
        roots.extend(tree.deeper.drain(..));
    }
    tree.text
}

struct Tree<'a> {
    graph: &'a Graph,
    decisions: &'a [Decision],
    text: String,
    shown: HashSet<usize>,
    /// Builds below [`MAX_DEPTH`], shown in trees of their own.
    deeper: Vec<usize>,
}

impl Tree<'_> {
    fn root(&mut self, root: usize) {
        // Not recursive: builds with the prefix of their line, the prefix of lines below, and the depth.
        let mut open = vec![(root, String::new(), String::new(), 0)];
        while let Some((build, head, below, depth)) = open.pop() {
            let Some(GraphNode { name, needs, .. }) = self.graph.builds.get(build) else { continue };
            if self.shown.contains(&build) {
                let _ = writeln!(self.text, "{head}{name} (above)");
                continue;
            }
            if depth > MAX_DEPTH {
                let _ = writeln!(self.text, "{head}{name} (below)");
                if !self.deeper.contains(&build) {
                    self.deeper.push(build);
                }
                continue;
            }
            self.shown.insert(build);
            let _ = writeln!(self.text, "{head}{name}: {}", self.decision(build));
            let mut once = HashSet::new();
            let needs: Vec<usize> = needs.iter().copied().filter(|need| once.insert(*need)).collect();
            for (index, need) in needs.iter().enumerate().rev() {
                let (head, rest) =
                    if index + 1 == needs.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
                open.push((*need, format!("{below}{head}"), format!("{below}{rest}"), depth + 1));
            }
        }
    }

    fn decision(&self, build: usize) -> String {
        let Some(decision) = self.decisions.get(build) else { return String::new() };
        let (phrase, reason) = (decision.phrase(), one_line(decision.reason()));
        if reason.is_empty() { phrase.to_owned() } else { format!("{phrase} ({reason})") }
    }
}

/// The word and the reason in a diagram.
fn label(decision: &Decision) -> String {
    let reason = one_line(decision.reason());
    if reason.is_empty() { decision.word().to_owned() } else { format!("{}: {reason}", decision.word()) }
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn dot(graph: &Graph, decisions: &[Decision]) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
    let mut text = "digraph builds {\n  node [shape=box];\n".to_owned();
    for (index, GraphNode { name, .. }, decision) in each(graph, decisions) {
        let style = match decision {
            Decision::Build(_) => "solid",
            Decision::Reuse(_) => "rounded",
            Decision::Skip(_) => "dashed",
        };
        let (name, label) = (escaped(name), escaped(&label(decision)));
        let _ = writeln!(text, "  n{index} [label=\"{name}\\n{label}\", style={style}];");
    }
    for (from, to) in edges(graph) {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

fn mermaid(graph: &Graph, decisions: &[Decision]) -> String {
    // Mermaid's entities, for everything that could end the text or be read as HTML or Markdown.
    let escaped = |text: &str| {
        let escape = |c: char| match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '*' | '_' | ';' | '\\' => format!("#{};", u32::from(c)),
            c => c.to_string(),
        };
        text.chars().map(escape).collect::<String>()
    };
    let mut text = "flowchart TD\n".to_owned();
    for (index, GraphNode { name, .. }, decision) in each(graph, decisions) {
        let (open, close) = match decision {
            Decision::Build(_) => ("[", "]"),
            Decision::Reuse(_) => ("(", ")"),
            Decision::Skip(_) => ("{{", "}}"),
        };
        let (name, label) = (escaped(name), escaped(&label(decision)));
        let _ = writeln!(text, "  n{index}{open}\"{name}<br/>{label}\"{close}");
    }
    for (from, to) in edges(graph) {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    text
}

/// Pairs of a build and one of its needs, each once.
fn edges(graph: &Graph) -> Vec<(usize, usize)> {
    let mut once = HashSet::new();
    let all = graph.builds.iter().enumerate();
    let all = all.flat_map(|(from, build)| build.needs.iter().map(move |need| (from, *need)));
    all.filter(|edge| once.insert(*edge)).collect()
}

fn json(graph: &Graph, decisions: &[Decision]) -> String {
    #[derive(Serialize)]
    struct Build<'a> {
        name: &'a str,
        recipe: String,
        package: &'a str,
        tags: &'a [String],
        requested: bool,
        needs: Vec<&'a str>,
        decision: &'static str,
        reason: &'a str,
    }
    #[derive(Serialize)]
    struct All<'a> {
        builds: Vec<Build<'a>>,
    }
    let named = |need: &usize| graph.builds.get(*need).map(|build| build.name.as_str());
    let builds =
        each(graph, decisions).map(|(_, GraphNode { name, recipe, needs, requested, .. }, decision)| Build {
            name,
            recipe: recipe.path.display().to_string(),
            package: &recipe.package,
            tags: &recipe.tags,
            requested: *requested,
            needs: needs.iter().filter_map(named).collect(),
            decision: decision.word(),
            reason: decision.reason(),
        });
    // Serializing text and lists cannot fail.
    serde_json::to_string_pretty(&All { builds: builds.collect() }).unwrap_or_default() + "\n"
}
