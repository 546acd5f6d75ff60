//! The program `pony-serve`: options, a socket, signals. Everything else is in the library.
#![expect(clippy::disallowed_methods, reason = "the environment is read here, and handed on")]

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pony_server_lite::{OpenError, Server, ServerLimits};
use pony_wire::ErrorMessage;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Stores the results of builds and shows them
#[derive(Debug, Parser)]
#[command(
    name = "pony-serve",
    version,
    max_term_width = 100,
    after_help = "Build clients send results to http://ADDRESS/xmlrpc, people open http://ADDRESS/.\n\
                  PONY_LOG sets what is logged to stderr: warn (default), info or debug."
)]
struct Options {
    /// Address to listen on (port 0: any free one)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: String,
    #[arg(
        long,
        value_name = "FILE",
        help = "Results file [default: results.db in $PONY_HOME or ~/.pony-build]"
    )]
    data: Option<PathBuf>,
    /// Largest call, in MiB after decompression
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2048))]
    body_limit: u32,
    /// Largest uploaded file, in MiB after decompression
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    upload_limit: u32,
    /// Space for all files, in MiB; the oldest are deleted
    #[arg(long, value_name = "MIB", default_value_t = 10 * 1024, value_parser = clap::value_parser!(u32).range(1..))]
    files_limit: u32,
}

const MIB: u64 = 1024 * 1024;

/// Why the program ends with exit code 1.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("no results file: neither PONY_HOME nor HOME is set")]
    NoHome,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot listen on `{address}`")]
    Listen { address: String, source: io::Error },
    #[error("cannot serve")]
    Serve(#[from] io::Error),
}

impl ServeError {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoHome => "name one with `--data`",
            Self::Open(OpenError::Folder { .. } | OpenError::File { .. }) => {
                "name another file with `--data`"
            }
            Self::Open(OpenError::Tables { .. }) => {
                "a newer pony-serve or another program may have written it; name another file with `--data`"
            }
            Self::Listen { .. } => {
                "name another address with `--listen`; `--listen 127.0.0.1:0` picks a free port"
            }
            Self::Serve(_) => return None,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colors = !no_color && io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(colors)
        .with_env_filter(EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
        .init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = ErrorMessage { hint: error.hint().map(str::to_owned), ..ErrorMessage::of(&error) };
            print(&message.render(colors));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), ServeError> {
    let data = options.data.or_else(default_data).ok_or(ServeError::NoHome)?;
    // Before anything that takes time, so that a signal is never missed.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|source| ServeError::Listen { address: options.listen.clone(), source })?;
    let address = listener.local_addr()?;
    let server = Server::open(&data).await?.with_limits(ServerLimits {
        call: options.body_limit as usize * 1024 * 1024,
        upload: u64::from(options.upload_limit) * MIB,
        files: u64::from(options.files_limit) * MIB,
    });
    print(&format!("pony-serve: listening on http://{address}/, results in {}\n", data.display()));
    server.serve(listener, stop).await?;
    server.close().await;
    Ok(())
}

/// The file that `pony-run` writes to when it is given no server.
fn default_data() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("PONY_HOME").or_else(|| set("HOME").map(|home| home.join(".pony-build")));
    folder.map(|folder| folder.join("results.db"))
}

/// Writes to stderr. Whether anybody reads it makes no difference to the server.
fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
