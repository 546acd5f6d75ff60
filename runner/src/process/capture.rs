//! What a context gets back of a command's output: head and tail, so that memory stays flat.

use std::collections::VecDeque;

use pony_contexts::shell::CAPTURED as END;

/// The two ends of a stream.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
}

impl Capture {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(END - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(END)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(END);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.head.extend(self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_whole_and_long_output_has_both_ends() {
        let mut capture = Capture::default();
        capture.push(b"ab");
        capture.push(b"cd");
        assert_eq!(capture.into_bytes(), b"abcd");
        let mut capture = Capture::default();
        capture.push(b"begin");
        (0..100).for_each(|_| capture.push(&[b'x'; 10_000]));
        capture.push(b"end");
        let bytes = capture.into_bytes();
        assert!(bytes.starts_with(b"begin") && bytes.ends_with(b"xend") && bytes.len() == 2 * END);
    }
}
