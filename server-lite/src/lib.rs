//! pony-serve as a library: a server that stores and lists the results of builds.
//!
//! [`Server::open`] opens a results file, [`Server::router`] answers requests from it: the calls of a pony-build server
//! at `/xmlrpc`, its uploads at `/upload`, and pages for people. The router can be mounted anywhere, also below a path; [`Server::serve`] puts it on
//! a socket with limits and a graceful end. The program `pony-serve` is these three and its options.
//!
//! It stores and lists: no build logic, no connection kept, one call one transaction, acknowledged when it is on disk.

mod body;
mod clock;
mod decision;
mod files;
mod http;
mod listen;
mod memory;
mod offload;
mod rpc;
mod status;
mod store;
mod submission;
mod upload;
mod web;

use std::io;
use std::path::Path;

use axum::Router;
use tokio::net::TcpListener;

pub use store::OpenError;
use store::{Cache, Store};

/// The largest body of a call, in bytes, unless [`Server::with_body_limit`] says otherwise.
pub const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The largest file that is taken, in bytes, unless [`Server::with_upload_limit`] says otherwise.
pub const UPLOAD_LIMIT: u64 = 256 * 1024 * 1024;
/// What files of results may take up in all, in bytes, unless [`Server::with_files_limit`] says otherwise.
pub const FILES_LIMIT: u64 = 10 * 1024 * 1024 * 1024;

/// How much is taken, in bytes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Of a call.
    body: usize,
    /// Of one file.
    upload: u64,
    /// Of all files.
    files: u64,
}

/// An open results file and what answers from it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    store: Store,
    limits: Limits,
}

impl Server {
    /// Opens the results file, creating it and its folder if need be. Other processes may have it open too.
    ///
    /// Files of results lie in a folder beside it: `results.db.files` beside `results.db`.
    pub async fn open(data: &Path) -> Result<Self, OpenError> {
        Self::open_with(data, Cache::Large).await
    }

    /// The same for a process that stores a few results and ends: it holds less of the file in memory.
    pub async fn open_briefly(data: &Path) -> Result<Self, OpenError> {
        Self::open_with(data, Cache::Small).await
    }

    async fn open_with(data: &Path, cache: Cache) -> Result<Self, OpenError> {
        let limits = Limits { body: BODY_LIMIT, upload: UPLOAD_LIMIT, files: FILES_LIMIT };
        Ok(Self { store: Store::open(data, cache).await?, limits })
    }

    /// Takes calls of up to `bytes`, counted unpacked.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Self { limits: Limits { body: bytes, ..self.limits }, ..self }
    }

    /// Takes files of up to `bytes`, counted unpacked.
    #[must_use]
    pub fn with_upload_limit(self, bytes: u64) -> Self {
        Self { limits: Limits { upload: bytes, ..self.limits }, ..self }
    }

    /// Keeps up to `bytes` of files, counted in blocks of 4 KiB: whenever one comes and they are more, those of the oldest
    /// results go. No larger file is taken.
    #[must_use]
    pub fn with_files_limit(self, bytes: u64) -> Self {
        Self { limits: Limits { files: bytes, ..self.limits }, ..self }
    }

    /// Calls, uploads and pages. Links are relative, so that it can be nested below any path that ends in a slash. Receipts carry the
    /// client's address where the request has axum's `ConnectInfo<SocketAddr>`.
    pub fn router(&self) -> Router {
        http::router(&self.store, self.limits)
    }

    /// Serves the router until `shutdown` completes; then takes no new connections, gives calls under way ten seconds, and
    /// returns. Does not close the file: [`Server::close`] does.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        listen::serve(listener, self.router(), shutdown).await
    }

    /// Closes the results file, with everything in the one main file if no other process has it open.
    pub async fn close(self) {
        self.store.close().await;
    }
}
