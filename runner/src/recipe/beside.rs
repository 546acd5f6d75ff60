//! What a build is to those that run beside it: `weight`, `memory`, `locks`.

use std::num::NonZeroUsize;

use bytesize::ByteSize;

use super::{
    Weight,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    reader::Reader,
    tree::{Node, Value},
};

/// More than any machine has; up to here every number of bytes is exact as the library counts them.
const MOST_MEMORY: u64 = 1 << 50;

impl<'t> Reader<'t> {
    pub(super) fn weight(&mut self, node: &'t Node) -> Option<Weight> {
        let wanted = "a whole number from 1, or `all`";
        let text = match &node.value {
            Value::Text(_) | Value::Number => node.scalar(self.checker.text).unwrap_or_default(),
            _ => {
                self.checker.wrong_shape(node, "`weight`", wanted, None);
                return None;
            }
        };
        let weight = if text == "all" {
            Some(Weight::All)
        } else {
            text.parse::<NonZeroUsize>().ok().map(Weight::Slots)
        };
        if weight.is_none() {
            let help = did_you_mean(text, ["all"]);
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("`weight` cannot be {}", quoted(text)))
                    .label(format!("expected {wanted}"))
                    .maybe_help(help)
            });
        }
        weight
    }

    pub(super) fn memory(&mut self, node: &'t Node) -> Option<u64> {
        const HELP: &str = "write it like `512MB`, `2G` or `1.5GiB`";
        if !matches!(node.value, Value::Text(_) | Value::Number) {
            self.checker.wrong_shape(node, "`memory`", "an amount of memory", Some(HELP.to_owned()));
            return None;
        }
        let text = node.scalar(self.checker.text).unwrap_or_default();
        let wrong = match text.parse::<ByteSize>() {
            // Two what?
            Ok(_) if text.parse::<f64>().is_ok() => "has no unit",
            Ok(ByteSize(0)) => "must be more than 0",
            Ok(ByteSize(bytes)) if bytes > MOST_MEMORY => "is more than any machine has",
            Ok(ByteSize(bytes)) => return Some(bytes),
            Err(_) => "is not an amount of memory",
        };
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("`memory` {wrong}")).label("expected a number and its unit").help(HELP)
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
