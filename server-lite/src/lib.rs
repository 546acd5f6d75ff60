//! pony-serve as a library: a server that stores and lists the results of builds.
//!
//! [`Server::open`] opens a results file, [`Server::router`] answers requests from it: the calls of a pony-build server
//! at `/xmlrpc`, and pages for people. The router can be mounted anywhere, also below a path; [`Server::serve`] puts it on
//! a socket with limits and a graceful end. The program `pony-serve` is these three and its options.
//!
//! It stores and lists: no build logic, no connection kept, one call one transaction, acknowledged when it is on disk.

mod clock;
mod decision;
mod http;
mod listen;
mod memory;
mod rpc;
mod status;
mod store;
mod submission;
mod web;

use std::io;
use std::path::Path;

use axum::Router;
use tokio::net::TcpListener;

pub use store::OpenError;
use store::{Cache, Store};

/// The largest body of a call, in bytes, unless [`Server::with_body_limit`] says otherwise.
pub const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// An open results file and what answers from it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    store: Store,
    body_limit: usize,
}

impl Server {
    /// Opens the results file, creating it and its folder if need be. Other processes may have it open too.
    pub async fn open(data: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open(data, Cache::Large).await?, body_limit: BODY_LIMIT })
    }

    /// The same for a process that stores a few results and ends: it holds less of the file in memory.
    pub async fn open_briefly(data: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open(data, Cache::Small).await?, body_limit: BODY_LIMIT })
    }

    /// Takes calls of up to `bytes`, counted unpacked.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        Self { body_limit: bytes, ..self }
    }

    /// Calls and pages. Links are relative, so that it can be nested below any path that ends in a slash. Receipts carry the
    /// client's address where the request has axum's `ConnectInfo<SocketAddr>`.
    pub fn router(&self) -> Router {
        http::router(&self.store, self.body_limit)
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
