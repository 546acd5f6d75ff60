//! What a build takes from the machine while others run: `weight`, `memory`, `locks`.

use std::num::NonZeroUsize;

use bytesize::ByteSize;

use super::{
    Weight,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    reader::Reader,
    tree::{Node, Value},
};

/// 1 PiB. Up to here `ByteSize` counts bytes exactly.
const MAX_MEMORY: u64 = 1 << 50;

impl<'t> Reader<'t> {
    pub(super) fn weight(&mut self, node: &'t Node) -> Option<Weight> {
        let expected = "a whole number from 1, or `all`";
        let text = match &node.value {
            Value::Text(_) | Value::Number => node.scalar(self.checker.text).unwrap_or_default(),
            _ => {
                self.checker.wrong_type(node, "`weight`", expected, None);
                return None;
            }
        };
        let weight = if text == "all" {
            Some(Weight::All)
        } else {
            text.parse::<NonZeroUsize>().ok().map(Weight::Slots)
        };
        if weight.is_none() {
            let hint = did_you_mean(text, ["all"]);
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("`weight` cannot be {}", quoted(text)))
                    .label(format!("expected {expected}"))
                    .maybe_hint(hint)
            });
        }
        weight
    }

    pub(super) fn memory(&mut self, node: &'t Node) -> Option<u64> {
        const HINT: &str = "write it like `512MB`, `2G` or `1.5GiB`";
        if !matches!(node.value, Value::Text(_) | Value::Number) {
            self.checker.wrong_type(node, "`memory`", "an amount of memory", Some(HINT.to_owned()));
            return None;
        }
        let text = node.scalar(self.checker.text).unwrap_or_default();
        let wrong = match text.parse::<ByteSize>() {
            Ok(_) if text.parse::<f64>().is_ok() => "has no unit",
            Ok(ByteSize(0)) => "must be more than 0",
            Ok(ByteSize(bytes)) if bytes > MAX_MEMORY => "is more than any machine has",
            Ok(ByteSize(bytes)) => return Some(bytes),
            Err(_) => "is not an amount of memory",
        };
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("`memory` {wrong}")).label("expected a number with a unit").hint(HINT)
        });
        None
    }

    pub(super) fn locks(&mut self, node: &'t Node) -> Vec<String> {
        let mut locks: Vec<String> = Vec::new();
        for node in self.checker.list(node, "`locks`", "[port-5432]") {
            let Some(lock) = self.line(node, "a lock") else { continue };
            if !locks.contains(&lock) {
                locks.push(lock);
            }
        }
        locks
    }
}
