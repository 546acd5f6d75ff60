//! How the format is described: keys, their types, and the maps that they belong to.

/// The type of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// The number 1.
    Version,
    /// A scalar, taken as written.
    Text,
    /// A scalar of one line, never blank.
    Line,
    /// A scalar that can name a folder and a web page.
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
    /// A non-empty list of maps with these keys.
    Sections(&'static Section),
    /// A non-empty list of lines, and of maps with these keys.
    LinesOr(&'static Section),
    /// A map from names to paths in the tree.
    InnerPaths,
    /// A map from names of axes to their values, with `include` and `exclude`.
    Matrix,
    /// A number of slots, or `all`.
    Weight,
    /// A number of bytes with a unit.
    Bytes,
    /// Name of uploaded files: a relative path.
    PublicName,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What it means, in one sentence, for editors.
    pub(super) meaning: &'static str,
    /// A value in a recipe (JSON, which is YAML), for editors.
    pub(super) example: &'static str,
    /// The default, as JSON.
    pub(super) default: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct Section {
    /// "a recipe", "a step", "`source`".
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
    /// Required keys, each with an example.
    pub(super) required: &'static [(&'static str, &'static str)],
    /// If not empty, exactly one of these is required.
    pub(super) one_of: &'static [&'static str],
    /// At most one of these is allowed.
    pub(super) at_most_one: &'static [&'static str],
    /// The first is allowed only with one of the second.
    pub(super) only_with: &'static [(&'static str, &'static [&'static str])],
    /// Keys that are planned for later versions.
    pub(super) later: &'static [&'static str],
    /// Names in other tools, with ours.
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

pub(super) const fn key(
    name: &'static str,
    shape: Shape,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key { name, shape, meaning, example, default: None }
}

pub(super) const fn with_default(key: &Key, default: &'static str) -> Key {
    Key { default: Some(default), ..*key }
}
