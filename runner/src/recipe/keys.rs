//! Every key of the format, once: the parser, the JSON Schema and the reference's test all read these tables.

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// The number 1.
    Version,
    /// A scalar, taken as written.
    Text,
    /// A scalar that is one line, never blank.
    Line,
    /// A scalar that can name a folder and a page.
    Package,
    /// A list of [`Shape::Line`].
    Lines,
    /// A list of names of environment variables.
    EnvironmentNames,
    /// A map from names of environment variables to scalars.
    Environment,
    /// A map from names of variables to scalars.
    Variables,
    /// `20m`, `4h`, or a number of seconds.
    Duration,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A scalar (a script) or a list of scalars (a program and its arguments).
    Run,
    /// A map with these keys.
    Section(&'static Section),
    /// A list, not empty, of maps with these keys.
    Sections(&'static Section),
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What it means, in one sentence; shown by editors.
    pub(super) meaning: &'static str,
    /// A value as it stands in a recipe (JSON, which is YAML); shown by editors.
    pub(super) example: &'static str,
    /// What holds where it is left out, as JSON; `None` where nothing does.
    pub(super) default: Option<&'static str>,
}

/// A map of the format.
#[derive(Debug)]
pub(super) struct Section {
    /// "a recipe", "a step", "`source`".
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
    /// Keys that must be there, each with how it may look.
    pub(super) required: &'static [(&'static str, &'static str)],
    /// Exactly one of these must be there (or the set is empty).
    pub(super) one_of: &'static [&'static str],
    /// No two of these may be there.
    pub(super) at_most_one: &'static [&'static str],
    /// The first goes only with the second.
    pub(super) only_with: &'static [(&'static str, &'static str)],
    /// Keys that later versions bring.
    pub(super) later: &'static [&'static str],
    /// What people write who know other tools, and what it is called here.
    pub(super) known_as: &'static [(&'static str, &'static str)],
}

impl Section {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

/// The words of `context`.
pub(super) const CONTEXTS: &[&str] = &["tempdir", "here"];
/// Contexts that later versions bring.
pub(super) const LATER_CONTEXTS: &[&str] = &["virtualenv"];
/// The words of a step's `type`.
pub(super) const STEP_KINDS: &[&str] = &["setup", "build", "test", "package"];

const fn key(name: &'static str, shape: Shape, meaning: &'static str, example: &'static str) -> Key {
    Key { name, shape, meaning, example, default: None }
}

const fn with_default(key: &Key, default: &'static str) -> Key {
    Key { default: Some(default), ..*key }
}

/// The whole file.
pub(super) static RECIPE: Section = Section {
    what: "a recipe",
    keys: &[
        with_default(&key("version", Shape::Version, "Version of the recipe format.", "1"), "1"),
        key("package", Shape::Package, "What servers file results under. Plain text.", r#""python""#),
        key(
            "tags",
            Shape::Lines,
            "Labels that tell this build slot from others of the package.",
            r#"["python3.14"]"#,
        ),
        key(
            "source",
            Shape::Section(&SOURCE),
            "Where the sources come from; without it, steps start in an empty folder.",
            r#"{"git": "https://github.com/python/cpython.git", "branch": "main"}"#,
        ),
        with_default(
            &key(
                "context",
                Shape::Choice(CONTEXTS),
                "Where steps run: in a fresh folder that is removed afterwards, or in the sources' own folder.",
                r#""tempdir""#,
            ),
            r#""tempdir""#,
        ),
        key(
            "variables",
            Shape::Variables,
            "Values for `{{name}}`; `--set name=value` overrides them.",
            r#"{"jobs": "{{cpus}}"}"#,
        ),
        key(
            "environment",
            Shape::Environment,
            "Environment variables of every step.",
            r#"{"LC_ALL": "C.UTF-8"}"#,
        ),
        with_default(
            &key("timeout", Shape::Duration, "How long the whole run may take.", r#""4h""#),
            r#""4h""#,
        ),
        key("steps", Shape::Sections(&STEP), "What is done, in order.", r#"[{"run": "make"}]"#),
        key(
            "secrets",
            Shape::EnvironmentNames,
            "Environment variables whose values are masked wherever output goes.",
            r#"["UPLOAD_TOKEN"]"#,
        ),
        key(
            "expect",
            Shape::Duration,
            "A server lists this slot as overdue when no result came for so long.",
            r#""24h""#,
        ),
    ],
    required: &[("package", "package: python"), ("steps", "steps: [{run: make}]")],
    one_of: &[],
    at_most_one: &[],
    only_with: &[],
    later: &["needs", "outputs", "matrix"],
    known_as: &[
        ("name", "package"),
        ("project", "package"),
        ("env", "environment"),
        ("vars", "variables"),
        ("script", "steps"),
        ("jobs", "steps"),
        ("run", "steps"),
        ("git", "source"),
        ("path", "source"),
        ("repository", "source"),
    ],
};

/// `source`.
pub(super) static SOURCE: Section = Section {
    what: "`source`",
    keys: &[
        key(
            "git",
            Shape::Line,
            "URL or path of a git repository.",
            r#""https://github.com/python/cpython.git""#,
        ),
        key("path", Shape::Line, "A folder, from the recipe's own folder.", r#""..""#),
        key("branch", Shape::Line, "Build the head of this branch.", r#""main""#),
        key("tag", Shape::Line, "Build this tag.", r#""v3.14.0""#),
        key("revision", Shape::Line, "Build the commit with this hash.", r#""9f8e7d6c""#),
        with_default(&key("submodules", Shape::Flag, "Check out submodules too.", "true"), "false"),
        key("subdir", Shape::Line, "Run the steps in this folder of the repository.", r#""python""#),
    ],
    required: &[],
    one_of: &["git", "path"],
    at_most_one: &["branch", "tag", "revision"],
    only_with: &[
        ("branch", "git"),
        ("tag", "git"),
        ("revision", "git"),
        ("submodules", "git"),
        ("subdir", "git"),
    ],
    later: &["svn", "hg"],
    known_as: &[
        ("url", "git"),
        ("repository", "git"),
        ("dir", "path"),
        ("commit", "revision"),
        ("ref", "branch"),
        ("rev", "revision"),
    ],
};

/// An entry of `steps`.
pub(super) static STEP: Section = Section {
    what: "a step",
    keys: &[
        key("name", Shape::Line, "Unique; made from the command where it is left out.", r#""configure""#),
        with_default(
            &key("type", Shape::Choice(STEP_KINDS), "What kind of step servers show.", r#""test""#),
            r#""build""#,
        ),
        key(
            "run",
            Shape::Run,
            "Text is a script for `sh -e`; a list is a program and its arguments, run as it is.",
            r#""make -j{{jobs}}""#,
        ),
        key("upload", Shape::Line, "Files (a glob) to send along with the result.", r#""dist/*.whl""#),
        key("description", Shape::Text, "Shown beside uploaded files.", r#""a wheel""#),
        key("cwd", Shape::Line, "Folder of the tree in which it runs.", r#""docs""#),
        key("env", Shape::Environment, "Environment variables of this step.", r#"{"VERBOSE": 1}"#),
        key("timeout", Shape::Duration, "How long it may take.", r#""30m""#),
        with_default(
            &key("quiet-timeout", Shape::Duration, "How long it may print nothing.", r#""20m""#),
            r#""20m""#,
        ),
        with_default(
            &key("allow-failure", Shape::Flag, "Its failure does not fail the build.", "true"),
            "false",
        ),
        with_default(&key("always", Shape::Flag, "Runs even where an earlier step failed.", "true"), "false"),
    ],
    required: &[],
    one_of: &["run", "upload"],
    at_most_one: &[],
    only_with: &[("description", "upload"), ("env", "run"), ("timeout", "run"), ("quiet-timeout", "run")],
    later: &["when", "retries", "tests"],
    known_as: &[
        ("command", "run"),
        ("cmd", "run"),
        ("script", "run"),
        ("shell", "run"),
        ("exec", "run"),
        ("environment", "env"),
        ("dir", "cwd"),
        ("workdir", "cwd"),
        ("working-directory", "cwd"),
        ("kind", "type"),
        ("artifact", "upload"),
        ("continue-on-error", "allow-failure"),
    ],
};
