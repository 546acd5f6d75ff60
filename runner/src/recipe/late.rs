//! Names that are known only when a build begins: `{{jobs}}` and `{{needs.NAME.OUTPUT}}`.

use std::ops::{BitOr, BitOrAssign, Range};

use super::template::place_of;

/// What it knows when the build begins: how many jobs its steps may run at once.
pub(super) const JOBS: &str = "jobs";

/// What a text has in it that is known only when the build begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Uses {
    pub(super) jobs: bool,
    pub(super) needs: bool,
}

impl Uses {
    pub(super) fn is_late(self) -> bool {
        self.jobs || self.needs
    }
}

impl BitOr for Uses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { jobs: self.jobs || other.jobs, needs: self.needs || other.needs }
    }
}

impl BitOrAssign for Uses {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// How long the name is that `text` begins with, braces included, if it is one that waits until the build begins and `uses`
/// has it.
pub(super) fn late_name(text: &str, uses: Uses) -> Option<usize> {
    let inner = text.strip_prefix("{{")?;
    let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c))?;
    let (name, rest) = inner.split_at(length);
    let is_late = uses.jobs && name == JOBS || uses.needs && output_of(name).is_some();
    (is_late && rest.starts_with("}}")).then_some(length + 4)
}

/// `{{needs.NAME.OUTPUT}}` in a text: its first place of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputUse {
    pub(crate) need: String,
    pub(crate) output: String,
    /// The whole scalar.
    pub(super) scalar: Range<usize>,
    /// Which `{{` of it.
    pub(super) nth: usize,
}

impl OutputUse {
    /// Where it stands in `text`. Takes as long as the scalar is.
    pub(crate) fn place(&self, text: &str) -> Range<usize> {
        place_of(text, &self.scalar, self.nth).unwrap_or_else(|| self.scalar.clone())
    }
}

/// Need and output of `needs.NAME.OUTPUT`. Names of needs may have dots in them, those of outputs have none.
pub(super) fn output_of(name: &str) -> Option<(&str, &str)> {
    let (need, output) = name.strip_prefix("needs.")?.rsplit_once('.')?;
    (!need.is_empty() && !output.is_empty()).then_some((need, output))
}
