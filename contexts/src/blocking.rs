//! Blocking work (file locks, copying trees) off the thread that polls a context.
//!
//! A plain thread, not the runtime's blocking pool: a runtime waits for its pool when it ends, and a lock that
//! another run holds for an hour must not keep a cancelled run from ending.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::oneshot;

/// Set once nobody waits for the work on the other thread any longer.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// True once the future that waited has been dropped.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Raises the flag when the waiting future ends, whichever way it does.
struct RaiseOnDrop(StopFlag);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on its own thread and waits for it. Dropping the future raises the [`StopFlag`] that `work` is given;
/// its result is dropped then.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&StopFlag) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let guard = RaiseOnDrop(StopFlag::default());
    let stop = guard.0.clone();
    thread::Builder::new().name("context".to_owned()).spawn(move || {
        // Nobody listening means that the run was cancelled.
        let _ = sender.send(work(&stop));
    })?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread that did this work died")))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Poll};

    use super::*;

    #[tokio::test]
    async fn the_answer_comes_back() {
        assert_eq!(blocking(|_| Ok(7)).await.unwrap(), 7);
        assert!(blocking(|_| -> io::Result<()> { panic!("on purpose") }).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_future_stops_its_work() {
        let (ready, is_ready) = mpsc::channel();
        let (output, has_ended) = mpsc::channel();
        let mut future = Box::pin(blocking(move |stop| {
            ready.send(()).unwrap();
            while !stop.requested() {
                thread::yield_now();
            }
            output.send(()).unwrap();
            Ok(())
        }));
        let first = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        assert!(first.is_pending());
        is_ready.recv().unwrap();
        drop(future);
        has_ended.recv().unwrap();
    }
}
