//! Every key of the format, once: the parser, the JSON Schema and the test of the reference use these tables.

use super::section::{Section, Shape, key, with_default};

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

/// The whole file.
pub(super) static RECIPE: Section = Section {
    what: "a recipe",
    keys: &[
        with_default(&key("version", Shape::Version, "Version of the recipe format.", "1"), "1"),
        key("package", Shape::Package, "Name that servers list results under. Plain text.", r#""python""#),
        key(
            "tags",
            Shape::Lines,
            "Labels that distinguish this build slot from others of the package.",
            r#"["python3.14"]"#,
        ),
        key(
            "source",
            Shape::Section(&SOURCE),
            "Where the sources come from. Without it, steps start in an empty folder.",
            r#"{"git": "https://github.com/python/cpython.git", "branch": "main"}"#,
        ),
        with_default(
            &key(
                "context",
                Shape::ChoiceOr(CONTEXTS, &CONTEXT),
                "Where steps run: in a new folder that is removed afterwards, in the source folder itself, in a folder that persists, or in a virtualenv.",
                r#""tempdir""#,
            ),
            r#""tempdir""#,
        ),
        key(
            "needs",
            Shape::LinesOr(&NEED),
            "Recipes that are built first. This build can use their outputs.",
            r#"["zlib", {"recipe": "../png.yaml", "with": {"shared": "no"}}]"#,
        ),
        key(
            "outputs",
            Shape::InnerPaths,
            "Paths in the tree that builds with this need can use. They must exist at the end.",
            r#"{"prefix": "install"}"#,
        ),
        key(
            "matrix",
            Shape::Matrix,
            "Axes and their values. Each combination is a separate build.",
            r#"{"python": ["3.12", "3.13"], "db": ["sqlite", "postgres"]}"#,
        ),
        with_default(
            &key("weight", Shape::Weight, "How many of the concurrent builds (-j) it counts as.", r#""all""#),
            "1",
        ),
        key(
            "memory",
            Shape::Bytes,
            "Memory it may use; builds that would exceed the machine's together wait.",
            r#""2GB""#,
        ),
        key(
            "locks",
            Shape::Lines,
            "Names of resources that only one build may use at a time.",
            r#"["port-5432"]"#,
        ),
        key(
            "jobserver",
            Shape::Flag,
            "Whether steps share jobs with other builds through make's jobserver [default: when several builds run].",
            "false",
        ),
        key(
            "variables",
            Shape::Variables,
            "Values for {{name}}; --set name=value overrides them.",
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
                "inherit (minus variables that affect builds, such as MAKEFLAGS) or clean.",
                r#""clean""#,
            ),
            r#""inherit""#,
        ),
        key(
            "private",
            Shape::Choices(PRIVATE),
            "Folders that each run has for itself: home (HOME), tmp (TMPDIR).",
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
            "Files whose changes make --if-needed build.",
            r#"{"include": ["src/**"], "exclude": ["**/*.md"]}"#,
        ),
        key(
            "force-every",
            Shape::Duration,
            "With --if-needed, build after this time even if nothing changed.",
            r#""7d""#,
        ),
        with_default(&key("timeout", Shape::Duration, "Time limit for the whole run.", r#""4h""#), r#""4h""#),
        key("steps", Shape::Sections(&STEP), "Steps, in order.", r#"[{"run": "make"}]"#),
        key(
            "secrets",
            Shape::EnvironmentNames,
            "Environment variables whose values are redacted in all output.",
            r#"["UPLOAD_TOKEN"]"#,
        ),
        key(
            "expect",
            Shape::Duration,
            "Servers list this slot as overdue after this time without a result.",
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
            "Recipe file, relative to this recipe's folder; `.yaml` is optional.",
            r#""../zlib.yaml""#,
        ),
        key(
            "with",
            Shape::Variables,
            "Values for its variables and axes. They must select exactly one build.",
            r#"{"shared": "no"}"#,
        ),
        key("as", Shape::Line, "Name in {{needs.NAME.OUTPUT}} [default: the file's name].", r#""zlib""#),
        key(
            "without",
            Shape::Choices(WITHOUT),
            "What its outputs are not used for; prefix stands for all of the variables.",
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
            "URL of a folder in a Subversion repository, optionally with a peg revision.",
            r#""https://svn.example.org/demo/trunk""#,
        ),
        key("path", Shape::Line, "A folder, relative to the recipe's folder.", r#""..""#),
        key(
            "archive",
            Shape::Line,
            "URL or path of an archive: tar (gz, xz, zst, bz2) or zip.",
            r#""https://example.org/demo-1.0.tar.gz""#,
        ),
        key(
            "branch",
            Shape::Line,
            "Build the head of this branch (hg: named branch or bookmark).",
            r#""main""#,
        ),
        key("tag", Shape::Line, "Build this tag.", r#""v3.14.0""#),
        key("revision", Shape::Line, "Build this commit hash (svn: revision number).", r#""9f8e7d6c""#),
        with_default(&key("submodules", Shape::Flag, "Check out submodules too.", "true"), "false"),
        key("subdir", Shape::Line, "Run the steps in this folder of the sources.", r#""python""#),
        key("dir", Shape::Line, "Name of the folder for the sources.", r#""demo""#),
        with_default(
            &key("gitignore", Shape::Flag, "Do not copy files that `.gitignore` lists.", "true"),
            "false",
        ),
        key(
            "sha256",
            Shape::Digest,
            "Required SHA-256 of the archive.",
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
            "A new folder with its own Python environment.",
            r#"{"python": "3.12", "requirements": ["pytest"]}"#,
        ),
        key(
            "directory",
            Shape::Line,
            "A folder that persists between runs, relative to the recipe's folder.",
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
        key("python", Shape::Line, "Name, path or version of the interpreter; -e overrides it.", r#""3.12""#),
        key(
            "requirements",
            Shape::Lines,
            "Packages to install before the first step, in pip's syntax.",
            r#"["pytest>=8", "-r requirements.txt", "."]"#,
        ),
        key("optional", Shape::Lines, "Packages to install if possible, one by one.", r#"["lxml"]"#),
        with_default(
            &key(
                "system-site-packages",
                Shape::Flag,
                "Make the interpreter's own packages available.",
                "true",
            ),
            "false",
        ),
        key(
            "installer",
            Shape::Choice(INSTALLERS),
            "Tool that creates the environment [default: the first one installed].",
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
        key("name", Shape::Line, "Unique name [default: the program it runs].", r#""configure""#),
        with_default(
            &key("type", Shape::Choice(STEP_KINDS), "Kind of step, shown by servers.", r#""test""#),
            r#""build""#,
        ),
        key(
            "run",
            Shape::Run,
            "Text is a script for sh -e; a list is a program and its arguments, run without a shell.",
            r#""make -j{{jobs}}""#,
        ),
        key("upload", Shape::Line, "Files (a glob) to send with the result.", r#""dist/*.whl""#),
        key(
            "as",
            Shape::PublicName,
            "Name of the uploaded file, or with a `/` at the end, folder of the uploaded files.",
            r#""wheels/""#,
        ),
        with_default(
            &key("visible", Shape::Flag, "Whether servers list the uploaded files.", "false"),
            "true",
        ),
        key("description", Shape::Text, "Description of the uploaded files.", r#""a wheel""#),
        key("cwd", Shape::Line, "Folder of the tree to run in.", r#""docs""#),
        key("env", Shape::Environment, "Environment variables of this step.", r#"{"VERBOSE": 1}"#),
        key("timeout", Shape::Duration, "Time limit.", r#""30m""#),
        with_default(
            &key("quiet-timeout", Shape::Duration, "Time limit without output.", r#""20m""#),
            r#""20m""#,
        ),
        with_default(
            &key("allow-failure", Shape::Flag, "Do not fail the build if it fails.", "true"),
            "false",
        ),
        with_default(&key("always", Shape::Flag, "Run even if an earlier step failed.", "true"), "false"),
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
