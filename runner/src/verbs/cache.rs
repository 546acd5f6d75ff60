//! `pony-run cache`: lists, checks, shrinks and removes what is kept of sources and of builds that others need.

use std::fmt::Write as _;

use jiff::Timestamp;
use pony_contexts::{
    Verdict,
    cache::{self, Listed},
};

use super::{
    Failure, print, say,
    setup::{self, cannot_record},
};
use crate::{cli::CacheVerb, clock::Clock, config::Config, exit::Exit, process::Asker, words};

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
            remove(cache::surplus(&all, most))
        }
        CacheVerb::Remove { entries, all: true } if entries.is_empty() => remove(&all),
        CacheVerb::Remove { entries, .. } => remove(&chosen(all, &entries)?),
    }
}

fn table(all: &[Listed], config: &Config, now: Timestamp) -> String {
    let mut text = String::new();
    let width = all.iter().map(|entry| entry.name().len()).max().unwrap_or(0);
    for entry in all {
        let size = words::bytes(entry.bytes());
        let used = entry.used.and_then(|used| Timestamp::try_from(used).ok());
        let used = used.map_or_else(
            || "half-made".to_owned(),
            |used| {
                let ago = now.duration_since(used).as_secs_f64();
                format!("used {} ago", words::duration(ago))
            },
        );
        let address = entry.card.as_ref().map(|card| words::plain(&card.address)).unwrap_or_default();
        let _ = writeln!(text, "{:width$}  {size:>9}  {used:<20}  {address}", entry.name());
    }
    let total = all.iter().map(Listed::bytes).sum();
    let of = words::bytes(config.cache.size.as_u64());
    let _ = write!(text, "{} in all, of {of} at most", words::bytes(total));
    text
}

/// The entries of these names; the part after the slash is enough.
fn chosen(all: Vec<Listed>, names: &[String]) -> Result<Vec<Listed>, Failure> {
    for name in names {
        if !all.iter().any(|entry| is_called(entry, name)) {
            let message = format!("the cache has no entry `{name}`; `pony-run cache` lists them");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let is_chosen = |entry: &Listed| names.is_empty() || names.iter().any(|name| is_called(entry, name));
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn is_called(entry: &Listed, name: &str) -> bool {
    let full = entry.name();
    full == name || full.split_once('/').is_some_and(|(_, short)| short == name)
}

async fn verify(entries: &[Listed]) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let mut asker = Asker::new(std::env::vars_os().collect());
    for entry in entries {
        let words = match pony_contexts::verify(entry, &mut asker).await {
            Ok(Verdict::Whole) => "whole".to_owned(),
            Ok(Verdict::InUse) => "in use now, not looked at".to_owned(),
            Ok(Verdict::Damaged(why)) => {
                exit = Exit::ContextFailed;
                format!("damaged, the next run makes it anew: {}", words::plain(&why))
            }
            Err(error) => {
                exit = Exit::ContextFailed;
                format!("cannot be looked at: {}", crate::run::words_for(&error))
            }
        };
        print(&format!("{}: {words}", entry.name()));
    }
    Ok(exit)
}

fn remove(entries: &[Listed]) -> Result<Exit, Failure> {
    let mut freed = 0;
    for entry in entries {
        match entry.remove() {
            Ok(true) => {
                freed += entry.bytes();
                print(&format!("removed {} ({})", entry.name(), words::bytes(entry.bytes())));
            }
            Ok(false) => say(&format!("pony-run: {} is in use now; it stays", entry.name())),
            Err(error) => return Err(cannot_record(format!("cannot remove {}: {error}", entry.name()))),
        }
    }
    Ok(print(&format!("{} freed", words::bytes(freed))))
}
