//! The signals that this process answers, and those that its children shall not inherit as ignored; how many files it may open.

use std::{fs, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast,
};

/// Has this process, and what it starts, open as many files at once as is usual for programs that need many, if it may.
pub fn open_many_files() {
    const MANY: u64 = 16 * 1024;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < MANY.min(hard)
    {
        // Where it may not, very many builds at once will be told so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, MANY.min(hard), hard);
    }
}

/// The signals that end a run: INT, TERM, HUP. One that was ignored when we were started stays so: `nohup` means it.
/// Each clone is told of every signal that comes after it was made.
#[derive(Debug)]
pub struct Signals {
    sender: broadcast::Sender<u8>,
    receiver: broadcast::Receiver<u8>,
}

/// ILL, FPE, KILL, SEGV and STOP cannot be caught or must not be; PIPE is ignored by us alone, whoever spawns resets it.
const NOT_CAUGHT: [i32; 6] = [4, 8, 9, 11, 13, 19];

/// More signals than anybody sends before the first is answered.
const SIGNALS: usize = 16;

impl Clone for Signals {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), receiver: self.sender.subscribe() }
    }
}

impl Signals {
    /// From now on these signals are ours to answer. Those that are ignored are caught all the same, and nothing follows: so
    /// children begin with the default, where what is ignored would be inherited.
    pub fn listen() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored_signals(&status);
        let is_ignored = |number: i32| ignored & 1 << (number - 1) != 0;
        for number in (1..=64).filter(|number| is_ignored(*number) && !NOT_CAUGHT.contains(number)) {
            let _ = signal(SignalKind::from_raw(number));
        }
        let listen = |kind: SignalKind| {
            if is_ignored(kind.as_raw_value()) { Ok(None) } else { signal(kind).map(Some) }
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let (sender, receiver) = broadcast::channel(SIGNALS);
        let told = sender.clone();
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    () = received(&mut interrupt) => 2,
                    () = received(&mut terminate) => 15,
                    () = received(&mut hangup) => 1,
                };
                // Nobody listens any more: the work is over.
                let _ = told.send(signal);
            }
        });
        Ok(Self { sender, receiver })
    }

    /// The number of the next one.
    pub async fn next(&mut self) -> u8 {
        loop {
            match self.receiver.recv().await {
                Ok(signal) => return signal,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Signals that are passed on by hand.
#[derive(Debug)]
pub struct Relay(broadcast::Sender<u8>);

impl Relay {
    /// Its end, and who is told.
    pub fn new() -> (Self, Signals) {
        let (sender, receiver) = broadcast::channel(SIGNALS);
        (Self(sender.clone()), Signals { sender, receiver })
    }

    /// Passes one on.
    pub fn send(&self, signal: u8) {
        // Nobody listens any more: the work is over.
        let _ = self.0.send(signal);
    }
}

async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Of `/proc/PID/status`, the signals that the process ignores: bit N-1 for signal N.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        assert_eq!(ignored_signals("SigBlk:\t00\nSigIgn:\t0000000000001001\nSigCgt:\t02\n"), 0x1001);
        assert_eq!(ignored_signals(""), 0);
    }
}
