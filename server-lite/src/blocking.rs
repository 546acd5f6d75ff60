//! Work that would block the threads that serve everybody, run on threads of its own.

use std::panic::resume_unwind;

/// From this many bytes on, work proportional to its input is moved to another thread.
const LARGE: usize = 256 * 1024;

/// Runs `work` on input of `size` bytes: here if that is small, else on a thread of its own.
pub(crate) async fn blocking_if_large<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if size < LARGE { work() } else { blocking(work).await }
}

/// Runs `work`, which waits for a disk or takes long, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // It panicked, which the router turns into a reply; or the program is ending.
        Err(error) => resume_unwind(error.into_panic()),
    }
}
