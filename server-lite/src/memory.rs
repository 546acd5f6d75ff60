//! A bound on the memory that large requests and large results take together.
//!
//! Whoever is about to hold bytes takes their number from a budget first, and waits while it is used up. Small ones hardly
//! count; of the largest only a few are in memory at once, however many are asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in this unit.
const BLOCK: usize = 64 * 1024;

/// Bytes that may be held at once.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    blocks: u32,
}

/// Bytes taken from a [`Budget`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let blocks = blocks(bytes);
        Self { free: Arc::new(Semaphore::new(blocks as usize)), blocks }
    }

    /// Takes `bytes`, waiting until they are free. More than the whole budget counts as the whole.
    pub(crate) async fn hold(&self, bytes: usize) -> Held {
        let wanted = blocks(bytes).min(self.blocks);
        // The semaphore is never closed.
        Held { _permit: Arc::clone(&self.free).acquire_many_owned(wanted).await.ok() }
    }
}

fn blocks(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(u32::MAX)
}

/// A response body whose bytes count until they are sent.
pub(crate) fn body(bytes: impl Into<Bytes>, held: Held) -> Body {
    Body::new(Counted { bytes: Full::new(bytes.into()), _held: held })
}

struct Counted {
    bytes: Full<Bytes>,
    _held: Held,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        // Not before it was asked once more: the bytes are on their way until then.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_bounded_and_comes_back() {
        let budget = Budget::new(10 * BLOCK);
        let small = budget.hold(1).await;
        let rest = budget.hold(9 * BLOCK).await;
        assert_eq!(budget.free.available_permits(), 0);
        drop(small);
        assert_eq!(budget.free.available_permits(), 1);
        drop(rest);
        // More than everything is everything, not a wait for ever.
        let all = budget.hold(usize::MAX).await;
        assert_eq!(budget.free.available_permits(), 0);
        let sent = body("text", all);
        assert_eq!(HttpBody::size_hint(&sent).exact(), Some(4));
        drop(sent);
        assert_eq!(budget.free.available_permits(), 10);
    }
}
