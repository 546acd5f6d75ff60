//! Files on their way after their result: sent for a bounded time, shown as they go, and told of when no more go.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::deliverer::{Deliverer, Ended};
use crate::{
    delivery::{
        receipt::{Receipt, State},
        upload::{self, Progress, Terms, UploadError},
    },
    record::{
        event::{Event, RefusedFile, Uploads},
        folder::RunFolder,
    },
    server::{Server, backoff::Backoff},
};

/// How often it is shown how far they are.
const FRAME: Duration = Duration::from_millis(100);

/// Why no more files are sent.
enum Cause {
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
        let cause = self.send(build, folder, &mut receipt, server, limit).await;
        if matches!(&cause, Cause::Error(error) if error.affects_server()) {
            self.unresponsive.insert(receipt.server.clone());
        }
        let uploads = uploads(&before, &receipt, &cause);
        if !matches!(cause, Cause::Signal(_)) {
            let wish = if let Cause::Error(error) = &cause { error.retry_after() } else { None };
            let backoff = |reason| {
                Backoff::after(
                    before.backoff.as_ref(),
                    reason,
                    wish,
                    self.console.clock.wall(),
                    crate::random::number(),
                )
            };
            receipt.backoff = uploads.reason.clone().map(backoff);
        }
        // Forgotten, files are only sent again.
        let _ = folder.write_receipt(&receipt);
        let ended = match cause {
            Cause::Signal(signal) => Ended::Stopped(signal),
            Cause::AllTried | Cause::Error(_) if uploads.waiting > 0 => Ended::Uploads,
            Cause::AllTried | Cause::Error(_) => Ended::Done,
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
    ) -> Cause {
        let name = receipt.server.clone();
        let (told, mut under_way) = watch::channel(None);
        let progress: Progress = Arc::new(move |file, sent, bytes| {
            told.send_replace(Some((file.to_owned(), sent, bytes)));
        });
        let terms = Terms { limit, silence: self.limits.silence, progress };
        let mut sending = pin!(upload::send(server, folder, receipt, &terms));
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => return Cause::Signal(signal),
                sent = &mut sending => return sent.map_or_else(Cause::Error, |()| Cause::AllTried),
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
fn uploads(before: &Receipt, receipt: &Receipt, cause: &Cause) -> Uploads {
    let mut uploads = Uploads { server: receipt.server.clone(), ..Uploads::default() };
    let mut last = None;
    let tried = before.uploads.iter().zip(&receipt.uploads).filter(|(before, _)| before.is_waiting());
    for (_, upload) in tried {
        match &upload.state {
            State::Done { bytes } => {
                uploads.files += 1;
                uploads.bytes += bytes;
            }
            State::Refused { reason } => {
                uploads.refused.push(RefusedFile { name: upload.name.clone(), reason: reason.clone() });
            }
            State::Waiting { reason, .. } => {
                uploads.waiting += 1;
                last = reason.clone().or(last);
            }
        }
    }
    if uploads.waiting > 0 {
        uploads.reason = match cause {
            Cause::AllTried => last,
            Cause::Error(error) => Some(error.to_string()),
            Cause::Signal(_) => Some("stopped".to_owned()),
        };
    }
    uploads
}
