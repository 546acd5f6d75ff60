//! Whether an entry of the cache is intact, asked of the program that made it.

use crate::{
    cache::{CacheEntry, EntryKind, Health, outputs},
    error::Error,
    shell::Shell,
    source::damage,
};

/// Checks all that an entry holds. A damaged one is rebuilt by the next run.
pub async fn verify(entry: &CacheEntry, shell: &mut impl Shell) -> Result<Health, Error> {
    if entry.kind == EntryKind::Outputs {
        return outputs::verify(&entry.dir).map_err(Error::io("look into", &entry.dir));
    }
    let held = entry.hold().map_err(Error::io("lock", &entry.dir))?;
    let Some(held) = held else { return Ok(Health::InUse) };
    let damage = match held.manifest() {
        None => Some("it is incomplete".to_owned()),
        Some(manifest) => damage(entry.kind, &entry.dir, &manifest, shell).await?,
    };
    let Some(damage) = damage else { return Ok(Health::Intact) };
    held.invalidate().map_err(Error::io("change the cache at", &entry.dir))?;
    Ok(Health::Damaged(damage))
}
