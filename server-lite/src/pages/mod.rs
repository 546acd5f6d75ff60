//! The pages for people, and the same as JSON. One file a page: its handler, its markup and its JSON.
//!
//! | address | file |
//! |---|---|
//! | `/` | `packages` |
//! | `/p/PACKAGE/` | `slots` |
//! | `/p/PACKAGE/show_all` | `history` |
//! | `/p/PACKAGE/KEY/`, `/p/PACKAGE/latest/` | `result`, drawn with `steps`, `changes` and `details` |
//! | `/p/PACKAGE/KEY/inspect` | `inspect` |
//! | `/p/PACKAGE/KEY/output/N`, `errout/N` | `output` |
//! | `/p/PACKAGE/KEY/files/NAME` | `file` |
//! | `/p/PACKAGE/KEY/request_build` | `request_build` |
//! | `/chain/CHAIN` | `chain` |
//!
//! What they share: `page_request` (which part, and as what), `error` (no such page), `view` (a result with all that
//! its pages show), `summary` (a result in a list), `layout` (the frame), `value_tree` (any value), `format`, `links` and `terminal` (texts).

mod chain;
mod changes;
mod details;
mod error;
mod file;
mod format;
mod history;
mod inspect;
mod layout;
mod links;
mod output;
mod packages;
mod page_request;
mod request_build;
mod result;
mod slots;
mod steps;
mod summary;
mod terminal;
mod value_tree;
mod view;

pub(crate) use chain::chain;
pub(crate) use error::no_page;
pub(crate) use file::file;
pub(crate) use history::history;
pub(crate) use inspect::inspect;
pub(crate) use layout::style_sheet;
pub(crate) use links::add_slash;
pub(crate) use output::{errout, output};
pub(crate) use packages::packages;
pub(crate) use request_build::{confirm_request, request_build};
pub(crate) use result::{latest_result, result};
pub(crate) use slots::slots;
