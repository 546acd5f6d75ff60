//! The embedded default: pony-serve's library hosted in this process, called by XML-RPC like any other server.
//! The only file that knows it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use pony_server_lite::Server;
use tokio::{
    net::TcpListener,
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

use super::{error::CallError, http};

/// A server of our own on a loopback port, from the first request until it is stopped.
#[derive(Debug, Clone)]
pub(super) struct Embedded {
    results: PathBuf,
    running: Arc<Mutex<Option<Running>>>,
    client: Arc<OnceLock<reqwest::Client>>,
}

#[derive(Debug)]
struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Embedded {
    /// Over this file, which is not opened yet.
    pub(super) fn new(results: PathBuf) -> Self {
        Self { results, running: Arc::default(), client: Arc::default() }
    }

    /// Starts it if it does not run yet.
    pub(super) async fn address(&self) -> io::Result<String> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Ok(running.address.clone());
        }
        let server = Server::open_briefly(&self.results).await.map_err(io::Error::other)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}/", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            if let Err(error) = server.serve(listener, shutdown).await {
                tracing::warn!("the embedded server: {error}");
            }
            server.close().await;
        });
        *running = Some(Running { address: address.clone(), stop, task });
        Ok(address)
    }

    pub(super) fn client(&self) -> Result<&reqwest::Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http::client(true, None)?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(super) async fn stop(&self) {
        if let Some(Running { stop, task, .. }) = self.running.lock().await.take() {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}
