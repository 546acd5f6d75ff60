//! Which commit of a repository is built, whatever keeps its history.

/// Which commit to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// What a plain clone checks out: of git the tip of the default branch; of Mercurial the bookmark `@`, else the tip of
    /// the branch `default`, else the tip.
    Default,
    /// The tip of a branch; of Mercurial also the changeset of a bookmark.
    Branch(String),
    /// The commit that a tag names.
    Tag(String),
    /// A commit by its id, in full or its first digits.
    Revision(String),
}

impl Want {
    /// What is named, `branch`, `tag` or `revision`, and its name.
    pub fn named(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Default => None,
            Self::Branch(name) => Some(("branch", name)),
            Self::Tag(name) => Some(("tag", name)),
            Self::Revision(id) => Some(("revision", id)),
        }
    }
}
