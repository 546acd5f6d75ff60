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
    /// A list of some of these words.
    Choices(&'static [&'static str]),
    /// One of these words, or a map with these keys.
    ChoiceOr(&'static [&'static str], &'static Section),
    /// A list of globs.
    Globs,
    /// A SHA-256 in hexadecimal digits.
    Digest,
    /// A map with these keys, or nothing.
    Optional(&'static Section),
    /// A scalar (a script) or a list of scalars (a program and its arguments).
    Run,
    /// A map with these keys.
    Section(&'static Section),
    /// A list, not empty, of maps with these keys.
    Sections(&'static Section),
    /// A list, not empty, of lines and of maps with these keys.
    LinesOr(&'static Section),
    /// A map from names to paths in the tree.
    InnerPaths,
    /// A map from names of axes to their values, with `include` and `exclude`.
    Matrix,
    /// A number of slots, or `all`.
    Weight,
    /// A number of bytes with its unit.
    Bytes,
    /// What uploaded files are called: a relative path.
    PublicName,
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
    /// The first goes only with one of the second.
    pub(super) only_with: &'static [(&'static str, &'static [&'static str])],
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
/// The words of `environment-from`.
pub(super) const ENVIRONMENTS: &[&str] = &["inherit", "clean"];
/// The words of `private`.
pub(super) const PRIVATE: &[&str] = &["home", "tmp"];
/// The words of `installer`.
pub(super) const INSTALLERS: &[&str] = &["uv", "virtualenv", "venv"];
/// The words of `without`.
pub(super) const WITHOUT: &[&str] = &[
    "prefix",
    "wheels",
    "PATH",
    "PKG_CONFIG_PATH",
    "CMAKE_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "C_INCLUDE_PATH",
    "LIBRARY_PATH",
];
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
                Shape::ChoiceOr(CONTEXTS, &CONTEXT),
                "Where steps run: in a fresh folder that is removed afterwards, in the sources' own folder, in one that lasts, or with a virtualenv.",
                r#""tempdir""#,
            ),
            r#""tempdir""#,
        ),
        key(
            "needs",
            Shape::LinesOr(&NEED),
            "Recipes whose builds come first, and hand their outputs on.",
            r#"["zlib", {"recipe": "../png.yaml", "with": {"shared": "no"}}]"#,
        ),
        key(
            "outputs",
            Shape::InnerPaths,
            "What builds that need this one are handed: paths in the tree, there at the end.",
            r#"{"prefix": "install"}"#,
        ),
        key(
            "matrix",
            Shape::Matrix,
            "Axes and their values: each combination is a build of its own.",
            r#"{"python": ["3.12", "3.13"], "db": ["sqlite", "postgres"]}"#,
        ),
        with_default(
            &key(
                "weight",
                Shape::Weight,
                "How many of the builds that may run at once it counts as.",
                r#""all""#,
            ),
            "1",
        ),
        key("memory", Shape::Bytes, "What it may take: builds wait for each other's.", r#""2GB""#),
        key("locks", Shape::Lines, "What no two builds may use at once, by any names.", r#"["port-5432"]"#),
        key(
            "jobserver",
            Shape::Flag,
            "Steps share jobs with other builds by make's jobserver; where several builds run if it is left out.",
            "false",
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
            &key(
                "environment-from",
                Shape::Choice(ENVIRONMENTS),
                "What steps see of the environment that pony-run is started in: all but what changes builds behind one's back, or next to nothing.",
                r#""clean""#,
            ),
            r#""inherit""#,
        ),
        key(
            "private",
            Shape::Choices(PRIVATE),
            "Folders that each run gets of its own: `home` (`HOME`), `tmp` (`TMPDIR`).",
            r#"["home", "tmp"]"#,
        ),
        key(
            "tools",
            Shape::Lines,
            "Programs whose paths and versions are reported with the result.",
            r#"["gcc", "make", "python3"]"#,
        ),
        key(
            "watch",
            Shape::Section(&WATCH),
            "With `--if-needed`, changes count only where they touch these files.",
            r#"{"include": ["src/**"], "exclude": ["**/*.md"]}"#,
        ),
        key(
            "force-every",
            Shape::Duration,
            "With `--if-needed`, build after so long even where nothing changed.",
            r#""7d""#,
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
    later: &[],
    known_as: &[
        ("name", "package"),
        ("project", "package"),
        ("env", "environment"),
        ("vars", "variables"),
        ("script", "steps"),
        ("jobs", "steps"),
        ("run", "steps"),
        ("git", "source"),
        ("hg", "source"),
        ("svn", "source"),
        ("path", "source"),
        ("archive", "source"),
        ("repository", "source"),
        ("virtualenv", "context"),
        ("directory", "context"),
        ("paths", "watch"),
        ("depends", "needs"),
        ("depends-on", "needs"),
        ("depends_on", "needs"),
        ("dependencies", "needs"),
        ("requires", "needs"),
        ("strategy", "matrix"),
        ("axes", "matrix"),
        ("artifacts", "outputs"),
        ("exports", "outputs"),
        ("mutex", "locks"),
        ("concurrency", "locks"),
        ("ram", "memory"),
    ],
};

/// An entry of `needs`, as a map.
pub(super) static NEED: Section = Section {
    what: "an entry of `needs`",
    keys: &[
        key(
            "recipe",
            Shape::Line,
            "Its file, from the recipe's own folder; `.yaml` may be left out.",
            r#""../zlib.yaml""#,
        ),
        key(
            "with",
            Shape::Variables,
            "Values for its variables, and for its axes: exactly one build is needed.",
            r#"{"shared": "no"}"#,
        ),
        key(
            "as",
            Shape::Line,
            "What it is called in `{{needs.NAME.OUTPUT}}`; else after its file.",
            r#""zlib""#,
        ),
        key(
            "without",
            Shape::Choices(WITHOUT),
            "What its outputs are not used for; `prefix` is all of the variables.",
            r#"["PATH"]"#,
        ),
    ],
    required: &[("recipe", "recipe: zlib.yaml")],
    one_of: &[],
    at_most_one: &[],
    only_with: &[],
    later: &[],
    known_as: &[
        ("file", "recipe"),
        ("path", "recipe"),
        ("uses", "recipe"),
        ("name", "as"),
        ("alias", "as"),
        ("id", "as"),
        ("set", "with"),
        ("variables", "with"),
        ("vars", "with"),
        ("settings", "with"),
        ("matrix", "with"),
        ("exclude", "without"),
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
        key(
            "hg",
            Shape::Line,
            "URL or path of a Mercurial repository.",
            r#""https://www.mercurial-scm.org/repo/hello""#,
        ),
        key(
            "svn",
            Shape::Line,
            "URL of a folder in a Subversion repository, perhaps with a peg revision.",
            r#""https://svn.example.org/demo/trunk""#,
        ),
        key("path", Shape::Line, "A folder, from the recipe's own folder.", r#""..""#),
        key(
            "archive",
            Shape::Line,
            "URL or path of a packed file: tar (gz, xz, zst, bz2) or zip.",
            r#""https://example.org/demo-1.0.tar.gz""#,
        ),
        key(
            "branch",
            Shape::Line,
            "Build the head of this branch (of hg, a named branch or a bookmark).",
            r#""main""#,
        ),
        key("tag", Shape::Line, "Build this tag.", r#""v3.14.0""#),
        key(
            "revision",
            Shape::Line,
            "Build the commit with this hash; of svn, this revision number.",
            r#""9f8e7d6c""#,
        ),
        with_default(&key("submodules", Shape::Flag, "Check out submodules too.", "true"), "false"),
        key("subdir", Shape::Line, "Run the steps in this folder of the sources.", r#""python""#),
        key("dir", Shape::Line, "Name of the folder that the sources are put in.", r#""demo""#),
        with_default(
            &key("gitignore", Shape::Flag, "Leave out what `.gitignore` files name.", "true"),
            "false",
        ),
        key(
            "sha256",
            Shape::Digest,
            "What the archive's SHA-256 must be.",
            r#""9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08""#,
        ),
    ],
    required: &[],
    one_of: &["git", "hg", "svn", "path", "archive"],
    at_most_one: &["branch", "tag", "revision"],
    only_with: &[
        ("branch", &["git", "hg"]),
        ("tag", &["git", "hg"]),
        ("revision", &["git", "hg", "svn"]),
        ("submodules", &["git"]),
        ("subdir", &["git", "hg", "svn", "archive"]),
        ("dir", &["git", "hg", "svn", "archive"]),
        ("gitignore", &["path"]),
        ("sha256", &["archive"]),
    ],
    later: &[],
    known_as: &[
        ("url", "git"),
        ("repository", "git"),
        ("folder", "path"),
        ("tarball", "archive"),
        ("commit", "revision"),
        ("bookmark", "branch"),
        ("ref", "branch"),
        ("rev", "revision"),
        ("checksum", "sha256"),
    ],
};

/// `context`, as a map.
pub(super) static CONTEXT: Section = Section {
    what: "`context`",
    keys: &[
        key(
            "virtualenv",
            Shape::Optional(&VIRTUALENV),
            "A fresh folder with a Python environment of its own.",
            r#"{"python": "3.12", "requirements": ["pytest"]}"#,
        ),
        key(
            "directory",
            Shape::Line,
            "A folder that lasts from run to run, from the recipe's own folder.",
            r#""../build""#,
        ),
    ],
    required: &[],
    one_of: &["virtualenv", "directory"],
    at_most_one: &[],
    only_with: &[],
    later: &[],
    known_as: &[("venv", "virtualenv"), ("dir", "directory"), ("path", "directory")],
};

/// `context.virtualenv`.
pub(super) static VIRTUALENV: Section = Section {
    what: "`virtualenv`",
    keys: &[
        key(
            "python",
            Shape::Line,
            "Name, path or version of the interpreter; `-e` overrides it.",
            r#""3.12""#,
        ),
        key(
            "requirements",
            Shape::Lines,
            "What must be installed before the first step, as pip takes it.",
            r#"["pytest>=8", "-r requirements.txt", "."]"#,
        ),
        key(
            "optional",
            Shape::Lines,
            "What is installed where that can be done, each for itself.",
            r#"["lxml"]"#,
        ),
        with_default(
            &key(
                "system-site-packages",
                Shape::Flag,
                "Packages of the interpreter's own can be seen.",
                "true",
            ),
            "false",
        ),
        key(
            "installer",
            Shape::Choice(INSTALLERS),
            "What makes the environment; the first of these that is there where it is left out.",
            r#""uv""#,
        ),
    ],
    required: &[],
    one_of: &[],
    at_most_one: &[],
    only_with: &[],
    later: &[],
    known_as: &[
        ("requires", "requirements"),
        ("dependencies", "requirements"),
        ("packages", "requirements"),
        ("interpreter", "python"),
        ("tool", "installer"),
    ],
};

/// `watch`.
pub(super) static WATCH: Section = Section {
    what: "`watch`",
    keys: &[
        key("include", Shape::Globs, "Only changes of these files count.", r#"["src/**"]"#),
        key("exclude", Shape::Globs, "Changes of these do not count.", r#"["**/*.md"]"#),
    ],
    required: &[],
    one_of: &[],
    at_most_one: &[],
    only_with: &[],
    later: &[],
    known_as: &[("paths", "include"), ("ignore", "exclude"), ("paths-ignore", "exclude")],
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
        key(
            "as",
            Shape::PublicName,
            "What uploaded files are called: one file by its name, or with a `/` at the end the folder of several.",
            r#""wheels/""#,
        ),
        with_default(
            &key("visible", Shape::Flag, "Whether servers list the uploaded files.", "false"),
            "true",
        ),
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
    only_with: &[
        ("as", &["upload"]),
        ("visible", &["upload"]),
        ("description", &["upload"]),
        ("env", &["run"]),
        ("timeout", &["run"]),
        ("quiet-timeout", &["run"]),
    ],
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
        ("artifacts", "upload"),
        ("public-name", "as"),
        ("rename", "as"),
        ("hidden", "visible"),
        ("continue-on-error", "allow-failure"),
    ],
};
