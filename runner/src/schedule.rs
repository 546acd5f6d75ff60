//! Which builds run now: a pure list scheduler. Those that the longest way leads on from start first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// What matters of a build.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Builds that must have passed (or be there) first.
    pub needs: Vec<usize>,
    /// How many slots it takes, at least 1; more than there are counts as all.
    pub weight: usize,
    /// Bytes. One that wants more than there are takes all slots: it runs alone.
    pub memory: u64,
    /// What no two running builds may share.
    pub locks: Vec<String>,
    /// Seconds that it usually takes, if known.
    pub usual: Option<f64>,
}

/// What all of them share.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Builds at once, at least 1.
    pub slots: usize,
    /// Bytes.
    pub memory: u64,
}

/// Builds on their way.
///
/// Ready builds start in the order of the longest way to an end: their own usual time and that of the builds that
/// follow. One that waits for a lock is overtaken; one that waits for slots or memory is not, or those that take many would
/// wait for as long as there are small ones. Every build enters and leaves a heap, every need is looked at once: 2,000
/// builds cost less than a millisecond or two.
#[derive(Debug, Clone)]
pub struct Schedule {
    builds: Vec<Build>,
    /// Builds in the order in which they go first.
    order: Vec<usize>,
    /// Ranks of builds whose needs are there; also of some that have ended meanwhile.
    ready: BinaryHeap<Reverse<usize>>,
    locks: Vec<Lock>,
    all_slots: usize,
    /// Those that are free.
    slots: usize,
    memory: u64,
    /// How many have not ended.
    left: usize,
}

#[derive(Debug, Clone)]
struct Build {
    state: State,
    /// Needs that have not ended.
    missing: usize,
    dependants: Vec<usize>,
    /// Its place in [`Schedule::order`].
    rank: usize,
    weight: usize,
    memory: u64,
    locks: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended,
}

/// While it is free, whoever waits for it next is in [`Schedule::ready`], not here.
#[derive(Debug, Clone, Default)]
struct Lock {
    held: bool,
    /// Ranks of those that wait for it.
    waiting: BinaryHeap<Reverse<usize>>,
}

impl Schedule {
    /// `tasks` in any order in which needs come before those that need them.
    pub fn new(tasks: Vec<Task>, limits: Limits) -> Self {
        let slots = limits.slots.max(1);
        let ways = longest_ways(&tasks);
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by(|a, b| ways[*b].total_cmp(&ways[*a]).then(a.cmp(b)));
        let mut dependants = vec![Vec::new(); tasks.len()];
        let mut missing = vec![0; tasks.len()];
        for (at, task) in tasks.iter().enumerate() {
            for need in distinct(task.needs.iter().copied().filter(|need| *need < at).collect()) {
                dependants[need].push(at);
                missing[at] += 1;
            }
        }
        let mut names = HashMap::new();
        let mut builds: Vec<Build> = tasks
            .into_iter()
            .zip(dependants)
            .zip(missing)
            .map(|((task, dependants), missing)| {
                let lock = |name| {
                    let next = names.len();
                    *names.entry(name).or_insert(next)
                };
                Build {
                    state: State::Waiting,
                    missing,
                    dependants,
                    rank: 0,
                    weight: if task.memory > limits.memory { slots } else { task.weight.clamp(1, slots) },
                    memory: task.memory.min(limits.memory),
                    locks: distinct(task.locks.into_iter().map(lock).collect()),
                }
            })
            .collect();
        for (rank, build) in order.iter().enumerate() {
            builds[*build].rank = rank;
        }
        let ready =
            builds.iter().filter(|build| build.missing == 0).map(|build| Reverse(build.rank)).collect();
        let locks = vec![Lock::default(); names.len()];
        Self {
            left: builds.len(),
            builds,
            order,
            ready,
            locks,
            all_slots: slots,
            slots,
            memory: limits.memory,
        }
    }

    /// What starts now, in this order.
    pub fn start(&mut self) -> Vec<usize> {
        let mut started = Vec::new();
        while let Some(Reverse(rank)) = self.ready.pop() {
            let at = self.order[rank];
            let build = &mut self.builds[at];
            if build.state != State::Waiting {
                self.pass_on(at);
                continue;
            }
            if let Some(held) = build.locks.iter().copied().find(|lock| self.locks[*lock].held) {
                self.locks[held].waiting.push(Reverse(rank));
                self.pass_on(at);
                continue;
            }
            if build.weight > self.slots || build.memory > self.memory {
                self.ready.push(Reverse(rank));
                break;
            }
            build.state = State::Running;
            self.slots -= build.weight;
            self.memory -= build.memory;
            for lock in &build.locks {
                self.locks[*lock].held = true;
            }
            started.push(at);
        }
        started
    }

    /// A build has ended, well or not; also one that never began, since what it makes is there already (`well`, whatever
    /// becomes of its own needs) or since it cannot be begun. Those that need it, through others too, and will never start, in
    /// the order of the graph: they count as ended.
    pub fn ended(&mut self, build: usize, well: bool) -> Vec<usize> {
        if !self.end(build) {
            return Vec::new();
        }
        if well {
            for at in 0..self.builds[build].dependants.len() {
                let dependant = self.builds[build].dependants[at];
                let waiting = &mut self.builds[dependant];
                waiting.missing -= 1;
                if waiting.missing == 0 {
                    self.ready.push(Reverse(waiting.rank));
                }
            }
            return Vec::new();
        }
        let mut never = Vec::new();
        let mut open = vec![build];
        while let Some(failed) = open.pop() {
            for at in 0..self.builds[failed].dependants.len() {
                let dependant = self.builds[failed].dependants[at];
                if self.end(dependant) {
                    never.push(dependant);
                    open.push(dependant);
                }
            }
        }
        never.sort_unstable();
        never
    }

    /// Nothing more starts. Those that have not begun, in the order of the graph: they count as ended.
    pub fn stop(&mut self) -> Vec<usize> {
        let waiting = |at: &usize| self.builds[*at].state == State::Waiting;
        let never: Vec<usize> = (0..self.builds.len()).filter(waiting).collect();
        for build in &never {
            self.end(*build);
        }
        never
    }

    /// How many of `jobs` are for a build that runs: as many as its part of the slots that are in use at most as long as it
    /// does, at least 1. Never in use beside it are those of builds that need it, through others too. What runs at once is
    /// never given more than `jobs` together, but for the ones that are at least given.
    pub fn share(&self, build: usize, jobs: usize) -> usize {
        let mut is_later = vec![false; self.builds.len()];
        let mut open = vec![build];
        while let Some(at) = open.pop() {
            for dependant in &self.builds[at].dependants {
                if !std::mem::replace(&mut is_later[*dependant], true) {
                    open.push(*dependant);
                }
            }
        }
        let all = self.builds.iter().zip(is_later);
        let at_once = all.filter(|(build, is_later)| build.state != State::Ended && !is_later);
        let used = at_once.map(|(build, _)| build.weight).sum::<usize>().min(self.all_slots);
        (jobs * self.builds[build].weight / used.max(1)).max(1)
    }

    /// Everything has ended.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Whether this ends it; it may have ended before.
    fn end(&mut self, at: usize) -> bool {
        let Some(build) = self.builds.get_mut(at).filter(|build| build.state != State::Ended) else {
            return false;
        };
        if build.state == State::Running {
            self.slots += build.weight;
            self.memory += build.memory;
            for lock in &build.locks {
                self.locks[*lock].held = false;
            }
        }
        build.state = State::Ended;
        self.left -= 1;
        self.pass_on(at);
        true
    }

    /// A build does not take its locks after all, or gives them back: of each that is free, the next may try.
    fn pass_on(&mut self, build: usize) {
        for lock in &self.builds[build].locks {
            let lock = &mut self.locks[*lock];
            if !lock.held
                && let Some(next) = lock.waiting.pop()
            {
                self.ready.push(next);
            }
        }
    }
}

/// For each its seconds and the most that can follow.
fn longest_ways(tasks: &[Task]) -> Vec<f64> {
    let known = |task: &Task| task.usual.filter(|usual| usual.is_finite() && *usual >= 0.0);
    let (count, sum) =
        tasks.iter().filter_map(known).fold((0_u32, 0.0), |(count, sum), usual| (count + 1, sum + usual));
    let mean = if count == 0 { 1.0 } else { sum / f64::from(count) };
    let mut ways = vec![0.0_f64; tasks.len()];
    for (at, task) in tasks.iter().enumerate().rev() {
        ways[at] += known(task).unwrap_or(mean);
        for need in task.needs.iter().filter(|need| **need < at) {
            ways[*need] = ways[*need].max(ways[at]);
        }
    }
    ways
}

fn distinct(mut all: Vec<usize>) -> Vec<usize> {
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn task(needs: &[usize]) -> Task {
        Task { needs: needs.to_vec(), weight: 1, ..Task::default() }
    }

    fn lasting(seconds: f64, needs: &[usize]) -> Task {
        Task { usual: Some(seconds), ..task(needs) }
    }

    fn schedule(slots: usize, tasks: Vec<Task>) -> Schedule {
        Schedule::new(tasks, Limits { slots, memory: 4 * GB })
    }

    #[test]
    fn the_longest_way_goes_first() {
        // 0 → 3 is long only by what follows; 1 has no known time: the mean, 4.
        let mut schedule =
            schedule(1, vec![lasting(1.0, &[]), task(&[]), lasting(3.0, &[]), lasting(8.0, &[0])]);
        let mut order = Vec::new();
        while let [build] = schedule.start()[..] {
            order.push(build);
            assert!(schedule.ended(build, true).is_empty());
        }
        assert_eq!(order, [0, 3, 1, 2]);
        assert!(schedule.is_over());
    }

    #[test]
    fn who_waits_for_a_lock_is_overtaken_and_who_waits_for_room_is_not() {
        let locked = |seconds, locks: &[&str]| Task {
            locks: locks.iter().map(ToString::to_string).collect(),
            ..lasting(seconds, &[])
        };
        let mut both = schedule(2, vec![locked(9.0, &["a"]), locked(8.0, &["b", "a"]), locked(7.0, &["b"])]);
        assert_eq!(both.start(), [0, 2]);
        both.ended(0, true);
        assert!(both.start().is_empty());
        both.ended(2, true);
        assert_eq!(both.start(), [1]);

        let heavy = Task { weight: usize::MAX, ..lasting(8.0, &[]) };
        let mut room = schedule(2, vec![lasting(9.0, &[]), heavy, lasting(1.0, &[])]);
        assert_eq!(room.start(), [0]);
        room.ended(0, true);
        assert_eq!(room.start(), [1]);
        room.ended(1, true);
        assert_eq!(room.start(), [2]);
    }

    #[test]
    fn what_cannot_fit_runs_alone() {
        let huge = Task { memory: 5 * GB, ..lasting(5.0, &[]) };
        let mut schedule = schedule(8, vec![lasting(1.0, &[]), huge]);
        assert_eq!(schedule.start(), [1]);
        schedule.ended(1, true);
        assert_eq!(schedule.start(), [0]);
    }

    #[test]
    fn what_needs_a_failed_build_never_starts_and_is_told_once() {
        let mut schedule = schedule(4, vec![task(&[]), task(&[]), task(&[0]), task(&[0, 1]), task(&[2, 3])]);
        assert_eq!(schedule.start(), [0, 1]);
        assert_eq!(schedule.ended(0, false), [2, 3, 4]);
        assert!(schedule.ended(0, false).is_empty());
        assert!(!schedule.is_over());
        assert!(schedule.ended(1, false).is_empty());
        assert!(schedule.start().is_empty());
        assert!(schedule.is_over());
    }

    #[test]
    fn what_is_there_already_needs_nothing_and_keeps_nothing_busy() {
        let locked = |needs: &[usize]| Task { locks: vec!["port".to_owned()], ..task(needs) };
        let mut schedule = schedule(2, vec![locked(&[]), locked(&[]), locked(&[0]), task(&[2])]);
        schedule.ended(2, true);
        assert_eq!(schedule.start(), [0, 3]);
        schedule.ended(1, true);
        assert!(schedule.ended(0, false).is_empty());
        schedule.ended(3, true);
        assert!(schedule.is_over());
    }

    #[test]
    fn jobs_are_shared_by_weight_with_what_can_run_at_the_same_time() {
        // A diamond.
        let mut diamond = schedule(4, vec![task(&[]), task(&[0]), task(&[0]), task(&[1, 2])]);
        assert_eq!(diamond.start(), [0]);
        assert_eq!(diamond.share(0, 8), 8, "nothing runs beside what all others need");
        diamond.ended(0, true);
        assert_eq!(diamond.start(), [1, 2]);
        assert_eq!([1, 2].map(|build| diamond.share(build, 8)), [4, 4]);
        diamond.ended(1, true);
        diamond.ended(2, true);
        assert_eq!(diamond.start(), [3]);
        assert_eq!(diamond.share(3, 8), 8);

        let heavy = |weight| Task { weight, ..task(&[]) };
        let mut two = schedule(4, vec![heavy(3), heavy(1)]);
        assert_eq!(two.start(), [0, 1]);
        assert_eq!([0, 1].map(|build| two.share(build, 4)), [3, 1]);
        let mut many = schedule(4, vec![heavy(1); 10]);
        assert_eq!(many.start(), [0, 1, 2, 3]);
        assert_eq!([many.share(0, 4), many.share(0, 9), many.share(0, 2)], [1, 2, 1]);
        let mut alone = schedule(4, vec![heavy(usize::MAX), heavy(1)]);
        assert_eq!(alone.start(), [0]);
        assert_eq!(alone.share(0, 8), 8);
    }

    #[test]
    fn stopped_it_ends_what_runs_and_no_more() {
        let mut schedule = schedule(1, vec![task(&[]), task(&[]), task(&[0])]);
        assert_eq!(schedule.start(), [0]);
        assert_eq!(schedule.stop(), [1, 2]);
        assert!(schedule.ended(0, true).is_empty());
        assert!(schedule.start().is_empty());
        assert!(schedule.is_over());
    }
}
