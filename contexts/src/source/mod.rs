//! Where code comes from: each kind of source has a folder here, implements [`SourceKind`] and is registered below.

pub(crate) mod archive;
mod context;
pub(crate) mod git;
pub(crate) mod hg;
mod kind;
pub(crate) mod path;
mod revision;
mod similar;
pub(crate) mod svn;
mod tree;

use std::path::{Path, PathBuf};

pub(crate) use context::SourceContext;
use kind::SourceKind;
pub use revision::RevisionSpec;
pub(crate) use tree::{Destination, SourceTree};

use crate::{
    cache::{EntryKind, Manifest},
    error::Error,
    shell::Shell,
    url::Url,
};

/// Defines [`SourceSpec`] and hands its calls on to the kinds of sources.
macro_rules! register {
    ($($(#[$doc:meta])* $name:ident($spec:ty),)+) => {
        /// Where the code comes from, as a recipe describes it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum SourceSpec {
            $($(#[$doc])* $name($spec),)+
        }

        impl SourceSpec {
            /// Its address; a folder has none.
            pub fn url(&self) -> Option<&Url> {
                match self { $(Self::$name(source) => source.url(),)+ }
            }

            /// The revision that the recipe names, if that always stands for the same code.
            pub fn pinned(&self) -> Option<&str> {
                match self { $(Self::$name(source) => source.pinned(),)+ }
            }

            pub(crate) fn in_place(&self, context: &SourceContext<'_>) -> Result<PathBuf, Error> {
                match self { $(Self::$name(source) => source.in_place(context),)+ }
            }

            pub(crate) async fn obtain(
                &self,
                destination: Destination<'_>,
                context: &SourceContext<'_>,
                shell: &mut impl Shell,
            ) -> Result<SourceTree, Error> {
                match self { $(Self::$name(source) => source.obtain(destination, context, shell).await,)+ }
            }

            pub(crate) async fn tip(
                &self,
                context: &SourceContext<'_>,
                shell: &mut impl Shell,
            ) -> Result<Option<String>, Error> {
                match self { $(Self::$name(source) => source.tip(context, shell).await,)+ }
            }

            pub(crate) async fn changed_files(
                &self,
                from: &str,
                context: &SourceContext<'_>,
                shell: &mut impl Shell,
            ) -> Result<Option<Vec<String>>, Error> {
                match self { $(Self::$name(source) => source.changed_files(from, context, shell).await,)+ }
            }
        }

        /// What is wrong with the complete cache entry `dir`; `None` if it is intact.
        pub(crate) async fn damage(
            kind: EntryKind,
            dir: &Path,
            manifest: &Manifest,
            shell: &mut impl Shell,
        ) -> Result<Option<String>, Error> {
            let Ok(url) = manifest.address.parse::<Url>() else {
                return Ok(Some("its manifest names no address".to_owned()));
            };
            $(if <$spec>::CACHED_AS == Some(kind) {
                return <$spec>::damage(dir, &url, manifest, shell).await;
            })+
            Ok(None)
        }
    };
}

register! {
    /// A git repository.
    Git(git::GitSpec),
    /// A Mercurial repository.
    Hg(hg::HgSpec),
    /// A Subversion repository.
    Svn(svn::SvnSpec),
    /// A packed file.
    Archive(archive::ArchiveSpec),
    /// A folder, relative to the recipe's.
    Path(path::PathSpec),
}
