//! Files that belong to a result: what upload steps collected, and the whole logs of what had to be shortened. They follow a result that
//! is delivered, one by one; one that is refused or does not get through does not take the result back.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use pony_wire::Dialect;
use serde::{Deserialize, Serialize};

use crate::{
    folder::{Receipt, RunFolder},
    record::{Log, RunRecord},
    server::{FileContent, Server, error::CallError},
};

/// A server that takes fewer bytes a second is taken for dead.
const SLOWEST: u64 = 20_000;
/// How long a file may take besides.
const ANSWER: Duration = Duration::from_mins(1);
/// How often a file is tried.
const TRIES: u32 = 10;

/// One file, and what became of it: a part of the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Where it is, below the run folder.
    pub file: String,
    /// What the server calls it.
    pub name: String,
    /// What the server shows beside it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether the server lists it.
    pub visible: bool,
    /// It is packed on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
    /// What became of it.
    #[serde(flatten)]
    pub state: State,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It is to be sent.
    Waiting {
        /// How often it was tried.
        tries: u32,
        /// Why the last try failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The server has it.
    Done,
    /// The server will not have it, or it was tried often enough.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Is told of files on their way: of which one, how many more bytes of how many.
pub type Progress = Arc<dyn Fn(&str, usize, u64) + Send + Sync>;

/// What a server calls the whole of a log.
pub(super) fn log_name(log: &Log) -> String {
    format!("logs/{}.gz", log.file)
}

/// The files of a run of which these logs were shortened.
pub(super) fn of(record: &RunRecord, shortened: &[Log]) -> Vec<Upload> {
    let waiting = State::Waiting { tries: 0, reason: None };
    let artifacts = record.steps.iter().flat_map(|step| {
        step.artifacts.iter().map(|artifact| Upload {
            file: format!("artifacts/{}", artifact.name),
            name: artifact.name.clone(),
            description: step.description.clone().unwrap_or_default(),
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

impl Upload {
    /// Whether it is to be sent.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

/// Sends the files of a receipt that wait, and notes in it what became of each. The error that ended it, if one did: then the rest
/// waits.
pub async fn send(
    server: &Server,
    folder: &RunFolder,
    receipt: &mut Receipt,
    progress: &Progress,
) -> Result<(), CallError> {
    let dialect = receipt.dialect.as_deref().and_then(|word| word.parse().ok()).unwrap_or(Dialect::V2010);
    let Some(auth_key) = receipt.auth_key.clone() else { return Ok(()) };
    for index in 0..receipt.uploads.len() {
        let upload = &receipt.uploads[index];
        let State::Waiting { tries, .. } = upload.state else { continue };
        let sent = one(server, dialect, folder, upload, &auth_key, progress).await;
        let (state, ended) = match sent {
            Ok(()) => (State::Done, None),
            Err(error) if error.is_final() || tries + 1 >= TRIES => {
                (State::Refused { reason: error.to_string() }, None)
            }
            Err(error) => {
                let state = State::Waiting { tries: tries + 1, reason: Some(error.to_string()) };
                (state, error.is_of_the_server().then_some(error))
            }
        };
        receipt.uploads[index].state = state;
        // Where this cannot be noted, the file is sent again, which changes nothing.
        let _ = folder.write_receipt(receipt);
        if let Some(error) = ended {
            return Err(error);
        }
    }
    Ok(())
}

async fn one(
    server: &Server,
    dialect: Dialect,
    folder: &RunFolder,
    upload: &Upload,
    auth_key: &str,
    progress: &Progress,
) -> Result<(), CallError> {
    let path = folder.path().join(&upload.file);
    let read =
        |error: io::Error| CallError::Read { path: path.display().to_string(), error: error.to_string() };
    let (from, packed) = (path.clone(), upload.packed);
    let opened = tokio::task::spawn_blocking(move || if packed { pack(&from) } else { File::open(from) });
    let file = opened.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    if let Some(limit) = dialect.upload_limit().filter(|limit| bytes > *limit) {
        return Err(CallError::TooLarge { bytes, limit });
    }
    if bytes == 0 {
        return Err(CallError::Empty);
    }
    let visible = if upload.visible { "yes" } else { "no" };
    let query = [
        ("filename", upload.name.as_str()),
        ("description", upload.description.as_str()),
        ("auth_key", auth_key),
        ("visible", visible),
    ];
    let limit = ANSWER + Duration::from_secs(bytes / SLOWEST);
    let (progress, name) = (Arc::clone(progress), upload.name.clone());
    let progress = Arc::new(move |more| progress(&name, more, bytes));
    server.upload(FileContent { file: Arc::new(file), bytes, progress }, &query, limit).await
}

/// A log, packed, on the same disk: a file without a name, which goes with its handle.
fn pack(path: &Path) -> io::Result<File> {
    let packed = tempfile::tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    let mut encoder = GzEncoder::new(&packed, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(packed)
}
