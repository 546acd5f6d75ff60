//! What a kind of server takes and can do. The values stand in the file of each kind; [`super::api`] finds the one for a dialect.

use std::fmt;

use pony_wire::{BagError, Dialect, Slot, text::Colours};

use super::{address::Address, error::CallError};

/// A kind of server, as a table of facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// A few words for people.
    pub(crate) description: &'static str,
    /// Largest request in bytes, with a margin where the server has a limit.
    pub(crate) request_limit: usize,
    /// None: it takes no files beside a result.
    pub(crate) uploads: Option<UploadLimits>,
    /// It answers a `run_id` that it has with the key that it has, and stores nothing twice.
    pub(crate) knows_run_ids: bool,
    /// It tells cancelled and skipped builds from failed ones.
    pub(crate) knows_outcomes: bool,
    /// What becomes of colour sequences in output.
    pub(crate) colours: Colours,
    /// It lists its packages to programs.
    pub(crate) lists_packages: bool,
    /// How a result is looked up.
    pub(crate) lookup: Lookup,
    /// What it answers to `check_should_build`.
    pub(crate) advice: BuildAdvice,
    /// It lists results only this many days back.
    pub(crate) listed_days: Option<u32>,
    /// The name under which it files a package, where it does not take any name.
    pub(crate) package_name: Option<fn(&str) -> String>,
    /// The page of a result, or, without its key, the nearest page that exists; none for names whose pages do not work there.
    pub(crate) page: fn(&Address, &str, Option<&str>) -> Option<String>,
}

/// What a server takes of files, where that is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadLimits {
    /// Bytes of one file.
    pub(crate) file: Option<u64>,
    /// Bytes of all files of a result.
    pub(crate) result: Option<u64>,
}

/// How a server gives one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Only the last ones.
    None,
    /// By its key.
    Key,
    /// By its package and its key.
    PackageAndKey,
}

/// What a server answers when asked whether to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildAdvice {
    /// It decides.
    Decides,
    /// Always yes.
    AlwaysYes,
    /// It has no such call.
    None,
}

/// The run that is looked for on a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunIdentity<'r> {
    /// `run_id` of its client info.
    pub(crate) run_id: &'r str,
    /// With the package as the recipe names it.
    pub(crate) slot: &'r Slot,
}

/// Whether a server has a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has, under this key where it shows one.
    Stored(Option<String>),
    /// It has not.
    Absent,
    /// It does not show that.
    Unknown,
}

/// Why a server does not answer a query.
#[derive(Debug)]
pub(crate) enum QueryFailure {
    /// The call failed.
    Call(CallError),
    /// The answer is not a result.
    NotAResult(BagError),
    /// This kind of server has no such query.
    Unsupported {
        /// What it speaks.
        dialect: Dialect,
        /// `which lists no packages`
        why: &'static str,
        /// What to do instead.
        hint: String,
    },
    /// It answers like no kind that is known.
    Unrecognized,
    /// It lists no result of this package.
    NoPackage {
        /// Which.
        package: String,
        /// How far back it lists any.
        listed_days: Option<u32>,
    },
    /// It has no result with this key.
    NoResult(String),
}

impl QueryFailure {
    /// What to do instead.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Unsupported { hint, .. } => Some(hint),
            Self::Unrecognized => Some(
                "if it is one, name its protocol: --dialect 2009, 2010, pony-serve, devmason or devmason-rest",
            ),
            Self::Call(_) | Self::NotAResult(_) | Self::NoPackage { .. } | Self::NoResult(_) => None,
        }
    }
}

impl From<CallError> for QueryFailure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<BagError> for QueryFailure {
    fn from(error: BagError) -> Self {
        Self::NotAResult(error)
    }
}

impl fmt::Display for QueryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "could not be asked: {error}"),
            Self::NotAResult(error) => write!(f, "sent what is not a result: {error}"),
            Self::Unsupported { dialect, why, .. } => write!(f, "speaks {dialect}, {why}"),
            Self::Unrecognized => f.write_str("does not answer like any pony-build server"),
            Self::NoPackage { package, listed_days: None } => {
                write!(f, "has no results of a package `{package}`")
            }
            Self::NoPackage { package, listed_days: Some(days) } => {
                write!(
                    f,
                    "has no results of a package `{package}` from the last {days} days, and lists no older ones"
                )
            }
            Self::NoResult(key) => write!(f, "has no result {key}"),
        }
    }
}
