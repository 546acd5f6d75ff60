//! What was sent about each slot, to whom: one small file each below `notify/` of the home.

use std::{io, path::PathBuf};

use pony_wire::Slot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SlotState;
use crate::{
    disk::Lock,
    home::Home,
    record::{folder::slug, format::Format},
    versioned::{self, FileError},
};

const FORMAT: Format = Format::new(1, 1);

/// What is remembered of one slot of one server for one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    path: PathBuf,
    identity: String,
    subject: Subject,
}

/// For people who look into the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Subject {
    server: String,
    package: String,
    host: String,
    arch: String,
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    state: SlotState,
    #[serde(flatten)]
    subject: Subject,
}

impl Memory {
    /// Only a digest of `recipient` is kept: the address of a webhook is a secret.
    pub(crate) fn new(home: &Home, server: &str, slot: &Slot, recipient: &str) -> Self {
        let identity =
            digest(&serde_json::json!([server, slot.package, slot.tagset(), recipient]).to_string());
        let path = home.notify().join(format!("{}-{}.json", slug(&slot.package), &identity[..16]));
        let Slot { package, host, arch, tags } = slot.clone();
        Self { path, identity, subject: Subject { server: server.to_owned(), package, host, arch, tags } }
    }

    /// None too if the file is damaged: one message too many is better than none.
    pub(crate) fn load(&self) -> Result<Option<SlotState>, FileError> {
        let stored: Option<Stored> = match versioned::read(&self.path, FORMAT) {
            Err(error) if !error.is_too_new() => None,
            loaded => loaded?,
        };
        Ok(stored.map(|stored| stored.state))
    }

    /// On disk when this returns.
    pub(crate) fn save(&self, state: &SlotState) -> io::Result<()> {
        let stored = Stored { state: state.clone(), subject: self.subject.clone() };
        versioned::write(&self.path, FORMAT, &stored)
    }

    /// The id of a message: the same when it is sent again because it could not be noted.
    pub(crate) fn message_id(&self, message: &str) -> String {
        digest(&format!("{} {message}", self.identity))[..32].to_owned()
    }
}

/// Held while messages are sent, so that none is sent twice. None if another pony-run holds it.
pub(crate) fn lock(home: &Home) -> io::Result<Option<Lock>> {
    Lock::try_take(&home.notify().join("lock"))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::notify::Light;

    #[test]
    fn what_was_sent_is_remembered_for_each_recipient() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path()), None).unwrap();
        home.make().unwrap();
        let slot = Slot { package: "a/b".into(), host: "h".into(), arch: "x".into(), tags: vec!["t".into()] };
        let memory = |recipient: &str| Memory::new(&home, "http://s/", &slot, recipient);
        assert_eq!(memory("ann").load().unwrap(), None);
        let state = SlotState { light: Light::Failing, since: Timestamp::UNIX_EPOCH, notified: None };
        memory("ann").save(&state).unwrap();
        assert_eq!(
            (memory("ann").load().unwrap(), memory("bob").load().unwrap()),
            (Some(state.clone()), None)
        );
        assert_ne!(memory("ann").message_id("1"), memory("ann").message_id("2"));
        let write = |text: &str| std::fs::write(&memory("ann").path, text).unwrap();
        write("{");
        assert_eq!(memory("ann").load().unwrap(), None);
        let rest = r#""light": "red", "since": "1970-01-01T00:00:00Z", "server": "s", "package": "p", "host": "h", "arch": "a", "tags": []}"#;
        for head in ["{", r#"{"format": "1.8", "more": 1, "#] {
            write(&format!("{head}{rest}"));
            assert_eq!(memory("ann").load().unwrap(), Some(state.clone()));
        }
        write(r#"{"format": "2.0"}"#);
        assert!(memory("ann").load().unwrap_err().to_string().contains("use a newer pony-run"));
        let held = lock(&home).unwrap();
        assert!(held.is_some() && lock(&home).unwrap().is_none());
    }
}
