//! Which file of a crate imports which, read from the text of its `use` lines and paths. Light: no compiler, no macros.
//!
//! A name counts for the file that defines it, not for those that hand it on, and `pub use` alone imports nothing.
//! A module is the face of those below it and may call them: what it takes from them does not count, nor does what
//! tests within a file (`#[cfg(test)]`) take.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

type Words = Vec<String>;

/// A crate's source files, and what each imports from the others.
#[derive(Debug)]
pub struct Imports {
    /// Edges by file, as paths from the crate's source folder.
    pub edges: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    defined: BTreeSet<String>,
    /// Names that `use` brings in: the name here, and where it is from.
    used: BTreeMap<String, Words>,
    /// What the file takes, as paths from where it stands.
    taken: BTreeSet<Words>,
}

impl Imports {
    /// Reads the crate whose root is `lib.rs` in this folder.
    pub fn read(source: &Path) -> Self {
        let mut modules = BTreeMap::new();
        load(source, Path::new("lib.rs"), Words::new(), &mut modules);
        let mut edges = BTreeMap::new();
        for (at, module) in &modules {
            let mut imported = BTreeSet::new();
            for path in &module.taken {
                if let Some(other) = defining(&modules, at, path, 0).filter(|other| !other.starts_with(at)) {
                    imported.insert(modules[&other].file.clone());
                }
            }
            edges.insert(module.file.clone(), imported);
        }
        Self { edges }
    }

    /// The same between rooms: a file or a folder just below the source folder, but for the crate's root.
    #[must_use]
    pub fn rooms(&self) -> Self {
        let room = |file: &PathBuf| {
            let first = file.iter().next().map(PathBuf::from).unwrap_or_default();
            (first != Path::new("lib.rs")).then(|| first.with_extension(""))
        };
        let mut edges: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (file, imported) in &self.edges {
            let Some(from) = room(file) else { continue };
            let to = imported.iter().filter_map(room).filter(|to| *to != from);
            edges.entry(from.clone()).or_default().extend(to);
        }
        Self { edges }
    }

    /// What imports itself in the end: each group of files of which every one reaches every other.
    pub fn circles(&self) -> Vec<BTreeSet<PathBuf>> {
        let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
            self.edges.keys().map(|file| (file, self.reached(file))).collect();
        let mut circles = BTreeSet::new();
        for (file, to) in &reached {
            if to.contains(file) {
                let back = to.iter().filter(|other| reached[**other].contains(file));
                circles.insert(back.map(|other| (*other).clone()).collect::<BTreeSet<_>>());
            }
        }
        circles.into_iter().collect()
    }

    /// The edges between these files, a line each.
    pub fn within(&self, files: &BTreeSet<PathBuf>) -> String {
        let mut text = String::new();
        for (from, imported) in self.edges.iter().filter(|(from, _)| files.contains(*from)) {
            for to in imported.iter().filter(|to| files.contains(*to)) {
                let _ = writeln!(text, "  {} -> {}", from.display(), to.display());
            }
        }
        text
    }

    fn reached<'s>(&'s self, from: &PathBuf) -> BTreeSet<&'s PathBuf> {
        let mut reached = BTreeSet::new();
        let mut left: Vec<&PathBuf> = self.edges[from].iter().collect();
        while let Some(file) = left.pop() {
            if reached.insert(file) {
                left.extend(self.edges.get(file).into_iter().flatten());
            }
        }
        reached
    }
}

/// Reads a module's file and those below it.
fn load(source: &Path, file: &Path, at: Words, modules: &mut BTreeMap<Words, Module>) {
    let path = source.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut module = Module { file: file.to_path_buf(), ..Module::default() };
    Reader { tokens: &tokens(&text), at: 0, depth: 0 }.read(&mut module);
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "mod") | None => file.parent().unwrap_or(Path::new("")).to_path_buf(),
        Some(stem) => file.with_file_name(stem),
    };
    for child in &module.children {
        let beside = [folder.join(format!("{child}.rs")), folder.join(child).join("mod.rs")];
        let Some(found) = beside.iter().find(|path| source.join(path).is_file()) else { continue };
        load(source, found, [&at[..], std::slice::from_ref(child)].concat(), modules);
    }
    modules.insert(at, module);
}

/// The module that defines what a path names, seen from the module `at`; none where it is of another crate.
fn defining(modules: &BTreeMap<Words, Module>, at: &[String], path: &[String], hops: usize) -> Option<Words> {
    let mut here = at.to_vec();
    let mut rest = path;
    let mut inside = false;
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "crate" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
            }
            name => {
                let module = modules.get(&here)?;
                if module.children.contains(name)
                    && modules.contains_key(&[&here[..], &[name.into()]].concat())
                {
                    here.push(name.into());
                } else if module.defined.contains(name) {
                    break;
                } else if let Some(from) = module.used.get(name).filter(|_| hops < 8) {
                    return defining(modules, &here, &[&from[..], tail].concat(), hops + 1);
                } else if inside {
                    break;
                } else {
                    return None;
                }
            }
        }
        inside = true;
        rest = tail;
    }
    modules.contains_key(&here).then_some(here)
}

struct Reader<'t> {
    tokens: &'t [String],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn read(&mut self, module: &mut Module) {
        let mut public = false;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" => {
                    let test = ["[", "cfg", "(", "test", ")"]
                        .iter()
                        .enumerate()
                        .all(|(n, it)| self.peek(n + 1) == *it);
                    self.at += 1;
                    self.skip_group();
                    if test {
                        self.skip_item();
                    }
                    continue;
                }
                "pub" => {
                    self.at += 1;
                    if self.peek(0) == "(" {
                        self.skip_group();
                    }
                    public = true;
                    continue;
                }
                "use" if self.peek(1) != "<" => {
                    self.at += 1;
                    let (depth, mut leaves) = (self.depth, Vec::new());
                    self.tree(&Words::new(), &mut leaves);
                    for (path, name) in leaves {
                        if depth == 0 {
                            module.used.insert(name, path.clone());
                        }
                        if !public {
                            module.taken.insert(path);
                        }
                    }
                }
                "{" => self.depth += 1,
                "}" => self.depth = self.depth.saturating_sub(1),
                "mod" if self.depth == 0 && self.peek(2) == ";" => {
                    module.children.insert(self.peek(1).to_owned());
                    self.at += 1;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" | "mod"
                    if self.depth == 0 =>
                {
                    // `const fn`, `static mut`: the name is one further on.
                    module.defined.insert(self.peek(1).to_owned());
                }
                first
                    if is_word(first) && self.peek(1) == "::" && (self.at == 0 || self.before() != "::") =>
                {
                    let path = self.path();
                    let leads = matches!(path[0].as_str(), "crate" | "super" | "self");
                    if leads || path[0].starts_with(char::is_lowercase) {
                        module.taken.insert(path);
                    }
                    continue;
                }
                _ => {}
            }
            public = false;
            self.at += 1;
        }
        let children = &module.children;
        let used = &module.used;
        // Anything else that has `::` in it is of another crate, or has been brought in by a `use` that counts already.
        module.taken.retain(|path| {
            matches!(path[0].as_str(), "crate" | "super" | "self")
                || (children.contains(&path[0]) && !used.contains_key(&path[0]))
        });
    }

    fn before(&self) -> &str {
        &self.tokens[self.at - 1]
    }

    /// `a::b::C`, as far as it goes.
    fn path(&mut self) -> Words {
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && is_word(self.peek(1)) {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        path
    }

    /// One tree of a `use`: its paths, and the name that each has here.
    fn tree(&mut self, before: &Words, leaves: &mut Vec<(Words, String)>) {
        let mut path = before.clone();
        loop {
            match self.peek(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        let begin = self.at;
                        self.tree(&path, leaves);
                        // A sign that no `use` has is passed over, not read for ever.
                        if self.peek(0) == "," || self.at == begin {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    leaves.push((path, "*".into()));
                    return;
                }
                "as" => {
                    leaves.push((path, self.peek(1).to_owned()));
                    self.at += 2;
                    return;
                }
                word if is_word(word) => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_owned());
                    }
                    self.at += 1;
                }
                _ => {
                    let name = path.last().cloned().unwrap_or_default();
                    leaves.push((path, name));
                    return;
                }
            }
        }
    }

    /// From an opening bracket to behind the closing one.
    fn skip_group(&mut self) {
        if self.peek(0) == "!" {
            self.at += 1;
        }
        let mut open = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "(" | "[" | "{" => open += 1,
                ")" | "]" | "}" => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// An item with its attributes, whatever it is.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                ";" => {
                    self.at += 1;
                    return;
                }
                "{" => return self.skip_group(),
                "(" | "[" => self.skip_group(),
                _ => self.at += 1,
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single signs; no comments, texts and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_text(rest) {
            length
        } else if rest.strip_prefix("r#").is_some_and(is_word) {
            // A raw identifier: `r#loop` is the name `loop`.
            2
        } else if first == '"' {
            quoted(rest, b'"')
        } else if first == '\'' {
            // A lifetime, unless a quote closes it.
            let is_char = rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'');
            if is_char { quoted(rest, b'\'') } else { 1 }
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
            let is_lifetime = at > 0 && bytes[at - 1] == b'\'';
            if !is_lifetime {
                tokens.push(rest[..length].to_owned());
            }
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        at += length;
    }
    tokens
}

/// The length of `r"…"`, `br#"…"#` and the like at the start of the text.
fn raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inner = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inner.len() + inner.find(&close)? + close.len())
}

/// The length of a quoted text, its quotes included.
fn quoted(text: &str, quote: u8) -> usize {
    let mut at = 1;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}
