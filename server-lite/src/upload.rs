//! `POST /upload?filename=&description=&auth_key=&visible=yes|no` with a file as the body, as the server of 2010 takes it.
//!
//! The file goes to disk piece by piece and is answered for when it is there; nobody sees it before.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pony_wire::text::{Colours, clean, is_legal};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::Limits;
use crate::body::{Pieces, Unread};
use crate::clock::Time;
use crate::files::is_full;
use crate::http::{chain, client_ip, refusal, unavailable, unread};
use crate::store::{Admitted, FILES, FileInfo, Incoming, Store, StoreError};
use crate::submission::AuthKey;

/// Files that come at once; further ones wait. With the largest size of one it bounds what they take up besides those that
/// are kept.
const UPLOADS: usize = 16;
/// Bytes of a name, and of a description.
const NAME: usize = 1_000;
const DESCRIPTION: usize = 2_000;

#[derive(Debug, Clone)]
struct Uploads {
    store: Store,
    /// Bytes of one file.
    limit: u64,
    /// Bytes of all files.
    files: u64,
    free: Arc<Semaphore>,
}

pub(crate) fn router(store: Store, limits: Limits) -> Router {
    let limit = limits.upload.min(limits.files);
    let uploads = Uploads { store, limit, files: limits.files, free: Arc::new(Semaphore::new(UPLOADS)) };
    Router::new().route("/upload", post(upload).fallback(only_post)).with_state(uploads)
}

/// What the query of an upload may hold.
#[derive(Default, Deserialize)]
struct Asked {
    filename: Option<String>,
    description: Option<String>,
    auth_key: Option<String>,
    visible: Option<String>,
}

/// Why a file was not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the query of the address cannot be read: it holds a key twice")]
    Query,
    #[error("no result has this `auth_key`: it is the second part of what `add_results` answered")]
    Key,
    #[error("the query of the address has no `filename`")]
    NoName,
    #[error("`filename` is longer than {NAME} bytes, or `description` than {DESCRIPTION}")]
    LongName,
    #[error("the result has {FILES} files, the most that it may have")]
    TooMany,
    #[error("there is no file in the body of the request, or it is empty")]
    Empty,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("the server cannot keep it")]
    Store(#[from] StoreError),
}

impl Refused {
    fn answer(self, limit: u64) -> Response {
        let status = match self {
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::Query | Self::NoName | Self::LongName | Self::Empty => StatusCode::BAD_REQUEST,
            Self::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(why) => {
                return unread(why, || {
                    format!(
                        "The file is larger than {limit} bytes, the most that this server takes. Send a smaller one, or raise \
                         the limits with `pony-serve --upload-limit` and `--files-limit`.\n"
                    )
                });
            }
            Self::Store(error) => {
                tracing::error!(error = chain(&error), "an upload could not be kept");
                if matches!(&error, StoreError::Files(error) if is_full(error)) {
                    return refusal(
                        StatusCode::INSUFFICIENT_STORAGE,
                        "The server's disk is full; nothing was kept.\n",
                    );
                }
                return unavailable(
                    "The results file or its folder of files cannot be used right now; nothing was kept. The server's \
                     log says why.\n",
                );
            }
        };
        refusal(status, format!("{self}; nothing was kept.\n"))
    }
}

async fn upload(State(uploads): State<Uploads>, request: Request) -> Response {
    let client_ip = client_ip(&request);
    let asked = Query::try_from_uri(request.uri()).map(|Query(asked)| asked).map_err(|_| Refused::Query);
    let mut body = Pieces::new(request, uploads.limit);
    let kept = match asked {
        Ok(asked) => uploads.take(asked, &mut body, &client_ip).await,
        Err(refused) => Err(refused),
    };
    match kept {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => {
            tracing::info!(%refused, client_ip, "file refused");
            body.drop_rest().await;
            refused.answer(uploads.limit)
        }
    }
}

async fn only_post() -> Response {
    let text = "This is where build clients send files of results: POST with the file as the body.\n";
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response()
}

impl Uploads {
    async fn take(&self, asked: Asked, body: &mut Pieces, client_ip: &str) -> Result<(), Refused> {
        let key = asked.auth_key.as_deref().and_then(AuthKey::of_text).ok_or(Refused::Key)?;
        // The semaphore is never closed.
        let _free = self.free.acquire().await;
        let about = about(&asked)?;
        let incoming = match self.store.begin_file(&key.hash(), &about, Time::now()).await? {
            Admitted::Yes(incoming) => incoming,
            Admitted::UnknownKey => return Err(Refused::Key),
            Admitted::TooMany => return Err(Refused::TooMany),
        };
        let incoming = receive(incoming, body).await?;
        let size = incoming.size();
        self.store.keep_file(incoming, self.files, Time::now()).await?;
        tracing::info!(name = about.name, size, client_ip, "file");
        Ok(())
    }
}

/// Writes a body to disk.
async fn receive(mut incoming: Incoming, body: &mut Pieces) -> Result<Incoming, Refused> {
    while let Some(piece) = body.next().await? {
        incoming = incoming.write(piece).await.map_err(StoreError::Files)?;
    }
    if incoming.size() == 0 { Err(Refused::Empty) } else { Ok(incoming) }
}

/// The name and the words of a file, as far as they can be: what no page can show is replaced.
fn about(asked: &Asked) -> Result<FileInfo, Refused> {
    let name = asked.filename.as_deref().filter(|name| !name.is_empty()).ok_or(Refused::NoName)?;
    let description = asked.description.as_deref().unwrap_or_default();
    if name.len() > NAME || description.len() > DESCRIPTION {
        return Err(Refused::LongName);
    }
    Ok(FileInfo {
        name: shown_name(name),
        description: clean(description.as_bytes(), Colours::Strip),
        visible: asked.visible.as_deref() == Some("yes"),
    })
}

/// A name in which every character can be shown, on one line.
pub(crate) fn shown_name(name: &str) -> String {
    let shown = |c: char| if c.is_control() || !is_legal(c) { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().map(shown).collect()
}
