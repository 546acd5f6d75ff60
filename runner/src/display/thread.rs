//! The display's own thread. It follows the folders of all runs and takes the few events that belong to none, and shows them
//! as fast as they are read from it. Nobody waits for it but the end of the program, and that not for ever.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use tokio::sync::watch;

use super::{Display, Output, output};
use crate::{
    clock::{Clock, Moment},
    process::signals::Signals,
    record::{
        event::{Event, Stamped, Stream},
        folder::RunFolder,
        follow::{Follower, Item},
        pulse::{Live, Pulse},
    },
};

/// So much of one run is shown before the next has its turn.
const TURN: usize = 64;
/// A person's screen that is so many bytes behind jumps …
const FAR: u64 = 8 * 1024 * 1024;
/// … to so many before the end.
const NEAR: u64 = 64 * 1024;
/// What is shown of the rest when time is short.
const TAIL: u64 = 4 * 1024;
/// After something was shown, what comes next is gathered for so long.
const GATHER: Duration = Duration::from_millis(1);
/// How long the end of the program waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// The same after a signal, for all that is left; then for its tail.
const HURRY: Duration = Duration::from_secs(1);

/// What all of one `pony-run` is shown on. Its clones are one; none of them ever waits.
#[derive(Debug, Clone)]
pub struct Screen {
    inbox: Sender<Message>,
    pulse: Pulse,
    shared: Arc<Shared>,
    done: watch::Receiver<bool>,
    clock: Clock,
}

/// What the thread and the end of the program know of each other.
#[derive(Debug, Default)]
struct Shared {
    /// Time is short: of what is not shown yet only the tail is.
    hurry: AtomicBool,
    /// The runs that are not shown whole, each its folder.
    left: Mutex<Vec<RunFolder>>,
}

#[derive(Debug)]
enum Message {
    /// A run of the build of this name begins.
    Follow(String, Box<Follower>),
    /// Something that is in no run folder, perhaps of the build of this name.
    Event(Option<String>, Box<Stamped>),
    /// A line of our own that is no event.
    Line(String),
    /// Several builds will be shown.
    Share(Output),
    /// Nothing more comes.
    End,
}

impl Screen {
    /// Begins to show what comes on `display`.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(display: Display, clock: Clock) -> io::Result<Self> {
        let (inbox, messages) = mpsc::channel();
        let (pulse, shared) = (Pulse::default(), Arc::<Shared>::default());
        let (is_done, done) = watch::channel(false);
        let show = Show {
            display,
            clock,
            messages,
            pulse: pulse.clone(),
            shared: shared.clone(),
            queue: VecDeque::new(),
            runs: Vec::new(),
            tick_at: None,
            is_ending: false,
        };
        thread::Builder::new().name("display".to_owned()).spawn(move || {
            show.run();
            let _ = is_done.send(true);
        })?;
        Ok(Self { inbox, pulse, shared, done, clock })
    }

    /// What beats when there is something new to show.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// From now on shows the run that `writer` writes into this folder, of the build of this name.
    pub fn follow(&self, build: &str, folder: &RunFolder, writer: Live) {
        let follower = Follower::live(folder.clone(), writer);
        self.send(Message::Follow(build.to_owned(), Box::new(follower)));
    }

    /// Shows an event that is in no run folder, after all runs that are over now; of the build of that name, if it has one.
    pub fn on(&self, build: Option<&str>, event: Event) {
        let stamped = Stamped::new(event, self.clock.wall(), self.clock.now());
        self.send(Message::Event(build.map(str::to_owned), Box::new(stamped)));
    }

    /// Shows a line on stderr, after all that was to be shown before it.
    pub fn line(&self, text: String) {
        self.send(Message::Line(text));
    }

    /// Several builds will be shown, not one after another. A screen for programs stays as it is.
    pub fn share(&self, output: Output) {
        self.send(Message::Share(output));
    }

    /// Shows the rest, however slowly it is read; not what nobody reads at all. After a signal (`stopped`, or one that comes
    /// now) only as much as a moment allows.
    pub async fn finish(mut self, signals: &Signals, stopped: bool) {
        // Of those that come from now on.
        let mut signals = signals.clone();
        self.send(Message::End);
        let mut patience = Patience::new(stopped, output::taken(), self.clock.now());
        loop {
            let verdict;
            tokio::select! {
                done = self.done.changed() => {
                    if done.is_err() || *self.done.borrow() {
                        return;
                    }
                    verdict = Verdict::Wait;
                }
                _ = signals.next() => verdict = patience.signal(output::taken(), self.clock.now()),
                () = self.clock.until(Some(patience.next(self.clock.now()))) => {
                    verdict = patience.tick(output::taken(), self.clock.now());
                }
            }
            match verdict {
                Verdict::Wait => {}
                Verdict::Hurry => self.hurry(),
                Verdict::GiveUp => return self.give_up(),
            }
        }
    }

    fn hurry(&self) {
        self.shared.hurry.store(true, Ordering::Release);
        self.pulse.beat();
    }

    /// Says that not all was shown, if anybody can be told.
    fn give_up(&self) {
        let left = self.shared.left.lock().unwrap_or_else(PoisonError::into_inner);
        let folders: Vec<String> = left.iter().map(|folder| folder.path().display().to_string()).collect();
        let rest = if folders.is_empty() {
            String::new()
        } else {
            format!("; the rest is in {}", folders.join(", "))
        };
        let text = format!("pony-run: its output is not read any more{rest}\n");
        // Past the thread, which may be waiting for the same reader.
        output::try_write(Stream::Err, text.as_bytes());
    }

    fn send(&self, message: Message) {
        // The thread has ended only if it failed: then there is nothing to show things on.
        let _ = self.inbox.send(message);
        self.pulse.beat();
    }
}

/// The thread's side.
struct Show {
    display: Display,
    clock: Clock,
    messages: Receiver<Message>,
    pulse: Pulse,
    shared: Arc<Shared>,
    queue: VecDeque<Message>,
    runs: Vec<Run>,
    /// When the display wants to be redrawn next.
    tick_at: Option<Moment>,
    is_ending: bool,
}

/// A run that is not shown whole yet.
struct Run {
    build: String,
    follower: Follower,
}

impl Show {
    fn run(mut self) {
        loop {
            let seen = self.pulse.count();
            let mut is_busy = self.take_messages();
            is_busy |= self.show_runs();
            let now = self.clock.now();
            if self.tick_at.is_some_and(|tick| tick <= now) {
                self.display.tick(now);
                self.tick_at = None;
            }
            // Asked once: what changes by itself does so at that time, whatever comes until then.
            self.tick_at = self.tick_at.or_else(|| self.display.next_tick(now));
            if is_busy {
                continue;
            }
            if self.is_ending && self.runs.is_empty() && self.queue.is_empty() {
                return;
            }
            self.pulse.wait(seen, self.tick_at.map(|tick| tick.saturating_sub(now)));
            thread::sleep(GATHER);
        }
    }

    /// Acts on the messages whose turn it is: an event has to wait for the runs that were over before it.
    fn take_messages(&mut self) -> bool {
        self.queue.extend(self.messages.try_iter());
        let mut is_busy = false;
        while let Some(message) = self.queue.pop_front() {
            match message {
                Message::Follow(build, follower) => {
                    self.runs.push(Run { build, follower: *follower });
                    self.note_left();
                }
                Message::Event(build, event) => {
                    let is_over = |run: &Run| run.follower.writer().is_none_or(Live::is_closed);
                    if self.runs.iter().any(is_over) {
                        self.queue.push_front(Message::Event(build, event));
                        return is_busy;
                    }
                    self.display.on(build.as_deref(), &Item::Event(&event));
                }
                Message::Line(text) => self.display.line(&text),
                Message::Share(output) => self.display.share(output),
                Message::End => self.is_ending = true,
            }
            is_busy = true;
        }
        is_busy
    }

    /// Shows some of what is new of each run.
    fn show_runs(&mut self) -> bool {
        let (mut is_busy, mut is_fewer) = (false, false);
        let keep = match (self.shared.hurry.load(Ordering::Acquire), self.display.may_skip()) {
            (true, _) => Some((TAIL, TAIL)),
            (false, true) => Some((FAR, NEAR)),
            (false, false) => None,
        };
        let Self { display, clock, runs, .. } = self;
        runs.retain_mut(|run| match run.show(display, keep) {
            Ok(shown) => {
                is_busy |= shown;
                is_fewer |= run.follower.is_over();
                !run.follower.is_over()
            }
            Err(error) => {
                let folder = run.follower.folder().path().display();
                let note = Event::Note { text: format!("cannot show what is in {folder}: {error}") };
                let note = Stamped::new(note, clock.wall(), clock.now());
                display.on(Some(&run.build), &Item::Event(&note));
                is_fewer = true;
                false
            }
        });
        if is_fewer {
            self.note_left();
        }
        is_busy || is_fewer
    }

    fn note_left(&self) {
        let left = self.runs.iter().map(|run| run.follower.folder().clone()).collect();
        *self.shared.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}

impl Run {
    /// Shows what has its turn; where more than the first of `keep` is unread, only as much as the second.
    fn show(&mut self, display: &mut Display, keep: Option<(u64, u64)>) -> io::Result<bool> {
        let build = Some(self.build.as_str());
        if let Some((far, near)) = keep
            && self.follower.unread()? > far
            && let Some(gap) = self.follower.skip(near)?
        {
            display.on(build, &Item::Gap(&gap));
        }
        for shown in 0..TURN {
            match self.follower.next_item()? {
                Some(item) => display.on(build, &item),
                None => return Ok(shown > 0),
            }
        }
        Ok(true)
    }
}

/// How long the end of the program waits for its readers. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as something is taken now and then.
    Reading { taken: u64, since: Moment },
    /// A signal came: until then.
    Signalled { taken: u64, until: Moment },
    /// Only the tail is wanted any more: until then.
    Tail { until: Moment },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Wait,
    Hurry,
    GiveUp,
}

impl Patience {
    fn new(stopped: bool, taken: u64, now: Moment) -> Self {
        if stopped {
            Self::Signalled { taken, until: now + HURRY }
        } else {
            Self::Reading { taken, since: now }
        }
    }

    /// When [`tick`](Self::tick) is wanted next.
    fn next(&self, now: Moment) -> Moment {
        match self {
            Self::Reading { .. } => now + HURRY,
            Self::Signalled { until, .. } | Self::Tail { until } => *until,
        }
    }

    fn tick(&mut self, taken: u64, now: Moment) -> Verdict {
        match *self {
            Self::Reading { taken: before, since } if taken == before => {
                if now >= since + PATIENCE {
                    Verdict::GiveUp
                } else {
                    Verdict::Wait
                }
            }
            Self::Reading { .. } => {
                *self = Self::Reading { taken, since: now };
                Verdict::Wait
            }
            Self::Signalled { until, .. } | Self::Tail { until } if now < until => Verdict::Wait,
            Self::Signalled { taken: before, .. } if taken != before => {
                *self = Self::Tail { until: now + HURRY };
                Verdict::Hurry
            }
            Self::Signalled { .. } | Self::Tail { .. } => Verdict::GiveUp,
        }
    }

    fn signal(&mut self, taken: u64, now: Moment) -> Verdict {
        match self {
            Self::Reading { .. } => {
                *self = Self::Signalled { taken, until: now + HURRY };
                Verdict::Wait
            }
            Self::Signalled { .. } | Self::Tail { .. } => Verdict::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn a_reader_is_given_up_that_has_taken_nothing_for_a_minute() {
        let mut patience = Patience::new(false, 100, at(0));
        assert_eq!(patience.tick(100, at(59)), Verdict::Wait);
        assert_eq!(patience.tick(101, at(59)), Verdict::Wait);
        assert_eq!(patience.tick(101, at(118)), Verdict::Wait);
        assert_eq!(patience.tick(101, at(119)), Verdict::GiveUp);
    }

    #[test]
    fn after_a_signal_there_is_a_second_for_all_and_one_for_the_tail() {
        let mut patience = Patience::new(true, 100, at(0));
        assert_eq!((patience.next(at(0)), patience.tick(200, at(1))), (at(1), Verdict::Hurry));
        assert_eq!((patience.next(at(1)), patience.tick(300, at(2))), (at(2), Verdict::GiveUp));
    }

    #[test]
    fn after_a_signal_a_reader_that_takes_nothing_has_a_second() {
        let mut patience = Patience::new(false, 100, at(0));
        assert_eq!(patience.signal(100, at(7)), Verdict::Wait);
        assert_eq!(patience.tick(100, at(8)), Verdict::GiveUp);
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        let mut patience = Patience::new(false, 100, at(0));
        patience.signal(100, at(7));
        assert_eq!(patience.signal(150, at(7)), Verdict::GiveUp);
        assert_eq!(Patience::new(true, 1, at(0)).signal(2, at(0)), Verdict::GiveUp);
    }
}
