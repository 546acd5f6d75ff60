//! What differs between version control programs.

use std::ffi::OsString;

use super::failure_kind::FailureKind;
use crate::{shell::EnvOverlay, url::Url};

/// Arguments of different types of string.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$(::std::ffi::OsStr::new($arg)),*] };
}
pub(crate) use args;

/// A version control program.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The start of all its command lines for a repository, the program first, and their environment.
    pub(crate) command_line: fn(&Url) -> (Vec<OsString>, EnvOverlay),
    /// What its messages mean, the more telling kinds first: parts of them in lower case, beside those that all programs
    /// share.
    pub(crate) messages: &'static [(FailureKind, &'static [&'static str])],
    /// The exit status that only an unknown option leads to.
    pub(crate) usage: Option<i64>,
    /// The oldest version that will do.
    pub(crate) oldest: &'static str,
}
