//! How a reader in the same process hears that a run folder has grown. The writer never waits for it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

/// Counts what was written, and wakes the one thread that waits for more.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: AtomicU64,
    waiter: OnceLock<Thread>,
}

impl Pulse {
    /// Something was written.
    pub fn beat(&self) {
        self.inner.count.fetch_add(1, Ordering::Release);
        if let Some(waiter) = self.inner.waiter.get() {
            waiter.unpark();
        }
    }

    /// How often something was written so far: to be read before looking for it.
    pub fn count(&self) -> u64 {
        self.inner.count.load(Ordering::Acquire)
    }

    /// Waits until something was written since the count was `seen`, or this time has passed. For one thread only.
    pub fn wait(&self, seen: u64, limit: Option<Duration>) {
        let _ = self.inner.waiter.set(thread::current());
        // Looked at after the waiter is known: a beat before that woke nobody.
        if self.count() != seen {
            return;
        }
        match limit {
            Some(limit) => thread::park_timeout(limit),
            None => thread::park(),
        }
    }
}

/// A run's writer, as its readers in the same process see it.
#[derive(Debug, Clone)]
pub struct Live {
    /// Beats when the folder has grown.
    pub pulse: Pulse,
    gone: Arc<AtomicBool>,
}

impl Live {
    pub(super) fn new(pulse: Pulse) -> Self {
        Self { pulse, gone: Arc::default() }
    }

    /// Nothing more will be written.
    pub(super) fn close(&self) {
        self.gone.store(true, Ordering::Release);
        self.pulse.beat();
    }

    /// Whether the writer is done, with the run or because it failed.
    pub fn is_closed(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}
