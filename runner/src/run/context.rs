//! The run's side of contexts: the `Shell` that they are handed, and what is recorded of what they made.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use pony_contexts::{
    Checkout, Command, CommandOutput, Prepared, Stage,
    shell::{Download, DownloadError, Downloaded},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::Clock,
    download,
    process::{
        captured::{ask, spec},
        spawn::{self, Environment},
    },
    record::CheckoutRecord,
};

/// What a context asks for through its [`RecordedShell`].
pub(super) enum Request {
    Run(Command, oneshot::Sender<CommandOutput>),
    /// Something is over that was no command but shall be recorded as if.
    Did {
        label: String,
        line: String,
        status: i64,
        said: String,
    },
    Begin(Stage),
    CheckedOut(Version),
    Complete(String),
    Note(String),
}

/// What was checked out, if it is under version control, and upstream's tip. Known before all is prepared.
#[derive(Default)]
pub(super) struct Version {
    pub(super) checkout: Option<CheckoutRecord>,
    pub(super) tip: Option<String>,
}

/// The `Shell` that contexts are handed: what is recorded goes through the loop.
pub(super) struct RecordedShell {
    requests: mpsc::UnboundedSender<Request>,
    clock: Clock,
    env: Environment,
}

impl RecordedShell {
    /// A shell whose requests come out at the other end of `requests`; what it asks without a record sees `env`.
    pub(super) fn new(requests: mpsc::UnboundedSender<Request>, clock: Clock, env: Environment) -> Self {
        Self { requests, clock, env }
    }

    fn send(&self, request: Request) {
        // The loop has gone: so will this task.
        let _ = self.requests.send(request);
    }
}

impl pony_contexts::Shell for RecordedShell {
    async fn run(&mut self, command: Command) -> CommandOutput {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Run(command, reply));
        answer.await.unwrap_or(CommandOutput { status: -1, stopped: true, ..CommandOutput::default() })
    }

    async fn capture(&mut self, command: Command, limit: Duration) -> CommandOutput {
        ask(&spec(command, &self.env), limit).await
    }

    async fn download(&mut self, download: Download) -> Result<Downloaded, DownloadError> {
        let done = download::fetch(&download).await;
        let (status, said) = match &done {
            Ok(Downloaded::New { .. }) => (0, String::new()),
            Ok(Downloaded::Unchanged) => (0, "not changed since it was brought here\n".to_owned()),
            Err(error) => (1, format!("{error}\n")),
        };
        self.send(Request::Did {
            label: download.label,
            line: format!("GET {}", download.url),
            status,
            said,
        });
        done
    }

    async fn pause(&mut self, time: Duration) {
        self.clock.until(Some(self.clock.now() + time)).await;
    }

    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
        spawn::find(program, path, cwd)
    }

    fn begin(&mut self, stage: Stage) {
        self.send(Request::Begin(stage));
    }

    fn complete(&mut self, summary: String) {
        self.send(Request::Complete(summary));
    }

    fn checked_out(&mut self, checkout: Option<&Checkout>, tip: Option<&str>) {
        let (checkout, tip) = (checkout.map(checkout_record), tip.map(str::to_owned));
        self.send(Request::CheckedOut(Version { checkout, tip }));
    }

    fn note(&mut self, text: &str) {
        self.send(Request::Note(text.to_owned()));
    }
}

/// What the context made, or a sentence that says why it could not.
pub(super) type Preparation = Result<Prepared, String>;

/// Prepares the place to build in.
pub(super) async fn prepare(request: pony_contexts::ContextRequest, mut shell: RecordedShell) -> Preparation {
    pony_contexts::prepare(&request, &mut shell).await.map_err(|error| words_for(&error))
}

/// An error of a context in one sentence: what, why, and the way out.
pub fn words_for(error: &pony_contexts::Error) -> String {
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        text = format!("{text}: {inner}");
        cause = inner;
    }
    error.hint().map(|hint| format!("{text}; {hint}")).unwrap_or(text)
}

/// What `result.json` says of what was checked out.
fn checkout_record(checkout: &Checkout) -> CheckoutRecord {
    CheckoutRecord {
        version_type: checkout.version_type.to_owned(),
        version_info: checkout.version_info.clone(),
        revision: checkout.revision.clone(),
        commit_date: checkout.commit_date.clone(),
        dirty: checkout.dirty,
        offline: checkout.offline.clone(),
        changes_since_last: checkout.changes_since_last.clone(),
        changes_since_success: checkout.changes_since_success.clone(),
    }
}
