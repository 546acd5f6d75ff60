//! pony-serve as a library: a server that stores and lists the results of builds.
//!
//! [`Server::open`] opens a results file, [`Server::router`] answers requests from it: the calls of a pony-build server at
//! `/xmlrpc`, uploads at `/upload`, and pages for people. The router can be mounted anywhere, also below a path;
//! [`Server::serve`] puts it on a socket, with limits and a graceful end. The program `pony-serve` adds options and signals.
//!
//! It stores and lists: no build logic, no connection that outlives its call. One call is one transaction, acknowledged
//! when it is on disk.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up what they test"))]

mod blocking;
mod clock;
mod decision;
mod file_name;
mod limits;
mod listen;
mod memory;
mod pages;
mod python;
mod reply;
mod request;
mod router;
mod status;
mod store;
mod upload;
mod upload_key;
mod xmlrpc;

use std::io;
use std::path::Path;

use axum::Router;
use tokio::net::TcpListener;

pub use limits::ServerLimits;
pub use store::OpenError;
use store::{PageCache, Store};

/// An open results file and what answers from it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    store: Store,
    limits: ServerLimits,
}

impl Server {
    /// Opens the results file, and creates it and its folder if they do not exist. Other processes may have it open too.
    ///
    /// Uploaded files lie in a folder beside it: `results.db.files` beside `results.db`.
    pub async fn open(data: &Path) -> Result<Self, OpenError> {
        Self::open_with(data, PageCache::Large).await
    }

    /// Opens the results file for a process that stores a few results and ends, with less of it in memory.
    pub async fn open_briefly(data: &Path) -> Result<Self, OpenError> {
        Self::open_with(data, PageCache::Small).await
    }

    async fn open_with(data: &Path, cache: PageCache) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open(data, cache).await?, limits: ServerLimits::DEFAULT })
    }

    /// Replaces the default limits.
    #[must_use]
    pub fn with_limits(self, limits: ServerLimits) -> Self {
        Self { limits, ..self }
    }

    /// Calls, uploads and pages. Links are relative, so that it can be nested below any path that ends in a slash. Receipts
    /// carry the client's address where the request has axum's `ConnectInfo<SocketAddr>`.
    pub fn router(&self) -> Router {
        router::router(&self.store, self.limits)
    }

    /// Serves the router until `shutdown` completes; then accepts no new connections, gives calls in progress ten seconds,
    /// and returns. Does not close the file: [`Server::close`] does.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        listen::serve(listener, self.router(), shutdown).await
    }

    /// Closes the results file, with everything in the one main file unless another process has it open.
    pub async fn close(self) {
        self.store.close().await;
    }
}
