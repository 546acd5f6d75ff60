//! The order of builds on random graphs: sound, within all limits, starving none, and close to the best there is.

use std::collections::HashMap;

use pony_runner::schedule::{Capacity, Schedule, Task};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng},
};

/// Tasks whose usual times are what they will take, and their capacity.
#[derive(Debug, Clone)]
struct Case {
    tasks: Vec<Task>,
    slots: usize,
}

const MEMORY: u64 = 8;

impl Case {
    fn capacity(&self) -> Capacity {
        Capacity { slots: self.slots, memory: MEMORY }
    }

    fn seconds(&self, task: usize) -> f64 {
        self.tasks[task].usual.unwrap_or(1.0)
    }

    fn weight(&self, task: usize) -> usize {
        let task = &self.tasks[task];
        if task.memory > MEMORY { self.slots } else { task.weight.clamp(1, self.slots) }
    }

    fn memory(&self, task: usize) -> u64 {
        self.tasks[task].memory.min(MEMORY)
    }
}

/// What runs at a moment, counted anew whenever somebody asks.
struct Running<'a> {
    case: &'a Case,
    /// Ends and tasks.
    tasks: Vec<(f64, usize)>,
    /// Jobs of each that has begun.
    jobs: HashMap<usize, usize>,
    now: f64,
}

impl<'a> Running<'a> {
    fn new(case: &'a Case) -> Self {
        Self { case, tasks: Vec::new(), jobs: HashMap::new(), now: 0.0 }
    }

    fn begin(&mut self, task: usize) {
        self.tasks.push((self.now + self.case.seconds(task), task));
    }

    fn has_room(&self, task: usize) -> bool {
        let all = || self.tasks.iter().map(|(_, other)| *other).chain([task]);
        all().map(|task| self.case.weight(task)).sum::<usize>() <= self.case.slots
            && all().map(|task| self.case.memory(task)).sum::<u64>() <= MEMORY
    }

    fn is_locked(&self, task: usize) -> bool {
        let shares = |lock| self.tasks.iter().any(|(_, other)| self.case.tasks[*other].locks.contains(lock));
        self.case.tasks[task].locks.iter().any(shares)
    }

    /// Jobs of all that run.
    fn jobs(&self) -> usize {
        self.tasks.iter().filter_map(|(_, task)| self.jobs.get(task)).sum()
    }

    /// Waits for the next that ends.
    fn end(&mut self) -> Option<usize> {
        let (at, (end, task)) =
            self.tasks.iter().copied().enumerate().min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))?;
        self.tasks.swap_remove(at);
        self.now = end;
        Some(task)
    }
}

/// Runs it as the program would, checks every start, and says how long it took. `bad` tasks fail.
fn simulate(case: &Case, bad: &[usize]) -> Result<f64, TestCaseError> {
    let mut schedule = Schedule::new(case.tasks.clone(), case.capacity());
    let mut running = Running::new(case);
    let mut passed = vec![false; case.tasks.len()];
    let mut seen = vec![0; case.tasks.len()];
    loop {
        let started = schedule.start();
        for task in started.iter().copied() {
            prop_assert!(case.tasks[task].needs.iter().all(|need| passed[*need]), "{task} before its needs");
            prop_assert!(running.has_room(task) && !running.is_locked(task), "{task} does not fit");
            running.begin(task);
            seen[task] += 1;
        }
        for task in started {
            running.jobs.insert(task, schedule.share(task, case.slots + 3));
        }
        prop_assert!(running.jobs() <= case.slots + 3, "{} jobs at once", running.jobs());
        let Some(task) = running.end() else { break };
        passed[task] = !bad.contains(&task);
        for never in schedule.ended(task, passed[task]) {
            prop_assert!(case.tasks[never].needs.iter().any(|need| !passed[*need]), "{never} could start");
            seen[never] += 1;
        }
    }
    prop_assert!(schedule.is_over());
    prop_assert!(seen.iter().all(|times| *times == 1), "each once: {seen:?}");
    Ok(running.now)
}

/// A list schedule, told slowly: whatever is ready and not locked starts in this order, until one has no room.
fn list_schedule(case: &Case, order: &[usize]) -> f64 {
    let mut running = Running::new(case);
    let mut passed = vec![false; case.tasks.len()];
    let mut waiting: Vec<usize> = order.to_vec();
    loop {
        let mut room = true;
        waiting.retain(|task| {
            let is_ready = case.tasks[*task].needs.iter().all(|need| passed[*need]);
            if !room || !is_ready || running.is_locked(*task) {
                return true;
            }
            room = running.has_room(*task);
            if room {
                running.begin(*task);
            }
            !room
        });
        let Some(task) = running.end() else { return running.now };
        passed[task] = true;
    }
}

fn longest_ways(case: &Case) -> Vec<f64> {
    let mut ways = vec![0.0_f64; case.tasks.len()];
    for task in (0..case.tasks.len()).rev() {
        ways[task] += case.seconds(task);
        for need in &case.tasks[task].needs {
            ways[*need] = ways[*need].max(ways[task]);
        }
    }
    ways
}

/// No schedule is shorter: the longest way, all work on all slots, what shares a lock one after another.
fn lower_bound(case: &Case) -> f64 {
    let all = 0..case.tasks.len();
    let sum = |of: &dyn Fn(usize) -> f64| all.clone().map(of).sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let work = sum(&|task| case.seconds(task) * case.weight(task) as f64) / case.slots as f64;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let memory = sum(&|task| case.seconds(task) * case.memory(task) as f64) / MEMORY as f64;
    let lock = |name: &str| {
        sum(&|task| {
            if case.tasks[task].locks.iter().any(|lock| lock == name) { case.seconds(task) } else { 0.0 }
        })
    };
    let way = longest_ways(case).into_iter().fold(0.0, f64::max);
    [work, memory, lock("a"), lock("b"), way].into_iter().fold(0.0, f64::max)
}

/// The best of critical path and `tries` random orders.
fn best_of_many(case: &Case, tries: usize, random: &mut TestRng) -> f64 {
    let ways = longest_ways(case);
    let mut order: Vec<usize> = (0..case.tasks.len()).collect();
    order.sort_by(|a, b| ways[*b].total_cmp(&ways[*a]));
    let mut best = list_schedule(case, &order);
    for _ in 0..tries {
        for at in (1..order.len()).rev() {
            order.swap(at, usize::try_from(random.next_u64()).expect("64 bits") % (at + 1));
        }
        best = best.min(list_schedule(case, &order));
    }
    best
}

fn cases(tasks: impl Strategy<Value = usize>, plain: bool) -> impl Strategy<Value = Case> {
    let task = (
        proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
        prop_oneof![16 => Just(1_usize), 2 => 2..4_usize, 1 => Just(usize::MAX)],
        prop_oneof![12 => Just(0_u64), 4 => 1..=MEMORY, 1 => Just(2 * MEMORY)],
        prop_oneof![8 => Just(""), 1 => Just("a"), 1 => Just("b"), 1 => Just("ab")],
        prop_oneof![9 => 1..30_u32, 1 => 100..1000_u32],
    );
    let tasks = tasks.prop_flat_map(move |count| proptest::collection::vec(task.clone(), count));
    (tasks, 1..9_usize).prop_map(move |(tasks, slots)| {
        let tasks = tasks.into_iter().enumerate().map(|(at, (needs, weight, memory, locks, seconds))| {
            // Of those shortly before, so that there are ways worth the name.
            let near = at.min(20);
            let needs = needs.iter().filter(|_| at > 0).map(|need| at - 1 - need.index(near)).collect();
            let usual = Some(f64::from(seconds));
            let locks = locks.chars().map(String::from).collect();
            if plain {
                Task { needs, usual, weight: 1, ..Task::default() }
            } else {
                Task { needs, usual, weight, memory, locks }
            }
        });
        Case { tasks: tasks.collect(), slots }
    })
}

/// One case, the same each time.
fn fixed(tasks: usize, plain: bool, seed: u8) -> (Case, TestRng) {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(ProptestConfig::default(), random);
    let case = cases(Just(tasks), plain).new_tree(&mut runner).expect("a case").current();
    (case, runner.new_rng())
}

proptest! {
    #[test]
    fn every_build_runs_once_in_a_sound_order_within_all_limits(case in cases(1..200_usize, false)) {
        let took = simulate(&case, &[])?;
        prop_assert!(took >= lower_bound(&case) - 1e-6);
    }

    #[test]
    fn what_fails_takes_with_it_what_needs_it_and_nothing_else(
        case in cases(1..100_usize, false), bad in proptest::collection::vec(0..100_usize, 1..6),
    ) {
        simulate(&case, &bad)?;
    }
}

#[test]
fn it_takes_little_longer_than_the_best_order_that_can_be_found() {
    // Where some take many slots, an order that happens to fit them together beats every rule that does not look ahead.
    for (plain, most) in [(true, 1.15), (false, 1.5)] {
        for seed in 0..25 {
            let (case, mut random) = fixed(50 + 3 * usize::from(seed), plain, seed);
            let took = simulate(&case, &[]).unwrap();
            let best = best_of_many(&case, 30, &mut random);
            assert!(took <= most * best, "{took} against {best}, seed {seed}, {} slots", case.slots);
        }
    }
}

#[test]
fn two_thousand_builds() {
    for (plain, seed) in [(true, 1), (false, 2)] {
        let (case, mut random) = fixed(2000, plain, seed);
        let took = simulate(&case, &[]).unwrap();
        assert!(took <= 1.15 * best_of_many(&case, 3, &mut random));
        assert!(took >= lower_bound(&case) - 1e-6);
    }
}
