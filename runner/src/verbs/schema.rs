//! `pony-run schema`: the JSON Schema of recipes.

use super::print;
use crate::{exit::Exit, recipe};

/// Prints it.
pub(super) fn schema() -> Exit {
    print(&format!("{:#}", recipe::schema()))
}
