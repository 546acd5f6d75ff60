//! `pony-run cache`: lists, checks, shrinks and removes what is kept of sources and of builds that others need.
#![expect(clippy::disallowed_methods, reason = "a verb begins with the environment")]

use std::fmt::Write as _;

use jiff::Timestamp;
use pony_contexts::cache::{self, CacheEntry, Health};

use super::{
    Failure, print, say,
    setup::{self, cannot_record},
};
use crate::{cli::CacheVerb, clock::Clock, config::Config, exit::Exit, run::DirectShell, words};

/// Does what is asked.
pub(super) async fn cache(verb: CacheVerb) -> Result<Exit, Failure> {
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let all = cache::list(&home.cache())
        .map_err(|error| cannot_record(format!("cannot read the cache: {error}")))?;
    match verb {
        CacheVerb::List => Ok(print(&table(&all, &config, Clock::start().wall()))),
        CacheVerb::Verify { entries } => verify(&chosen(all, &entries)?).await,
        CacheVerb::Shrink { to } => {
            let most = to.unwrap_or(config.cache.size).as_u64();
            remove(cache::prune_candidates(&all, most))
        }
        CacheVerb::Remove { entries, all: true } if entries.is_empty() => remove(&all),
        CacheVerb::Remove { entries, .. } => remove(&chosen(all, &entries)?),
    }
}

fn table(all: &[CacheEntry], config: &Config, now: Timestamp) -> String {
    let mut text = String::new();
    let width = all.iter().map(|entry| words::columns(&entry.name())).max().unwrap_or(0);
    for entry in all {
        let size = words::bytes(entry.bytes());
        let used = entry.summary.as_ref().and_then(|summary| Timestamp::try_from(summary.used).ok());
        let used =
            used.map_or_else(|| "incomplete".to_owned(), |used| format!("used {}", words::ago(used, now)));
        let address =
            entry.summary.as_ref().map(|summary| words::plain(&summary.address)).unwrap_or_default();
        let (name, used) = (words::pad(&entry.name(), width), words::pad(&used, 16));
        let _ = writeln!(text, "{name}  {size:>9}  {used}  {address}");
    }
    let total = all.iter().map(CacheEntry::bytes).sum();
    let of = words::bytes(config.cache.size.as_u64());
    let _ = write!(text, "{} in all, of {of} at most", words::bytes(total));
    text
}

/// The entries of these names; the part after the slash is enough.
fn chosen(all: Vec<CacheEntry>, names: &[String]) -> Result<Vec<CacheEntry>, Failure> {
    for name in names {
        if !all.iter().any(|entry| is_called(entry, name)) {
            let message = format!("the cache has no entry `{name}`; `pony-run cache` lists them");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let is_chosen = |entry: &CacheEntry| names.is_empty() || names.iter().any(|name| is_called(entry, name));
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn is_called(entry: &CacheEntry, name: &str) -> bool {
    let full = entry.name();
    full == name || full.split_once('/').is_some_and(|(_, short)| short == name)
}

async fn verify(entries: &[CacheEntry]) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let mut asker = DirectShell::new(std::env::vars_os().collect());
    for entry in entries {
        let words = match pony_contexts::verify(entry, &mut asker).await {
            Ok(Health::Intact) => "ok".to_owned(),
            Ok(Health::InUse) => "in use, skipped".to_owned(),
            Ok(Health::Damaged(why)) => {
                exit = Exit::ContextFailed;
                format!("damaged; will be re-created: {}", words::plain(&why))
            }
            Err(error) => {
                exit = Exit::ContextFailed;
                format!("cannot be checked: {}", crate::run::words_for(&error))
            }
        };
        print(&format!("{}: {words}", entry.name()));
    }
    Ok(exit)
}

fn remove(entries: &[CacheEntry]) -> Result<Exit, Failure> {
    let mut freed = 0;
    for entry in entries {
        match entry.remove() {
            Ok(true) => {
                freed += entry.bytes();
                print(&format!("removed {} ({})", entry.name(), words::bytes(entry.bytes())));
            }
            Ok(false) => say(&format!("{} is in use, skipped", entry.name())),
            Err(error) => return Err(cannot_record(format!("cannot remove {}: {error}", entry.name()))),
        }
    }
    Ok(print(&format!("{} freed", words::bytes(freed))))
}
