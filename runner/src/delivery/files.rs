//! Files sent after their result: for a bounded time, with progress, and with a report at the end.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::deliverer::{Deliverer, Ended};
use crate::{
    delivery::{
        receipt::{Receipt, UploadState},
        upload::{self, Progress, Terms, UploadError},
    },
    record::{
        event::{Event, RefusedFile, Uploads},
        folder::RunFolder,
    },
    server::{Server, backoff::Backoff},
};

/// Between two reports of progress.
const FRAME: Duration = Duration::from_millis(100);

/// Why no more files are sent.
enum End {
    /// Each was tried.
    AllTried,
    /// What follows would end in the same way.
    Error(UploadError),
    Signal(u8),
}

impl Deliverer {
    /// Sends the files of a result that is delivered, of the build of that name if it is one of those that are shown, for no longer than
    /// `limit`, and shows how that goes.
    pub(crate) async fn upload(
        &mut self,
        build: Option<&str>,
        folder: &RunFolder,
        mut receipt: Receipt,
        server: &Server,
        limit: Duration,
    ) -> Ended {
        if !receipt.has_waiting() {
            return Ended::Done;
        }
        if self.unresponsive.contains(&receipt.server) {
            return Ended::Uploads;
        }
        let before = receipt.clone();
        let end = self.send(build, folder, &mut receipt, server, limit).await;
        if matches!(&end, End::Error(error) if error.affects_server()) {
            self.unresponsive.insert(receipt.server.clone());
        }
        let uploads = uploads(&before, &receipt, &end);
        if !matches!(end, End::Signal(_)) {
            let retry_after = if let End::Error(error) = &end { error.retry_after() } else { None };
            let backoff = |reason| {
                Backoff::after(
                    before.backoff.as_ref(),
                    reason,
                    retry_after,
                    self.console.clock.wall(),
                    crate::random::number(),
                )
            };
            receipt.backoff = uploads.reason.clone().map(backoff);
        }
        // Forgotten, files are only sent again.
        let _ = receipt.save(folder);
        let ended = match end {
            End::Signal(signal) => Ended::Stopped(signal),
            End::AllTried | End::Error(_) if uploads.waiting > 0 => Ended::Uploads,
            End::AllTried | End::Error(_) => Ended::Done,
        };
        self.console.show(build, Event::Uploaded(Box::new(uploads)));
        ended
    }

    async fn send(
        &mut self,
        build: Option<&str>,
        folder: &RunFolder,
        receipt: &mut Receipt,
        server: &Server,
        limit: Duration,
    ) -> End {
        let name = receipt.server.clone();
        let (sender, mut under_way) = watch::channel(None);
        let progress: Progress = Arc::new(move |file, sent, bytes| {
            sender.send_replace(Some((file.to_owned(), sent, bytes)));
        });
        let terms = Terms { limit, stall_limit: self.limits.silence, progress };
        let mut sending = pin!(upload::send(server, folder, receipt, &terms));
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => return End::Signal(signal),
                sent = &mut sending => return sent.map_or_else(End::Error, |()| End::AllTried),
                _ = frames.tick() => {}
            }
            if !under_way.has_changed().unwrap_or(false) {
                continue;
            }
            if let Some((file, sent, bytes)) = under_way.borrow_and_update().clone() {
                self.console.show(build, Event::Uploading { server: name.clone(), name: file, sent, bytes });
            }
        }
    }
}

/// What became of the files since the receipt was as `before`. Pure.
fn uploads(before: &Receipt, receipt: &Receipt, end: &End) -> Uploads {
    let mut uploads = Uploads { server: receipt.server.clone(), ..Uploads::default() };
    let mut last = None;
    let tried = before.uploads.iter().zip(&receipt.uploads).filter(|(before, _)| before.is_waiting());
    for (_, upload) in tried {
        match &upload.state {
            UploadState::Done { bytes } => {
                uploads.files += 1;
                uploads.bytes += bytes;
            }
            UploadState::Refused { reason } => {
                uploads.refused.push(RefusedFile { name: upload.name.clone(), reason: reason.clone() });
            }
            UploadState::Waiting { reason, .. } => {
                uploads.waiting += 1;
                last = reason.clone().or(last);
            }
        }
    }
    if uploads.waiting > 0 {
        uploads.reason = match end {
            End::AllTried => last,
            End::Error(error) => Some(error.to_string()),
            End::Signal(_) => Some("stopped".to_owned()),
        };
    }
    uploads
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{delivery::receipt::Upload, server::error::CallError};

    fn receipt(states: &[UploadState]) -> Receipt {
        let upload = |(index, state): (usize, &UploadState)| Upload {
            file: format!("f{index}"),
            name: format!("f{index}"),
            description: String::new(),
            visible: true,
            packed: false,
            state: state.clone(),
        };
        Receipt {
            server: "s".to_owned(),
            result_key: None,
            auth_key: None,
            dialect: None,
            time: Timestamp::UNIX_EPOCH,
            uploads: states.iter().enumerate().map(upload).collect(),
            backoff: None,
        }
    }

    #[test]
    fn a_report_counts_what_happened_this_time() {
        let waiting =
            |reason: Option<&str>| UploadState::Waiting { tries: 1, reason: reason.map(str::to_owned) };
        let done = || UploadState::Done { bytes: 10 };
        let refused = || UploadState::Refused { reason: "too large".to_owned() };
        let before = receipt(&[waiting(None), waiting(None), done(), waiting(None)]);
        let broken = || End::Error(CallError::Broken("x".to_owned()).into());
        // files, bytes, refused, waiting, reason
        for (after, end, expected) in [
            ([done(), done(), done(), done()], End::AllTried, (3, 30, 0, 0, None)),
            ([done(), refused(), done(), done()], End::AllTried, (2, 20, 1, 0, None)),
            ([done(), waiting(Some("y")), done(), refused()], End::AllTried, (1, 10, 1, 1, Some("y"))),
            (
                [done(), waiting(None), done(), waiting(None)],
                broken(),
                (1, 10, 0, 2, Some("the connection broke: x")),
            ),
            ([done(), waiting(None), done(), waiting(None)], End::Signal(2), (1, 10, 0, 2, Some("stopped"))),
        ] {
            let report = uploads(&before, &receipt(&after), &end);
            let found =
                (report.files, report.bytes, report.refused.len(), report.waiting, report.reason.as_deref());
            assert_eq!(found, expected);
        }
    }
}
