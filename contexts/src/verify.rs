//! Whether what the cache holds is whole, asked of the program that made it.

use std::path::Path;

use crate::{
    Shell, archive,
    cache::{Card, Listed, read_card},
    chain::store,
    error::Error,
    git, hg, svn,
    url::Url,
};

/// What was found of an entry that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is there and as it should be.
    Whole,
    /// It is not; the next run makes it anew. Why, in one line.
    Damaged(String),
    /// Somebody works on it.
    InUse,
}

/// Looks at all that an entry holds.
pub async fn verify(listed: &Listed, shell: &mut impl Shell) -> Result<Verdict, Error> {
    if listed.kind == store::KIND {
        return store::verify(&listed.dir).map_err(Error::io("look into", &listed.dir));
    }
    let held = listed.hold().map_err(Error::io("lock", &listed.dir))?;
    let Some(_held) = held else { return Ok(Verdict::InUse) };
    // As it is now that nobody works on it.
    let why = match read_card(&listed.dir) {
        None => Some("it is half-made".to_owned()),
        Some(card) => look_at(&listed.kind, &listed.dir, &card, shell).await?,
    };
    let Some(why) = why else { return Ok(Verdict::Whole) };
    listed.distrust().map_err(Error::io("change the cache at", &listed.dir))?;
    Ok(Verdict::Damaged(why))
}

/// What is wrong with an entry, if anything is.
async fn look_at(
    kind: &str,
    dir: &Path,
    card: &Card,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let Ok(url) = card.address.parse::<Url>() else {
        return Ok(Some("there is no telling what it is of".to_owned()));
    };
    match kind {
        "git" => git::verify(dir, &url, shell).await,
        "hg" => hg::verify(dir, &url, shell).await,
        "svn" => svn::verify(dir, &url, card, shell).await,
        "archive" => archive::verify(dir, &url, card).await,
        _ => Ok(None),
    }
}
