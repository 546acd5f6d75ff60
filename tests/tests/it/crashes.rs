//! `kill -9` of pony-run while it prepares a run: the next run succeeds, trusts nothing half-made, and tidies up.
//!
//! A moment is the nth event of a whole run's preparation, and so many nanoseconds after it. They are drawn from a
//! seed, which a failure tells; `PONY_TESTS_SEED` adds to all of them, for other moments.

use std::{fmt, fs, thread, time::Duration};

use pony_tests::{Ended, Kind, World};

const EVENT: &str = "\"event\":";

/// Numbers that look like chance (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (drawn ^ (drawn >> 31)) % limit
    }
}

#[derive(Debug)]
struct Moment {
    seed: u64,
    number: u64,
    event: usize,
    of: usize,
    delay: Duration,
    cold: bool,
}

impl Moment {
    fn draw(dice: &mut Dice, seed: u64, number: u64, of: usize) -> Self {
        let event = 1 + usize::try_from(dice.below(of as u64)).unwrap();
        // As often some nanoseconds as some milliseconds.
        let most = 1 << dice.below(23);
        let delay = Duration::from_nanos(dice.below(most));
        Self { seed, number, event, of, delay, cold: number.is_multiple_of(2) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, number, event, of, delay, cold } = self;
        let cache = if *cold { "without a cache" } else { "with a cache and news" };
        write!(f, "seed {seed}, moment {number}: killed {delay:?} after event {event} of {of}, {cache}")
    }
}

/// How many events a run has until all is prepared.
fn events(world: &World, recipe: &str, steps: usize) -> usize {
    let ended = world.pony(&["-n", "--message-format", "json", recipe]).end().code(0);
    let out = ended.out();
    let ends = out.match_indices("\"event\":\"step-ended\"").map(|(at, _)| at);
    let end = ends.take(steps).last().unwrap_or_else(|| panic!("{ended}"));
    out[..end].matches(EVENT).count()
}

/// Kills a run at `moment`.
fn killed<'w>(world: &'w World, recipe: &str, moment: &Moment) -> Ended<'w> {
    let mut live = world.pony(&["-n", "--message-format", "json", recipe]).start();
    live.until_times(EVENT, moment.event);
    // The one thing that a clock is for here: to come at any moment.
    thread::sleep(moment.delay);
    live.kill()
}

/// What must hold for the run after the one that was killed.
fn next(world: &World, recipe: &str, expected: &str, moment: &Moment, killed: &Ended<'_>) {
    // What the kill left half-made: there, but not vouched for.
    let left = world.cached();
    let is_half_made = |name: &&String| {
        let path = world.path("pony/cache").join(name);
        path.is_dir() && !name.contains(".new-") && !left.contains(&format!("{name}.json"))
    };
    let half_made: Vec<_> = left.iter().filter(is_half_made).collect();
    let ended = world.pony(&["-n", recipe]).end();
    let told = || format!("{moment}\n{half_made:?}\n{killed}\n{ended}");
    assert!(ended.code == 0 && ended.out() == expected, "{}", told());
    assert!(world.temporary().is_empty(), "{:?} {}", world.temporary(), told());
    assert!(world.build_processes().is_empty(), "{:?} {}", world.build_processes(), told());
    let cached = world.cached();
    assert!(
        !cached.iter().any(|name| name.contains(".new-") || name.starts_with('.')),
        "{cached:?} {}",
        told()
    );
    if !half_made.is_empty() {
        let runs = world.runs();
        let made = |label: &str| runs.iter().any(|run| run.text("events.jsonl").contains(label));
        assert!(made("create cache") || made("download"), "{}", told());
    }
    // Of each run no more than is looked at.
    fs::remove_dir_all(world.path("pony/runs")).unwrap();
}

fn seeded(seed: u64) -> u64 {
    let more = std::env::var("PONY_TESTS_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    seed.wrapping_add(more.unwrap_or(0))
}

fn checkouts(kind: Kind, seed: u64, moments: u64) {
    let seed = seeded(seed);
    let world = World::new();
    let upstream = world.upstream(kind);
    let recipe = upstream.recipe("");
    let mut dice = Dice(seed);
    let count = events(&world, recipe, 1);
    fs::remove_dir_all(world.path("pony/runs")).unwrap();
    for number in 0..moments {
        let moment = Moment::draw(&mut dice, seed, number, count);
        if moment.cold {
            fs::remove_dir_all(world.path("pony/cache")).unwrap();
        }
        upstream.publish(&format!("{number}"), &[(&format!("data/more-{number}"), "more")]);
        let killed = killed(&world, recipe, &moment);
        next(&world, recipe, &upstream.built(), &moment, &killed);
    }
}

fn environments(seed: u64, moments: u64) {
    let seed = seeded(seed);
    let mut world = World::new();
    world.wheels();
    // One that a kill may damage.
    world.set("UV_CACHE_DIR", world.path("uv"));
    let recipe = world.recipe(
        "context: {virtualenv: {requirements: [tiny, more], installer: uv}}\nsteps:\n\
         - run: python -c 'import tiny, more; print(tiny.version, more.version)'\n",
    );
    let mut dice = Dice(seed);
    let count = events(&world, recipe, 1);
    for number in 0..moments {
        let moment = Moment::draw(&mut dice, seed, number, count);
        let killed = killed(&world, recipe, &moment);
        next(&world, recipe, "2.0 2.0\n", &moment, &killed);
    }
}

/// Tests of some moments each, so that they run side by side: 50 in all.
macro_rules! moments {
    ($($name:ident: $work:expr;)*) => { $(#[test] fn $name() { $work; })* };
}

moments! {
    git_1: checkouts(Kind::Git, 1, 6);
    git_2: checkouts(Kind::Git, 2, 6);
    git_3: checkouts(Kind::Git, 3, 6);
    svn_1: checkouts(Kind::Svn, 1, 6);
    svn_2: checkouts(Kind::Svn, 2, 6);
    hg_1: checkouts(Kind::Hg, 1, 2);
    hg_2: checkouts(Kind::Hg, 2, 2);
    hg_3: checkouts(Kind::Hg, 3, 2);
    archive: checkouts(Kind::Archive, 1, 10);
    virtualenv_1: environments(1, 2);
    virtualenv_2: environments(2, 2);
}
