//! Deferred template values, known only when a build begins: `{{jobs}}` and `{{needs.NAME.OUTPUT}}`.

use std::ops::{BitOr, BitOrAssign, Range};

use super::template::place_of;

/// Name of the deferred value for how many jobs a step may run at once.
pub(super) const JOBS: &str = "jobs";

/// Which deferred values a text contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DeferredUses {
    pub(super) jobs: bool,
    pub(super) needs: bool,
}

impl DeferredUses {
    pub(super) fn is_deferred(self) -> bool {
        self.jobs || self.needs
    }
}

impl BitOr for DeferredUses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { jobs: self.jobs || other.jobs, needs: self.needs || other.needs }
    }
}

impl BitOrAssign for DeferredUses {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// Length, with braces, of the deferred name that `text` begins with, if `uses` allows it.
pub(super) fn deferred_name(text: &str, uses: DeferredUses) -> Option<usize> {
    let inner = text.strip_prefix("{{")?;
    let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c))?;
    let (name, rest) = inner.split_at(length);
    let is_deferred = uses.jobs && name == JOBS || uses.needs && output_of(name).is_some();
    (is_deferred && rest.starts_with("}}")).then_some(length + 4)
}

/// The first `{{needs.NAME.OUTPUT}}` of each output in a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputUse {
    pub(crate) need: String,
    pub(crate) output: String,
    /// Position of the scalar.
    pub(super) scalar: Range<usize>,
    /// Which `{{` of the scalar.
    pub(super) nth: usize,
}

impl OutputUse {
    /// Its position in `text`. Takes time proportional to the scalar.
    pub(crate) fn place(&self, text: &str) -> Range<usize> {
        place_of(text, &self.scalar, self.nth).unwrap_or_else(|| self.scalar.clone())
    }
}

/// Need and output of `needs.NAME.OUTPUT`. Names of needs may contain dots, names of outputs do not.
pub(super) fn output_of(name: &str) -> Option<(&str, &str)> {
    let (need, output) = name.strip_prefix("needs.")?.rsplit_once('.')?;
    (!need.is_empty() && !output.is_empty()).then_some((need, output))
}
