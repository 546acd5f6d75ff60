//! Blocking work (file locks, copying trees) moved off the thread that polls a context.
//!
//! A plain thread, not the runtime's blocking pool: a runtime waits for its pool when it ends, and a lock that
//! another run holds for an hour must not keep a cancelled run from ending.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::oneshot;

/// Tells the work on the other thread that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// True once the future that waited has been dropped.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Raises the flag when the waiting future ends, whichever way it does.
struct RaiseOnDrop(Stop);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on its own thread and waits for it. Dropping the future raises the [`Stop`] that `work` is given;
/// what it then answers is dropped.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let guard = RaiseOnDrop(Stop::default());
    let stop = guard.0.clone();
    thread::Builder::new().name("context".to_owned()).spawn(move || {
        // Nobody listening means that the run was cancelled.
        let _ = sender.send(work(&stop));
    })?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread that did this work died")))
}

/// Takes the exclusive lock on the file at `path`, made if absent; it is given back when the file is closed.
/// `waiting` is called once if another holds it.
pub(crate) async fn lock(path: &Path, waiting: impl FnOnce()) -> io::Result<File> {
    hold(OpenOptions::new().create(true).truncate(false).write(true).open(path)?, waiting).await
}

/// Takes the exclusive lock on an open file, as [`lock`] does.
pub(crate) async fn hold(file: File, waiting: impl FnOnce()) -> io::Result<File> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            waiting();
            aside(move |_| file.lock().map(|()| file)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Poll};

    use super::*;

    #[tokio::test]
    async fn the_answer_comes_back() {
        assert_eq!(aside(|_| Ok(7)).await.unwrap(), 7);
        assert!(aside(|_| -> io::Result<()> { panic!("on purpose") }).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_future_stops_its_work() {
        let (ready, is_ready) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let mut future = Box::pin(aside(move |stop| {
            ready.send(()).unwrap();
            while !stop.asked() {
                thread::yield_now();
            }
            ended.send(()).unwrap();
            Ok(())
        }));
        let first = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        assert!(first.is_pending());
        is_ready.recv().unwrap();
        drop(future);
        has_ended.recv().unwrap();
    }

    #[tokio::test]
    async fn a_lock_is_waited_for_and_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let first = lock(&path, || panic!("nobody holds it")).await.unwrap();
        let mut said = false;
        let mut second = Box::pin(lock(&path, || said = true));
        let polled = std::future::poll_fn(|context| Poll::Ready(second.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        drop(first);
        second.await.unwrap();
        assert!(said);
    }
}
