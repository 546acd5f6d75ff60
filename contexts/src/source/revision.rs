//! Which commit of a repository is built, whatever keeps its history.

/// Which commit to build, as a recipe says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevisionSpec {
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

impl RevisionSpec {
    /// The revision, if that is what the recipe names: it always stands for the same code.
    pub(crate) fn pinned(&self) -> Option<&str> {
        match self {
            Self::Revision(id) => Some(id),
            Self::Default | Self::Branch(_) | Self::Tag(_) => None,
        }
    }

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
