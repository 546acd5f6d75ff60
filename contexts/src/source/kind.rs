//! What each kind of source does.

use std::path::{Path, PathBuf};

use super::{
    context::SourceContext,
    tree::{Destination, SourceTree},
};
use crate::{
    cache::{EntryKind, Manifest},
    error::Error,
    shell::Shell,
    url::Url,
};

/// A kind of source: implemented by the part of a recipe that describes one.
pub(crate) trait SourceKind {
    /// Its entries in the cache, if it has any.
    const CACHED_AS: Option<EntryKind>;

    /// The address of the source; `None` for a folder of this machine.
    fn url(&self) -> Option<&Url>;

    /// The revision that the recipe names, if that always stands for the same code.
    fn pinned(&self) -> Option<&str>;

    /// The folder to build in place.
    fn in_place(&self, context: &SourceContext<'_>) -> Result<PathBuf, Error>;

    /// Makes the tree at `destination`, and describes it.
    async fn obtain(
        &self,
        destination: Destination<'_>,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<SourceTree, Error>;

    /// What would be built now: the revision, or its first characters where the recipe gives no more. `None` if there is no way
    /// to tell without building. Changes nothing but the cache.
    async fn tip(&self, context: &SourceContext<'_>, shell: &mut impl Shell)
    -> Result<Option<String>, Error>;

    /// Paths, from the top of the repository, of the files that differ between the tip `from` and what would be built now.
    /// `None` if there is no way to tell, as when `from` is unknown.
    async fn changed_files(
        &self,
        from: &str,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error>;

    /// What is wrong with the complete cache entry `dir` of `url`; `None` if it is intact.
    async fn damage(
        dir: &Path,
        url: &Url,
        manifest: &Manifest,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error>;
}
