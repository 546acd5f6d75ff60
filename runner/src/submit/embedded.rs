//! The embedded default: pony-serve's library hosted in this process, spoken to by XML-RPC like any other server.
//! The only file that knows it.

use std::{io, path::Path};

use pony_server_lite::Server;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A server of our own on a loopback port, for as long as this lives.
pub(super) struct Embedded {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Embedded {
    /// Opens `results` and listens.
    pub(super) async fn start(results: &Path) -> io::Result<Self> {
        let server = Server::open(results).await.map_err(io::Error::other)?;
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
        Ok(Self { address, stop, task })
    }

    /// Its address.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Lets it end.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
