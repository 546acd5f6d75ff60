//! After a run: its tempdir goes or is noted as kept, and all that is kept of trees and sources stays within its bounds.

use std::path::Path;

use pony_contexts::{
    cache::{self, outputs},
    disk_usage,
};

use crate::{
    config::Config,
    display::Console,
    exit::Exit,
    home::Home,
    process::signals::Signals,
    record::RunRecord,
    retained::{self, Kept},
};

/// Removes the tempdir of a run, or notes it as kept. A signal ends that early: what is left then, the next run finds, as
/// long as the run is not closed.
pub(super) async fn clear(
    home: &Home,
    console: &Console,
    signals: &mut Signals,
    record: &RunRecord,
) -> Result<(), Exit> {
    let Some(tempdir) = record.tempdir.as_ref().map(Path::new) else { return Ok(()) };
    if !record.kept {
        // Unless its outputs stay there.
        return if outputs::is_stored(tempdir) { Ok(()) } else { remove(console, signals, tempdir).await };
    }
    let (run_id, since) = (record.run_id.clone(), record.ended);
    let mut kept = Kept { run_id, tempdir: tempdir.to_owned(), bytes: 0, since };
    // Before it is measured, which takes its time.
    if let Err(error) = retained::note(home, &kept) {
        console.note(format!("cannot note that {} is kept: {error}", tempdir.display()));
        return Ok(());
    }
    let tree = tempdir.to_owned();
    kept.bytes = blocking(signals, move || disk_usage(&tree)).await?;
    let _ = retained::note(home, &kept);
    Ok(())
}

/// Removes kept trees and cached sources that are too many, too old or too large.
pub(crate) async fn prune(
    home: &Home,
    config: &Config,
    console: &Console,
    signals: &mut Signals,
) -> Result<(), Exit> {
    let trees = retained::list(home).unwrap_or_default();
    for tree in retained::surplus(&trees, config.kept.limits(), console.clock.wall()) {
        // Somebody looks at it right now.
        if retained::is_in_use(&tree.tempdir) {
            continue;
        }
        remove(console, signals, &tree.tempdir).await?;
        retained::forget(home, tree);
    }
    let entries = cache::list(&home.cache()).unwrap_or_default();
    for entry in cache::prune_candidates(&entries, config.cache.size.as_u64()) {
        let held = entry.clone();
        match blocking(signals, move || held.remove()).await? {
            Ok(true) => console.note(format!("removed {} from the cache, which was too large", entry.name())),
            Ok(false) => {}
            Err(error) => console.note(format!("cannot remove {} from the cache: {error}", entry.name())),
        }
    }
    Ok(())
}

async fn remove(console: &Console, signals: &mut Signals, dir: &Path) -> Result<(), Exit> {
    let tree = dir.to_owned();
    if let Err(left) = blocking(signals, move || outputs::discard(&tree)).await? {
        console.note(format!("cannot remove {}: {left}", dir.display()));
    }
    Ok(())
}

/// Blocking work that a signal does not wait for.
async fn blocking<T: Send + 'static>(
    signals: &mut Signals,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Exit> {
    let task = tokio::task::spawn_blocking(work);
    tokio::select! {
        done = task => done.map_err(|_| Exit::CannotRecord),
        signal = signals.next() => Err(Exit::Signal(signal)),
    }
}
