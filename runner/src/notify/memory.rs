//! What was told of each slot, to whom: one small file each below `notify/` of the home.

use std::{fs, io, path::PathBuf};

use pony_wire::Slot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::State;
use crate::{
    disk::{self, Lock},
    home::Home,
    record::folder::slug,
};

/// Of which slot of which server who is told.
#[derive(Debug, Clone)]
pub struct Memory {
    path: PathBuf,
    identity: String,
    words: Words,
}

/// What the file says besides, for people who look into it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Words {
    server: String,
    package: String,
    host: String,
    arch: String,
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    state: State,
    #[serde(flatten)]
    words: Words,
}

impl Memory {
    /// `whom` tells those who are told apart; only its digest is kept, since the address of a webhook is a secret.
    pub fn of(home: &Home, server: &str, slot: &Slot, whom: &str) -> Self {
        let identity = digest(&serde_json::json!([server, slot.package, slot.tagset(), whom]).to_string());
        let path = home.notify().join(format!("{}-{}.json", slug(&slot.package), &identity[..16]));
        let Slot { package, host, arch, tags } = slot.clone();
        Self { path, identity, words: Words { server: server.to_owned(), package, host, arch, tags } }
    }

    /// What was told last; nothing if that cannot be read: then it is told once too often rather than never.
    pub fn load(&self) -> Option<State> {
        let kept: Kept = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        Some(kept.state)
    }

    /// Keeps what is told now: on disk when this returns.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let kept = Kept { state: state.clone(), words: self.words.clone() };
        disk::write_json(&self.path, &kept)
    }

    /// What tells a message from all others: the same when it is sent again because that it was sent could not be noted.
    pub fn message_id(&self, message: &str) -> String {
        digest(&format!("{} {message}", self.identity))[..32].to_owned()
    }
}

/// Held by whoever tells people: nobody is told twice because two look at once. None if another pony-run holds it.
pub fn turn(home: &Home) -> io::Result<Option<Lock>> {
    Lock::try_take(&home.notify().join("lock"))
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::notify::Light;

    #[test]
    fn what_was_told_comes_back_to_those_who_were_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path()), None).unwrap();
        home.make().unwrap();
        let slot = Slot { package: "a/b".into(), host: "h".into(), arch: "x".into(), tags: vec!["t".into()] };
        let memory = |whom: &str| Memory::of(&home, "http://s/", &slot, whom);
        assert_eq!(memory("ann").load(), None);
        let state = State { light: Light::Red, since: Timestamp::UNIX_EPOCH, told: None };
        memory("ann").save(&state).unwrap();
        assert_eq!((memory("ann").load(), memory("bob").load()), (Some(state), None));
        assert_ne!(memory("ann").message_id("1"), memory("ann").message_id("2"));
        fs::write(&memory("ann").path, "{").unwrap();
        assert_eq!(memory("ann").load(), None);
        let held = turn(&home).unwrap();
        assert!(held.is_some() && turn(&home).unwrap().is_none());
    }
}
