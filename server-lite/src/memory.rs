//! A bound on the memory that large requests and large results take together.
//!
//! Code acquires the bytes that it needs from a budget, and waits while that is used up. Small amounts hardly count; of the
//! largest, only a few are in memory at once, however many are requested.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which bytes are counted.
const BLOCK: usize = 64 * 1024;

/// Bytes that may be in use at once.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    free: Arc<Semaphore>,
    blocks: u32,
}

/// Bytes acquired from a [`MemoryBudget`], returned when dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let blocks = blocks(bytes);
        Self { free: Arc::new(Semaphore::new(blocks as usize)), blocks }
    }

    /// Acquires `bytes`, waiting until they are free. More than the whole budget counts as the whole.
    pub(crate) async fn acquire(&self, bytes: usize) -> MemoryPermit {
        let needed = blocks(bytes).min(self.blocks);
        // The semaphore is never closed.
        MemoryPermit { _permit: Arc::clone(&self.free).acquire_many_owned(needed).await.ok() }
    }
}

fn blocks(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_budget_is_bounded_and_permits_return_to_it() {
        let budget = MemoryBudget::new(10 * BLOCK);
        let small = budget.acquire(1).await;
        let rest = budget.acquire(9 * BLOCK).await;
        assert_eq!(budget.free.available_permits(), 0);
        drop(small);
        assert_eq!(budget.free.available_permits(), 1);
        drop(rest);
        // More than the budget is all of it, not an endless wait.
        let all = budget.acquire(usize::MAX).await;
        assert_eq!(budget.free.available_permits(), 0);
        drop(all);
        assert_eq!(budget.free.available_permits(), 10);
    }
}
