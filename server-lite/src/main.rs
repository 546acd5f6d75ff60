//! The program `pony-serve`: options, a socket, signals; everything else is the library's.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pony_server_lite::{OpenError, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Stores the results of builds and lists them.
///
/// Build clients talk to `http://ADDRESS/xmlrpc`, people to `http://ADDRESS/`.
#[derive(Debug, Parser)]
#[command(name = "pony-serve", version, max_term_width = 100)]
struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: String,
    /// The results file [default: `results.db` in `$PONY_HOME`, else in `~/.pony-build`]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The largest call that is taken, in MiB, counted unpacked
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=2048))]
    body_limit: u32,
    /// The largest file that is taken, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    upload_limit: u32,
    /// What all files of results may take up, in MiB; beyond that those of the oldest results go
    #[arg(long, value_name = "MIB", default_value_t = 10 * 1024, value_parser = clap::value_parser!(u32).range(1..))]
    files_limit: u32,
}

const MIB: u64 = 1024 * 1024;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("neither `--data` nor PONY_HOME nor HOME says where the results are; name a file with `--data`")]
    NoHome,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "cannot listen on `{address}`; name another address with `--listen` (`--listen 127.0.0.1:0` takes a free port)"
    )]
    Listen { address: String, source: io::Error },
    #[error("cannot serve")]
    Serve(#[from] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
        .init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                say(format_args!("  caused by: {error}"));
                cause = error.source();
            }
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
    let server = Server::open(&data)
        .await?
        .with_body_limit(options.body_limit as usize * 1024 * 1024)
        .with_upload_limit(u64::from(options.upload_limit) * MIB)
        .with_files_limit(u64::from(options.files_limit) * MIB);
    say(format_args!("pony-serve: listening on http://{address}/, results in {}", data.display()));
    server.serve(listener, stop).await?;
    server.close().await;
    Ok(())
}

/// The file that clients without a server write to.
fn default_data() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("PONY_HOME").or_else(|| set("HOME").map(|home| home.join(".pony-build")));
    folder.map(|folder| folder.join("results.db"))
}

/// A line of our own on stderr. Nobody may be reading any more, which is no reason to stop.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
