//! Files that belong to a result: what upload steps collected, and the whole logs of what had to be shortened. They follow a result that
//! is delivered, one by one; one that is refused or does not get through does not take the result back.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use pony_wire::Dialect;

use crate::{
    delivery::receipt::{Receipt, Upload, UploadState},
    record::{Log, RunRecord, folder::RunFolder},
    server::{FileContent, Server, api::kind, error::CallError, kind::UploadLimits},
};

/// How often a file is tried: for most of a day, as tries become rarer.
const TRIES: u32 = 20;

/// Called while files are sent: name, bytes sent, bytes in all.
pub(crate) type Progress = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// How files are sent.
#[derive(Clone)]
pub(crate) struct Terms {
    /// The longest that all of them may take.
    pub(crate) limit: Duration,
    /// A server that accepts nothing for so long is given up.
    pub(crate) stall_limit: Duration,
    pub(crate) progress: Progress,
}

/// Why a file is not where it is to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It is larger than what the server takes.
    #[error("it has {bytes} bytes; the server accepts at most {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The server's limit.
        limit: u64,
    },
    /// There is no room for it beside the other files of the result.
    #[error("the server keeps no more than {limit} bytes of files a result, and would drop all of them")]
    NoRoom {
        /// The server's limit.
        limit: u64,
    },
    /// There is nothing in it.
    #[error("it is empty, and servers accept no empty files")]
    Empty,
    /// It cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It cannot be packed.
    #[error("it cannot be packed: {0}")]
    Pack(io::Error),
    /// It was cut short.
    #[error("no more time, after {} s", .0.as_secs().max(1))]
    OutOfTime(Duration),
}

/// Statuses by which a server speaks of a file, and not of files.
const OF_ONE_FILE: [u16; 7] = [400, 403, 409, 411, 413, 414, 415];

impl UploadError {
    /// The next try would end in the same way.
    fn is_permanent(&self) -> bool {
        match self {
            Self::Call(error) => error.is_permanent(),
            Self::TooLarge { .. } | Self::NoRoom { .. } | Self::Empty | Self::Read { .. } => true,
            Self::Pack(_) | Self::OutOfTime(_) => false,
        }
    }

    /// What follows would end in the same way.
    fn affects_all(&self) -> bool {
        match self {
            Self::Call(CallError::Status { status, .. }) if self.is_permanent() => {
                !OF_ONE_FILE.contains(&status.as_u16())
            }
            Self::Call(error) => error.is_permanent() || error.affects_server(),
            Self::OutOfTime(_) => true,
            Self::TooLarge { .. } | Self::NoRoom { .. } | Self::Empty | Self::Read { .. } | Self::Pack(_) => {
                false
            }
        }
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Self::Call(error) = self { error.retry_after() } else { None }
    }

    /// The server has not come to the file at all: that does not count as a try.
    fn is_before_the_file(&self) -> bool {
        match self {
            Self::Call(CallError::Timeout(_) | CallError::Stalled(_)) => false,
            Self::Call(error) => error.affects_server(),
            _ => false,
        }
    }

    /// It is the server, not what was sent: whatever else is for it would wait as long.
    pub(crate) fn affects_server(&self) -> bool {
        matches!(self, Self::Call(error) if error.affects_server())
    }
}

/// What a server calls the whole of a log.
pub(super) fn log_name(log: &Log) -> String {
    format!("logs/{}.gz", log.file)
}

/// The files of a run of which these logs were shortened.
pub(super) fn of(record: &RunRecord, shortened: &[Log]) -> Vec<Upload> {
    let waiting = UploadState::Waiting { tries: 0, reason: None };
    let artifacts = record.steps.iter().flat_map(|step| {
        step.artifacts.iter().map(|artifact| Upload {
            file: format!("artifacts/{}", artifact.name),
            name: artifact.name.clone(),
            // Never empty: to such a one the release of 2010 has no answer.
            description: step.description.clone().unwrap_or_else(|| step.name.clone()),
            visible: !step.hidden,
            packed: false,
            state: waiting.clone(),
        })
    });
    let logs = shortened.iter().map(|log| Upload {
        file: log.file.clone(),
        name: log_name(log),
        description: format!("{} whole, {} bytes", log.file, log.bytes),
        visible: true,
        packed: true,
        state: waiting.clone(),
    });
    artifacts.chain(logs).collect()
}

/// The files of a run that a server has, but whose answer did not come.
pub(super) fn lost(record: &RunRecord) -> Vec<Upload> {
    let reason = "the server's answer was lost, and with it the key for files";
    let lost = |upload| Upload { state: UploadState::Refused { reason: reason.to_owned() }, ..upload };
    of(record, &[]).into_iter().map(lost).collect()
}

impl UploadState {
    /// After one more try. Pure.
    fn after(&self, sent: &Result<u64, UploadError>) -> Self {
        let before = match self {
            Self::Waiting { tries, .. } => *tries,
            Self::Done { .. } | Self::Refused { .. } => TRIES,
        };
        let counts = !sent.as_ref().is_err_and(UploadError::is_before_the_file);
        let tries = before + u32::from(counts);
        match sent {
            Ok(bytes) => Self::Done { bytes: *bytes },
            Err(error) if error.is_permanent() => Self::Refused { reason: error.to_string() },
            Err(error) if tries >= TRIES => {
                Self::Refused { reason: format!("tried {tries} times, at last: {error}") }
            }
            Err(error) => Self::Waiting { tries, reason: Some(error.to_string()) },
        }
    }
}

/// Sends the files of a receipt that wait, and updates the receipt. An error ends it, and the rest waits. If this is dropped, the
/// file under way is sent again later. The receipt is saved now and then; the caller saves it at the end.
pub(crate) async fn send(
    server: &Server,
    folder: &RunFolder,
    receipt: &mut Receipt,
    terms: &Terms,
) -> Result<(), UploadError> {
    let dialect = receipt.dialect.as_deref().and_then(|word| word.parse().ok()).unwrap_or(Dialect::V2010);
    let Some(auth_key) = receipt.auth_key.clone() else { return Ok(()) };
    let mut end = pin!(tokio::time::sleep(terms.limit));
    let mut unsaved = Unsaved::default();
    for place in receipt.queue() {
        let upload = &receipt.uploads[place];
        let one = One { server, dialect, folder, upload, auth_key: &auth_key, sent: receipt.sent() };
        let tried = tokio::select! {
            biased;
            tried = one.send(terms) => tried,
            () = &mut end => Err(UploadError::OutOfTime(terms.limit)),
        };
        receipt.uploads[place].state = upload.state.after(&tried);
        if unsaved.is_much_with(tried.as_ref().copied().unwrap_or_default()) {
            // If this fails, files are sent again, which changes nothing.
            let _ = receipt.save(folder);
        }
        if let Some(error) = tried.err().filter(UploadError::affects_all) {
            if error.is_permanent() {
                receipt.refuse_waiting(&error.to_string());
            }
            return Err(error);
        }
    }
    Ok(())
}

/// What was sent since the receipt was last saved, and would be sent again after a crash.
#[derive(Debug, Default)]
struct Unsaved {
    files: usize,
    bytes: u64,
}

impl Unsaved {
    /// Whether it is worth saving, with one more file of so many bytes; then it starts from zero. Pure.
    fn is_much_with(&mut self, bytes: u64) -> bool {
        self.files += 1;
        self.bytes += bytes;
        let is_much = self.files >= 20 || self.bytes >= 1_000_000;
        if is_much {
            *self = Self::default();
        }
        is_much
    }
}

/// A file, and where it goes.
struct One<'o> {
    server: &'o Server,
    dialect: Dialect,
    folder: &'o RunFolder,
    upload: &'o Upload,
    auth_key: &'o str,
    /// Bytes of other files of the result that are there.
    sent: u64,
}

impl One<'_> {
    /// Sends it; its size.
    async fn send(&self, terms: &Terms) -> Result<u64, UploadError> {
        let upload = self.upload;
        let (file, bytes) = self.open().await?;
        let limits = kind(self.dialect).uploads.unwrap_or(UploadLimits { file: None, result: None });
        if let Some(limit) = limits.file.filter(|limit| bytes > *limit) {
            return Err(UploadError::TooLarge { bytes, limit });
        }
        if let Some(limit) = limits.result.filter(|limit| self.sent + bytes > *limit) {
            return Err(UploadError::NoRoom { limit });
        }
        if bytes == 0 {
            return Err(UploadError::Empty);
        }
        let query = [
            ("filename", upload.name.as_str()),
            ("description", upload.description.as_str()),
            ("auth_key", self.auth_key),
            ("visible", if upload.visible { "yes" } else { "no" }),
        ];
        let (progress, name) = (Arc::clone(&terms.progress), upload.name.clone());
        let content = FileContent {
            file: Arc::new(file),
            bytes,
            progress: Arc::new(move |sent| progress(&name, sent, bytes)),
            stall_limit: terms.stall_limit,
        };
        self.server.upload(content, &query).await?;
        Ok(bytes)
    }

    /// What is sent of it, and how many bytes that are.
    async fn open(&self) -> Result<(File, u64), UploadError> {
        let path = self.folder.path().join(&self.upload.file);
        let packed = self.upload.packed;
        let opened = tokio::task::spawn_blocking(move || {
            let read = |error| UploadError::Read { path: path.display().to_string(), error };
            let file = File::open(&path).map_err(read)?;
            let file = if packed { pack(file, &path).map_err(UploadError::Pack)? } else { file };
            let bytes = file.metadata().map_err(read)?.len();
            Ok((file, bytes))
        });
        opened.await.unwrap_or_else(|error| Err(UploadError::Pack(io::Error::other(error))))
    }
}

/// A log, packed, on the same disk: a file without a name, which goes with its handle.
fn pack(mut log: File, path: &Path) -> io::Result<File> {
    let packed = tempfile::tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    let mut encoder = GzEncoder::new(packed, Compression::default());
    io::copy(&mut log, &mut encoder)?;
    let mut packed = encoder.finish()?;
    packed.flush()?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn status(code: u16) -> UploadError {
        let status = StatusCode::from_u16(code).unwrap();
        CallError::Status { status, text: String::new(), retry_after: None }.into()
    }

    fn waiting(tries: u32) -> UploadState {
        UploadState::Waiting { tries, reason: None }
    }

    #[test]
    fn what_follows_from_each_failure_of_a_file() {
        // error, permanent, affects all files
        let broken = || CallError::Broken("x".to_owned()).into();
        for (error, is_permanent, affects_all) in [
            (status(401), true, true),
            (status(403), true, false),
            (status(404), true, true),
            (status(413), true, false),
            (status(500), false, false),
            (status(503), false, true),
            (broken(), false, false),
            (CallError::Stalled(Duration::ZERO).into(), false, true),
            (CallError::Unreachable("x".to_owned()).into(), false, true),
            (CallError::Moved("x".to_owned()).into(), true, true),
            (UploadError::Empty, true, false),
            (UploadError::OutOfTime(Duration::ZERO), false, true),
            (UploadError::Pack(io::Error::other("full")), false, false),
        ] {
            assert_eq!((error.is_permanent(), error.affects_all()), (is_permanent, affects_all), "{error}");
        }
        assert_eq!(waiting(0).after(&Ok(7)), UploadState::Done { bytes: 7 });
        assert!(matches!(waiting(0).after(&Err(status(413))), UploadState::Refused { .. }));
        let once = UploadState::Waiting { tries: 1, reason: Some("the connection broke: x".to_owned()) };
        assert_eq!(waiting(0).after(&Err(broken())), once);
        let reason = "tried 20 times, at last: the connection broke: x".to_owned();
        assert_eq!(waiting(19).after(&Err(broken())), UploadState::Refused { reason });
        // A server that is down for days costs no file its tries.
        let down = waiting(19).after(&Err(CallError::Unreachable("x".to_owned()).into()));
        assert!(matches!(down, UploadState::Waiting { tries: 19, .. }), "{down:?}");
        assert!(matches!(waiting(3).after(&Err(status(503))), UploadState::Waiting { tries: 3, .. }));
        let silent = waiting(3).after(&Err(CallError::Stalled(Duration::ZERO).into()));
        assert!(matches!(silent, UploadState::Waiting { tries: 4, .. }), "{silent:?}");
    }

    #[test]
    fn small_files_are_noted_together() {
        let mut unsaved = Unsaved::default();
        let noted: Vec<bool> = (0..40).map(|_| unsaved.is_much_with(10)).collect();
        assert_eq!(noted.iter().filter(|noted| **noted).count(), 2);
        assert!(noted[19] && noted[39] && unsaved.is_much_with(1_000_000));
    }
}
