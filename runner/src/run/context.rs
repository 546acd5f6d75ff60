//! The run's side of contexts: the `Shell` that they are handed, and what is recorded of what they made.

use pony_contexts::{Ended, Prepared};
use tokio::sync::{mpsc, oneshot};

use crate::record::CheckoutRecord;

/// What a context asks for through its [`Handle`].
pub(super) enum Request {
    Run(pony_contexts::Command, oneshot::Sender<Ended>),
    Note(String),
}

/// The `Shell` that contexts are handed: everything goes through the loop.
pub(super) struct Handle {
    requests: mpsc::UnboundedSender<Request>,
}

impl Handle {
    /// A shell whose commands come out at the other end of `requests`.
    pub(super) fn new(requests: mpsc::UnboundedSender<Request>) -> Self {
        Self { requests }
    }
}

impl pony_contexts::Shell for Handle {
    async fn run(&mut self, command: pony_contexts::Command) -> Ended {
        let (reply, answer) = oneshot::channel();
        let _ = self.requests.send(Request::Run(command, reply));
        // The loop has gone: so will this task.
        answer.await.unwrap_or(Ended { status: -1, stdout: Vec::new(), stderr: Vec::new(), stopped: true })
    }

    fn note(&mut self, text: &str) {
        let _ = self.requests.send(Request::Note(text.to_owned()));
    }
}

/// What the context made, or a sentence that says why it could not.
pub(super) type Preparation = Result<Prepared, String>;

/// Prepares the place to build in.
pub(super) async fn prepare(request: pony_contexts::Request, mut shell: Handle) -> Preparation {
    pony_contexts::prepare(&request, &mut shell).await.map_err(|error| {
        let mut text = error.to_string();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            text = format!("{text}: {inner}");
            cause = inner;
        }
        error.hint().map(|hint| format!("{text}; {hint}")).unwrap_or(text)
    })
}

/// What `result.json` says of what was checked out.
pub(super) fn checkout_record(prepared: &Prepared) -> Option<CheckoutRecord> {
    let checkout = prepared.checkout.as_ref()?;
    Some(CheckoutRecord {
        version_type: checkout.version_type.to_owned(),
        version_info: checkout.version_info.clone(),
        revision: checkout.revision.clone(),
        commit_date: checkout.commit_date.clone(),
        dirty: prepared.facts.get("dirty").is_some_and(|dirty| dirty == "true"),
        changes_since_last: checkout.changes_since_last.clone(),
        changes_since_success: checkout.changes_since_success.clone(),
    })
}

/// What the checkout's verdict line says: the commit that is built.
pub(super) fn words_of(version: &CheckoutRecord) -> String {
    let dirty = if version.dirty { " (with uncommitted changes)" } else { "" };
    let text: String = version.version_info.chars().take(100).collect();
    format!("{text}{dirty}")
}
