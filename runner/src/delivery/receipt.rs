//! A receipt: that a server has a result, and what became of the files that follow it. One file a server in the run folder.

use std::{io, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::mark::OutboxMark;
use crate::{
    record::{
        folder::{RunFolder, slug},
        format::Format,
    },
    server::backoff::Backoff,
    versioned::{self, FileError},
};

const FORMAT: Format = Format::new(1, 1);

/// A server has a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// Its name, without credentials; `embedded` for this machine's own.
    pub(crate) server: String,
    /// The result's key there, if the server gave one.
    pub(crate) result_key: Option<String>,
    /// The key for uploads to that result, if the server gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_key: Option<String>,
    /// What the server was found to speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<String>,
    /// When it was delivered, by our clock.
    pub(crate) time: Timestamp,
    /// Files that follow the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uploads: Vec<Upload>,
    /// Of files that wait.
    #[serde(default, rename = "trouble", skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<Backoff>,
}

/// One file, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Its path below the run folder.
    pub(crate) file: String,
    /// Its name on the server.
    pub(crate) name: String,
    /// What the server shows beside it.
    pub(crate) description: String,
    /// Whether the server lists it.
    pub(crate) visible: bool,
    /// It is packed with gzip on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) packed: bool,
    #[serde(flatten)]
    pub(crate) state: UploadState,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum UploadState {
    /// It has not been sent yet.
    Waiting {
        tries: u32,
        /// Why the last try failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The server has it.
    Done {
        /// As sent.
        bytes: u64,
    },
    /// The server refused it, or it was tried often enough.
    Refused { reason: String },
}

fn path(folder: &RunFolder, server: &str) -> PathBuf {
    folder.path().join(format!("receipt-{}.json", slug(server)))
}

impl Receipt {
    /// Whether that server has the result.
    pub(crate) fn exists(folder: &RunFolder, server: &str) -> bool {
        path(folder, server).exists()
    }

    /// None if that server does not have the result.
    pub(crate) fn load(folder: &RunFolder, server: &str) -> Result<Option<Self>, FileError> {
        versioned::read(&path(folder, server), FORMAT)
    }

    /// The result's key on that server, as far as it is known.
    pub(crate) fn result_key(folder: &RunFolder, server: &str) -> Option<String> {
        Self::load(folder, server).ok()??.result_key
    }

    /// On disk when this returns. The result is not in the outbox of that server any more.
    pub(crate) fn save(&self, folder: &RunFolder) -> io::Result<()> {
        versioned::write(&path(folder, &self.server), FORMAT, self)?;
        OutboxMark::remove(folder, &self.server);
        Ok(())
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// How many files wait.
    pub(crate) fn waiting(&self) -> usize {
        self.uploads.iter().filter(|upload| upload.is_waiting()).count()
    }

    /// Whether it is time to try those that wait. Pure.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.backoff.as_ref().is_none_or(|backoff| backoff.is_over(now))
    }

    /// Indices of the files that wait, least tried first: one that never gets through holds up no other. Pure.
    pub(crate) fn queue(&self) -> Vec<usize> {
        let tries = |upload: &Upload| match upload.state {
            UploadState::Waiting { tries, .. } => Some(tries),
            UploadState::Done { .. } | UploadState::Refused { .. } => None,
        };
        let uploads = self.uploads.iter().enumerate();
        let mut queue: Vec<_> = uploads.filter_map(|(index, upload)| Some((tries(upload)?, index))).collect();
        queue.sort_unstable();
        queue.into_iter().map(|(_, index)| index).collect()
    }

    /// Refused files wait again, if there is a key for them. Pure.
    pub(crate) fn reopen(&mut self) {
        let is_refused = |upload: &&mut Upload| matches!(upload.state, UploadState::Refused { .. });
        for upload in self.uploads.iter_mut().filter(|_| self.auth_key.is_some()).filter(is_refused) {
            upload.state = UploadState::Waiting { tries: 0, reason: None };
        }
    }

    /// Files that wait are refused instead. Pure.
    pub(crate) fn refuse_waiting(&mut self, reason: &str) {
        for upload in self.uploads.iter_mut().filter(|upload| upload.is_waiting()) {
            upload.state = UploadState::Refused { reason: reason.to_owned() };
        }
    }

    /// Bytes of its files that are on the server.
    pub(crate) fn sent(&self) -> u64 {
        let bytes = |upload: &Upload| if let UploadState::Done { bytes } = upload.state { bytes } else { 0 };
        self.uploads.iter().map(bytes).sum()
    }
}

impl Upload {
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, UploadState::Waiting { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(states: impl IntoIterator<Item = UploadState>) -> Receipt {
        let upload = |state| Upload {
            file: String::new(),
            name: String::new(),
            description: String::new(),
            visible: true,
            packed: false,
            state,
        };
        Receipt {
            server: "http://a/".to_owned(),
            result_key: Some("7".to_owned()),
            auth_key: None,
            dialect: None,
            time: Timestamp::UNIX_EPOCH,
            uploads: states.into_iter().map(upload).collect(),
            backoff: None,
        }
    }

    fn waiting(tries: u32) -> UploadState {
        UploadState::Waiting { tries, reason: None }
    }

    #[test]
    fn what_was_tried_least_goes_first() {
        let mut receipt =
            receipt([waiting(2), UploadState::Done { bytes: 5 }, waiting(0), waiting(1), waiting(0)]);
        assert_eq!((receipt.queue(), receipt.sent()), (vec![2, 4, 3, 0], 5));
        receipt.refuse_waiting("no");
        assert_eq!((receipt.waiting(), receipt.sent()), (0, 5));
        receipt.reopen();
        assert!(!receipt.has_waiting(), "without a key nothing can be sent");
        receipt.auth_key = Some("key".to_owned());
        receipt.reopen();
        assert_eq!(receipt.waiting(), 4);
    }

    #[test]
    fn a_receipt_takes_the_result_out_of_the_outbox() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        OutboxMark::given_up(None, "http://a/", Timestamp::UNIX_EPOCH).save(&folder);
        assert!(
            !Receipt::exists(&folder, "http://a/") && Receipt::load(&folder, "http://a/").unwrap().is_none()
        );
        let receipt = receipt([waiting(1)]);
        receipt.save(&folder).unwrap();
        assert_eq!(Receipt::load(&folder, "http://a/").unwrap(), Some(receipt));
        assert_eq!(Receipt::result_key(&folder, "http://a/").as_deref(), Some("7"));
        assert!(OutboxMark::load(&folder, "http://a/").unwrap().is_none());
    }

    #[test]
    fn receipts_without_a_version_and_of_a_newer_minor_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        for (format, is_read) in [("", true), (r#""format": "1.7", "#, true), (r#""format": "2.0", "#, false)]
        {
            let json =
                format!(r#"{{{format}"server": "s", "result_key": "7", "time": "2026-01-01T00:00:00Z"}}"#);
            std::fs::write(path(&folder, "s"), json).unwrap();
            let loaded = Receipt::load(&folder, "s");
            assert_eq!(loaded.is_ok(), is_read, "{loaded:?}");
            assert!(Receipt::exists(&folder, "s"));
        }
    }
}
