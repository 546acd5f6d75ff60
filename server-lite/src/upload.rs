//! `POST /upload?filename=&description=&auth_key=&visible=yes|no` with a file as the body, as the 2010 server takes it.
//!
//! The file is written to disk piece by piece. It is acknowledged and visible once it is complete.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pony_wire::ErrorMessage;
use pony_wire::text::{Colours, clean};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::clock::Time;
use crate::file_name;
use crate::limits::ServerLimits;
use crate::reply;
use crate::request::{BodyError, RequestBody, client_ip};
use crate::store::{Admission, FILES_PER_RESULT, FileInfo, IncomingFile, Store, StoreError};
use crate::upload_key::UploadKey;

/// Files that arrive at once; further ones wait. Times the largest size of one, it bounds the space that they take besides
/// the stored ones.
const UPLOADS: usize = 16;
/// In bytes.
const LONGEST_NAME: usize = 1_000;
/// In bytes.
const LONGEST_DESCRIPTION: usize = 2_000;

/// What receiving files needs.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    store: Store,
    /// Bytes of one file.
    limit: u64,
    /// Bytes of all files.
    files_limit: u64,
    permits: Arc<Semaphore>,
}

impl Uploads {
    pub(crate) fn new(store: Store, limits: ServerLimits) -> Self {
        let limit = limits.upload.min(limits.files);
        Self { store, limit, files_limit: limits.files, permits: Arc::new(Semaphore::new(UPLOADS)) }
    }
}

/// The query of an upload.
#[derive(Default, Deserialize)]
struct UploadQuery {
    filename: Option<String>,
    description: Option<String>,
    auth_key: Option<String>,
    visible: Option<String>,
}

/// Why a file was refused. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error("the query of the address is invalid: a key occurs twice")]
    Query,
    #[error("no result has this `auth_key`, the second part of the answer to `add_results`")]
    UnknownKey,
    #[error("the query of the address has no `filename`")]
    NoName,
    #[error("`filename` is longer than {LONGEST_NAME} bytes, or `description` than {LONGEST_DESCRIPTION}")]
    LongName,
    #[error("the result has {FILES_PER_RESULT} files, the most that it may have")]
    TooMany,
    #[error("the body of the request is empty")]
    Empty,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the server cannot store it")]
    Store(#[from] StoreError),
}

impl UploadError {
    fn reply(self, limit: u64) -> Response {
        let status = match self {
            Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::Query | Self::NoName | Self::LongName | Self::Empty => StatusCode::BAD_REQUEST,
            Self::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(error) => {
                return reply::unread_body(error, || {
                    format!(
                        "The file is larger than {limit} bytes, the limit of this server. Send a smaller one, or raise the limits \
                         with `pony-serve --upload-limit` and `--files-limit`.\n"
                    )
                });
            }
            Self::Store(error) => {
                tracing::error!(error = %ErrorMessage::of(&error), "an upload could not be stored");
                if error.is_disk_full() {
                    return reply::refusal(
                        StatusCode::INSUFFICIENT_STORAGE,
                        "The server's disk is full; nothing was stored.\n",
                    );
                }
                return reply::unavailable(
                    "The results file or its folder of files cannot be used at the moment, and nothing was stored. The \
                     server's log says why.\n",
                );
            }
        };
        reply::refusal(status, format!("{self}; nothing was stored.\n"))
    }
}

/// Receives a file.
pub(crate) async fn receive(State(uploads): State<Uploads>, request: Request) -> Response {
    let client_ip = client_ip(&request);
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).map_err(|_| UploadError::Query);
    let mut body = RequestBody::new(request, uploads.limit);
    let received = match query {
        Ok(query) => uploads.receive(query, &mut body, &client_ip).await,
        Err(error) => Err(error),
    };
    match received {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::info!(%error, client_ip, "refused a file");
            body.discard_rest().await;
            error.reply(uploads.limit)
        }
    }
}

pub(crate) async fn post_only() -> Response {
    reply::post_only("Build clients send files of results here: POST with the file as the body.\n")
}

impl Uploads {
    async fn receive(
        &self,
        query: UploadQuery,
        body: &mut RequestBody,
        client_ip: &str,
    ) -> Result<(), UploadError> {
        let key = query.auth_key.as_deref().and_then(UploadKey::parse).ok_or(UploadError::UnknownKey)?;
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let info = file_info(&query)?;
        let file = match self.store.begin_file(&key.hash(), &info, Time::now()).await? {
            Admission::Granted(file) => file,
            Admission::UnknownKey => return Err(UploadError::UnknownKey),
            Admission::TooMany => return Err(UploadError::TooMany),
        };
        let file = write(file, body).await?;
        let size = file.size();
        self.store.finish_file(file, self.files_limit, Time::now()).await?;
        tracing::info!(name = info.name, size, client_ip, "stored a file");
        Ok(())
    }
}

/// Writes a body to disk.
async fn write(mut file: IncomingFile, body: &mut RequestBody) -> Result<IncomingFile, UploadError> {
    while let Some(piece) = body.next().await? {
        file = file.write(piece).await.map_err(StoreError::Files)?;
    }
    if file.size() == 0 { Err(UploadError::Empty) } else { Ok(file) }
}

/// The name and description of a file. Characters that a page cannot show are replaced.
fn file_info(query: &UploadQuery) -> Result<FileInfo, UploadError> {
    let name = query.filename.as_deref().filter(|name| !name.is_empty()).ok_or(UploadError::NoName)?;
    let description = query.description.as_deref().unwrap_or_default();
    if name.len() > LONGEST_NAME || description.len() > LONGEST_DESCRIPTION {
        return Err(UploadError::LongName);
    }
    Ok(FileInfo {
        name: file_name::visible(name),
        description: clean(description.as_bytes(), Colours::Strip),
        visible: query.visible.as_deref() == Some("yes"),
    })
}
