//! Which builds run now: a list scheduler that starts the critical path first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// A build to be scheduled.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Builds that must pass (or be reused) first.
    pub needs: Vec<usize>,
    /// Slots that it takes, at least 1; more than exist means all.
    pub weight: usize,
    /// Bytes. A build that needs more than exist takes all slots, so it runs alone.
    pub memory: u64,
    /// Names of locks that no two running builds may hold.
    pub locks: Vec<String>,
    /// Its usual duration in seconds, if known.
    pub usual: Option<f64>,
}

/// What all builds share.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Concurrent builds (`-j`), at least 1.
    pub slots: usize,
    /// Bytes.
    pub memory: u64,
}

/// The state of all builds of a run.
///
/// Ready builds start in the order of their critical path: the longest sum of usual durations of the build and of builds
/// that depend on it. A build that waits for a lock is overtaken. A build that waits for slots or memory is not: otherwise
/// large builds would wait for as long as there are small ones. Every build enters and leaves a heap once, every need is
/// visited once: 2,000 builds take a millisecond or two.
#[derive(Debug, Clone)]
pub struct Schedule {
    builds: Vec<ScheduledBuild>,
    /// Builds by priority.
    order: Vec<usize>,
    /// Ranks of builds whose needs have passed; some may have ended since.
    ready: BinaryHeap<Reverse<usize>>,
    locks: Vec<Lock>,
    total_slots: usize,
    free_slots: usize,
    free_memory: u64,
    /// Builds that have not ended.
    unfinished: usize,
}

#[derive(Debug, Clone)]
struct ScheduledBuild {
    state: BuildState,
    /// Needs that have not ended.
    open_needs: usize,
    dependants: Vec<usize>,
    /// Its position in [`Schedule::order`].
    rank: usize,
    weight: usize,
    memory: u64,
    locks: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildState {
    Waiting,
    Running,
    Ended,
}

/// While it is free, the first build that waits for it is in [`Schedule::ready`], not here.
#[derive(Debug, Clone, Default)]
struct Lock {
    held: bool,
    /// Ranks of builds that wait for it.
    waiting: BinaryHeap<Reverse<usize>>,
}

impl Schedule {
    /// `tasks` have needs before the builds that need them.
    pub fn new(tasks: Vec<Task>, capacity: Capacity) -> Self {
        let slots = capacity.slots.max(1);
        let paths = critical_paths(&tasks);
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by(|a, b| paths[*b].total_cmp(&paths[*a]).then(a.cmp(b)));
        let mut dependants = vec![Vec::new(); tasks.len()];
        let mut open_needs = vec![0; tasks.len()];
        for (at, task) in tasks.iter().enumerate() {
            for need in distinct(task.needs.iter().copied().filter(|need| *need < at).collect()) {
                dependants[need].push(at);
                open_needs[at] += 1;
            }
        }
        let mut names = HashMap::new();
        let mut builds: Vec<ScheduledBuild> = tasks
            .into_iter()
            .zip(dependants)
            .zip(open_needs)
            .map(|((task, dependants), open_needs)| {
                let lock = |name| {
                    let next = names.len();
                    *names.entry(name).or_insert(next)
                };
                ScheduledBuild {
                    state: BuildState::Waiting,
                    open_needs,
                    dependants,
                    rank: 0,
                    weight: if task.memory > capacity.memory { slots } else { task.weight.clamp(1, slots) },
                    memory: task.memory.min(capacity.memory),
                    locks: distinct(task.locks.into_iter().map(lock).collect()),
                }
            })
            .collect();
        for (rank, build) in order.iter().enumerate() {
            builds[*build].rank = rank;
        }
        let ready =
            builds.iter().filter(|build| build.open_needs == 0).map(|build| Reverse(build.rank)).collect();
        let locks = vec![Lock::default(); names.len()];
        Self {
            unfinished: builds.len(),
            builds,
            order,
            ready,
            locks,
            total_slots: slots,
            free_slots: slots,
            free_memory: capacity.memory,
        }
    }

    /// The builds that start now, in this order.
    pub fn start(&mut self) -> Vec<usize> {
        let mut started = Vec::new();
        while let Some(Reverse(rank)) = self.ready.pop() {
            let at = self.order[rank];
            let build = &mut self.builds[at];
            if build.state != BuildState::Waiting {
                self.release_waiting(at);
                continue;
            }
            if let Some(held) = build.locks.iter().copied().find(|lock| self.locks[*lock].held) {
                self.locks[held].waiting.push(Reverse(rank));
                self.release_waiting(at);
                continue;
            }
            if build.weight > self.free_slots || build.memory > self.free_memory {
                self.ready.push(Reverse(rank));
                break;
            }
            build.state = BuildState::Running;
            self.free_slots -= build.weight;
            self.free_memory -= build.memory;
            for lock in &build.locks {
                self.locks[*lock].held = true;
            }
            started.push(at);
        }
        started
    }

    /// Records that a build has ended. One that is reused counts as passed, whatever becomes of its own needs; one that
    /// cannot start counts as failed. Returns the builds that will never start because they depend on it, in the order of
    /// the graph; they count as ended.
    pub fn ended(&mut self, build: usize, passed: bool) -> Vec<usize> {
        if !self.end(build) {
            return Vec::new();
        }
        if passed {
            for at in 0..self.builds[build].dependants.len() {
                let dependant = self.builds[build].dependants[at];
                let waiting = &mut self.builds[dependant];
                waiting.open_needs -= 1;
                if waiting.open_needs == 0 {
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

    /// Starts nothing more. Returns the builds that have not started, in the order of the graph; they count as ended.
    pub fn stop(&mut self) -> Vec<usize> {
        let waiting = |at: &usize| self.builds[*at].state == BuildState::Waiting;
        let never: Vec<usize> = (0..self.builds.len()).filter(waiting).collect();
        for build in &never {
            self.end(*build);
        }
        never
    }

    /// The share of `jobs` for a running build, at least 1: its weight as a part of the slots that can be in use while it
    /// runs. Builds that depend on it cannot run at the same time. Concurrent builds get no more than `jobs` together,
    /// except for the minimum of 1 each.
    pub fn share(&self, build: usize, jobs: usize) -> usize {
        let mut depends_on_it = vec![false; self.builds.len()];
        let mut open = vec![build];
        while let Some(at) = open.pop() {
            for dependant in &self.builds[at].dependants {
                if !std::mem::replace(&mut depends_on_it[*dependant], true) {
                    open.push(*dependant);
                }
            }
        }
        let builds = self.builds.iter().zip(depends_on_it);
        let concurrent = builds.filter(|(build, depends)| build.state != BuildState::Ended && !depends);
        let used = concurrent.map(|(build, _)| build.weight).sum::<usize>().min(self.total_slots);
        (jobs * self.builds[build].weight / used.max(1)).max(1)
    }

    /// All builds have ended.
    pub fn is_over(&self) -> bool {
        self.unfinished == 0
    }

    /// False if it had already ended.
    fn end(&mut self, at: usize) -> bool {
        let Some(build) = self.builds.get_mut(at).filter(|build| build.state != BuildState::Ended) else {
            return false;
        };
        if build.state == BuildState::Running {
            self.free_slots += build.weight;
            self.free_memory += build.memory;
            for lock in &build.locks {
                self.locks[*lock].held = false;
            }
        }
        build.state = BuildState::Ended;
        self.unfinished -= 1;
        self.release_waiting(at);
        true
    }

    /// The build does not hold its locks (any more): the next build that waits for each free one may try.
    fn release_waiting(&mut self, build: usize) {
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

/// Seconds of the longest path from each build through builds that depend on it. Unknown durations count as the mean.
fn critical_paths(tasks: &[Task]) -> Vec<f64> {
    let known = |task: &Task| task.usual.filter(|usual| usual.is_finite() && *usual >= 0.0);
    let (count, sum) =
        tasks.iter().filter_map(known).fold((0_u32, 0.0), |(count, sum), usual| (count + 1, sum + usual));
    let mean = if count == 0 { 1.0 } else { sum / f64::from(count) };
    let mut paths = vec![0.0_f64; tasks.len()];
    for (at, task) in tasks.iter().enumerate().rev() {
        paths[at] += known(task).unwrap_or(mean);
        for need in task.needs.iter().filter(|need| **need < at) {
            paths[*need] = paths[*need].max(paths[at]);
        }
    }
    paths
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
        Schedule::new(tasks, Capacity { slots, memory: 4 * GB })
    }

    #[test]
    fn the_critical_path_goes_first() {
        // 0 → 3 is long only because of 3; the duration of 1 is unknown and counts as the mean, 4.
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
    fn a_build_that_waits_for_a_lock_is_overtaken_and_one_that_waits_for_slots_is_not() {
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
        let mut slots = schedule(2, vec![lasting(9.0, &[]), heavy, lasting(1.0, &[])]);
        assert_eq!(slots.start(), [0]);
        slots.ended(0, true);
        assert_eq!(slots.start(), [1]);
        slots.ended(1, true);
        assert_eq!(slots.start(), [2]);
    }

    #[test]
    fn a_build_that_needs_too_much_memory_runs_alone() {
        let huge = Task { memory: 5 * GB, ..lasting(5.0, &[]) };
        let mut schedule = schedule(8, vec![lasting(1.0, &[]), huge]);
        assert_eq!(schedule.start(), [1]);
        schedule.ended(1, true);
        assert_eq!(schedule.start(), [0]);
    }

    #[test]
    fn dependants_of_a_failed_build_never_start_and_are_returned_once() {
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
    fn a_reused_build_needs_nothing_and_holds_nothing() {
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
    fn jobs_are_shared_by_weight_among_builds_that_can_run_at_the_same_time() {
        // A diamond.
        let mut diamond = schedule(4, vec![task(&[]), task(&[0]), task(&[0]), task(&[1, 2])]);
        assert_eq!(diamond.start(), [0]);
        assert_eq!(diamond.share(0, 8), 8, "nothing runs next to a build that all others need");
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
    fn after_stop_running_builds_end_and_nothing_starts() {
        let mut schedule = schedule(1, vec![task(&[]), task(&[]), task(&[0])]);
        assert_eq!(schedule.start(), [0]);
        assert_eq!(schedule.stop(), [1, 2]);
        assert!(schedule.ended(0, true).is_empty());
        assert!(schedule.start().is_empty());
        assert!(schedule.is_over());
    }
}
