//! What may happen to connections, as values that print: faults, and plans of them, by hand or from a seed. Pure.
//!
//! Bytes are counted from the beginning of a connection, in each direction for itself. A fault after so many bytes is met
//! when one more wants to go: after as many as there are it is not met, and the connection passes whole.

use std::{fmt, time::Duration};

use fastrand::Rng;

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the client says.
    Up,
    /// What the server says.
    Down,
}

/// What becomes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// All is handed on.
    Pass,
    /// Nobody listens (`ECONNREFUSED`), from now until [`crate::Proxy::open`]: not one connection, as nobody counts those.
    Refuse,
    /// It is taken and closed at once.
    HangUp,
    /// After so many bytes, both ends are reset.
    Reset(Direction, usize),
    /// After so many bytes nothing is handed on any more, either way, until the client goes.
    Stall(Direction, usize),
    /// After so many bytes of the request, both ends are told that no more comes.
    CutRequest(usize),
    /// After so many bytes of the answer, both ends are told that no more comes.
    CutAnswer(usize),
    /// So many bytes each time, from beginning to end, in both directions; given up when the client goes.
    Drip {
        /// How many.
        bytes: usize,
        /// The time between them.
        every: Duration,
    },
    /// The client is answered `500`; the server has never heard of it, or has done what it was asked to.
    Error {
        /// Whether it has.
        handled: bool,
    },
}

/// What happens to connections in their order; those after them pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Where it came from, to be printed.
    seed: Option<u64>,
    /// One for each connection.
    pub faults: Vec<Fault>,
}

/// How far bytes go in one direction, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Course {
    /// After so many bytes, this.
    pub(crate) limit: Option<(usize, Then)>,
    /// At most so many bytes, then a pause.
    pub(crate) pace: Option<(usize, Duration)>,
}

/// What a proxy does where a limit is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Reset,
    Stall,
    Close,
    Error,
}

impl Fault {
    /// What it means for one direction, once there is a connection to the server.
    pub(crate) fn course(self, direction: Direction) -> Course {
        let limit = match self {
            Self::Reset(at, bytes) if at == direction => Some((bytes, Then::Reset)),
            Self::Stall(at, bytes) if at == direction => Some((bytes, Then::Stall)),
            Self::CutRequest(bytes) if direction == Direction::Up => Some((bytes, Then::Close)),
            Self::CutAnswer(bytes) if direction == Direction::Down => Some((bytes, Then::Close)),
            Self::Error { .. } if direction == Direction::Down => Some((0, Then::Error)),
            _ => None,
        };
        let pace = if let Self::Drip { bytes, every } = self { Some((bytes, every)) } else { None };
        Course { limit, pace }
    }

    /// One of all kinds, where a request has about `up` bytes and its answer about `down`.
    fn random(chance: &mut Rng, up: usize, down: usize) -> Self {
        let up_to = point(chance, up);
        let down_to = point(chance, down);
        match chance.u8(0..11) {
            0 => Self::Pass,
            1 => Self::Refuse,
            2 => Self::HangUp,
            3 => Self::Reset(Direction::Up, up_to),
            4 => Self::Reset(Direction::Down, down_to),
            5 => Self::Stall(Direction::Up, up_to),
            6 => Self::Stall(Direction::Down, down_to),
            7 => Self::CutRequest(up_to),
            8 => Self::CutAnswer(down_to),
            // Between a tenth of a second and one for the request.
            9 => {
                let (pieces, every) = (chance.usize(50..200), Duration::from_millis(chance.u64(2..=5)));
                Self::Drip { bytes: (up / pieces).max(1), every }
            }
            _ => Self::Error { handled: chance.bool() },
        }
    }
}

/// A place within `bytes`: one time in four at an end, where most goes wrong.
fn point(chance: &mut Rng, bytes: usize) -> usize {
    let last = bytes.saturating_sub(1);
    match chance.u8(0..12) {
        0 => 0,
        1 => 1.min(last),
        2 => last,
        _ => chance.usize(0..=last),
    }
}

impl Plan {
    /// These, one after another.
    pub fn of(faults: &[Fault]) -> Self {
        Self { seed: None, faults: faults.to_vec() }
    }

    /// One to three faults; the same for the same seed. `up` and `down`: how many bytes a request and its answer have, about.
    pub fn random(seed: u64, up: usize, down: usize) -> Self {
        let mut chance = Rng::with_seed(seed);
        let count = chance.usize(1..=3);
        let faults = (0..count).map(|_| Fault::random(&mut chance, up, down)).collect();
        Self { seed: Some(seed), faults }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Up { "request" } else { "answer" })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => write!(f, "pass"),
            Self::Refuse => write!(f, "refuse until opened"),
            Self::HangUp => write!(f, "hang up"),
            Self::Reset(direction, bytes) => write!(f, "reset after {bytes} bytes of the {direction}"),
            Self::Stall(direction, bytes) => write!(f, "stall after {bytes} bytes of the {direction}"),
            Self::CutRequest(bytes) => write!(f, "cut the request after {bytes} bytes"),
            Self::CutAnswer(bytes) => write!(f, "cut the answer after {bytes} bytes"),
            Self::Drip { bytes, every } => write!(f, "drip {bytes} bytes every {every:?}"),
            Self::Error { handled: false } => write!(f, "500 before the server"),
            Self::Error { handled: true } => write!(f, "500 in place of the answer"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seed) = self.seed {
            write!(f, "seed {seed}: ")?;
        }
        for fault in &self.faults {
            write!(f, "{fault}; ")?;
        }
        write!(f, "then pass")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_plan_and_all_kinds_come_up() {
        assert_eq!(Plan::random(7, 3000, 400), Plan::random(7, 3000, 400));
        let faults: Vec<Fault> = (0..500).flat_map(|seed| Plan::random(seed, 3000, 400).faults).collect();
        let mut words: Vec<String> = faults
            .iter()
            .map(|fault| fault.to_string().replace(|letter: char| letter.is_ascii_digit(), ""))
            .collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), 12, "{words:#?}");
        let points = faults.iter().filter_map(|fault| fault.course(Direction::Up).limit);
        assert!(points.into_iter().all(|(bytes, _)| bytes < 3000));
    }

    #[test]
    fn a_plan_prints() {
        let faults = [Fault::HangUp, Fault::Reset(Direction::Down, 12), Fault::Error { handled: true }];
        assert_eq!(
            Plan::of(&faults).to_string(),
            "hang up; reset after 12 bytes of the answer; 500 in place of the answer; then pass"
        );
        assert!(Plan::random(42, 10, 10).to_string().starts_with("seed 42: "));
    }
}
