//! Numbers that tell runs apart and spread those who try again. Not for secrets.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// 32 bits that differ between runs that begin in the same second, and are never the same twice within one process.
pub(crate) fn number() -> u32 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        let hash = RandomState::new().hash_one(std::process::id());
        AtomicU32::new(u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default())
    });
    NEXT.fetch_add(1, Ordering::Relaxed)
}
