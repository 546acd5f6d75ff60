//! Work that would hold up the threads that serve everybody, on threads of its own.

use std::panic::resume_unwind;

/// From this size on, work in proportion to the size is offloaded.
const LARGE: usize = 256 * 1024;

/// Runs `work` here if the data it goes through is small, else on a thread of its own.
pub(crate) async fn offload<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if size < LARGE {
        return work();
    }
    blocking(work).await
}

/// Runs `work`, which waits for a disk or takes long, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It panicked, which is answered where all panics are; or the program is ending.
        Err(error) => resume_unwind(error.into_panic()),
    }
}
